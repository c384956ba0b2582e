import City
import CityLink
import Model
import Testing

private let busan = "urn:fablabs:io:lab:busan"

private func results(_ answer: CityAnswer) -> [String] {
    JSON(answer.body)?["results"]?.items?.compactMap { $0["result"]?.text } ?? []
}

@Suite struct CollectorTests {
    @Test func newerReplacesAndTheRestIsNamed() throws {
        var city = collector()
        func send(_ items: JSON...) -> CityAnswer { city.answer(post(push(items)), now: firstDay) }
        let first = send(wire(day(), revision: 2))
        #expect(first.status == 200)
        #expect(results(first) == ["applied"])
        #expect(JSON(first.body)?["results"]?.items?.first?["start"]?.text == "2026-11-22T15:00:00.000Z")
        #expect(results(send(wire(day(), revision: 2, emitted: firstDay + .hours(1)))) == ["duplicate"])
        let stale = send(wire(day(running: 5), revision: 1))
        #expect(stale.status == 200)
        #expect(results(stale) == ["stale"])
        #expect(JSON(stale.body)?["results"]?.items?.first?["stored"]?["revision"]?.integer == 2)
        let conflict = send(wire(day(running: 5), revision: 2))
        #expect(conflict.status == 207)
        #expect(results(conflict) == ["conflict"])
        #expect(JSON(conflict.body)?["results"]?.items?.first?["problem"]?["status"]?.integer == 409)
        // An epoch outranks every revision.
        #expect(results(send(wire(day(running: 6), epoch: 2, revision: 1))) == ["applied"])
        #expect(results(send(wire(day(running: 7), epoch: 1, revision: 99))) == ["stale"])
        #expect(city.book.windows.count == 1)
        #expect(city.book.windows.values.first?.version == RollupVersion(epoch: 2, revision: 1))
    }

    @Test func oneRequestMayHoldAWindowTwice() {
        var city = collector()
        let answer = city.answer(
            post(
                push([
                    wire(day(), revision: 1), wire(day(running: 1), revision: 3), wire(day(running: 2), revision: 2),
                    wire(day(running: 1), revision: 3),
                ])), now: firstDay)
        #expect(results(answer) == ["applied", "applied", "stale", "duplicate"])
        #expect(city.book.windows.values.first?.version.revision == 3)
        #expect(city.book.transactions == 1)
    }

    @Test func aBadItemDoesNotKeepTheOthersOut() throws {
        var city = collector()
        let broken = JSON.object(["digest": .string("00"), "rollup": .object(["lab": .string(seoul)])])
        let answer = city.answer(
            post(
                push([
                    wire(day(0)), wire(day(1), digest: String(repeating: "0", count: 64)),
                    wire(day(2) { $0.totals[.running] += 1 }), wire(day(3, lab: busan)), broken, .number(5),
                    wire(day(4)),
                ])), now: firstDay)
        #expect(answer.status == 207)
        #expect(
            results(answer) == ["applied", "rejected", "rejected", "rejected", "rejected", "rejected", "applied"])
        #expect(city.book.windows.count == 2)
        let items = try #require(JSON(answer.body)?["results"]?.items)
        for item in items[1...5] { #expect(item["problem"]?["detail"]?.text?.isEmpty == false) }
        #expect(items[1]["problem"]?["detail"]?.text?.contains("digest") == true)
        #expect(items[2]["problem"]?["detail"]?.text?.contains("sum") == true)
        #expect(items[3]["problem"]?["status"]?.integer == 403)
        #expect(items[5]["lab"] == .null)
        // The outbox finds its items in this answer.
        let receipts = try #require(RollupReceipt.all(contentType: answer.contentType, body: answer.body))
        #expect(receipts.count == 5)
    }

    @Test func membersThatAreNotKnownAreKept() throws {
        var city = collector()
        let item = day().item(epoch: 1, revision: 1, emitted: firstDay)
        let newer = JSON.object((item.members ?? []) + [JSON.Member("visits", .number(29))])
        let wired = JSON.object(["digest": .string(RollupContent.digest(of: newer, sha256)), "rollup": newer])
        #expect(results(city.answer(post(push([wired])), now: firstDay)) == ["applied"])
        #expect(city.book.windows.values.first?.text == newer.canonical)
    }

    // MARK: what is refused as a whole

    struct Refused: CustomTestStringConvertible, Sendable {
        let name: String
        let status: Int
        let request: CityRequest
        var testDescription: String { name }
    }
    static let refused: [Refused] = {
        let good = push([wire(day())])
        func plain(_ text: String) -> CityRequest { post(Array(text.utf8)) }
        var anonymous = post(good)
        anonymous.authorization = nil
        var basic = post(good)
        basic.authorization = "Basic Zm9vOmJhcg=="
        return [
            Refused(name: "no JSON", status: 400, request: plain("hello")),
            Refused(name: "empty", status: 400, request: plain("")),
            Refused(name: "cut", status: 400, request: post(Array(good.dropLast()))),
            Refused(name: "a list", status: 400, request: plain("[]")),
            Refused(
                name: "a member twice", status: 400,
                request: plain(#"{"schema":"fablab.rollup/1","items":[],"items":[]}"#)),
            Refused(name: "no schema", status: 422, request: plain(#"{"items":[]}"#)),
            Refused(name: "no items", status: 422, request: plain(#"{"schema":"fablab.rollup/1"}"#)),
            Refused(name: "next schema", status: 415, request: post(push([wire(day())], schema: "fablab.rollup/2"))),
            Refused(name: "form", status: 415, request: post(good, type: "application/x-www-form-urlencoded")),
            Refused(name: "no type", status: 415, request: post(good, type: nil)),
            Refused(name: "501 items", status: 413, request: post(push([JSON](repeating: .null, count: 501)))),
            Refused(
                name: "too long", status: 413,
                request: post(push([.string(String(repeating: "x", count: 1 << 20))]))),
            Refused(name: "no token", status: 401, request: anonymous),
            Refused(name: "another scheme", status: 401, request: basic),
            Refused(name: "unknown token", status: 401, request: post(good, lab: "urn:nobody")),
            Refused(name: "disabled", status: 403, request: post(good, lab: busan)),
            Refused(name: "another lab alone", status: 403, request: post(push([wire(day(lab: busan))]))),
        ]
    }()

    @Test(arguments: refused) func aRefusalStoresNothing(_ sample: Refused) throws {
        var city = collector([seoul, busan])
        _ = try city.perform(.disable(id: busan), token: "", now: firstDay)
        let answer = city.answer(sample.request, now: firstDay)
        #expect(answer.status == sample.status)
        #expect(answer.contentType == "application/problem+json")
        #expect(JSON(answer.body)?["status"]?.integer == Int64(sample.status))
        #expect(JSON(answer.body)?["detail"]?.text?.isEmpty == false)
        #expect(city.book.windows.isEmpty)
        #expect(city.book.transactions == 0)
        if sample.status == 401 { #expect(answer.headers.contains { $0 == ("WWW-Authenticate", "Bearer") }) }
    }

    @Test func aBookThatFailsIsSaidAndNothingIsAnswered() {
        var city = collector()
        var log: [String] = []
        city.book.isBroken = true
        let answer = city.answer(post(push([wire(day())])), now: firstDay) { log.append($0) }
        #expect(answer.status == 503)
        #expect(answer.headers.contains { $0.0 == "Retry-After" })
        #expect(log == ["the disk is gone"])
        #expect(!String(decoding: answer.body, as: UTF8.self).contains("the disk is gone"), "its log, not its callers'")
        city.book.isBroken = false
        #expect(results(city.answer(post(push([wire(day())])), now: firstDay)) == ["applied"])
    }

    @Test(arguments: 0..<150 as Range<UInt64>) func junkNeverTraps(seed: UInt64) {
        var random = SeededRandom(seed)
        var body = push([wire(day()), wire(day(1))])
        for _ in 0..<Int.random(in: 1...6, using: &random) {
            let at = Int.random(in: 0..<body.count, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0: body[at] = .random(in: 0...255, using: &random)
            case 1: body.removeSubrange(at..<min(body.count, at + .random(in: 1...30, using: &random)))
            case 2: body.insert(contentsOf: Array("9999999999999999999999e99".utf8).shuffled(using: &random), at: at)
            default: body.insert(contentsOf: body[at..<min(body.count, at + 40)], at: at)
            }
            if body.isEmpty { body = [0x7B] }
        }
        var city = collector()
        let answer = city.answer(post(body), now: firstDay)
        #expect([200, 207, 400, 403, 413, 415, 422].contains(answer.status), "seed \(seed)")
        for rollup in city.book.windows.values { #expect(JSON(rollup.text) != nil) }
    }

    // MARK: enrolment

    @Test func rotationOutranksEverythingThatWasSent() throws {
        var city = collector()
        _ = city.answer(post(push([wire(day(), epoch: 7)])), now: firstDay)
        let answer = try city.perform(.rotate(id: seoul), token: "fresh", now: firstDay)
        #expect(answer["epoch"]?.integer == 8)
        #expect(answer["token"]?.text == "fresh")
        #expect(city.answer(post(push([wire(day())])), now: firstDay).status == 401, "the old token is void")
        #expect(city.book.known[seoul]?.tokenHash == sha256(Array("fresh".utf8)))
    }

    @Test func whatMakesNoSenseIsRefused() {
        let city = collector()
        for command in [
            LabCommand.add(id: seoul, name: nil), .add(id: "seoul", name: nil), .add(id: "urn:a:b", name: ""),
            .rotate(id: busan), .disable(id: busan),
        ] {
            #expect(throws: LabCommandFailure.self) { try city.perform(command, token: "t", now: firstDay) }
        }
        #expect(city.book.known.count == 1)
    }

    @Test func commandsAreReadBack() {
        for command in [
            LabCommand.add(id: seoul, name: "A"), .add(id: seoul, name: nil), .list, .rotate(id: seoul),
            .disable(id: seoul),
        ] {
            #expect(LabCommand(command.json) == command)
        }
        let key = day().key
        let export = RollupExport(format: .csv, grain: .day, from: firstDay, to: .distantFuture, after: key)
        #expect(RollupExport(export.json) == export)
    }
}
