internal import CCurl
internal import Model
internal import Synchronization

/// libcurl, opened when the first request is to be made: it brings thirty more libraries with it, and a gateway that asks
/// nobody over HTTP needs none of them.
final class CurlLibrary: Sendable {
    /// Why it is not there.
    struct Missing: Error, CustomStringConvertible {
        let description: String
    }

    /// Debian's name for the library itself, which is there without headers, too.
    static let name = "libcurl.so.4"

    /// Its functions; the same as long as this object lives.
    nonisolated(unsafe) let functions: UnsafePointer<fabgate_curl>

    /// One at a time: libcurl's own preparation was not always safe from others.
    private static let opening = Mutex(())

    /// Opens and prepares it, which takes some ten milliseconds the first time. Throws where it is not there, or is another
    /// one than we know.
    init(_ name: String = CurlLibrary.name) throws(Missing) {
        let table = UnsafeMutablePointer<fabgate_curl>.allocate(capacity: 1)
        let trouble = Self.opening.withLock { _ -> String? in
            if let missing = fabgate_curl_open(table, name) { return String(cString: missing) }
            let code = table.pointee.global_init(Int(CURL_GLOBAL_ALL))
            return code == CURLE_OK ? nil : "curl_global_init says \(code.rawValue)"
        }
        functions = UnsafePointer(table)
        if let trouble {
            throw Missing(
                description: "cannot ask over HTTP without libcurl: \(trouble); install Debian's package libcurl4")
        }
    }

    deinit { functions.deallocate() }
}
