import Foundation
import Testing

// The house rules that the compiler does not know.

private let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

/// A source file and what it imports.
private struct SourceFile: CustomTestStringConvertible {
    let path: String
    let text: String

    var testDescription: String { path }

    var imports: [String] {
        text.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ").filter { !$0.hasPrefix("@") }
            guard let index = words.firstIndex(of: "import"), index <= 1, index + 1 < words.count,
                index == 0 || ["package", "public", "internal", "private"].contains(words[0])
            else { return nil }
            return String(words[index + 1])
        }
    }

    static func below(_ folder: String) -> [SourceFile] {
        let base = root.appendingPathComponent(folder)
        guard let walk = FileManager.default.enumerator(at: base, includingPropertiesForKeys: nil) else { return [] }
        return walk.compactMap { $0 as? URL }.filter { $0.pathExtension == "swift" }.sorted { $0.path < $1.path }
            .compactMap { url in
                guard let text = try? String(contentsOf: url, encoding: .utf8) else { return nil }
                return SourceFile(path: String(url.path.dropFirst(root.path.count + 1)), text: text)
            }
    }
}

/// What a module may import beside Swift itself.
private let allowed: [String: Set<String>] = [
    "Model": [],
    // Synchronization is part of the standard library: an atomic number that readers on other threads look at.
    "Store": ["Model", "Synchronization"],
    "Usage": ["Model"],
    "CityLink": ["Model"],
    "Simulation": ["Model", "Store", "Synchronization"],
    "Hub": ["Model", "Store", "Usage", "CityLink"],
    "Web": ["Model", "Store", "Usage", "CityLink", "Hub"],
    "City": ["Model", "CityLink"],
]

@Suite struct HouseRules {
    @Test(arguments: allowed.keys.sorted()) func pureModulesImportOnlyWhatTheyMay(module: String) throws {
        let files = SourceFile.below("Sources/\(module)")
        try #require(!files.isEmpty)
        for file in files {
            let extra = Set(file.imports).subtracting(allowed[module] ?? [])
            #expect(extra.isEmpty, "\(file.path) imports \(extra.sorted()); \(module) computes and touches no system")
        }
    }

    @Test func driversSeeModelAlone() throws {
        let files = SourceFile.below("devices")
        try #require(!files.isEmpty)
        for file in files {
            let extra = Set(file.imports).subtracting(["Model"])
            #expect(extra.isEmpty, "\(file.path) imports \(extra.sorted()); a driver has no clock, store or socket")
        }
    }

    @Test func pureModulesAreBuiltWithStrictMemorySafety() throws {
        let manifest = try String(contentsOf: root.appendingPathComponent("Package.swift"), encoding: .utf8)
        #expect(manifest.contains("let pure: [SwiftSetting] = edge + [.strictMemorySafety()]"))
        // Families go through one function; the others say it themselves.
        let family = try #require(manifest.firstRange(of: "func family("))
        let end = try #require(manifest[family.upperBound...].firstRange(of: "\n}"))
        #expect(manifest[family.upperBound..<end.lowerBound].contains("swiftSettings: pure"))
        for module in allowed.keys {
            let start = try #require(
                manifest.firstRange(of: ".target(name: \"\(module)\"") ?? manifest.firstRange(of: "name: \"\(module)\"")
            )
            let settings = try #require(manifest[start.upperBound...].firstRange(of: "swiftSettings: "))
            #expect(
                manifest[settings.upperBound...].hasPrefix("pure"), "\(module) is built without strict memory safety")
        }
        let folders = try FileManager.default.contentsOfDirectory(atPath: root.appendingPathComponent("devices").path)
        for folder in folders where folder != "README.md" && !folder.hasPrefix(".") {
            #expect(manifest.contains(", \"\(folder)\")"), "devices/\(folder) is no family of the manifest")
        }
        for file in SourceFile.below("devices") {
            #expect(!file.text.contains("unsafe "), "\(file.path) takes a pointer")
        }
    }

    @Test func everyModelStandsInTheTable() throws {
        let table = try String(contentsOf: root.appendingPathComponent("devices/README.md"), encoding: .utf8)
        let devices = root.appendingPathComponent("devices")
        for family in try FileManager.default.contentsOfDirectory(atPath: devices.path) where !family.hasPrefix(".") {
            let models = devices.appendingPathComponent("\(family)/models")
            for model in (try? FileManager.default.contentsOfDirectory(atPath: models.path)) ?? []
            where !model.hasPrefix(".") {
                #expect(
                    table.contains("(\(family)/models/\(model)/README.md)"),
                    "devices/README.md lacks \(family)/\(model)")
            }
        }
    }

    @Test func onlyPortsSeesCLibraries() {
        // Peers in the benchmark are called as a C program would call them.
        for file in SourceFile.below("Sources")
        where !file.path.hasPrefix("Sources/Ports/") && !file.path.hasPrefix("Sources/Bench/StorePeers") {
            let libraries = file.imports.filter {
                $0.hasPrefix("C") && Array($0).dropFirst().first?.isUppercase == true
            }
            #expect(libraries.isEmpty, "\(file.path) imports \(libraries); C libraries are for Ports alone")
        }
    }

    @Test func productDoesWithoutFoundation() {
        for file in SourceFile.below("Sources") + SourceFile.below("devices") {
            #expect(!file.imports.contains("Foundation"), "\(file.path): Foundation costs 44 MB of binary")
        }
    }

    @Test func manifestHasNoDependency() throws {
        let manifest = try String(contentsOf: root.appendingPathComponent("Package.swift"), encoding: .utf8)
        for form in [".package(url", ".package(path", ".package(name", ".package(id"] {
            #expect(!manifest.contains(form), "Swift packages are not used here")
        }
    }

    @Test func topLevelStaysAsItIs() throws {
        let known: Set<String> = ["Package.swift", "Sources", "Tests", "README.md", "devices", "deploy"]
        let visible = try FileManager.default.contentsOfDirectory(atPath: root.path).filter {
            !$0.hasPrefix(".") && $0 != "Package.resolved"
        }
        #expect(Set(visible) == known)
    }

    @Test func nothingIsLeftForLater() {
        // Put together here, so that this file does not find itself.
        let words = ["TO" + "DO", "FIX" + "ME", "XX" + "X:", "HA" + "CK"]
        for file in SourceFile.below("Sources") + SourceFile.below("devices") + SourceFile.below("Tests") {
            for word in words { #expect(!file.text.contains(word), "\(file.path) has a \(word)") }
        }
    }

    /// All tests run in one process at the same time: what one of them sets for the process, the others meet.
    @Test func noTestChangesTheProcess() {
        let calls = ["set" + "env(", "put" + "env(", "u" + "mask(", "ch" + "dir("]
        for file in SourceFile.below("Tests") {
            for call in calls { #expect(!file.text.contains(call), "\(file.path) calls \(call)…)") }
        }
    }

    @Test func everyFileOpensWithWords() {
        for file in SourceFile.below("Sources") + SourceFile.below("devices") where !file.path.hasSuffix("/main.swift")
        {
            #expect(file.text.contains("//"), "\(file.path) says nowhere what it is for")
        }
    }

    @Test func filesAreShortEnoughToRead() {
        for file in SourceFile.below("Sources") + SourceFile.below("devices") {
            let lines = file.text.split(separator: "\n", omittingEmptySubsequences: false).count
            #expect(lines <= 550, "\(file.path) has \(lines) lines; is it two things?")
        }
    }
}
