// libc's types stay those of Swift's Glibc module.
#pragma clang module import SwiftGlibc

#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <openssl/ssl.h>

// libmosquitto compares a certificate with the host that it connects to and with nothing else. So the name that is wanted
// instead is told to OpenSSL, in a context of our own: TLS from 1.2 on, this authority alone, no way around it. Instead of
// mosquitto_tls_set; `cert` and `key` may be null. 0 or an error of libmosquitto's.
static inline int fabgate_mosquitto_expect_name(
    struct mosquitto *m, const char *name, const char *ca, const char *cert, const char *key) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context) return MOSQ_ERR_NOMEM;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    int isSet = SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1
        && SSL_CTX_load_verify_locations(context, ca, NULL) == 1
        && X509_VERIFY_PARAM_set1_host(SSL_CTX_get0_param(context), name, 0) == 1
        && (!cert || SSL_CTX_use_certificate_chain_file(context, cert) == 1)
        && (!key || SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1);
    int r = isSet ? mosquitto_void_option(m, MOSQ_OPT_SSL_CTX, context) : MOSQ_ERR_TLS;
    if (!r) r = mosquitto_int_option(m, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);
    // libmosquitto holds it by itself.
    SSL_CTX_free(context);
    return r;
}
