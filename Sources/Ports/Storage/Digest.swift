internal import CCrypto
internal import Model

/// Hashes, tokens and the comparison of secrets, by OpenSSL's libcrypto.
package enum Digest {
    /// SHA-256 (FIPS 180-4), 32 bytes.
    package static func sha256(_ bytes: [UInt8]) -> [UInt8] {
        var hash = [UInt8](repeating: 0, count: Int(SHA256_DIGEST_LENGTH))
        bytes.withUnsafeBufferPointer { input in
            hash.withUnsafeMutableBufferPointer { output in
                _ = SHA256(input.baseAddress, input.count, output.baseAddress)
            }
        }
        return hash
    }

    /// Lower-case hexadecimal text, two characters a byte.
    package static func hex(_ bytes: [UInt8]) -> String {
        Hex.text(bytes)
    }

    /// A fresh secret: 192 random bits as 32 characters of base64url (RFC 4648 §5), safe in a header and in a URL.
    package static func randomToken() -> String {
        let random = randomBytes(24)
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        var text: [UInt8] = []
        for at in stride(from: 0, to: random.count, by: 3) {
            let group = UInt32(random[at]) << 16 | UInt32(random[at + 1]) << 8 | UInt32(random[at + 2])
            for shift in [18, 12, 6, 0] as [UInt32] { text.append(alphabet[Int(group >> shift & 63)]) }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Bytes that nobody can guess.
    package static func randomBytes(_ count: Int) -> [UInt8] {
        var random = [UInt8](repeating: 0, count: count)
        // A system without randomness must not hand out a guessable secret; no input can bring this about.
        precondition(RAND_bytes(&random, Int32(random.count)) == 1, "the system gives no random bytes")
        return random
    }

    /// Whether two secrets are the same, in a time that does not depend on where they differ. Their lengths are not
    /// secret.
    package static func isEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        a.count == b.count && CRYPTO_memcmp(a, b, a.count) == 0
    }
}
