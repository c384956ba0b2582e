// libc's types stay those of Swift's Glibc module; else each file that makes one has to import whichever C module
// happened to include its header first.
#pragma clang module import SwiftGlibc

#include <rrd.h>
