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
