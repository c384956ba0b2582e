import Ports
import Testing

@Suite struct DigestTests {
    /// FIPS 180-4's examples.
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
    ]) func hashes(_ text: String, _ hash: String) {
        #expect(Digest.hex(Digest.sha256(Array(text.utf8))) == hash)
    }

    @Test func tokensDiffer() {
        let tokens = Set((0..<1000).map { _ in Digest.randomToken() })
        #expect(tokens.count == 1000)
        for token in tokens {
            #expect(token.utf8.count == 32)
            #expect(token.allSatisfy { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" })
        }
    }

    @Test func comparesSecrets() {
        #expect(Digest.isEqual([1, 2, 3], [1, 2, 3]))
        #expect(!Digest.isEqual([1, 2, 3], [1, 2, 4]))
        #expect(!Digest.isEqual([1, 2, 3], [1, 2]))
        #expect(Digest.isEqual([], []))
    }
}

@Suite struct CompressionTests {
    @Test func unpacksWhatItPacked() throws {
        var random = SplitMix(seed: 1)
        for count in [0, 1, 100, 16_384, 100_000] {
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...60, using: &random) }
            let packed = Compression.gzip(bytes)
            #expect(packed.starts(with: [0x1F, 0x8B]))
            #expect(try Compression.inflate(packed, limit: count) == bytes)
            #expect(try Compression.inflate(packed + packed, limit: 2 * count) == bytes + bytes)
        }
    }

    @Test func readsZlibToo() throws {
        let packed: [UInt8] = [0x78, 0x9C, 0x4B, 0x4C, 0x4A, 0x06, 0x00, 0x02, 0x4D, 0x01, 0x27]
        #expect(try Compression.inflate(packed, limit: 3) == Array("abc".utf8))
    }

    @Test func stopsAtTheLimit() {
        let bomb = Compression.gzip([UInt8](repeating: 0, count: 20_000_000))
        #expect(bomb.count < 25_000)
        #expect(throws: Compression.Failure.tooLarge(limit: 1000)) { try Compression.inflate(bomb, limit: 1000) }
        #expect(throws: Compression.Failure.tooLarge(limit: 0)) { try Compression.inflate(bomb, limit: 0) }
        #expect(throws: Compression.Failure.tooLarge(limit: 19_999_999)) {
            try Compression.inflate(bomb, limit: 19_999_999)
        }
    }

    @Test func refusesDamage() {
        let whole = Compression.gzip(Array("a text that is long enough to be packed, packed, packed".utf8))
        for count in 0..<whole.count {
            #expect(throws: Compression.Failure.self) { try Compression.inflate(Array(whole[..<count]), limit: 1000) }
        }
        #expect(throws: Compression.Failure.self) { try Compression.inflate(whole + [1, 2, 3], limit: 1000) }
        #expect(throws: Compression.Failure.self) { try Compression.inflate(Array("plain text".utf8), limit: 1000) }
        var random = SplitMix(seed: 2)
        for _ in 0..<2000 {
            var damaged = whole
            damaged[Int.random(in: 0..<damaged.count, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
            // Some bytes of the header mean nothing; whatever comes out is bounded, and nothing traps.
            if let out = try? Compression.inflate(damaged, limit: 1000) { #expect(out.count <= 1000) }
        }
    }
}
