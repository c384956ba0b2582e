import CityLink
import Model
import Testing

@Suite struct RollupTests {
    @Test func theItemIsWhatTheContractSays() throws {
        let item = day().item(epoch: 3, revision: 2, emitted: firstDay + .milliseconds(7))
        #expect(
            item.members?.map(\.key) == [
                "lab", "grain", "start", "end", "duration_s", "tz", "local_date", "epoch", "revision", "final",
                "emitted",
                "coverage", "late_dropped", "open_s", "totals", "classes", "suppressed", "source",
            ])
        #expect(item["start"]?.text == "2026-11-22T15:00:00.000Z")
        #expect(item["local_date"]?.text == "2026-11-23")
        #expect(item["emitted"]?.text == "2026-11-22T15:00:00.007Z")
        let totals = try #require(item["totals"])
        #expect(totals["energy_wh"]?.number == 18422.375)
        #expect(totals["states_s"]?["running"]?.number == 3600)
        #expect(totals["states_s"]?.members?.count == 9)
        #expect(totals["mass_in_g"]?["pp"]?.number == 3120)
        #expect(totals["filament_mm"]?.number == 812_345)
        #expect(item["classes"]?.items?.first?["machines"]?.integer == 1)
    }

    /// The bytes and the hash were computed by another implementation (Python's json and hashlib).
    @Test func theCanonicalFormAndItsDigestAreThoseOfOthers() {
        let content = day {
            $0.totals = UsageTotals(states: [0, 0, 1, 2, 3, 4, 5, 6, 86_399_979]); $0.classes = []
        }
        let item = content.item(epoch: 1, revision: 1, emitted: firstDay)
        #expect(String(decoding: item.without("emitted").canonical, as: UTF8.self) == goldenText)
        #expect(RollupContent.digest(of: item, sha256) == goldenDigest)
    }

    /// What came later into the format stands only where somebody counts it, so that old windows keep their digests.
    @Test func scrapStandsOnlyWhereItIsCounted() {
        let item = day { $0.totals.scrap = nil }.item(epoch: 1, revision: 1, emitted: firstDay)
        #expect(item["totals"]?["scrap"] == nil)
        let counted = day { $0.totals.scrap = 0 }.item(epoch: 1, revision: 1, emitted: firstDay)
        #expect(counted["totals"]?["scrap"]?.integer == 0)
    }

    @Test func materialsArePlainWords() {
        #expect(day { $0.totals.massScrap = ["=cmd()": 1] }.check().count == 1)
        #expect(day { $0.totals.massProduct = ["pp": -1] }.check().count == 1)
    }

    @Test func unknownIsNullAndMeasuredZeroIsZero() {
        let unknown = day {
            $0.totals.energyMilliwattHours = nil; $0.totals.jobs = nil; $0.coverage.mass = nil
        }
        let item = unknown.item(epoch: 1, revision: 1, emitted: firstDay)
        #expect(item["totals"]?["energy_wh"] == .null)
        #expect(item["totals"]?["jobs"] == .null)
        #expect(item["coverage"]?["mass"] == .null)
        let zero = day { $0.totals.energyMilliwattHours = 0 }
        #expect(zero.item(epoch: 1, revision: 1, emitted: firstDay)["totals"]?["energy_wh"] == .number(0))
    }

    @Test(arguments: 0..<40 as Range<UInt64>) func whatIsWrittenIsReadBack(seed: UInt64) throws {
        var random = SeededRandom(seed)
        let content = randomContent(&random, day: Int64(seed))
        #expect(content.check() == [])
        let item = content.item(epoch: 7, revision: 9, emitted: firstDay)
        let text = item.canonical
        let parsed = try #require(JSON(text))
        var problems: [String] = []
        let read = try #require(RollupItem(parsed, &problems), "\(problems)")
        #expect(read.content == content)
        #expect(read.version == RollupVersion(epoch: 7, revision: 9))
        #expect(parsed.canonical == text)
        #expect(RollupContent.digest(of: parsed, sha256) == RollupContent.digest(of: item, sha256))
    }

    @Test func digestsSeeWhatTheyShould() {
        let content = day()
        let item = content.item(epoch: 1, revision: 1, emitted: firstDay)
        func digest(_ item: JSON) -> String { RollupContent.digest(of: item, sha256) }
        #expect(digest(item) == digest(content.item(epoch: 1, revision: 1, emitted: firstDay + .hours(9))))
        #expect(digest(item) != digest(content.item(epoch: 1, revision: 2, emitted: firstDay)))
        let final = day { $0.isFinal = true }
        #expect(content.contentDigest(sha256) != final.contentDigest(sha256))
        #expect(content.contentDigest(sha256) != day(running: 3_600_001).contentDigest(sha256))
    }

    @Test func addingKeepsWhatOneKnows() {
        let a = UsageTotals(
            jobs: [1, 2, 3, 4, 5], energyMilliwattHours: 5, energyMethod: "register", massIn: ["pp": 1])
        let b = UsageTotals(
            energyMilliwattHours: 7, energyMethod: "integrated", massIn: ["pp": 2, "pe": 3], items: 4,
            scrap: 2)
        let sum = a + b
        #expect(sum.energyMilliwattHours == 12)
        #expect(sum.energyMethod == "mixed")
        #expect(sum.jobs == [1, 2, 3, 4, 5])
        #expect(sum.massIn == ["pp": 3, "pe": 3])
        #expect(sum.scrap == 2)
        #expect(sum.items == 4)
        #expect(sum.shots == nil)
        var huge = UsageTotals(items: .max)
        huge.states[0] = .max
        #expect((huge + huge).items == .max)
        #expect(huge.observed == .max)
        #expect((huge + huge + huge).states[0] == .max)
    }

    static let wrong: [(String, @Sendable (inout RollupContent) -> Void, String)] = [
        ("sum", { $0.totals[.running] += 1 }, "totals must sum"),
        ("class sum", { $0.classes[0].totals[.idle] -= 1 }, "class laser must sum"),
        ("negative", { $0.totals.items = -1 }, "negative"),
        (
            "negative state",
            {
                $0.totals[.idle] += 1; $0.totals[.fault] = -1
            }, "negative"
        ),
        ("states", { $0.totals.states.removeLast() }, "nine states"),
        ("outcomes", { $0.totals.jobs = [1] }, "five outcomes"),
        ("lab", { $0.lab = "seoul" }, "URN"),
        ("lab", { $0.lab = "urn:x:\"<b>" }, "URN"),
        ("tz", { $0.tz = "=cmd()" }, "IANA"),
        ("class", { $0.classes[0].name = "a laser" }, "class must be a word"),
        ("machine", { $0.machines = [MachineUsage(id: "<i>", className: "laser", totals: $0.totals)] }, "machine's id"),
        ("machine count", { $0.machines = [] }, "machines has 0"),
        ("off the grid", { $0.start = $0.start + .seconds(1) }, "quarters"),
        ("too short", { $0.end = $0.start + .hours(3) }, "cannot last"),
        ("share", { $0.coverage.usage = 1.5 }, "coverage"),
        (
            "twice",
            {
                $0.classes.append($0.classes[0]); $0.totals = $0.totals + $0.totals
            }, "twice"
        ),
    ]
    @Test(arguments: wrong.indices) func checkFinds(index: Int) {
        let (name, change, words) = Self.wrong[index]
        let problems = day(change: change).check()
        #expect(problems.contains { $0.contains(words) }, "\(name): \(problems)")
    }

    static let unreadable: [(member: String, value: JSON?, words: String)] = [
        ("start", .string("2026-11-22T15:00:00Z"), "start must be a time"),
        ("end", .string("2026-11-23T15:00:00.000+00:00"), "end must be a time"),
        ("emitted", .number(5), "emitted"),
        ("duration_s", .number(86_400.5), "duration_s"),
        ("grain", .string("P1W"), "grain"),
        ("lab", nil, "lab must be text"),
        ("local_date", .string("2026-02-30"), "local_date"),
        ("epoch", .number(0), "epoch and revision"),
        ("revision", .number(1.5), "epoch and revision"),
        ("revision", .number(1e13), "epoch and revision"),
        ("final", .string("no"), "final"),
        ("totals", .null, "totals must be an object"),
        ("totals", .object(["states_s": .object(["running": .number(86_400)])]), "states_s.unknown is missing"),
        ("classes", .object([:]), "classes must be a list"),
        ("coverage", .object(["usage": .number(2)]), "coverage.usage"),
        ("late_dropped", .number(-1), "late_dropped"),
        ("suppressed", .array([.number(1)]), "suppressed"),
    ]
    @Test(arguments: unreadable.indices) func readingNamesWhatIsWrong(index: Int) {
        let (member, value, words) = Self.unreadable[index]
        let item = day().item(epoch: 1, revision: 1, emitted: firstDay)
        var members = item.without(member).members ?? []
        if let value { members.append(JSON.Member(member, value)) }
        var problems: [String] = []
        #expect(RollupItem(.object(members), &problems) == nil)
        #expect(problems.contains { $0.contains(words) }, "\(problems)")
    }

    @Test func unknownStatesAndOutcomesAreRefused() {
        for (member, name) in [("states_s", "sleeping"), ("jobs", "maybe")] {
            let item = day().item(epoch: 1, revision: 1, emitted: firstDay)
            let totals = item["totals"] ?? .null
            let more = JSON.object((totals[member]?.members ?? []) + [JSON.Member(name, .number(1))])
            let changed = JSON.object(
                (item.without("totals").members ?? []) + [
                    JSON.Member("totals", .object((totals.without(member).members ?? []) + [JSON.Member(member, more)]))
                ])
            var problems: [String] = []
            #expect(RollupItem(changed, &problems) == nil)
            #expect(problems.contains { $0.contains(name) })
        }
    }

    @Test func membersThatAreNotKnownAreNoProblem() {
        let item = day().item(epoch: 1, revision: 1, emitted: firstDay)
        var problems: [String] = []
        #expect(RollupItem(.object((item.members ?? []) + [JSON.Member("visits", .number(29))]), &problems) != nil)
    }

    @Test func keysAreReadBack() {
        let key = RollupKey(lab: "urn:a/b:c", grain: .hour, start: firstDay)
        #expect(RollupKey(key.description) == key)
        #expect(RollupKey("nonsense") == nil)
    }
}

let goldenText =
    #"{"classes":[],"coverage":{"energy":0.997,"mass":1,"usage":0.982},"duration_s":86400,"end":"2026-11-23T15:00:00.000Z","epoch":1,"final":false,"grain":"P1D","lab":"urn:fablabs:io:lab:seoul","late_dropped":0,"local_date":"2026-11-23","open_s":36000,"revision":1,"source":{"gateway":"gw","software":"0.1.0","tzdata":"2026b"},"start":"2026-11-22T15:00:00.000Z","suppressed":[],"totals":{"energy_corrections":0,"energy_method":null,"energy_wh":null,"filament_mm":null,"idle_energy_wh":null,"items":null,"jobs":null,"mass_in_g":{},"mass_product_g":{},"mass_scrap_g":{},"shots":null,"states_s":{"blocked":0.005,"fault":0.006,"idle":0.001,"maintenance":86399.979,"offline":0,"paused":0.004,"preparing":0.002,"running":0.003,"unknown":0}},"tz":"Asia/Seoul"}"#
let goldenDigest = "9a157d858dc4130089956d051ffaaf75d2cc3b8c28ded6c7943285ecbb0906bc"
