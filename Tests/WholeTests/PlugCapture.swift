import Model

/// What Tasmota plugs said for three hours, as a capture: each half minute, 20 minutes of each hour at 800 W, 20 at 2 W
/// and 20 at 30 W.
enum PlugCapture {
    /// `topic` says whose word a half minute's is.
    static func text(from start: Instant, topic: (Int) -> String) -> String {
        var energy: [String: Double] = [:]
        return (0..<360).map { half in
            let watts = half / 2 % 60 < 20 ? 800.0 : half / 2 % 60 < 40 ? 2 : 30
            let total = (energy[topic(half)] ?? 100) + watts / 120_000
            energy[topic(half)] = total
            let shown = (total * 1000).rounded() / 1000
            let payload = "{\"ENERGY\":{\"Total\":\(shown),\"Power\":\(Int(watts)),\"Voltage\":219,\"Current\":1}}"
            let line = CaptureLine(
                time: start + .seconds(Int64(half) * 30),
                .mqtt(topic: "tele/\(topic(half))/SENSOR", payload: Array(payload.utf8), retained: false))
            return String(decoding: line.bytes, as: UTF8.self) + "\n"
        }.joined()
    }
}
