// What Linux has and Swift's Glibc module leaves out.

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/timex.h>

// syscall is variadic, which Swift cannot call. 434 is pidfd_open on every architecture; glibc wraps it since 2.36.
static inline int fabgate_pidfd_open(int pid) {
    extern long syscall(long number, ...);
    return (int)syscall(434, pid, 0u);
}

// A set of no signals. Swift would call the type's initializer, and cannot always tell which module it comes from.
static inline sigset_t fabgate_no_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    return set;
}

// A thread that takes no signals. In C because Swift cannot always tell which module pthread_attr_t comes from.
static inline int fabgate_start_thread(pthread_t *thread, size_t stack, void *(*body)(void *), void *context) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, stack);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(thread, &attributes, body, context);
    pthread_sigmask(SIG_SETMASK, &before, 0);
    pthread_attr_destroy(&attributes);
    return failure;
}

// The rest is declared only for _GNU_SOURCE, which Swift's Glibc module does without.
static inline int fabgate_pipe(int both[2]) {
    extern int pipe2(int both[2], int flags);
    return pipe2(both, 02000000); // O_CLOEXEC
}
static inline int fabgate_spawn_closing_from(void *file_actions, int first) {
    extern int posix_spawn_file_actions_addclosefrom_np(void *file_actions, int first);
    return posix_spawn_file_actions_addclosefrom_np(file_actions, first);
}

// Whether something keeps the kernel's clock right: a look that changes nothing.
static inline int fabgate_clock_is_synchronised(void) {
    struct timex state = {0};
    int result = adjtimex(&state);
    return result >= 0 && result != TIME_ERROR;
}

// CRC-32C by the processor's instruction, where it has one. Each takes and gives the inverted checksum, as the instruction
// does. One step waits for the one before it, but three checksums at once take hardly longer than one.
#if defined(__x86_64__)
#define FABGATE_CRC __attribute__((target("sse4.2")))
#define fabgate_crc_word(crc, word) (unsigned int)__builtin_ia32_crc32di(crc, word)
#define fabgate_crc_byte(crc, byte) __builtin_ia32_crc32qi(crc, byte)
static inline int fabgate_has_crc32c(void) { return __builtin_cpu_supports("sse4.2") != 0; }
#elif defined(__aarch64__)
#include <sys/auxv.h>
#define FABGATE_CRC __attribute__((target("crc")))
#define fabgate_crc_word(crc, word) __builtin_arm_crc32cd(crc, word)
#define fabgate_crc_byte(crc, byte) __builtin_arm_crc32cb(crc, byte)
static inline int fabgate_has_crc32c(void) { return (getauxval(AT_HWCAP) & (1 << 7)) != 0; } // HWCAP_CRC32
#else
#define FABGATE_CRC
#define fabgate_crc_word(crc, word) (crc)
#define fabgate_crc_byte(crc, byte) (crc)
static inline int fabgate_has_crc32c(void) { return 0; }
#endif

FABGATE_CRC static inline unsigned int fabgate_crc32c(unsigned int crc, const unsigned char *bytes, long count) {
    for (; count >= 8; bytes += 8, count -= 8) {
        unsigned long long word;
        __builtin_memcpy(&word, bytes, 8);
        crc = fabgate_crc_word(crc, word);
    }
    for (; count > 0; bytes++, count--) crc = fabgate_crc_byte(crc, *bytes);
    return crc;
}

// Of three stretches of `count` bytes, a multiple of eight, that follow each other.
FABGATE_CRC static inline void fabgate_crc32c_of_three(unsigned int crcs[3], const unsigned char *bytes, long count) {
    unsigned int first = crcs[0], second = crcs[1], third = crcs[2];
    for (long at = 0; at < count; at += 8) {
        unsigned long long words[3];
        __builtin_memcpy(&words[0], bytes + at, 8);
        __builtin_memcpy(&words[1], bytes + count + at, 8);
        __builtin_memcpy(&words[2], bytes + 2 * count + at, 8);
        first = fabgate_crc_word(first, words[0]);
        second = fabgate_crc_word(second, words[1]);
        third = fabgate_crc_word(third, words[2]);
    }
    crcs[0] = first;
    crcs[1] = second;
    crcs[2] = third;
}
