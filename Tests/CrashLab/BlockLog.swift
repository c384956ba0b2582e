// A disk that writes down everything that is done to it.
//
// It is a FUSE file system of two files: `disk`, over which a loop device stands and an ext4 on that, and `mark`, into
// which a workload writes what it knows at that moment. One thread answers the kernel, so the log has the very order in
// which a real disk would have seen its commands. The protocol is spoken directly (linux/fuse.h), which needs no library
// where the laboratory is root anyway.

import CLinux
@preconcurrency import Glibc
import Ports
import Synchronization

/// What a disk sees, and what the workload says in between.
enum BlockEvent: Sendable {
    case write(offset: Int, bytes: [UInt8])
    case flush
    case mark(String)
}

/// A mounted block log. Ends with `unmount`.
final class BlockLog: Sendable {
    private struct State {
        var events: [BlockEvent] = []
        var bytes: [UInt8]
    }

    private let state: Mutex<State>
    private let descriptor: CInt
    private let size: Int
    private let folder: String
    private let thread = Worker(name: "blocklog")

    var disk: String { "\(folder)/disk" }
    var mark: String { "\(folder)/mark" }

    /// Shows `image` as the file `disk` in `folder`.
    init(image: [UInt8], folder: String) throws {
        self.folder = folder
        size = image.count
        state = Mutex(State(bytes: image))
        descriptor = open("/dev/fuse", O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw CrashLab.Missing(description: "there is no /dev/fuse here") }
        let options = "fd=\(descriptor),rootmode=40000,user_id=0,group_id=0"
        guard mount("blocklog", folder, "fuse", UInt(MS_NOSUID | MS_NODEV), options) == 0 else {
            close(descriptor)
            throw CrashLab.Missing(description: "a FUSE file system cannot be mounted here (errno \(errno))")
        }
        thread.run { [self] in serve() }
    }

    /// Everything so far.
    func events() -> [BlockEvent] { state.withLock { $0.events } }

    func unmount() {
        umount2(folder, CInt(MNT_DETACH))
        thread.stop()
        close(descriptor)
    }

    // MARK: - The kernel's questions

    /// A request: 40 bytes of header, then the operation's own.
    private struct Question {
        let bytes: ArraySlice<UInt8>
        var code: UInt32 { word(4) }
        var node: UInt64 { long(16) }
        var body: ArraySlice<UInt8> { bytes.dropFirst(40) }

        func word(_ at: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) } }
        func long(_ at: Int) -> UInt64 { UInt64(word(at)) | UInt64(word(at + 4)) << 32 }
    }

    private enum Node: UInt64 { case root = 1, disk, mark }
    private static let biggestWrite = 128 * 1024

    private func serve() {
        var buffer = [UInt8](repeating: 0, count: Self.biggestWrite + 4096)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR || errno == ENOENT || errno == EAGAIN { continue }
            guard count >= 40 else { return }
            let question = Question(bytes: buffer[..<count])
            if let answer = answer(question) { reply(question, answer) }
        }
    }

    private struct Answer {
        var error: CInt = 0
        var body = Bytes()
    }

    private func reply(_ question: Question, _ answer: Answer) {
        var out = Bytes()
        out.word(UInt32(16 + answer.body.bytes.count))
        out.word(UInt32(bitPattern: -answer.error))
        out.long(question.long(8))
        out.bytes += answer.body.bytes
        _ = write(descriptor, out.bytes, out.bytes.count)
    }

    /// nil where the kernel wants no answer.
    private func answer(_ question: Question) -> Answer? {
        switch question.code {
        case 1: return look(question)
        case 2, 42, 36: return nil  // forget, several of them, interrupt
        case 3: return attributes(question.node)
        case 4: return attributes(question.node)  // a size or time to set: neither changes
        case 14, 27: return opened(question)
        case 15: return reading(question)
        case 16: return writing(question)
        case 20:
            if question.node == Node.disk.rawValue { state.withLock { $0.events.append(.flush) } }
            return Answer()
        case 18, 25, 29, 38: return Answer()  // release, flush of a descriptor, release of a folder, the end
        case 26: return greeting()
        default: return Answer(error: ENOSYS)
        }
    }

    private func greeting() -> Answer {
        var answer = Answer()
        for word: UInt32 in [7, 31, 65536, 1 << 5 | 1 << 22] { answer.body.word(word) }  // version, read-ahead, flags
        answer.body.word(12 | 10 << 16)
        answer.body.word(UInt32(Self.biggestWrite))
        answer.body.word(1)
        answer.body.word(UInt32(Self.biggestWrite / 4096))
        for _ in 0..<8 { answer.body.word(0) }
        return answer
    }

    private func look(_ question: Question) -> Answer {
        let node: Node
        switch String(decoding: question.body.prefix { $0 != 0 }, as: UTF8.self) {
        case "disk": node = .disk
        case "mark": node = .mark
        default: return Answer(error: ENOENT)
        }
        var answer = Answer()
        answer.body.long(node.rawValue)
        for _ in 0..<4 { answer.body.long(0) }
        answer.body.bytes += describe(node).bytes
        return answer
    }

    private func attributes(_ number: UInt64) -> Answer {
        guard let node = Node(rawValue: number) else { return Answer(error: ENOENT) }
        var answer = Answer()
        answer.body.long(0)
        answer.body.long(0)
        answer.body.bytes += describe(node).bytes
        return answer
    }

    /// struct fuse_attr.
    private func describe(_ node: Node) -> Bytes {
        var out = Bytes()
        let size = node == .disk ? UInt64(self.size) : 0
        for long in [node.rawValue, size, size / 512, 0, 0, 0] { out.long(long) }
        let mode: UInt32 = node == .root ? 0o40755 : 0o100600
        for word: UInt32 in [0, 0, 0, mode, 1, 0, 0, 0, 4096, 0] { out.word(word) }
        return out
    }

    private func opened(_ question: Question) -> Answer {
        var answer = Answer()
        answer.body.long(0)
        // Marks are not cached: each arrives when it is written.
        answer.body.word(question.node == Node.mark.rawValue ? 1 : 0)
        answer.body.word(0)
        return answer
    }

    private func reading(_ question: Question) -> Answer {
        guard question.node == Node.disk.rawValue else { return Answer() }
        let offset = Int(question.long(48))
        let end = min(size, offset + Int(question.word(56)))
        var answer = Answer()
        if offset < end { answer.body.bytes = state.withLock { Array($0.bytes[offset..<end]) } }
        return answer
    }

    private func writing(_ question: Question) -> Answer {
        let offset = Int(question.long(48))
        let count = Int(question.word(56))
        let bytes = Array(question.bytes.dropFirst(80).prefix(count))
        guard bytes.count == count else { return Answer(error: EIO) }
        if question.node == Node.disk.rawValue {
            guard offset + count <= size else { return Answer(error: ENOSPC) }
            state.withLock { state in
                state.bytes.replaceSubrange(offset..<offset + count, with: bytes)
                // A disk may lose any of the pages of one command.
                for start in stride(from: 0, to: count, by: 4096) {
                    state.events.append(
                        .write(offset: offset + start, bytes: Array(bytes[start..<min(start + 4096, count)])))
                }
            }
        } else {
            state.withLock { $0.events.append(.mark(String(decoding: bytes, as: UTF8.self))) }
        }
        var answer = Answer()
        answer.body.word(UInt32(count))
        answer.body.word(0)
        return answer
    }

    /// Little-endian words one after the other.
    private struct Bytes {
        var bytes: [UInt8] = []
        mutating func word(_ value: UInt32) {
            for shift in 0..<4 { bytes.append(UInt8(value >> UInt32(8 * shift) & 255)) }
        }
        mutating func long(_ value: UInt64) {
            word(UInt32(truncatingIfNeeded: value))
            word(UInt32(value >> 32))
        }
    }
}
