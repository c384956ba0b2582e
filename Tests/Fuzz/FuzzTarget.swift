// What is fuzzed: every driver through its protocol, and every other place where foreign bytes are read.

import CityLink
@preconcurrency import Glibc
import Hub
import Model
@testable import Ports
import Store

/// One parser, and inputs that it is known to read.
struct FuzzTarget {
    let name: String
    /// Traps where a promise is broken.
    let run: ([UInt8]) -> Void
    let seeds: () throws -> [[UInt8]]

    static func all() throws -> [FuzzTarget] {
        let models = try FuzzModels()
        return [
            FuzzTarget(name: "store", run: StoreFuzz.run, seeds: StoreFuzz.seeds),
            FuzzTarget(name: "store-old", run: StoreFuzz.runOld, seeds: StoreFuzz.oldSeeds),
            FuzzTarget(name: "json", run: json, seeds: models.payloads),
            FuzzTarget(name: "capture", run: capture, seeds: models.captureLines),
            FuzzTarget(name: "yaml", run: yaml, seeds: models.profiles),
            FuzzTarget(
                name: "configuration", run: { configuration($0, models.catalog) },
                seeds: { try models.configurations() }),
            FuzzTarget(name: "time", run: time, seeds: { times.map { Array($0.utf8) } }),
            FuzzTarget(name: "http-head", run: httpHead, seeds: { heads.map { Array($0.utf8) } }),
            FuzzTarget(name: "rollup", run: rollup, seeds: { [Array(answer.utf8), Array(item.utf8)] }),
        ] + models.targets()
    }

    /// The program ends here, as libFuzzer wants it.
    static func broken(_ words: String) -> Never { fatalError(words) }

    // MARK: - Texts

    /// What is read is written so that it reads the same again, and the scanner that allocates nothing agrees about
    /// what is JSON, but for its bound on nesting.
    private static func json(_ bytes: [UInt8]) {
        let tree = JSON(bytes)
        if let tree {
            let written = tree.bytes
            guard let again = JSON(written) else { broken("JSON that was written is not read") }
            if again.bytes != written { broken("JSON changes when it is read again") }
        }
        var scanner = JSONScanner()
        walk(&scanner, bytes.span, 0)
    }

    private static func walk(_ scanner: inout JSONScanner, _ bytes: borrowing Span<UInt8>, _ depth: Int) {
        switch scanner.peek(bytes) {
        case .object where scanner.beginObject(bytes):
            while let key = scanner.nextKey(bytes) {
                _ = JSONScanner.text(key, bytes)
                walk(&scanner, bytes, depth + 1)
                if scanner.failed { return }
            }
        case .array where scanner.beginArray(bytes):
            while scanner.nextElement(bytes) {
                walk(&scanner, bytes, depth + 1)
                if scanner.failed { return }
            }
        case .string:
            if let range = scanner.string(bytes) { _ = JSONScanner.text(range, bytes) }
        default: scanner.skip(bytes)
        }
    }

    private static func capture(_ bytes: [UInt8]) {
        guard let line = try? CaptureLine(parsing: bytes) else { return }
        guard let again = try? CaptureLine(parsing: line.bytes), again == line else {
            broken("a capture line changes when it is written and read")
        }
    }

    private static func yaml(_ bytes: [UInt8]) {
        _ = try? YAML.parse(String(decoding: bytes, as: UTF8.self), file: "f.yaml")
    }

    private static func configuration(_ bytes: [UInt8], _ catalog: Catalog) {
        guard let document = try? YAML.parse(String(decoding: bytes, as: UTF8.self), file: "f.yaml") else { return }
        var reader = ConfigurationReader(catalog: catalog) { _ in .utc }
        if reader.read([document]) == nil, reader.problems.isEmpty {
            broken("a configuration is refused and nobody says why")
        }
    }

    private static let times = [
        "2026-11-23T09:00:00.123Z", "2026-11-23T18:00:00+09:00", "now", "today", "-2h", "-7d", "15min", "1.5 h", "20 s",
        "2026-11-23",
    ]

    private static func time(_ bytes: [UInt8]) {
        let text = String(decoding: bytes, as: UTF8.self)
        if let instant = Instant(text), Instant(instant.description) != instant {
            broken("\(text) reads as \(instant), which reads as something else")
        }
        let now = Instant(milliseconds: 1_795_000_000_000)
        _ = TimeText.instant(text, now: now, in: .utc)
        _ = TimeText.duration(text)
        _ = TopicFilter.isValid(text)
        _ = TopicFilter.matches("a/+/b/#", text)
        _ = TopicFilter.matches(text, "a/b/c")
    }

    // MARK: - HTTP and the city

    private static let heads = [
        "GET /api/v1/query?series=a%2Fb&from=-2h HTTP/1.1\r\nHost: localhost:8080\r\nAccept: */*\r\n\r\n",
        "POST /v1/rollups HTTP/1.1\r\nHost: city\r\nContent-Length: 12\r\nContent-Type: application/json\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
        "GET http://localhost/%zz?%41=%&&=a HTTP/1.0\r\nHost: [::1]:80\r\n\r\n",
    ]

    /// Cut into lines as the library does it; the checks behind are ours.
    private static func httpHead(_ bytes: [UInt8]) {
        var head = HTTPHead()
        head.block = bytes
        let lines = bytes.split(separator: 10, omittingEmptySubsequences: false).map { $0.filter { $0 != 13 } }
        let words = (lines.first ?? []).split(separator: 32, maxSplits: 2, omittingEmptySubsequences: false)
        if let method = words.first { head.method = Array(method) }
        if words.count > 1 { head.target = Array(words[1]) }
        if words.count > 2 { head.version = Array(words[2]) }
        for line in lines.dropFirst() where !line.isEmpty {
            let parts = line.split(separator: 58, maxSplits: 1, omittingEmptySubsequences: false)
            head.headers.append((Array(parts[0]), parts.count > 1 ? Array(parts[1].drop { $0 == 32 }) : []))
        }
        var limits = HTTPLimits()
        limits.hosts = ["localhost"]
        guard let request = try? head.request(limits, from: "127.0.0.1") else { return }
        if let length = head.contentLength, length < 0 { broken("a body of \(length) bytes") }
        let hosts = request.headers.filter { $0.name.lowercased() == "host" }.count
        if hosts > 1 { broken("a request with \(hosts) hosts was let through") }
    }

    private static let item =
        #"{"lab":"urn:x","grain":"PT1H","start":"2026-11-22T15:00:00.000Z","epoch":3,"revision":2,"digest":"ab"}"#
    private static let answer =
        #"{"results":[{"lab":"urn:x","grain":"PT1H","start":"2026-11-22T15:00:00.000Z","epoch":3,"revision":2,"#
        + #""result":"applied","problem":{"title":"x"}}]}"#

    private static func rollup(_ bytes: [UInt8]) {
        _ = RollupReceipt.all(contentType: "application/json", body: bytes)
        _ = RollupSummary.all(bytes)
        guard let json = JSON(bytes) else { return }
        var problems: [String] = []
        if let read = RollupItem(json, &problems) {
            if !problems.isEmpty { broken("a rollup is taken although \(problems)") }
            _ = read.content.totals
        } else if problems.isEmpty {
            broken("a rollup is refused and nobody says why")
        }
        _ = RollupItem.claim(json)
    }
}
