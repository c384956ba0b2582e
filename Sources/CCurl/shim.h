// libc's types stay those of Swift's Glibc module; else each file that makes one has to import whichever C module
// happened to include its header first.
#pragma clang module import SwiftGlibc

#include <curl/curl.h>

// curl_easy_setopt, curl_multi_setopt and curl_easy_getinfo are variadic, which Swift cannot call.

static inline CURLcode fabgate_curl_long(CURL *h, CURLoption o, long v) { return curl_easy_setopt(h, o, v); }
static inline CURLcode fabgate_curl_text(CURL *h, CURLoption o, const char *v) { return curl_easy_setopt(h, o, v); }
static inline CURLcode fabgate_curl_pointer(CURL *h, CURLoption o, const void *v) { return curl_easy_setopt(h, o, v); }
static inline CURLcode fabgate_curl_offset(CURL *h, CURLoption o, curl_off_t v) { return curl_easy_setopt(h, o, v); }
typedef size_t (*fabgate_curl_sink)(char *, size_t, size_t, void *);
static inline CURLcode fabgate_curl_write(CURL *h, CURLoption function, fabgate_curl_sink f, CURLoption data, void *u) {
    CURLcode r = curl_easy_setopt(h, function, f);
    return r ? r : curl_easy_setopt(h, data, u);
}
// An unsigned long behind a cast, which Swift does not import.
static const long fabgate_curl_digest = (long)CURLAUTH_DIGEST;
static inline long fabgate_curl_info_long(CURL *h, CURLINFO i) { long v = 0; curl_easy_getinfo(h, i, &v); return v; }
static inline CURLMcode fabgate_curl_multi_long(CURLM *m, CURLMoption o, long v) { return curl_multi_setopt(m, o, v); }
typedef int (*fabgate_curl_socket)(CURL *, curl_socket_t, int, void *, void *);
typedef int (*fabgate_curl_timer)(CURLM *, long, void *);
static inline CURLMcode fabgate_curl_multi_callbacks(
    CURLM *m, fabgate_curl_socket socket, fabgate_curl_timer timer, void *context) {
    curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, socket);
    curl_multi_setopt(m, CURLMOPT_SOCKETDATA, context);
    curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, timer);
    return curl_multi_setopt(m, CURLMOPT_TIMERDATA, context);
}
