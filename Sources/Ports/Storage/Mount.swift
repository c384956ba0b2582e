// Which file system a file stands on, and how it is mounted: that decides what a card has to take beside the file.

@preconcurrency import Glibc

/// A file system that is mounted, as the kernel lists it.
package struct Mount: Hashable, Sendable {
    /// Such as `/` or `/var`.
    package let point: String
    /// Such as `ext4`.
    package let kind: String
    /// Of the mount and of the file system, such as `noatime` and `commit=60`.
    package let options: [String]

    /// A line of `/proc/self/mountinfo` (proc(5)): number, parent, device, root, point, options, some fields that may be
    /// missing, `-`, kind, source, options of the file system. nil where it is none.
    package init?(_ line: String) {
        let fields = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        guard fields.count > 6, let dash = fields[6...].firstIndex(of: "-"), dash + 3 < fields.count else { return nil }
        point = Mount.plain(fields[4])
        kind = fields[dash + 1]
        options = (fields[5] + "," + fields[dash + 3]).split(separator: ",").map(String.init)
    }

    /// Blanks and backslashes in names are written as three octal digits.
    private static func plain(_ text: String) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), let code = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8) {
                bytes.append(code)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The file system that a path is on, or would be on once it is made; nil where the system does not tell.
    package static func holding(_ path: String) -> Mount? {
        var path = path
        var status = stat()
        while stat(path, &status) != 0 {
            guard let slash = path.lastIndex(of: "/"), path != "/" else {
                path = "."
                guard stat(path, &status) == 0 else { return nil }
                break
            }
            path = slash == path.startIndex ? "/" : String(path[..<slash])
        }
        // Major and minor number as glibc packs them (makedev(3)).
        let device = UInt64(status.st_dev)
        let major = (device >> 32 & 0xFFFF_F000) | (device >> 8 & 0xFFF)
        let minor = (device >> 12 & 0xFFFF_FF00) | (device & 0xFF)
        // A later one may cover an earlier one, but of the same device both say the same.
        return table.split(separator: "\n").last { $0.split(separator: " ").dropFirst(2).first == "\(major):\(minor)" }
            .flatMap { Mount(String($0)) }
    }

    private static var table: String { (try? Files.text("/proc/self/mountinfo")) ?? "" }

    /// The seconds between two commits of an ext4's journal; nil of another file system. A number that the kernel does not
    /// show is its own 5 s.
    package var journalInterval: Int? {
        guard kind == "ext4" else { return nil }
        return options.last { $0.hasPrefix("commit=") }.flatMap { Int($0.dropFirst(7)) } ?? 5
    }
}
