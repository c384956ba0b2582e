// The one place that reads `errno`.

@preconcurrency import Glibc

/// Trouble with the system: what was tried, on what, why it failed and, where somebody can do something about it, what.
package struct PortError: Error, Hashable, CustomStringConvertible {
    /// What was tried, such as `open`.
    package let call: String
    /// On what: a path, an address, a name.
    package let subject: String
    /// The system's error number, 0 where there is none.
    package let code: Int32
    /// Why, where the number does not say it, and what to do.
    package let hint: String

    package init(call: String, subject: String, code: Int32, hint: String = "") {
        self.call = call
        self.subject = subject
        self.code = code
        self.hint = hint
    }

    package var description: String {
        let reason = code == 0 ? "" : PortError.words(for: code)
        let parts = [reason, hint].filter { !$0.isEmpty }
        return "\(call) \(subject)" + (parts.isEmpty ? "" : ": ") + parts.joined(separator: "; ")
    }

    /// The system's words for an error number, such as `No such file or directory`.
    package static func words(for code: Int32) -> String {
        // Thread-safe since glibc 2.32.
        strerror(code).map { String(cString: $0) } ?? "error \(code)"
    }
}

/// Makes a system call: repeats it while it is interrupted; a negative result becomes an error that names the call.
@discardableResult
package func call<Result: SignedInteger>(
    _ name: String, on subject: @autoclosure () -> String, hint: @autoclosure () -> String = "", _ body: () -> Result
) throws(PortError) -> Result {
    while true {
        let result = body()
        if result >= 0 { return result }
        let code = errno
        if code == EINTR { continue }
        throw PortError(call: name, subject: subject(), code: code, hint: hint())
    }
}
