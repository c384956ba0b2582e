import Foundation
import Ports
import Testing

/// Headless Chromium, spoken to through the pipes of its debugging protocol.
final class Browser {
    private let process: ChildProcess
    private let requests: FileHandle
    private let answers: FileHandle
    private var buffer = Data()
    private var number = 0
    private var session = ""

    init(in folder: PrivateFolder, width: Int = 1200, height: Int = 900, language: String = "en") throws {
        let input = "\(folder.path)/browser.in"
        let output = "\(folder.path)/browser.out"
        guard mkfifo(input, 0o600) == 0, mkfifo(output, 0o600) == 0 else { throw NeverCame(what: "a named pipe") }
        let chromium = try Program.find("chromium")
        // The browser reads from descriptor 3 and writes to 4.
        process = try ChildProcess(
            "/bin/sh",
            [
                "-c",
                "exec '\(chromium)' --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run "
                    + "--window-size=\(width),\(height) --lang=\(language) --accept-lang=\(language) "
                    + "--user-data-dir='\(folder.path)/profile' --remote-debugging-pipe "
                    + "3<'\(input)' 4>'\(output)'",
            ], output: .file("\(folder.path)/browser.log"))
        requests = try #require(FileHandle(forWritingAtPath: input))
        answers = try #require(FileHandle(forReadingAtPath: output))
    }

    deinit {
        process.kill(SIGTERM)
        _ = process.wait()
    }

    func open(_ url: String) throws {
        let target = try call("Target.createTarget", ["url": url])
        let id = try #require(target["targetId"] as? String)
        let attached = try call("Target.attachToTarget", ["targetId": id, "flatten": true])
        session = try #require(attached["sessionId"] as? String)
    }

    /// The value of a JavaScript expression, as text; nil where it is null or there is no page yet.
    func evaluate(_ expression: String) throws -> String? {
        // A page that is only being loaded has nothing to evaluate in.
        guard let answer = try? call("Runtime.evaluate", ["expression": "String(\(expression))"]) else { return nil }
        let value = (answer["result"] as? [String: Any])?["value"] as? String
        return value == "null" || value == "undefined" ? nil : value
    }

    /// The text of the first element that a selector finds.
    func text(_ selector: String) throws -> String? {
        try evaluate("document.querySelector('\(selector)')?.textContent.trim()")
    }

    func screenshot() throws -> Data {
        let answer = try call("Page.captureScreenshot", ["format": "png"])
        let text = try #require(answer["data"] as? String)
        return try #require(Data(base64Encoded: text))
    }

    private func call(_ method: String, _ parameters: [String: Any]) throws -> [String: Any] {
        number += 1
        var message: [String: Any] = ["id": number, "method": method, "params": parameters]
        if !session.isEmpty { message["sessionId"] = session }
        requests.write(try JSONSerialization.data(withJSONObject: message) + [0])
        while true {
            let answer = try next()
            guard answer["id"] as? Int == number else { continue }
            if let error = answer["error"] { throw NeverCame(what: "\(method): \(error)") }
            return answer["result"] as? [String: Any] ?? [:]
        }
    }

    /// One message; they are parted by a zero byte.
    private func next() throws -> [String: Any] {
        while true {
            if let end = buffer.firstIndex(of: 0) {
                let message = buffer[buffer.startIndex..<end]
                buffer.removeSubrange(buffer.startIndex...end)
                return try JSONSerialization.jsonObject(with: message) as? [String: Any] ?? [:]
            }
            let more = answers.availableData
            guard !more.isEmpty else { throw NeverCame(what: "an answer of the browser") }
            buffer += more
        }
    }
}
