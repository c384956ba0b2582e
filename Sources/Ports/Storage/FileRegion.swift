// The store's bytes in a file.

@preconcurrency import Glibc
package import Store
import Synchronization

/// A file of fixed size that one process at a time has open for writing.
///
/// Its pages were written once, with zeros, when it was made: a write later finds its blocks in place, so that a full
/// disk cannot hurt it and a sync writes no metadata of the file system.
package final class FileRegion: Region {
    package let size: Int
    package var path: String { name.withLock { $0 } }
    private let name: Mutex<String>
    private let descriptor: CInt
    private let syncing = Mutex(())
    /// How many syncs failed. The system tells a failure once and then calls the pages clean, whatever became of them;
    /// whoever waited for another's sync must hear of it, too.
    private let failures = Atomic(0)

    /// Makes the file. `progress` is told the share that is written, 0…1. What is there already is not touched.
    package convenience init(
        creating path: String, size: Int, progress: (Double) -> Void = { _ in }
    ) throws(RegionError) {
        try self.init(path, flags: O_RDWR | O_CREAT | O_EXCL, locks: true, size: size)
        do { try writeZeros(from: 0, progress) } catch {
            // A half-made file would be taken for a damaged store.
            unlink(path)
            throw error
        }
        try sync()
        try syncFolder()
        forgetZeros()
    }

    /// The system need not keep the zeros in memory; and what it keeps, it keeps in pieces as long as they were written,
    /// of which a page later costs more than twice as much as one that is kept alone.
    private func forgetZeros() { posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) }

    private func writeZeros(from start: Int, _ progress: (Double) -> Void) throws(RegionError) {
        let zeros = [UInt8](repeating: 0, count: 1 << 20)
        var offset = start
        while offset < size {
            let count = min(zeros.count, size - offset)
            try write(count == zeros.count ? zeros : Array(zeros[..<count]), at: offset)
            offset += count
            progress(Double(offset - start) / Double(size - start))
        }
    }

    /// The same file made longer, by zeros that are written; use it instead of this one. After an error the file is as
    /// it was.
    package func grown(to size: Int, progress: (Double) -> Void = { _ in }) throws(RegionError) -> FileRegion {
        let longer = try FileRegion(self, size: max(size, self.size))
        do {
            try longer.writeZeros(from: self.size, progress)
            try longer.sync()
            longer.forgetZeros()
        } catch {
            ftruncate(descriptor, off_t(self.size))
            throw error
        }
        return longer
    }

    /// Shares the file and its lock.
    private init(_ other: FileRegion, size: Int) throws(RegionError) {
        name = Mutex(other.path)
        descriptor = fcntl(other.descriptor, F_DUPFD_CLOEXEC, 3)
        self.size = size
        guard descriptor >= 0 else { throw Self.failure("open", path, " again") }
    }

    /// Opens the file for reading and writing.
    package convenience init(opening path: String) throws(RegionError) {
        try self.init(path, flags: O_RDWR, locks: true, size: nil)
    }

    /// Opens the file to look at it, also while a gateway writes to it. Writing fails.
    package convenience init(reading path: String) throws(RegionError) {
        try self.init(path, flags: O_RDONLY, locks: false, size: nil)
    }

    private init(_ path: String, flags: CInt, locks: Bool, size: Int?) throws(RegionError) {
        name = Mutex(path)
        let opened = open(path, flags | O_CLOEXEC, 0o600)
        guard opened >= 0 else {
            let hint = errno == EACCES ? "; this user may not" : errno == ENOSPC ? "; the disk is full" : ""
            throw Self.failure("open", path, hint)
        }
        if locks, flock(opened, LOCK_EX | LOCK_NB) != 0 {
            let code = errno
            close(opened)
            guard code == EWOULDBLOCK else {
                throw RegionError("lock \(path): \(PortError.words(for: code))", code: code)
            }
            throw RegionError("\(path) is in use by another fabgate; stop that one first", code: code)
        }
        var status = stat()
        fstat(opened, &status)
        descriptor = opened
        self.size = size ?? Int(status.st_size)
    }

    deinit { close(descriptor) }

    /// In one call of the system for some hundred pieces: it takes as long to ask as to copy.
    package func readHeads(at offset: Int, count: Int, piece: Int, length: Int) throws(RegionError) -> [UInt8] {
        guard count > 0, 2 * count <= Self.mostPlaces, length > 0, length < piece else {
            throw RegionError("read \(path) at byte \(offset): \(count) pieces cannot be read at once", code: EINVAL)
        }
        var heads = [UInt8](repeating: 0, count: count * length)
        // The rest of each piece goes where nobody looks; nothing comes after the last head.
        var rest = [UInt8](repeating: 0, count: piece - length)
        var places = [iovec](repeating: iovec(), count: 2 * count - 1)
        let wanted = (count - 1) * piece + length
        let done = heads.withUnsafeMutableBytes { heads in
            rest.withUnsafeMutableBytes { rest in
                for index in 0..<count {
                    places[2 * index] = iovec(
                        iov_base: heads.baseAddress?.advanced(by: index * length), iov_len: length)
                    guard index + 1 < count else { break }
                    places[2 * index + 1] = iovec(iov_base: rest.baseAddress, iov_len: rest.count)
                }
                return preadv(descriptor, places, CInt(places.count), offset)
            }
        }
        guard done == wanted else { throw Self.failure("read", path, " at byte \(offset)") }
        return heads
    }

    /// The system takes no more in one call (IOV_MAX).
    private static let mostPlaces = 1024

    package func read(at offset: Int, into buffer: inout [UInt8]) throws(RegionError) {
        var done = 0
        while done < buffer.count {
            let count = buffer.withUnsafeMutableBytes { bytes in
                pread(descriptor, bytes.baseAddress?.advanced(by: done), bytes.count - done, offset + done)
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Self.failure("read", path, " at byte \(offset + done)") }
            guard count > 0 else {
                throw RegionError("read \(path) at byte \(offset + done): the file is shorter than it was made")
            }
            done += count
        }
    }

    package func write(_ bytes: [UInt8], at offset: Int) throws(RegionError) {
        guard offset >= 0, bytes.count <= size, offset <= size - bytes.count else {
            throw RegionError("write \(path) at byte \(offset): beyond its \(size) bytes")
        }
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { source in
                pwrite(descriptor, source.baseAddress?.advanced(by: done), source.count - done, offset + done)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw Self.failure("write", path, " at byte \(offset + done)") }
            done += count
        }
    }

    package func crc32c(_ bytes: [UInt8], _ range: Range<Int>, after before: UInt32) -> UInt32 {
        MachineChecksum.crc32c(bytes, range, after: before)
    }

    package func sync() throws(RegionError) {
        let before = failures.load(ordering: .acquiring)
        let result = syncing.withLock { _ -> Int32 in
            guard failures.load(ordering: .acquiring) == before else { return EIO }
            guard fdatasync(descriptor) != 0 else { return 0 }
            let code = errno
            failures.add(1, ordering: .releasing)
            return code
        }
        guard result == 0 else {
            throw RegionError("make \(path) durable: \(PortError.words(for: result))", code: result)
        }
    }

    /// Gives the file another name in the same folder, in place of what bears it now, and makes that durable.
    package func rename(to new: String) throws(RegionError) {
        guard Glibc.rename(path, new) == 0 else { throw Self.failure("rename", path, " to \(new)") }
        name.withLock { $0 = new }
        try syncFolder()
    }

    /// The file's name must survive, too.
    private func syncFolder() throws(RegionError) {
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        let handle = open(folder.isEmpty ? "/" : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard handle >= 0 else { throw Self.failure("open", folder, "") }
        defer { close(handle) }
        guard fsync(handle) == 0 else { throw Self.failure("make durable", folder, "") }
    }

    private static func failure(_ what: String, _ path: String, _ place: String) -> RegionError {
        let code = errno
        return RegionError("\(what) \(path)\(place): \(PortError.words(for: code))", code: code)
    }
}
