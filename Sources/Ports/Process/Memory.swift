// What the C library keeps for itself, and what of the program's own code stays in memory.

import CLinux
@preconcurrency import Glibc

/// A gateway runs for months on a small board, so that memory which nobody uses goes back to the system.
package enum Memory {
    /// Comes first in a program that stays. By default the C library keeps a heap for each thread, and after the first
    /// large block that was freed it takes blocks as large out of the common heap, where they leave holes. Two heaps, so
    /// that the store can be opened while the configuration is read and neither waits for the other, and large blocks by
    /// themselves: they go back when they are freed.
    package static func keepSmall() {
        mallopt(M_ARENA_MAX, 2)
        mallopt(M_MMAP_THRESHOLD, 256 << 10)
        mallopt(M_TRIM_THRESHOLD, 512 << 10)
        mappedAtStart = try? Files.text(own)
    }

    /// What the system tells of this program's memory (proc_pid_maps(5)).
    private static let own = "/proc/self/maps"
    /// As it was when the program began, before there was a second thread. To read it can wait until something is given
    /// back: a start is to be quick.
    private nonisolated(unsafe) static var mappedAtStart: String?
    /// Found once, at the first time that something is given back.
    private nonisolated(unsafe) static var constants: [Range<UInt>]?

    /// Gives back what is free now, such as what only the start needed, also of code and of constants in files. Takes some
    /// milliseconds. On one thread only. From the first time on, blocks from 64 KiB on count as large, such as those of
    /// samples that the archive has; a start makes and frees too many of them.
    package static func giveBack() {
        mallopt(M_MMAP_THRESHOLD, 64 << 10)
        malloc_trim(0)
        let constants = constants ?? constantsOfFiles()
        Memory.constants = constants
        let code = mappings(try? Files.text(own)).filter { $0.isFile && $0.rights == "r-xp" }.map(\.range)
        for range in code + constants {
            // What is needed still comes back at the next touch, from the file or the system's cache of it.
            madvise(UnsafeMutableRawPointer(bitPattern: range.lowerBound), range.count, MADV_DONTNEED)
        }
    }

    /// Where constants lie that only the linker looked at, for the most part: symbols, names, relocations. Memory that may
    /// not be written now and has no page of its own was never written: dropping it loses nothing. A table of addresses was
    /// written before it was locked, and stays; so does whatever was loaded later, which might be half filled in.
    private static func constantsOfFiles() -> [Range<UInt>] {
        let first = Set(mappings(mappedAtStart).map(\.range))
        mappedAtStart = nil
        return mappings(try? Files.text("/proc/self/smaps")).filter {
            $0.isFile && $0.rights == "r--p" && $0.own == 0 && first.contains($0.range)
        }.map(\.range)
    }

    private struct Mapping {
        let range: Range<UInt>
        let rights: Substring
        let isFile: Bool
        /// KiB that are not the file's any more; nil in `maps`, which does not tell.
        var own: Int?
    }

    /// Lines of `/proc/self/maps` and, with more about each, of `smaps` (proc_pid_maps(5), proc_pid_smaps(5)):
    ///
    ///     7f2c1a228000-7f2c1a3bd000 r-xp 00028000 08:01 1317 /usr/lib/x86_64-linux-gnu/libc.so.6
    ///     Anonymous:             0 kB
    private static func mappings(_ text: String?) -> [Mapping] {
        guard let text else { return [] }
        var found: [Mapping] = []
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ", omittingEmptySubsequences: true)
            guard words.count >= 2 else { continue }
            if words[0] == "Anonymous:", !found.isEmpty {
                found[found.count - 1].own = Int(words[1])
            } else if words.count >= 5, !words[0].hasSuffix(":") {
                let ends = words[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
                guard ends.count == 2, ends[0] < ends[1] else { continue }
                found.append(
                    Mapping(
                        range: ends[0]..<ends[1], rights: words[1],
                        isFile: words.count >= 6 && words[5].hasPrefix("/")))
            }
        }
        return found
    }
}
