// What the C library keeps for itself.

import CLinux

/// A gateway runs for months on a small board, so that memory which nobody uses goes back to the system.
package enum Memory {
    /// Comes first in a program that stays. By default the C library keeps a heap for each thread, and after the first
    /// large block that was freed it takes blocks as large out of the common heap, where they leave holes. One heap, and
    /// large blocks by themselves: they go back when they are freed.
    package static func keepSmall() {
        mallopt(M_ARENA_MAX, 1)
        mallopt(M_MMAP_THRESHOLD, 256 << 10)
        mallopt(M_TRIM_THRESHOLD, 512 << 10)
    }

    /// Gives back what is free now, such as what only the start needed. Takes some milliseconds.
    package static func giveBack() { malloc_trim(0) }
}
