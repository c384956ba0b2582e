import Hub
import Model
import Ports

/// Asks devices over HTTP: carries out what drivers want to know, with the address and the credentials of the
/// configuration, which no driver sees.
final class Asker {
    /// What became of a question.
    enum Result {
        case answer(status: Int, [UInt8])
        case noAnswer(String)
    }

    /// A device tells kilobytes; one that sends more is no such device.
    private static let longestAnswer = 256 * 1024

    private let client: HTTPClient
    private let places: [Place]
    private let onResult: (_ endpoint: Int, _ number: UInt64, _ path: String, Result) -> Void

    private struct Place {
        let url: String
        let login: HTTPClient.Login?
        let headers: [(String, String)]
        let tls: HTTPClient.ClientTLS?

        init(_ endpoint: Configuration.Endpoint) throws {
            url = endpoint.url
            login = try endpoint.passwordFile.map {
                HTTPClient.Login(user: endpoint.username ?? "", password: try Files.secret($0))
            }
            // OctoPrint and PrusaLink both call it so.
            headers = try endpoint.apiKeyFile.map { [("X-Api-Key", try Files.secret($0))] } ?? []
            tls = endpoint.tls.map { HTTPClient.ClientTLS(caFile: $0.ca, certFile: $0.cert, keyFile: $0.key) }
        }
    }

    /// Reads the files of passwords and keys; throws where one cannot be read. `onResult` is called on the loop, once for
    /// each question.
    init(
        _ configuration: Configuration, loop: Loop,
        onResult: @escaping (_ endpoint: Int, _ number: UInt64, _ path: String, Result) -> Void
    ) throws {
        client = HTTPClient(loop: loop)
        places = try configuration.endpoints.map { try Place($0) }
        self.onResult = onResult
    }

    func ask(endpoint: Int, number: UInt64, path: String, headers: [String], timeout: Model.Duration) {
        let place = places[endpoint]
        var request = HTTPClient.Outgoing(url: place.url + path)
        request.headers = place.headers + headers.compactMap(Self.header)
        request.login = place.login
        request.tls = place.tls
        request.connectTimeout = timeout
        request.totalTimeout = timeout
        request.maxAnswerBytes = Self.longestAnswer
        client.send(request) { [unowned self] result in
            switch result {
            case .success(let answer):
                onResult(endpoint, number, path, .answer(status: answer.status, answer.body))
            case .failure(let failure): onResult(endpoint, number, path, .noAnswer(failure.description))
            }
        }
    }

    private static func header(_ line: String) -> (String, String)? {
        guard let colon = line.firstIndex(of: ":") else { return nil }
        let value = line[line.index(after: colon)...].drop { $0 == " " }
        return (String(line[..<colon]), String(value))
    }
}
