import Model
import Testing

@Suite struct JSONTests {
    private func canonical(_ text: String) -> String? {
        JSON(text).map { String(decoding: $0.canonical, as: UTF8.self) }
    }

    private func written(_ number: Double) -> String {
        var bytes: [UInt8] = []
        JSON.append(number, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    // RFC 8785, appendix B.
    @Test(
        arguments: [
            (0x0000_0000_0000_0000, "0"), (0x8000_0000_0000_0000, "0"), (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"), (0x7FEF_FFFF_FFFF_FFFF, "1.7976931348623157e+308"),
            (0xFFEF_FFFF_FFFF_FFFF, "-1.7976931348623157e+308"), (0x4340_0000_0000_0000, "9007199254740992"),
            (0xC340_0000_0000_0000, "-9007199254740992"), (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44B5_2D02_C7E1_4AF5, "9.999999999999997e+22"), (0x44B5_2D02_C7E1_4AF6, "1e+23"),
            (0x44B5_2D02_C7E1_4AF7, "1.0000000000000001e+23"), (0x444B_1AE4_D6E2_EF4E, "999999999999999700000"),
            (0x444B_1AE4_D6E2_EF4F, "999999999999999900000"), (0x444B_1AE4_D6E2_EF50, "1e+21"),
            (0x3EB0_C6F7_A0B5_ED8C, "9.999999999999997e-7"), (0x3EB0_C6F7_A0B5_ED8D, "0.000001"),
            (0x41B3_DE43_5555_5553, "333333333.3333332"), (0x41B3_DE43_5555_5554, "333333333.33333325"),
            (0x41B3_DE43_5555_5555, "333333333.3333333"), (0x41B3_DE43_5555_5556, "333333333.3333334"),
            (0x41B3_DE43_5555_5557, "333333333.33333343"), (0xBECB_F647_612F_3696, "-0.0000033333333333333333"),
            (0x4314_3FF3_C1CB_0959, "1424953923781206.2"),
        ] as [(UInt64, String)])
    func numbersAsInTheStandard(_ bits: UInt64, _ text: String) { #expect(written(Double(bitPattern: bits)) == text) }

    @Test(
        arguments: [
            (812.417, "812.417"), (-0.5, "-0.5"), (100, "100"), (1e15, "1000000000000000"),
            (1e20, "100000000000000000000"),
            (123456789012345680, "123456789012345680"), (1.5e300, "1.5e+300"), (1e-7, "1e-7"),
            (0.00001234, "0.00001234"),
            (.nan, "null"), (.infinity, "null"), (-.infinity, "null"),
        ] as [(Double, String)])
    func numbers(_ number: Double, _ text: String) { #expect(written(number) == text) }

    @Test func anyNumberIsReadAgainAsItWas() {
        for seed in UInt64(1)...20_000 {
            var random = SeededRandom(seed)
            let number = Double(bitPattern: random.next())
            guard number.isFinite else { continue }
            #expect(JSON(written(number))?.number == number, "seed \(seed): \(number)")
        }
    }

    /// Most numbers of rollups: the text is that of the whole number with a point in it.
    @Test func thousandthsHaveTheDecimalsThatTheyNeed() {
        for seed in UInt64(1)...20_000 {
            var random = SeededRandom(seed)
            // Of all lengths up to fifteen digits.
            let thousandths = Int64(random.next() % 1_000_000_000_000_000) >> Int64(random.next() % 50)
            let isNegative = random.next() % 4 == 0 && thousandths != 0
            var decimals = String(thousandths % 1000 + 1000).dropFirst()
            while decimals.last == "0" { decimals.removeLast() }
            let text = "\(isNegative ? "-" : "")\(thousandths / 1000)" + (decimals.isEmpty ? "" : "." + decimals)
            #expect(written(Double(isNegative ? -thousandths : thousandths) / 1000) == text, "seed \(seed)")
        }
    }

    // RFC 8785, section 3.2.
    @Test func theExampleOfTheStandard() {
        let text = #"""
            {"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],
             "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}
            """#
        #expect(
            canonical(text)
                == #"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"#
                + #""string":"€$\u000f\nA'B\"\\\\\"/"}"#)
    }

    @Test func membersAreSortedByUTF16() {
        // Of the standard: the order of code units puts U+1F600 (D83D …) before U+FB33.
        let text = #"{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}"#
        #expect(canonical(text) == "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\u{FB33}\":3}")
    }

    @Test func canonicalTextIsItsOwnCanonicalText() {
        for seed in UInt64(1)...300 {
            var random = SeededRandom(seed)
            let value = randomValue(&random, depth: 0)
            let bytes = value.canonical
            #expect(JSON(bytes)?.canonical == bytes, "seed \(seed)")
            #expect(JSON(value.bytes) == value, "seed \(seed)")
        }
    }

    private func randomValue(_ random: inout SeededRandom, depth: Int) -> JSON {
        switch Int.random(in: 0..<(depth < 4 ? 6 : 4), using: &random) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &random))
        case 2: return .number(Double(Int.random(in: -1_000_000...1_000_000, using: &random)) / 1024)
        case 3: return .string(randomText(&random))
        case 4:
            var items: [JSON] = []
            for _ in 0..<Int.random(in: 0...4, using: &random) { items.append(randomValue(&random, depth: depth + 1)) }
            return .array(items)
        default:
            var members: [JSON.Member] = []
            for index in 0..<Int.random(in: 0...4, using: &random) {
                members.append(.init(randomText(&random) + "\(index)", randomValue(&random, depth: depth + 1)))
            }
            return .object(members)
        }
    }

    private func randomText(_ random: inout SeededRandom) -> String {
        String(
            (0..<Int.random(in: 0...6, using: &random)).map { _ in
                "aZ9\"\\/\n\u{1}é€😀\u{7F}".randomElement(using: &random)!
            })
    }

    /// Small objects and large ones look for a key in different ways.
    @Test(arguments: [2, 23, 24, 25, 26, 60])
    func aKeyTwiceIsRefusedInAnObjectOfAnySize(_ count: Int) throws {
        let keys = (0..<count).map { "\"key \($0)\":\($0)" }
        let read = try #require(JSON("{\(keys.joined(separator: ","))}")?.members)
        #expect(read.map(\.key) == (0..<count).map { "key \($0)" })
        for again in [0, count / 2, count - 1] {
            #expect(JSON("{\((keys + [keys[again]]).joined(separator: ","))}") == nil, "key \(again) twice")
        }
    }

    /// What is remembered of objects with the same keys is not taken for others, however many kinds there are.
    @Test func objectsOfManyShapesAreSortedEachByItsOwnKeys() throws {
        let objects = try (0..<40).map { number in
            let keys = (0...number % 5).map {
                "\"\(Character(Unicode.Scalar(UInt8(97 + (number * 7 + $0 * 11) % 26))))\""
            }
            let members = keys.enumerated().map { "\($1):\($0)" }
            return try #require(JSON("{\(members.joined(separator: ","))}"))
        }
        let together = JSON.array(objects + objects.reversed()).canonical
        let alone = (objects + objects.reversed()).map { String(decoding: $0.canonical, as: UTF8.self) }
        #expect(String(decoding: together, as: UTF8.self) == "[\(alone.joined(separator: ","))]")
        for object in objects {
            let sorted = JSON.object((object.members ?? []).sorted { $0.key < $1.key })
            #expect(object.canonical == sorted.bytes)
        }
    }

    /// What is put together of members says the same as the whole written anew.
    @Test func anObjectOfPiecesIsWrittenAsTheWhole() throws {
        let json = try #require(
            JSON(#"{"z":[1,{"b":null,"a":"\u0007"}],"epoch":7,"é":0.001,"emitted":"x","\ud83d\ude00":1,"\uffee":2}"#))
        let pieces = CanonicalObject(try #require(json.members))
        #expect(pieces.text() == json.canonical)
        #expect(pieces.text(without: "emitted", "z") == json.without("emitted", "z").canonical)
        let other = JSON.object(
            (json.members ?? []).map { $0.key == "epoch" ? JSON.Member("epoch", .string("\"8\"")) : $0 })
        #expect(pieces.replacing("epoch", .string("\"8\"")).text() == other.canonical)
        #expect(CanonicalObject([]).text() == JSON.object([]).canonical)
    }

    @Test func aKeyTwiceIsRefused() {
        #expect(JSON(#"{"a":1,"a":2}"#) == nil)
        #expect(JSON(#"{"a":1,"\u0061":2}"#) == nil)
        #expect(JSON(#"{"a":{"a":1}}"#) != nil)
    }

    /// Keys that follow the same keys as in an object before are known from there: that changes nothing. The keys of each
    /// object are looked at here one by one.
    @Test func objectsThatAreAlikeAtFirstAreReadAsEachByItself() {
        let spellings = [
            "a": [#""a""#, #""\u0061""#], "bb": [#""bb""#], "é": [#""é""#, #""\u00e9""#], "c": [#""c""#],
        ]
        for seed in UInt64(1)...2000 {
            var random = SeededRandom(seed)
            var isGood = true
            var objects: [(text: String, keys: [String])] = []
            for _ in 0..<Int.random(in: 2...6, using: &random) {
                // Mostly as the one before, then perhaps something else.
                var keys = Array((objects.last?.keys ?? []).prefix(Int.random(in: 0...4, using: &random)))
                while Bool.random(using: &random) {
                    keys.append(spellings.keys.sorted().randomElement(using: &random)!)
                }
                isGood = isGood && Set(keys).count == keys.count
                let members = keys.enumerated().map { "\(spellings[$1]!.randomElement(using: &random)!):\($0)" }
                objects.append(("{\(members.joined(separator: ","))}", keys))
            }
            let read = JSON("[\(objects.map(\.text).joined(separator: ","))]")
            #expect((read != nil) == isGood, "seed \(seed)")
            guard isGood else { continue }
            let expected = objects.map { object in
                JSON.object(object.keys.enumerated().map { JSON.Member($1, .integer($0)) })
            }
            #expect(read == .array(expected), "seed \(seed)")
        }
    }

    /// Beyond so many different keys none is noted any more.
    @Test func objectsOfVeryManyKeysAreRead() {
        let objects = (0..<400).map { #"{"key \#($0)":1,"key \#($0 + 1)":{"key 7":2}}"# }
        #expect(JSON("[\(objects.joined(separator: ","))]")?.items?.last?["key 400"]?["key 7"]?.integer == 2)
        #expect(JSON("[\(objects.joined(separator: ",")),{\"key 7\":1,\"key 8\":1,\"key 7\":1}]") == nil)
        #expect(JSON("[\(objects.joined(separator: ",")),{\"key 399\":1,\"key 8\":1,\"key 399\":1}]") == nil)
    }

    @Test func infiniteNumbersAreRefused() { #expect(JSON("1e999") == nil && JSON("[-1e999]") == nil) }

    @Test func accessors() {
        let json = JSON(#"{"n":7,"h":7.5,"t":"x","f":true,"a":[1],"o":{},"z":null}"#)
        #expect(json?["n"]?.integer == 7 && json?["h"]?.integer == nil && json?["h"]?.number == 7.5)
        #expect(json?["t"]?.text == "x" && json?["f"]?.flag == true && json?["a"]?.items?.count == 1)
        #expect(json?["o"]?.members?.isEmpty == true && json?["z"] == .null && json?["none"] == nil)
        #expect(json?.without("n", "h", "t").members?.count == 4)
        #expect(JSON("9007199254740992")?.integer == 9_007_199_254_740_992 && JSON("1e300")?.integer == nil)
    }
}
