import Foundation
import Model
import Ports
import Testing

/// What `devices/README.md` says under "Add a device in five minutes", done to the letter.
private struct Page {
    /// Files by the path that stands before their fence, and what the shell is told, with what it should print.
    private(set) var files: [(path: String, text: String)] = []
    private(set) var commands: [(line: String, output: String)] = []

    init() throws {
        let page = try String(contentsOfFile: try Installation.find().devices + "/README.md", encoding: .utf8)
        let start = try #require(page.firstRange(of: "## Add a device in five minutes\n"))
        let end = try #require(page[start.upperBound...].firstRange(of: "\n## "))
        var fence: (language: String, lines: [String])?
        var path: String?
        for line in page[start.upperBound..<end.lowerBound].split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("```") {
                guard let (language, lines) = fence else {
                    fence = (String(line.dropFirst(3)), [])
                    continue
                }
                fence = nil
                let text = lines.joined(separator: "\n") + "\n"
                if language == "sh" {
                    commands += lines.map { ($0, "") }
                } else if let path {
                    files.append((path, text))
                } else {
                    commands[commands.count - 1].output = text
                }
                path = nil
            } else if fence != nil {
                fence?.lines.append(String(line))
            } else if line.hasSuffix("`:"), let tick = line.dropLast(2).lastIndex(of: "`") {
                path = String(line[line.index(after: tick)...].dropLast(2))
            }
        }
    }
}

@Suite(.serialized) struct DeviceFolderTests {
    /// A copy of the models, and nothing of ours in between: no Swift is built.
    private func copy() throws -> (folder: PrivateFolder, environment: [String]) {
        let folder = try PrivateFolder()
        let installed = try Installation.find()
        try FileManager.default.copyItem(atPath: installed.devices, toPath: "\(folder.path)/devices")
        try FileManager.default.createSymbolicLink(
            atPath: "\(folder.path)/pages", withDestinationPath: installed.pages)
        return (folder, ["env", "FABGATE_SHARE=\(folder.path)"])
    }

    private func write(_ text: String, to path: String) throws {
        let url = URL(fileURLWithPath: path)
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try text.write(to: url, atomically: true, encoding: .utf8)
    }

    @Test func thePageWorksToTheLetter() async throws {
        let page = try Page()
        #expect(page.files.count == 9 && page.commands.count == 3)
        let (folder, environment) = try copy()
        for (path, text) in page.files {
            try write(text, to: path == "fabgate.yaml" ? "\(folder.path)/\(path)" : "\(folder.path)/devices/\(path)")
        }
        for (index, command) in page.commands.enumerated() {
            // As it stands there, in the folder `devices`, or beside it for the configuration.
            let place = command.line.contains("<") ? "\(folder.path)/devices" : folder.path
            let line = command.line.replacing("fabgate ", with: try Program.find("fabgate") + " ", maxReplacements: 1)
            let program = try Program(
                environment + ["/bin/sh", "-c", "cd '\(place)' && \(line)"], in: folder, name: "step\(index)")
            #expect(try await program.status() == 0, "\(command.line): \(program.log)")
            if command.output.isEmpty {
                #expect(program.log.contains("mill-meter") && program.log.contains("kettle"))
            } else {
                #expect(program.log == command.output)
            }
        }
    }

    @Test func modelsOfALabsOwnStandOutside() async throws {
        let page = try Page()
        let folder = try PrivateFolder()
        for (path, text) in page.files where path.contains("acme-plug") {
            try write(text, to: folder.path + "/own/" + path.replacing("plugs/models/", with: ""))
        }
        let drivers = try Program(
            ["env", "FABGATE_MODELS=\(folder.path)/own", try Program.find("fabgate"), "drivers"], in: folder,
            name: "drivers")
        #expect(try await drivers.status() == 0)
        #expect(drivers.log.contains("model acme-plug  ACME plug (own)"))
        let missing = try Program(
            ["env", "FABGATE_MODELS=/nowhere/at/all", try Program.find("fabgate"), "drivers"], in: folder,
            name: "missing")
        #expect(try await missing.status() != 0)
        #expect(missing.log.contains("FABGATE_MODELS"))
    }

    @Test func aProfileWithAMistakeSaysWhere() async throws {
        let (folder, environment) = try copy()
        try write("title: X\ndriver: modbus-rt\n", to: "\(folder.path)/devices/meters/models/x-1/profile.yaml")
        let drivers = try Program(
            environment + [try Program.find("fabgate"), "drivers"], in: folder, name: "drivers")
        #expect(try await drivers.status() == 78)
        #expect(drivers.log.contains("x-1/profile.yaml:2:9: no driver is called 'modbus-rt'"))
    }
}
