// YAML files become values with their places, and mistakes become messages that a maker can follow.

import Model
import Ports
import Testing

@Suite struct YamlTests {
    /// A document as text, with line:column before each value: `1:1{1:1a=1:4<plain> 2:1b=2:4'quoted'}`.
    private func outline(_ document: Document) -> String {
        let place = "\(document.position.line):\(document.position.column)"
        switch document.content {
        case .null: return place + "null"
        case .scalar(let text, let isQuoted): return place + (isQuoted ? "'\(text)'" : "<\(text)>")
        case .list(let items): return place + "[" + items.map(outline).joined(separator: " ") + "]"
        case .map(let entries):
            let members = entries.map {
                "\($0.keyPosition.line):\($0.keyPosition.column)\($0.key)=" + outline($0.value)
            }
            return place + "{" + members.joined(separator: " ") + "}"
        }
    }

    @Test(arguments: [
        ("a: 1", "1:1{1:1a=1:4<1>}"),
        ("a: \"1\"\nb: '2'", "1:1{1:1a=1:4'1' 2:1b=2:4'2'}"),
        ("list:\n  - x\n  - {k: v}", "1:1{1:1list=2:3[2:5<x> 3:5{3:6k=3:9<v>}]}"),
        ("a: ~\nb:\nc: null\nd: 'null'", "1:1{1:1a=1:4null 2:1b=2:3null 3:1c=3:4null 4:1d=4:4'null'}"),
        ("e: nullable", "1:1{1:1e=1:4<nullable>}"),
        ("이름: 레이저 절단기 # words\n  # more", "1:1{1:1이름=1:5<레이저 절단기>}"),
        ("text: |\n  one\n  two\n", "1:1{1:1text=1:7'one\ntwo\n'}"),
        ("a: !!str 5\nb: !!int 5", "1:1{1:1a=1:4'5' 2:1b=2:4<5>}"),
        ("base: &b {x: 1}\nuse: *b", "1:1{1:1base=1:7{1:11x=1:14<1>} 2:1use=1:7{1:11x=1:14<1>}}"),
        ("\u{FEFF}a: 1\r\nb: 2\r\n", "1:1{1:1a=1:4<1> 2:1b=2:4<2>}"),
        ("[1, 2]", "1:1[1:2<1> 1:5<2>]"),
        ("", "1:1{}"), ("# only words\n", "1:1{}"), ("---\n", "2:1{}"), ("~", "1:1{}"),
    ])
    func everyValueKnowsItsPlace(text: String, expected: String) throws {
        #expect(outline(try YAML.parse(text, file: "f")) == expected)
    }

    @Test(arguments: [
        ("a: 1\nb: [1, 2\nc: 3", 3, 2, "',' or ']'"),
        ("a:\n\tb: 1", 2, 1, "tab"),
        ("lab: x: y", 1, 7, "quote text that holds ': '"),
        ("a: 1\n---\nb: 2", 2, 1, "second document"),
        ("a: *nobody", 1, 4, "named '&nobody'"),
        ("bass: &bass 1\na: *bas", 2, 4, "did you mean 'bass'"),
        ("a: &x [1, *x]", 1, 11, "without end"),
        ("password: !secret mqtt", 1, 11, "'!secret' means nothing here"),
        ("a: \"open\nb: 1", 2, 5, "that starts on line 1"),
        ("? [a]\n: 1", 1, 3, "a key must be plain text"),
        ("a: @x", 1, 4, "cannot start any token"),
    ])
    func aMistakeIsSaidWithItsPlace(text: String, line: Int, column: Int, words: String) {
        do {
            let document = try YAML.parse(text, file: "lab.yaml")
            Issue.record("read as \(outline(document))")
        } catch {
            #expect(error.description.contains(words), "\(error)")
            #expect(error.problem.position == Position(file: "lab.yaml", line: line, column: column), "\(error)")
        }
    }

    @Test func aFewAliasesCannotFillTheMemory() {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1...12 {
            let uses = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
            text += "a\(level): &a\(level) [\(uses)]\n"
        }
        #expect { try YAML.parse(text, file: "f") } throws: { "\($0)".contains("more than 100000 values") }
    }

    @Test func depthIsBoundedAlsoThroughAliases() throws {
        func nested(_ depth: Int, around middle: String = "") -> String {
            String(repeating: "[", count: depth) + middle + String(repeating: "]", count: depth)
        }
        _ = try YAML.parse(nested(60), file: "f")
        _ = try YAML.parse("a: &a \(nested(30))\nb: \(nested(30, around: "*a"))", file: "f")
        #expect { try YAML.parse(nested(100), file: "f") } throws: { "\($0)".contains("more than 64 deep") }
        #expect { try YAML.parse(nested(100_000), file: "f") } throws: { "\($0)".contains("f:1:") }
        #expect {
            try YAML.parse("a: &a \(nested(40))\nb: \(nested(30, around: "*a"))", file: "f")
        } throws: { "\($0)".contains("more than 64 deep") }
    }

    @Test func aFileIsReadOrSaysWhyNot() throws {
        let folder = try TemporaryFolder()
        let good = try folder.write("good.yaml", Array("a: 1\n".utf8))
        #expect(outline(try YAML.load(path: good)) == "1:1{1:1a=1:4<1>}")

        let missing = folder.path + "/none.yaml"
        #expect { try YAML.load(path: missing) } throws: {
            "\($0)".hasPrefix("\(missing):1:1: cannot read this file") && "\($0)".contains("No such file")
        }
        let long = try folder.write("long.yaml", [UInt8](repeating: 35, count: YAML.longestFile + 1))
        #expect { try YAML.load(path: long) } throws: { "\($0)".contains("longer than 4 MiB") }
        #expect { try YAML.load(path: folder.path) } throws: { "\($0)".contains("Is a directory") }
        let latin = try folder.write("latin.yaml", Array("a: 1\nb: caf".utf8) + [0xE9, 10])
        #expect { try YAML.load(path: latin) } throws: {
            "\($0)".contains("latin.yaml:2:7") && "\($0)".contains("save the file as UTF-8")
        }
    }

    @Test func sectionsAreToldAsSoonAsTheyAreRead() throws {
        let folder = try TemporaryFolder()
        let text = "store: { path: /a }\nlab:\n  name: x\nstore: { path: /b }\n"
        var heard: [String] = []
        let whole = try YAML.load(path: folder.write("whole.yaml", Array(text.utf8))) { key, value in
            heard.append("\(key) \(outline(value))")
        }
        let entries = ["store 1:8{1:10path=1:16</a>}", "lab 3:3{3:3name=3:9<x>}", "store 4:8{4:10path=4:16</b>}"]
        #expect(heard == entries)
        #expect(whole["lab"]?["name"].map(outline) == "3:9<x>")
        #expect(whole["store"]?["name"] == nil)

        heard = []
        let broken = try folder.write("broken.yaml", Array((text + "devices: [").utf8))
        #expect(throws: YAMLError.self) {
            try YAML.load(path: broken) { key, value in heard.append("\(key) \(outline(value))") }
        }
        #expect(heard == entries)
    }

    /// Whatever a file holds, it is a document or a message.
    @Test(arguments: 0..<200) func anythingIsReadOrRefused(seed: UInt64) {
        var random = SplitMix(seed: seed)
        let pieces =
            "a : # \n - [ ] { } , &a *a ! | > ' \" ? \t é --- % \\".split(separator: " ").map(String.init) + [" "]
        let text = (0..<Int.random(in: 0..<60, using: &random)).map { _ in pieces.randomElement(using: &random) ?? "" }
        do {
            _ = outline(try YAML.parse(text.joined(), file: "f"))
        } catch {
            #expect(error.problem.position.line >= 1 && error.problem.position.column >= 1)
            #expect(!error.problem.message.isEmpty)
        }
    }
}
