// What the program was told by its environment.

@preconcurrency import Glibc

/// The environment variables of this process.
package enum Environment {
    /// The value of a variable, nil where it is not set. Functions that heed a variable take its value as an argument,
    /// so that a test need not change what the whole process sees.
    package static func value(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}
