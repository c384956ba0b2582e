import DeskFactories
import Foundation
import Meters
import Model
import Plugs
import Ports
import Printers
import Testing
import Workshop

/// Every driver of every family, by the family's folder.
let families: [(folder: String, drivers: [any DeviceDriver.Type])] = [
    ("plugs", plugDrivers), ("printers", printerDrivers), ("meters", meterDrivers),
    ("desk-factories", deskFactoryDrivers), ("workshop", workshopDrivers),
]

/// One model of the tree: `devices/FAMILY/models/NAME/`.
struct ModelFolder: Sendable, CustomTestStringConvertible {
    let family: String
    let url: URL

    var name: String { url.lastPathComponent }
    var testDescription: String { "\(family)/\(name)" }

    static let devices = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("devices")

    static let all: [ModelFolder] = families.flatMap { family, _ in
        folders(in: devices.appendingPathComponent("\(family)/models"))
            .map { ModelFolder(family: family, url: $0) }
    }

    private static func folders(in url: URL) -> [URL] {
        let found = try? FileManager.default.contentsOfDirectory(
            at: url, includingPropertiesForKeys: [.isDirectoryKey], options: .skipsHiddenFiles)
        return (found ?? []).filter { $0.hasDirectoryPath }.sorted { $0.path < $1.path }
    }

    /// The recordings, without what they should give.
    var recordings: [Recording] {
        let folder = url.appendingPathComponent("recordings")
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.filter { $0.hasSuffix(".jsonl") && !$0.hasSuffix(".readings.jsonl") }.sorted()
            .map { Recording(model: self, url: folder.appendingPathComponent($0)) }
    }

    /// The profile as a driver gets it.
    func profileFields() throws -> Fields {
        var problems = Problems()
        let document = try YAML.load(path: url.appendingPathComponent("profile.yaml").path)
        return try #require(Fields(document, "profile \(name)", &problems))
    }

    /// The driver that the profile names, made as `fabgate decode` makes it: whatever address a recording holds.
    func makeDriver() throws -> (driver: any DeviceDriver, info: DriverInfo) {
        var problems = Problems()
        let document = try YAML.load(path: url.appendingPathComponent("profile.yaml").path)
        var profile = try #require(Fields(document, "profile \(name)", &problems))
        let title = profile.requiredText("title", &problems, example: "A plug")
        let driverName = profile.requiredText("driver", &problems, example: "tasmota")
        _ = profile.duration("silence", &problems)
        _ = profile.duration("every", &problems)
        // A model may speak the language of another family: a controller of an extruder is read as a meter is.
        let type = try #require(
            families.flatMap(\.drivers).first { $0.info.name == driverName },
            "no driver is called '\(driverName ?? "")'")
        #expect(title?.isEmpty == false)

        let nowhere = Position(file: "decode", line: 1, column: 1)
        var setup = DeviceSetup(
            id: name, fields: Fields(entries: [], at: nowhere, "device \(name)"), profile: profile,
            takesAnyAddress: true)
        let driver = type.init(&setup, &problems)
        setup.fields.finish(&problems)
        setup.profile?.finish(&problems)
        #expect(problems.all == [])
        return (try #require(driver), type.info)
    }
}

/// One recording of a model.
struct Recording: Sendable, CustomTestStringConvertible {
    let model: ModelFolder
    let url: URL

    var testDescription: String { "\(model.testDescription)/\(url.lastPathComponent)" }

    static let all: [Recording] = ModelFolder.all.flatMap(\.recordings)

    /// The readings that were looked at and found right.
    var golden: URL { url.deletingPathExtension().appendingPathExtension("readings.jsonl") }

    func lines() throws -> [CaptureLine] {
        let text = try String(contentsOf: url, encoding: .utf8)
        return try text.split(separator: "\n").enumerated().map { index, line in
            do {
                return try CaptureLine(parsing: String(line))
            } catch {
                throw CaptureLineProblem(description: "\(url.lastPathComponent), line \(index + 1): \(error)")
            }
        }
    }
}

struct CaptureLineProblem: Error, CustomStringConvertible { let description: String }

/// A driver that is watched for the bounds that every driver keeps.
struct Watched: DeviceDriver {
    static let info = DriverInfo(name: "watched", title: "", link: .line, family: "", silence: .zero)

    private var inner: any DeviceDriver
    let channels: [Channel]
    let subscriptions: [String]

    init(_ inner: any DeviceDriver) {
        self.inner = inner
        channels = inner.channels
        subscriptions = inner.subscriptions
    }

    init?(_ setup: inout DeviceSetup, _ problems: inout Problems) { nil }

    mutating func opened(_ out: inout Outbox) {
        inner.opened(&out)
        check(out)
    }

    mutating func poll(_ out: inout Outbox) {
        inner.poll(&out)
        check(out)
    }

    mutating func receive(_ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox) {
        inner.receive(bytes, from: source, &out)
        check(out)
    }

    mutating func noReply(_ out: inout Outbox) {
        inner.noReply(&out)
        check(out)
    }

    mutating func overheard(_ request: borrowing Span<UInt8>) { inner.overheard(request) }

    private func check(_ out: Outbox) {
        #expect(inner.channels == channels, "the channels of a device do not change")
        #expect(out.readings.count <= 64 && out.faults.count <= 16)
        for reading in out.readings {
            guard channels.indices.contains(reading.channel) else {
                Issue.record("a reading on channel \(reading.channel) of \(channels.count)")
                continue
            }
            let channel = channels[reading.channel]
            switch (channel.kind, reading.value) {
            case (.gauge, .number(let value)), (.counter, .number(let value)):
                #expect(channel.plausible.contains(value), "\(channel.name) of \(value)")
            case (.state, .state(_, let reason)): #expect(reason.utf8.count <= 64)
            case (.event, .event(let name)):
                #expect(!name.isEmpty && name.utf8.count <= 64)
                if channel.name == "job" { #expect(JobOutcome(rawValue: name) != nil) }
            case (_, .unknown): break
            default: Issue.record("\(reading.value) on \(channel.name), which is a \(channel.kind.rawValue)")
            }
        }
    }
}
