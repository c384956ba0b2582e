// libc's types stay those of Swift's Glibc module; else each file that makes one has to import whichever C module
// happened to include its header first.
#pragma clang module import SwiftGlibc

#include <curl/curl.h>
#include <dlfcn.h>

// libcurl brings thirty more libraries with it, which costs every start some ten milliseconds and some megabytes. So nothing
// is linked: what asks over HTTP opens it, and its functions stand in this table.
#define FABGATE_CURL_FUNCTIONS(each)                                                                                    \
    each(global_init) each(easy_init) each(easy_cleanup) each(easy_setopt) each(easy_getinfo) each(easy_strerror)       \
    each(slist_append) each(slist_free_all) each(multi_init) each(multi_cleanup) each(multi_setopt)                     \
    each(multi_add_handle) each(multi_remove_handle) each(multi_socket_action) each(multi_info_read)

typedef struct {
#define FABGATE_CURL_MEMBER(name) __typeof__(curl_##name) *_Nonnull name;
    FABGATE_CURL_FUNCTIONS(FABGATE_CURL_MEMBER)
#undef FABGATE_CURL_MEMBER
} fabgate_curl;

// Fills the table from the library of that name; NULL, or what is missing. The library stays open until the process ends.
static inline const char *_Nullable fabgate_curl_open(fabgate_curl *_Nonnull table, const char *_Nonnull name) {
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return dlerror();
#define FABGATE_CURL_FIND(name)                                                                                         \
    if ((table->name = (__typeof__(curl_##name) *)dlsym(library, "curl_" #name)) == NULL) return dlerror();
    FABGATE_CURL_FUNCTIONS(FABGATE_CURL_FIND)
#undef FABGATE_CURL_FIND
    return NULL;
}

// Setting options and asking for results is variadic, which Swift cannot call.

typedef const fabgate_curl *_Nonnull fabgate_curl_table;

static inline CURLcode fabgate_curl_long(fabgate_curl_table t, CURL *h, CURLoption o, long v) {
    return t->easy_setopt(h, o, v);
}
static inline CURLcode fabgate_curl_text(fabgate_curl_table t, CURL *h, CURLoption o, const char *v) {
    return t->easy_setopt(h, o, v);
}
static inline CURLcode fabgate_curl_pointer(fabgate_curl_table t, CURL *h, CURLoption o, const void *v) {
    return t->easy_setopt(h, o, v);
}
static inline CURLcode fabgate_curl_offset(fabgate_curl_table t, CURL *h, CURLoption o, curl_off_t v) {
    return t->easy_setopt(h, o, v);
}
typedef size_t (*fabgate_curl_sink)(char *, size_t, size_t, void *);
static inline CURLcode fabgate_curl_write(
    fabgate_curl_table t, CURL *h, CURLoption function, fabgate_curl_sink f, CURLoption data, void *u) {
    CURLcode r = t->easy_setopt(h, function, f);
    return r ? r : t->easy_setopt(h, data, u);
}
// An unsigned long behind a cast, which Swift does not import.
static const long fabgate_curl_digest = (long)CURLAUTH_DIGEST;
static inline long fabgate_curl_info_long(fabgate_curl_table t, CURL *h, CURLINFO i) {
    long v = 0;
    t->easy_getinfo(h, i, &v);
    return v;
}
static inline CURLMcode fabgate_curl_multi_long(fabgate_curl_table t, CURLM *m, CURLMoption o, long v) {
    return t->multi_setopt(m, o, v);
}
typedef int (*fabgate_curl_socket)(CURL *, curl_socket_t, int, void *, void *);
typedef int (*fabgate_curl_timer)(CURLM *, long, void *);
static inline CURLMcode fabgate_curl_multi_callbacks(
    fabgate_curl_table t, CURLM *m, fabgate_curl_socket socket, fabgate_curl_timer timer, void *context) {
    t->multi_setopt(m, CURLMOPT_SOCKETFUNCTION, socket);
    t->multi_setopt(m, CURLMOPT_SOCKETDATA, context);
    t->multi_setopt(m, CURLMOPT_TIMERFUNCTION, timer);
    return t->multi_setopt(m, CURLMOPT_TIMERDATA, context);
}
