// The city's page: plain HTML without scripts, in Korean and English, every text escaped.

import CityLink
import Model

/// A page that was made a moment ago.
struct CityPageCache: Sendable {
    let body: [UInt8]
    let isPublic: Bool
    let made: Instant
}

enum CityPage {
    /// In public a sum stands for at least so many labs; a smaller one would tell what a single lab did.
    static let minimumLabs = 3

    static func answer(_ body: [UInt8]) -> CityAnswer {
        CityAnswer(
            contentType: "text/html; charset=utf-8",
            headers: [
                (
                    "Content-Security-Policy",
                    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
                ), ("Cache-Control", "no-store"),
            ],
            body: body)
    }

    static var styleAnswer: CityAnswer {
        CityAnswer(
            contentType: "text/css; charset=utf-8", headers: [("Cache-Control", "max-age=3600")],
            body: Array(style.utf8))
    }

    static func html(_ figures: CityFigures, labs: [LabRecord], isPublic: Bool, now: Instant) -> [UInt8] {
        var page = """
            <!doctype html>
            <html lang="ko">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>도시 제작소 · City workshops</title>
            <link rel="stylesheet" href="/style.css">
            </head>
            <body>
            <h1>도시 제작소 <span lang="en">City workshops</span></h1>
            \(age(figures, now))

            """
        let least = isPublic ? minimumLabs : 1
        page += table(
            "최근 7일", "Last days", first: ("날짜", "Day"),
            figures.days.sorted { $0.key > $1.key }.map { ($0.key.description, $0.value) }, least)
        page += table(
            "기계 종류별", "By kind of machine", first: ("종류", "Kind"),
            figures.classes.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }, least)
        if isPublic {
            page += note(
                "\(minimumLabs)곳 미만의 합계는 공개하지 않습니다 (—).",
                "Sums of fewer than \(minimumLabs) workshops are not shown (—).")
        }
        page += labList(labs, isPublic: isPublic, now)
        page += """
            <p><a href="/v1/openapi.json">API</a></p>
            </body>
            </html>

            """
        return Array(page.utf8)
    }

    /// How old what stands here is.
    private static func age(_ figures: CityFigures, _ now: Instant) -> String {
        guard let end = figures.newestEnd, let received = figures.newestReceived else {
            return note("아직 받은 자료가 없습니다.", "Nothing has been received yet for the last days.")
        }
        let text = note(
            "가장 새로운 자료는 \(end)까지이며 \(span(now - received).korean) 전에 받았습니다. 이 페이지: \(now)",
            "The newest figures run to \(end) and came \(span(now - received).english) ago. This page: \(now)")
        guard figures.windows >= CityFigures.mostWindows else { return text }
        return text
            + note("자료가 많아 일부만 더했습니다.", "There is more than this page adds up; the sums are not complete.")
    }

    private static func table(
        _ korean: String, _ english: String, first: (String, String), _ rows: [(String, CityFigures.Cell)],
        _ least: Int
    ) -> String {
        guard !rows.isEmpty else { return "" }
        let heads = [
            first, ("제작소", "Workshops"), ("기계", "Machines"), ("가동 시간", "Running h"), ("전력 kWh", "Energy kWh"),
            ("완료한 작업", "Jobs done"), ("만든 것", "Items"), ("투입 kg", "Material in kg"),
            ("제품 kg", "Products kg"), ("파악된 비율", "Known"),
        ]
        var text = "<h2>\(korean) <span lang=\"en\">\(english)</span></h2>\n<table>\n<thead><tr>"
        for (korean, english) in heads {
            text += "<th scope=\"col\">\(korean)<span lang=\"en\">\(english)</span></th>"
        }
        text += "</tr></thead>\n<tbody>\n"
        for (name, cell) in rows {
            text += "<tr><th scope=\"row\">\(escape(name))</th>"
            for figure in cell.labs.count >= least ? figures(cell) : [String?](repeating: nil, count: heads.count - 1) {
                text += "<td>\(figure ?? "—")</td>"
            }
            text += "</tr>\n"
        }
        return text + "</tbody>\n</table>\n"
    }

    private static func figures(_ cell: CityFigures.Cell) -> [String?] {
        let totals = cell.totals
        return [
            "\(cell.labs.count)", "\(cell.machines.values.reduce(0, +))", tenths(totals[.running], per: 3_600_000),
            totals.energyMilliwattHours.map { tenths($0, per: 1_000_000) }, totals[.completed].map { "\($0)" },
            totals.items.map { "\($0)" }, kilograms(totals.massIn), kilograms(totals.massProduct),
            cell.whole > 0 ? "\(Int(Double(cell.known) / Double(cell.whole) * 100)) %" : nil,
        ]
    }

    private static func kilograms(_ milligrams: [String: Int64]) -> String? {
        milligrams.isEmpty
            ? nil
            : tenths(milligrams.values.reduce(0) { $0.addingReportingOverflow($1).partialValue }, per: 1_000_000)
    }

    /// With one decimal.
    private static func tenths(_ value: Int64, per unit: Int64) -> String {
        let tenths = value / (unit / 10)
        return "\(tenths / 10).\(abs(tenths % 10))"
    }

    /// In public the labs are named with the age of their last word, which tells nothing of what they do.
    private static func labList(_ labs: [LabRecord], isPublic: Bool, _ now: Instant) -> String {
        guard !labs.isEmpty else {
            return note("등록된 제작소가 없습니다.", "No workshop is enrolled; fabcity lab add enrols one.")
        }
        var text = "<h2>제작소 <span lang=\"en\">Workshops</span></h2>\n<ul>\n"
        for lab in labs.prefix(500) where !lab.isDisabled || !isPublic {
            var state = "<span class=\"quiet\">아직 없음 · nothing yet</span>"
            if let received = lab.lastReceived {
                let ago = span(now - received)
                state = "<span>\(ago.korean) 전 · \(ago.english) ago</span>"
            }
            if lab.isDisabled { state += " <span class=\"quiet\">중지됨 · disabled</span>" }
            text += "<li>\(escape(lab.name)) \(state)</li>\n"
        }
        return text + "</ul>\n"
    }

    private static func note(_ korean: String, _ english: String) -> String {
        "<p>\(korean)<br><span lang=\"en\">\(english)</span></p>\n"
    }

    private static func span(_ length: Duration) -> (korean: String, english: String) {
        let seconds = max(0, length.milliseconds / 1000)
        return switch seconds {
        case ..<120: ("\(seconds)초", "\(seconds) s")
        case ..<7200: ("\(seconds / 60)분", "\(seconds / 60) min")
        case ..<172_800: ("\(seconds / 3600)시간", "\(seconds / 3600) h")
        default: ("\(seconds / 86_400)일", "\(seconds / 86_400) days")
        }
    }

    static func escape(_ text: String) -> String {
        var escaped = ""
        for character in text.unicodeScalars {
            switch character {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            default: escaped.unicodeScalars.append(character)
            }
        }
        return escaped
    }

    private static let style = """
        :root { color-scheme: light dark; }
        body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
        [lang=en] { opacity: .75; font-size: .9em; }
        table { border-collapse: collapse; display: block; overflow-x: auto; }
        th, td { padding: .3rem .7rem; border-bottom: 1px solid #8885; text-align: right; }
        th[scope=row], thead th:first-child { text-align: left; }
        thead th [lang=en] { display: block; font-weight: normal; }
        .quiet { opacity: .7; }

        """
}
