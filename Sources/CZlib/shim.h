// libc's types stay those of Swift's Glibc module; else each file that makes one has to import whichever C module
// happened to include its header first.
#pragma clang module import SwiftGlibc

#include <zlib.h>

// inflateInit2 and deflateInit2 are macros.

static inline int fabgate_inflate_init(z_stream *s) { return inflateInit2(s, 15 + 32); } // zlib or gzip, told by its header
static inline int fabgate_deflate_init(z_stream *s) {
    return deflateInit2(s, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY); // gzip
}
