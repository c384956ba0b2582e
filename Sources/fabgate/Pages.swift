import Ports

/// The dashboard's files: a fixed map from paths to files, so that no path of a request ever reaches the file system.
struct Pages: Sendable {
    let folder: String

    private static let own: [String: (file: String, type: String)] = [
        "/": ("index.html", "text/html; charset=utf-8"),
        "/app.js": ("app.js", "text/javascript; charset=utf-8"),
        "/figures.js": ("figures.js", "text/javascript; charset=utf-8"),
        "/press.js": ("press.js", "text/javascript; charset=utf-8"),
        "/print.js": ("print.js", "text/javascript; charset=utf-8"),
        "/style.css": ("style.css", "text/css; charset=utf-8"),
        "/api/v1/openapi.json": ("openapi.json", "application/json"),
    ]
    /// From Debian's libjs-dygraphs.
    private static let vendor: [String: (file: String, type: String)] = [
        "/vendor/dygraphs.min.js": ("/usr/share/javascript/dygraphs/dygraph.min.js", "text/javascript; charset=utf-8"),
        "/vendor/dygraph.min.css": ("/usr/share/javascript/dygraphs/dygraph.min.css", "text/css; charset=utf-8"),
    ]

    /// The file that a request asks for; nil where it asks for something else.
    func response(_ request: HTTPRequest) -> HTTPResponse? {
        guard request.method == "GET" || request.method == "HEAD" else { return nil }
        if let own = Self.own[request.path] { return file("\(folder)/\(own.file)", own.type) }
        if let vendor = Self.vendor[request.path] { return file(vendor.file, vendor.type) }
        return nil
    }

    private func file(_ path: String, _ type: String) -> HTTPResponse {
        secured(
            HTTPResponse(
                status: 200, headers: [("Content-Type", type), ("Cache-Control", "no-cache")], body: .file(path: path)))
    }

    /// What every answer says about how a browser may use it.
    func secured(_ response: HTTPResponse) -> HTTPResponse {
        var response = response
        response.headers += [
            (
                "Content-Security-Policy",
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
                    + "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
            ),
            ("Referrer-Policy", "no-referrer"), ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
        ]
        return response
    }
}
