import Model
import Testing

@Suite struct FieldsTests {
    private func place(_ line: Int) -> Position { Position(file: "f.yaml", line: line, column: 1) }

    /// A map of scalars; each value's line is its place in the list, from 1.
    private func fields(_ members: KeyValuePairs<String, String>) -> Fields {
        let entries = members.enumerated().map { index, member in
            Document.Entry(
                key: member.key, keyPosition: place(index + 1),
                value: Document(
                    member.value == "~" ? .null : .scalar(member.value, isQuoted: false), at: place(index + 1)))
        }
        return Fields(entries: entries, at: place(1), "device x")
    }

    private func problem(
        _ members: KeyValuePairs<String, String>, _ read: (inout Fields, inout Problems) -> Void
    ) -> String {
        var fields = fields(members)
        var problems = Problems()
        read(&fields, &problems)
        return problems.all.map(\.description).joined(separator: "\n")
    }

    @Test func readsWhatIsThere() {
        var fields = fields([
            "text": "laser", "hex": "0x1F", "number": "-5", "yes": "On", "no": "no", "wait": "1.5 s", "size": "2kW",
            "choice": "gauge", "nothing": "~",
        ])
        var problems = Problems()
        #expect(fields.text("text", &problems) == "laser")
        #expect(fields.integer("hex", in: 0...255, &problems) == 31)
        #expect(fields.integer("number", in: -9...9, &problems) == -5)
        #expect(fields.flag("yes", &problems) == true && fields.flag("no", &problems) == false)
        #expect(fields.duration("wait", &problems) == .milliseconds(1500))
        #expect(fields.quantity("size", ["W": 1, "kW": 1000], example: "1 W", &problems) == 2000)
        #expect(fields.choice("choice", of: Kind.self, &problems) == .gauge)
        #expect(fields.text("nothing", &problems) == nil && fields.text("absent", &problems) == nil)
        fields.finish(&problems)
        #expect(problems.isEmpty)
    }

    @Test func mistakesHavePlaceReasonAndRemedy() {
        #expect(
            problem(["every": "5"]) { _ = $0.duration("every", &$1) }
                == "f.yaml:1:1: 'every' of device x needs a unit (ms, s, min, h, d), for example `every: 20 s`")
        #expect(
            problem(["a": "1", "every": "5 sec"]) { _ = $0.duration("every", &$1) }
                == "f.yaml:2:1: 'sec' is no unit for 'every' of device x; use ms, s, min, h, d; did you mean 's'?"
                || problem(["every": "5 sec"]) { _ = $0.duration("every", &$1) }.contains("use ms, s, min, h, d"))
        #expect(problem(["every": "-5 s"]) { _ = $0.duration("every", &$1) }.contains("cannot be negative"))
        #expect(problem(["every": "1e9 s"]) { _ = $0.duration("every", &$1) }.contains("f.yaml:1:1"))
        #expect(
            problem(["unit": "300"]) { _ = $0.integer("unit", in: 1...247, &$1) }.contains("from 1 to 247, not '300'"))
        #expect(problem(["on": "maybe"]) { _ = $0.flag("on", &$1) }.contains("must be true or false"))
        #expect(
            problem(["kind": "guage"]) { _ = $0.choice("kind", of: Kind.self, &$1) }.contains("did you mean 'gauge'?"))
        #expect(problem([:]) { _ = $0.requiredText("topic", &$1, example: "laser") }.contains("needs 'topic'"))
        #expect(problem(["l": "x"]) { _ = $0.list("l", &$1) }.contains("must be a list, not 'x'"))
        #expect(problem(["m": "x"]) { _ = $0.map("m", &$1) }.contains("must be a map"))
    }

    @Test func keysThatNobodyReadAreMistakes() {
        let found = problem(["topic": "a", "tpoic": "b"]) {
            _ = $0.text("topic", &$1)
            $0.finish(&$1)
        }
        #expect(found == "f.yaml:2:1: device x has no key 'tpoic'; did you mean 'topic'?; known keys: topic")
    }

    @Test func aKeyTwiceIsAMistake() {
        var problems = Problems()
        let value = Document(.scalar("1", isQuoted: false), at: place(1))
        let entries = [1, 2].map { Document.Entry(key: "a", keyPosition: place($0), value: value) }
        #expect(Fields(Document(.map(entries), at: place(1)), "x", &problems) != nil)
        #expect(problems.all.map(\.position.line) == [2])
        #expect(Fields(value, "x", &problems) == nil)
    }

    @Test func problemsAreBounded() {
        var problems = Problems()
        for line in 1...1000 { problems.add(place(line), "x") }
        #expect(problems.all.count == 200)
    }

    @Test(
        arguments: [
            ("tpoic", "topic"), ("topci", "topic"), ("tasmta", "tasmota"), ("TOPIC", "topic"), ("zzzzzz", nil),
            ("", nil),
        ] as [(String, String?)])
    func suggestsTheNearestName(_ word: String, _ wanted: String?) {
        #expect(Suggestion.nearest(to: word, among: ["topic", "tasmota", "modbus-rtu"]) == wanted)
    }
}

@Suite struct ReadingTests {
    @Test func clippedTextIsWholeScalarsWithinTheLimit() {
        #expect("abc".clipped(to: 3) == "abc" && "abcd".clipped(to: 3) == "abc" && "é€😀".clipped(to: 5) == "é€")
        #expect("😀".clipped(to: 3) == "" && "".clipped(to: 0) == "")
        let accents = "a" + String(repeating: "\u{301}", count: 100_000)
        #expect(accents.clipped(to: 64).utf8.count <= 64)
    }

    @Test func theOutboxIsBoundedInWhatAStrangerSends() {
        let accents = "a" + String(repeating: "\u{301}", count: 100_000)
        var out = Outbox()
        for _ in 0..<100 { out.note(.badFrame, accents) }
        out.report(0, .running, reason: accents)
        out.report(0, event: accents)
        #expect(out.faults.count == 16 && out.faults.allSatisfy { $0.detail.utf8.count <= 200 })
        guard case .state(_, let reason) = out.readings[0].value, case .event(let name) = out.readings[1].value else {
            Issue.record("not what was reported")
            return
        }
        #expect(reason.utf8.count <= 64 && name.utf8.count <= 64)
    }

    @Test func whatIsNoNumberIsAFault() {
        var out = Outbox()
        let channels: [Channel] = [.gauge("power", .watt, 0...100)]
        for value in [Double.nan, .infinity, -.infinity, 101, -1] { out.report(0, of: channels, value) }
        #expect(out.readings.isEmpty && !out.isAlive)
        #expect(out.faults.map(\.kind) == [.badValue, .badValue, .badValue, .implausible, .implausible])
        out.report(0, of: channels, 100)
        #expect(out.readings.count == 1 && out.isAlive)
        out.removeAll()
        #expect(out == Outbox())
    }

    @Test func sayingNoIsNoSignOfLife() {
        var out = Outbox()
        out.report(0, online: false)
        #expect(!out.isAlive)
        out.report(0, online: true)
        #expect(out.isAlive)
    }

    @Test(arguments: ["power", "power.l1", "power_factor", "temperature.zone1", "a"])
    func channelNames(_ name: String) { #expect(Channel.isValidName(name)) }

    @Test(arguments: ["", "Power", "power.", ".power", "a..b", "a b", "é", "a-b", String(repeating: "a", count: 65)])
    func noChannelNames(_ name: String) { #expect(!Channel.isValidName(name)) }
}
