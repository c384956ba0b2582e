// Commands reach the book wherever it is. SQLite's file has one user at a time, so a collector that runs carries them out
// itself; it listens on a Unix socket beside the file, which only its own user may use.
//
//     question   {"do":"add"|"list"|"rotate"|"disable"|"export", …}
//     answer     {"ok":…} or {"refused":"…"} or {"failed":"…"}, a line feed, and for an export the page

import City
import CityLink
import Model
import Ports

/// Carries out commands on a book.
enum AdminDesk {
    static func socketPath(of database: String) -> String { database + ".sock" }

    /// The answer to one question.
    static func answer(_ question: [UInt8], _ collector: Collector<SQLiteBook>, now: Instant) -> [UInt8] {
        guard let json = JSON(question) else { return line("failed", .string("the question is no JSON")) }
        if let export = RollupExport(json) {
            do throws(BookError) {
                let page = try export.page(of: collector.book)
                return line("ok", .object(["next": .optional(page.next?.description)])) + page.text
            } catch {
                return line("failed", .string(error.description))
            }
        }
        guard let command = LabCommand(json) else {
            return line("failed", .string("this collector does not know the command; is it of another version?"))
        }
        do throws(LabCommandFailure) {
            return line("ok", try collector.perform(command, token: Digest.randomToken(), now: now))
        } catch {
            switch error {
            case .refused(let reason): return line("refused", .string(reason))
            case .book(let reason): return line("failed", .string(reason))
            }
        }
    }

    private static func line(_ name: String, _ value: JSON) -> [UInt8] {
        JSON.object([JSON.Member(name, value)]).bytes + [10]
    }

    /// Asks the collector that runs on this book, or does it here where none runs.
    static func ask(_ question: JSON, database path: String) throws(ToolFailure) -> (answer: JSON, rest: [UInt8]) {
        var found = try elsewhere(question, path)
        if found == nil { found = try here(question, path) }
        let bytes = found ?? []
        guard let end = bytes.firstIndex(of: 10), let answer = JSON(Array(bytes[..<end])) else {
            throw ToolFailure(
                .unavailable, "the collector that runs on \(path) broke off; was it just stopped? Try again")
        }
        if let reason = answer["refused"]?.text { throw ToolFailure(.no, reason) }
        guard let value = answer["ok"] else {
            throw ToolFailure(.ioError, answer["failed"]?.text ?? "the collector that runs on \(path) gave no reason")
        }
        return (value, Array(bytes[(end + 1)...]))
    }

    private static func elsewhere(_ question: JSON, _ path: String) throws(ToolFailure) -> [UInt8]? {
        do throws(PortError) {
            return try LocalSocket.ask(socketPath(of: path), question.bytes)
        } catch  where error.code == 0 {
            // A path too long for a socket: no collector can listen there, either.
            return nil
        } catch {
            throw ToolFailure(.unavailable, error.description)
        }
    }

    private static func here(_ question: JSON, _ path: String) throws(ToolFailure) -> [UInt8] {
        let book = try FabCity.openBook(path)
        let collector = Collector(book: book, software: FabCity.version, sha256: { Digest.sha256($0) })
        return answer(question.bytes, collector, now: SystemClock().now().wall)
    }
}
