import Foundation
import Model
import Testing

@Suite struct JSONScannerTests {
    /// Whether a text is one JSON value, as the scanner sees it.
    private func accepts(_ bytes: [UInt8]) -> Bool {
        let span = bytes.span
        var scanner = JSONScanner()
        _ = scanner.skip(span)
        return scanner.finish(span)
    }

    private func accepts(_ text: String) -> Bool { accepts(Array(text.utf8)) }

    private func number(_ text: String) -> Double? {
        let bytes = Array(text.utf8)
        let span = bytes.span
        var scanner = JSONScanner()
        let number = scanner.number(span)
        return scanner.finish(span) ? number : nil
    }

    @Test(arguments: [
        "{}", "[]", " { } ", "[[],[]]", "[1,2]", "[1, 2 ]", #"{"a":1}"#, #"{"a":{"b":[null,true,false]}}"#, "0", "-0",
        "1.5e-3", "1E+2", #""""#, #""\"""#, #""\\""#, "\t\r\n1\n", "null", #"{"":""}"#, #"[{"a":[]},{}]"#,
    ])
    func takesJSON(_ text: String) { #expect(accepts(text)) }

    @Test(arguments: [
        "", " ", "{", "}", "[", "]", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "{,}", #"{"a"}"#, #"{"a":}"#, #"{"a":1,}"#,
        #"{"a":1 "b":2}"#, "{a:1}", "{1:2}", "[1}", "{]", #"{"a":1]"#, "01", "-", "-a", "+1", ".5", "1.", "1e", "1e+",
        "0x10", "NaN", "nan", "Infinity", "tru", "truex", "nul", "True", #"""#, #""\"#, #""a"#, "\"\n\"", "\"\u{0}\"",
        "1 2", "{}{}", "[]x", "'a'", "/*c*/1", "[1,,2]", #"{"a"::1}"#, #"{"a",1}"#, "\u{FEFF}1",
    ])
    func refusesOtherTexts(_ text: String) { #expect(!accepts(text)) }

    @Test func nestsThirtyTwoDeep() {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        #expect(accepts(nested(32)))
        #expect(!accepts(nested(33)))
        #expect(!accepts(String(repeating: "[", count: 1_000_000)))
        #expect(!accepts(String(repeating: #"{"a":"#, count: 100_000)))
    }

    @Test(arguments: [
        "0", "-0", "1", "-1", "0.1", "0.30000000000000004", "812.417", "1e22", "1e23", "1e-22", "1e-23",
        "123456789012345678",
        "9007199254740993", "9007199254740992.5", "1.7976931348623157e308", "5e-324", "2.2250738585072014e-308",
        "0.000000000000000000000000000000000000001", "100000000000000000000000000000", "1e400", "-1e400", "1e-400",
        "3.14159265358979323846264338327950288", "8.41e21", "0e999999999999", "1234567890.1234567890", "4.35", "2.675",
        "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017977587207096330286416692887910946555547851940402630657488671505820681908902000708383676273854845817711531764475730270069855571366959622842914819860834936475292719074168444365510704342711559699508093042880",
    ])
    func numbersAreTheNearestDouble(_ text: String) {
        let wanted = strtod(text, nil)
        #expect(number(text)?.bitPattern == wanted.bitPattern)
    }

    @Test func randomNumbersAreTheNearestDouble() {
        for seed in UInt64(1)...20_000 {
            var random = SeededRandom(seed)
            func digits(_ range: ClosedRange<Int>) -> String {
                String(
                    (0..<Int.random(in: range, using: &random)).map { _ in "0123456789".randomElement(using: &random)! }
                )
            }
            var whole = digits(1...22).drop { $0 == "0" }
            if whole.isEmpty { whole = "0" }
            var text = (Bool.random(using: &random) ? "-" : "") + whole
            if Bool.random(using: &random) { text += "." + digits(1...22) }
            if Bool.random(using: &random) { text += "e\(Int.random(in: -330...330, using: &random))" }
            #expect(number(text)?.bitPattern == strtod(text, nil).bitPattern, "seed \(seed): \(text)")
        }
    }

    @Test func valuesOfAnotherKindAreLeftWhereTheyStand() {
        let walk = Walk(#"{"a":"x","b":7,"c":null}"#)
        #expect(!walk.beginArray())
        #expect(walk.beginObject())
        #expect(walk.key("a"))
        #expect(walk.number() == nil && !walk.null() && walk.bool() == nil && !walk.scanner.failed)
        #expect(walk.text() == "x")
        #expect(walk.key("b"))
        #expect(walk.text() == nil && !walk.scanner.failed)
        #expect(walk.number() == 7)
        #expect(!walk.key("cc"))
        #expect(walk.null())
        #expect(!walk.hasKey())
        #expect(walk.finish())
    }

    /// A text and the scanner in it, for calls one by one.
    private final class Walk {
        let bytes: [UInt8]
        var scanner = JSONScanner()

        init(_ text: String) { bytes = Array(text.utf8) }

        func beginArray() -> Bool { with { $0.beginArray($1) } }
        func beginObject() -> Bool { with { $0.beginObject($1) } }
        func hasKey() -> Bool { with { $0.nextKey($1) != nil } }
        func number() -> Double? { with { $0.number($1) } }
        func bool() -> Bool? { with { $0.bool($1) } }
        func null() -> Bool { with { $0.null($1) } }
        func finish() -> Bool { with { $0.finish($1) } }
        func key(_ name: StaticString) -> Bool {
            with { scanner, span in
                guard let key = scanner.nextKey(span) else { return false }
                return JSONScanner.equals(key, name, span)
            }
        }
        func text() -> String? {
            with { scanner, span in
                guard let range = scanner.string(span) else { return nil }
                return JSONScanner.text(range, span)
            }
        }

        private func with<Result>(_ step: (inout JSONScanner, borrowing Span<UInt8>) -> Result) -> Result {
            let text = bytes
            return step(&scanner, text.span)
        }
    }

    @Test func aValueThatWasNotTakenBreaksTheText() {
        let walk = Walk(#"{"a":1,"b":2}"#)
        #expect(walk.beginObject() && walk.hasKey() && !walk.hasKey())
        #expect(walk.scanner.failed && !walk.finish())
    }

    @Test func skipTellsWhereAValueStood() {
        let text = #" [ {"a":[1,2]} , 3 ]"#
        let bytes = Array(text.utf8)
        let span = bytes.span
        var scanner = JSONScanner()
        _ = scanner.beginArray(span)
        _ = scanner.nextElement(span)
        let range = scanner.skip(span)
        #expect(range.map { String(decoding: bytes[$0], as: UTF8.self) } == #"{"a":[1,2]}"#)
    }

    @Test(arguments: [
        (#"a\"\\\/\b\f\n\r\tz"#, "a\"\\/\u{8}\u{C}\n\r\tz"), (#"\u0041\u00e9\u20AC"#, "Aé€"), (#"\uD83D\uDE00"#, "😀"),
        (#"\uD83D"#, nil), (#"\uD83Dx"#, nil), (#"\uD83D\u0041"#, nil), (#"\uDE00"#, nil), (#"\u12"#, nil),
        (#"\u00g0"#, nil), (#"\x"#, nil), ("é😀", "é😀"),
    ])
    func resolvesEscapes(_ text: String, _ wanted: String?) {
        #expect(Walk("\"\(text)\"").text() == wanted)
    }

    @Test func textThatIsNoUTF8IsNoText() {
        let bytes: [UInt8] = [0x22, 0xC3, 0x28, 0x22]
        let span = bytes.span
        var scanner = JSONScanner()
        let text = scanner.string(span).flatMap { JSONScanner.text($0, span) }
        #expect(text == nil)
        #expect(JSON(bytes) == nil)
    }

    @Test func randomBytesNeverTrap() {
        let letters = Array(#"{}[]":,.-0123456789eE+truefalsn\u /"#.utf8)
        for seed in UInt64(1)...20_000 {
            var random = SeededRandom(seed)
            let isText = Bool.random(using: &random)
            let bytes = (0..<Int.random(in: 0...60, using: &random)).map { _ in
                isText ? letters.randomElement(using: &random)! : UInt8.random(in: 0...255, using: &random)
            }
            _ = accepts(bytes)
            _ = JSON(bytes)
            walk(bytes, &random)
        }
    }

    /// Calls in no sensible order.
    private func walk(_ bytes: [UInt8], _ random: inout SeededRandom) {
        let span = bytes.span
        var scanner = JSONScanner()
        for _ in 0..<40 {
            switch Int.random(in: 0..<9, using: &random) {
            case 0: _ = scanner.beginObject(span)
            case 1: _ = scanner.beginArray(span)
            case 2: if let key = scanner.nextKey(span) { _ = JSONScanner.text(key, span) }
            case 3: _ = scanner.nextElement(span)
            case 4: if let text = scanner.string(span) { _ = JSONScanner.text(text, span) }
            case 5: _ = scanner.number(span)
            case 6: _ = scanner.bool(span)
            case 7: _ = scanner.null(span)
            default: scanner.skip(span)
            }
        }
        _ = scanner.finish(span)
    }

    /// A good text, cut and changed: what is taken here Foundation takes, too. (It also takes commas before a bracket.)
    @Test func takesNothingThatFoundationRefuses() {
        let good = Array(#"{"a":[1,-2.5e3,true,null,"x\n\u00e9"],"b":{"c":{}},"d":""}"#.utf8)
        let letters = Array(#"{}[]":,.-01e+tn\ a"#.utf8)
        var taken = 0
        for seed in UInt64(1)...5000 {
            var random = SeededRandom(seed)
            var bytes = good
            for _ in 0..<Int.random(in: 1...2, using: &random) {
                let place = Int.random(in: bytes.indices, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[place] = letters.randomElement(using: &random)!
                case 1: bytes.remove(at: place)
                default: bytes.insert(letters.randomElement(using: &random)!, at: place)
                }
            }
            guard JSON(bytes) != nil else { continue }
            taken += 1
            let theirs = try? JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)
            #expect(theirs != nil, "seed \(seed): \(String(decoding: bytes, as: UTF8.self))")
        }
        #expect(taken > 500)
    }

    @Test func aTextThatIsNoUTF8IsNoJSON() {
        func isTaken(_ bytes: [UInt8]) -> Bool {
            var scanner = JSONScanner()
            scanner.skip(bytes.span)
            return scanner.finish(bytes.span)
        }
        #expect(isTaken(Array(#"{"이름":"레이저 커터 °C 🔧","b":1}"#.utf8)))
        #expect(!isTaken(Array("{\"a\":\"".utf8) + [0xC3] + Array("\",\"b\":1}".utf8)))
        #expect(!isTaken(Array("{\"a\":\"\\".utf8) + [0xFF] + Array("\"}".utf8)))
        #expect(!isTaken(Array("{\"".utf8) + [0xED, 0xA0, 0x80] + Array("\":1}".utf8)))
    }

    /// Against the standard library, on bytes that are nearly UTF-8.
    @Test func saysOfBytesWhatTheStandardLibrarySays() {
        let good = Array("aé한🔧".utf8)
        for seed in UInt64(1)...5000 {
            var random = SeededRandom(seed)
            var bytes = good
            for _ in 0..<Int.random(in: 0...2, using: &random) {
                let place = Int.random(in: bytes.indices, using: &random)
                if Bool.random(using: &random) {
                    bytes[place] = UInt8.random(in: .min ... .max, using: &random)
                } else {
                    bytes.remove(at: place)
                }
            }
            let expected = String(validating: bytes, as: UTF8.self) != nil
            #expect(JSONScanner.isUTF8(bytes.span) == expected, "seed \(seed): \(bytes)")
        }
    }
}
