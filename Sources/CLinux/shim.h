// What Linux has and Swift's Glibc module leaves out.

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

// syscall is variadic, which Swift cannot call. 434 is pidfd_open on every architecture; glibc wraps it since 2.36.
static inline int fabgate_pidfd_open(pid_t pid) {
    extern long syscall(long number, ...);
    return (int)syscall(434, pid, 0u);
}

// A set of no signals. Swift would call the type's initializer, and cannot always tell which module it comes from.
static inline sigset_t fabgate_no_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    return set;
}
