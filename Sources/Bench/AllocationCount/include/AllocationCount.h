// How often the calling thread has asked for memory, in the program that this is linked into.

#ifndef ALLOCATION_COUNT_H
#define ALLOCATION_COUNT_H

#include <stdint.h>

/// Calls of malloc, calloc, realloc and the aligned kinds by this thread since it started; freeing is not counted.
uint64_t allocation_count(void);

#endif
