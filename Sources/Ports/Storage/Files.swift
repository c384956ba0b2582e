// Small things with files and folders that programs need when they start.

import CLinux
@preconcurrency import Glibc

/// Files and folders by path.
package enum Files {
    package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    package static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Names in a folder, sorted, without hidden ones.
    package static func names(in folder: String) throws(PortError) -> [String] {
        guard let handle = opendir(folder) else { throw PortError(call: "read folder", subject: folder, code: errno) }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted()
    }

    /// Folders in a folder, sorted, without hidden ones.
    package static func folders(in folder: String) throws(PortError) -> [String] {
        try names(in: folder).filter { isFolder("\(folder)/\($0)") }
    }

    /// Makes a folder that only its owner can use, and those above it; nothing where it is there.
    package static func makeFolder(_ path: String) throws(PortError) {
        guard !isFolder(path) else { return }
        if let slash = path.lastIndex(of: "/"), slash > path.startIndex { try makeFolder(String(path[..<slash])) }
        if mkdir(path, 0o700) != 0, errno != EEXIST {
            throw PortError(
                call: "make folder", subject: path, code: errno, hint: "choose a folder that this user may write")
        }
    }

    /// A fresh folder of this user's own below `$TMPDIR` or `/tmp`.
    package static func makeTemporaryFolder(prefix: String) throws(PortError) -> String {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(base)/\(prefix)-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw PortError(call: "make folder", subject: base, code: errno) }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Removes a folder with everything in it; what cannot be removed stays.
    package static func removeFolder(_ path: String) {
        // A link is removed, not followed.
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        if status.st_mode & S_IFMT == S_IFDIR, let handle = opendir(path) {
            var names: [String] = []
            while let entry = readdir(handle) {
                names.append(
                    withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
                    })
            }
            closedir(handle)
            for name in names where name != "." && name != ".." { removeFolder("\(path)/\(name)") }
        }
        _ = remove(path)
    }

    /// Writes a whole file; a secret one can be read by its owner alone.
    package static func write(_ text: String, to path: String, isSecret: Bool = false) throws(PortError) {
        let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC
        let descriptor = try call("write", on: path) { open(path, flags, isSecret ? 0o600 : 0o644) }
        defer { close(descriptor) }
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = try call("write", on: path) {
                rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            }
            rest = rest.dropFirst(count)
        }
    }

    /// Puts a new text in the place of a file's, whole or not at all, for the same owner and with the same rights.
    package static func replace(_ path: String, with text: String) throws(PortError) {
        var status = stat()
        _ = try call("stat", on: path) { stat(path, &status) }
        let new = path + ".new"
        try write(text, to: new, isSecret: true)
        _ = try call("chown", on: new) { chown(new, status.st_uid, status.st_gid) }
        _ = try call("chmod", on: new) { chmod(new, status.st_mode & 0o7777) }
        let descriptor = try call("open", on: new) { open(new, O_RDONLY | O_CLOEXEC) }
        defer { close(descriptor) }
        _ = try call("fsync", on: new) { fsync(descriptor) }
        _ = try call("rename", on: path) { rename(new, path) }
    }

    /// A text that somebody wrote; at most 4 MiB of it.
    package static func text(_ path: String) throws(PortError) -> String {
        String(decoding: try bytes(path), as: UTF8.self)
    }

    /// What a file holds; at most 4 MiB of it.
    package static func bytes(_ path: String) throws(PortError) -> [UInt8] {
        let hint = "it must be a file that this user may read"
        let descriptor = try call("read", on: path, hint: hint) { open(path, O_RDONLY | O_CLOEXEC) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while bytes.count < 4 << 20 {
            let count = try call("read", on: path, hint: hint) { read(descriptor, &buffer, buffer.count) }
            guard count > 0 else { break }
            bytes += buffer[..<count]
        }
        return bytes
    }

    /// A password or token from a file, without the white space around it.
    package static func secret(_ path: String) throws(PortError) -> String {
        let hint = "it must be a file that this user may read"
        let descriptor = try call("read the secret in", on: path, hint: hint) { open(path, O_RDONLY | O_CLOEXEC) }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = try call("read the secret in", on: path, hint: hint) { read(descriptor, &buffer, buffer.count) }
        func isBlank(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }
        let text = buffer[..<count].drop(while: isBlank)
        let trimmed = text.reversed().drop(while: isBlank).reversed()
        guard !trimmed.isEmpty else {
            throw PortError(call: "read the secret in", subject: path, code: 0, hint: "the file is empty")
        }
        return String(decoding: Array(trimmed), as: UTF8.self)
    }

    /// The path of the program that runs.
    package static var ownProgram: String? {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        return count > 0 ? String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) : nil
    }

    /// Starts the program that runs from its beginning, in the same process. Descriptors of ours are closed with it.
    package static func becomeOwnProgram(_ words: [String]) throws(PortError) -> Never {
        var blocked = fabgate_no_signals()
        pthread_sigmask(SIG_SETMASK, &blocked, nil)
        var arguments = words.map { strdup($0) }
        arguments.append(nil)
        execv("/proc/self/exe", &arguments)
        throw PortError(call: "start again", subject: words.first ?? "this program", code: errno)
    }
}
