import Foundation
import Model
import Testing

/// What `devices/printers/README.md` says of the recordings is so: every case that makes a job too many or too few is
/// there for every protocol, and each recording holds exactly the jobs that are written beside it.
@Suite struct PrinterRecordingsTests {
    struct Row: Sendable, CustomTestStringConvertible {
        let model: String
        let recording: String
        let cases: [String]
        let jobs: [String]
        var testDescription: String { "\(model)/\(recording)" }
    }

    static let rows: [Row] = {
        let url = ModelFolder.devices.appendingPathComponent("printers/README.md")
        let text = (try? String(contentsOf: url, encoding: .utf8)) ?? ""
        let table = text.components(separatedBy: "| model | recording |").last ?? ""
        return table.split(separator: "\n").dropFirst(2).compactMap { line in
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            guard line.hasPrefix("|"), cells.count == 4 else { return nil }
            return Row(
                model: cells[0], recording: cells[1], cases: cells[2].components(separatedBy: ", "),
                jobs: cells[3].components(separatedBy: " "))
        }
    }()

    @Test func everyProtocolShowsEveryCase() {
        #expect(Self.rows.count >= 20)
        let printers = ModelFolder.all.filter { $0.family == "printers" }
        for printer in printers {
            let rows = Self.rows.filter { $0.model == printer.name }
            #expect(
                Set(rows.map(\.recording))
                    == Set(printer.recordings.map { $0.url.deletingPathExtension().lastPathComponent }),
                "\(printer.name): the table names all its recordings")
            let cases = Set(rows.flatMap(\.cases))
            for wanted in ["baseline", "cancel", "reconnect", "leftovers"] {
                #expect(cases.contains(wanted), "\(printer.name) has no recording of \(wanted)")
            }
            #expect(cases.contains("deltas") || cases.contains("whole reports"), "\(printer.name)")
        }
        #expect(Set(Self.rows.map(\.model)) == Set(printers.map(\.name)))
    }

    @Test(arguments: rows) func aRecordingHoldsExactlyItsJobs(_ row: Row) throws {
        let recording = try #require(
            Recording.all.first {
                $0.model.name == row.model && $0.url.deletingPathExtension().lastPathComponent == row.recording
            })
        let (driver, info) = try recording.model.makeDriver()
        var decoder = Decoder(driver: driver, info: info, device: row.model)
        var said: [String] = []
        for line in try recording.lines() { decoder.feed(line) { said.append(String(decoding: $0, as: UTF8.self)) } }
        said = said.filter { $0.contains(#""channel":"job""#) }
        let jobs = said.compactMap { JSON($0)?["value"]?.text }
        #expect(jobs == row.jobs, "\(said)")
    }
}
