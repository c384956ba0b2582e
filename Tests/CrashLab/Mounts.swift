// File systems in files: made, mounted and taken apart by the system's own tools.

import CLinux
@preconcurrency import Glibc
import Ports

/// The system's programs that a laboratory calls.
enum Tool {
    /// The exit status and what the program said.
    @discardableResult
    static func run(_ words: String...) throws -> (status: Int32, text: String) {
        let child: ChildProcess
        do { child = try ChildProcess(words[0], Array(words.dropFirst()), output: .pipe) } catch {
            throw CrashLab.Missing(description: "\(error)")
        }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while let output = child.output {
            var wait = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
            guard poll(&wait, 1, -1) > 0 else { continue }
            let count = read(output, &buffer, buffer.count)
            guard count > 0 else { break }
            text += buffer[..<count]
        }
        return (child.wait(), String(decoding: text, as: UTF8.self))
    }

    /// The same where anything but success ends the laboratory.
    @discardableResult
    static func need(_ words: String...) throws -> String {
        let (status, text): (Int32, String) =
            switch words.count {
            case 2: try run(words[0], words[1])
            case 3: try run(words[0], words[1], words[2])
            case 4: try run(words[0], words[1], words[2], words[3])
            default: try run(words[0], words[1], words[2], words[3], words[4])
            }
        guard status == 0 else {
            throw CrashLab.Failure(description: "\(words.joined(separator: " ")) ended with \(status): \(text)")
        }
        return text
    }
}

/// A loop device over a file. Detached with this object.
final class LoopDevice {
    /// Such as `/dev/loop3`.
    let path: String

    init(over image: String) throws {
        let text = try Tool.need("losetup", "-f", "--show", image)
        path = String(text.prefix { !$0.isNewline })
    }

    deinit { _ = try? Tool.run("losetup", "-d", path) }
}

/// The ext4 on a device, mounted in a folder. Unmounted with this object.
final class MountedDisk {
    let folder: String
    let device: LoopDevice
    private var isMounted = true
    /// MS_LAZYTIME of the kernel's mount.h, which the C library's header lacks.
    private static let lazyTime: UInt = 1 << 25

    /// nil where the file system cannot be mounted. `options` are ext4's own; a lazy one keeps changes of times in
    /// memory, as mount(8) says of `lazytime`.
    init?(_ device: LoopDevice, on folder: String, options: String = "", isLazy: Bool = false) throws {
        self.folder = folder
        self.device = device
        // The system call and not the program: a laboratory mounts thousands of times.
        let flags = UInt(MS_NOATIME) | (isLazy ? Self.lazyTime : 0)
        guard mount(device.path, folder, "ext4", flags, options) == 0 else {
            isMounted = false
            return nil
        }
    }

    deinit { try? unmount() }

    func unmount() throws {
        guard isMounted else { return }
        isMounted = false
        guard umount2(folder, 0) == 0 else {
            throw CrashLab.Failure(description: "cannot unmount \(folder): errno \(errno)")
        }
    }

    /// An empty ext4 of 4096-byte blocks in a file of so many MiB.
    static func format(_ image: String, mebibytes: Int) throws {
        let file = open(image, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0, ftruncate(file, mebibytes << 20) == 0 else {
            throw CrashLab.Failure(description: "cannot make \(image)")
        }
        close(file)
        let status = try Tool.run(
            "mkfs.ext4", "-q", "-F", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", image)
        guard status.status == 0 else { throw CrashLab.Failure(description: "mkfs.ext4: \(status.text)") }
    }
}

/// Whole files in memory.
enum Image {
    static func read(_ path: String) throws -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw CrashLab.Failure(description: "cannot open \(path)") }
        defer { close(file) }
        var status = stat()
        fstat(file, &status)
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        guard Glibc.read(file, &bytes, bytes.count) == bytes.count else {
            throw CrashLab.Failure(description: "cannot read \(path)")
        }
        return bytes
    }

    static func write(_ bytes: [UInt8], _ path: String) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw CrashLab.Failure(description: "cannot open \(path)") }
        defer { close(file) }
        guard pwrite(file, bytes, bytes.count, 0) == bytes.count else {
            throw CrashLab.Failure(description: "cannot write \(path)")
        }
    }
}
