// What the C library keeps for itself, and what of the program's own code stays in memory.

import CLinux
@preconcurrency import Glibc

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

    /// Gives back what is free now, such as what only the start needed, also of code. Takes some milliseconds.
    package static func giveBack() {
        malloc_trim(0)
        for range in codeOfFiles() {
            // What is needed still comes back at the next touch, from the file or the system's cache of it.
            madvise(UnsafeMutableRawPointer(bitPattern: range.lowerBound), range.count, MADV_DONTNEED)
        }
    }

    /// Where code of the program and its libraries lies: mapped from files and not to be written, so that nothing is lost
    /// when it is dropped. Lines of `/proc/self/maps` (proc_pid_maps(5)):
    ///
    ///     7f2c1a228000-7f2c1a3bd000 r-xp 00028000 08:01 1317 /usr/lib/x86_64-linux-gnu/libc.so.6
    private static func codeOfFiles() -> [Range<UInt>] {
        guard let maps = try? Files.text("/proc/self/maps") else { return [] }
        return maps.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ", omittingEmptySubsequences: true)
            guard words.count >= 6, words[1] == "r-xp", words[5].hasPrefix("/") else { return nil }
            let ends = words[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
            return ends.count == 2 && ends[0] < ends[1] ? ends[0]..<ends[1] : nil
        }
    }
}
