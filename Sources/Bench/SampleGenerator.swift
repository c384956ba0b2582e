import Model

/// A day of a lab as meters see it, from a seed: by number mod 10, series 0–1 are energy counters, 2–4 loads that are
/// mostly off, 5–6 constant stand-by with blips, 7 printers that fluctuate for hours, 8 line voltage, 9 temperature.
/// Times have millisecond jitter; one in a hundred is late by up to 0.4 s, one in a thousand is missing.
struct SampleGenerator {
    private struct Source {
        var random: UInt64
        var tick: Int64 = 0
        var left = 0
        var isOn = false
        var level = 0
        var sum = 0
    }

    let interval: Int64
    let start: Int64
    private var sources: [Source]

    init(series: Int, interval: Int64, start: Int64, seed: UInt64) {
        self.interval = interval
        self.start = start
        sources = (0..<series).map { Source(random: seed &* 0x2545_F491_4F6C_DD1D &+ UInt64($0) &* 0x9E37_79B9) }
        for index in sources.indices {
            sources[index].left = Int(SampleGenerator.roll(&sources[index]) % 400)
            sources[index].isOn = SampleGenerator.roll(&sources[index]) % 4 == 0
            sources[index].level = 50 + Int(SampleGenerator.roll(&sources[index]) % 4000)
            if index % 10 == 7 { sources[index].level = 1100 + sources[index].level % 600 }
            if index % 10 < 2 { sources[index].sum = Int(SampleGenerator.roll(&sources[index]) % 5_000_000_000) }
        }
    }

    private static func roll(_ source: inout Source) -> UInt64 {
        source.random ^= source.random << 13
        source.random ^= source.random >> 7
        source.random ^= source.random << 17
        return source.random &* 0x2545_F491_4F6C_DD1D >> 16
    }

    /// The next sample of one series.
    mutating func next(_ index: Int) -> (time: Int64, number: Double) {
        let phase = start + Int64(index) * interval / Int64(sources.count)
        let time = SampleGenerator.time(&sources[index], interval) + phase
        return (time, Double(SampleGenerator.tenths(index % 10, &sources[index], interval)) / 10)
    }

    private static func time(_ source: inout Source, _ interval: Int64) -> Int64 {
        let roll = SampleGenerator.roll(&source)
        if roll % 1000 == 0 { source.tick += 1 }
        var jitter = Int64(roll >> 10 & 7) + Int64(roll >> 13 & 7) + Int64(roll >> 16 & 7) - 10
        if roll >> 20 & 127 == 5 { jitter += Int64(roll >> 30 & 511) * 4 / 5 }
        source.tick += 1
        return source.tick * interval + jitter
    }

    private static func tenths(_ kind: Int, _ source: inout Source, _ interval: Int64) -> Int {
        if source.left == 0 { change(kind, &source, interval) }
        source.left -= 1
        let roll = Int(SampleGenerator.roll(&source) & 0xFFFF_FFFF)
        switch kind {
        case 0, 1:
            // Tenths of a watt over the interval, kept in millionths of a watt-hour.
            let power = source.isOn ? max(0, source.level + roll % 41 - 20) : 12
            source.sum += power * Int(interval) * 1000 / 36_000
            return source.sum / 100_000
        case 2, 3, 4: return source.isOn ? source.level + (roll % 20 == 0 ? roll / 32 % 5 - 2 : 0) : 0
        case 5, 6: return source.isOn ? source.level : 12
        case 7:
            guard source.isOn else { return 43 }
            return min(2500, max(800, source.level + roll % 401 - 200 + (roll / 512 % 5 == 0 ? 500 : 0)))
        case 8:
            source.sum = min(35, max(-35, source.sum + roll % 7 - 3))
            return 2315 + source.sum
        default:
            if roll % 30 == 0 { source.sum = min(200, max(-200, source.sum + (roll / 32 % 2 == 0 ? 1 : -1))) }
            return 215 + source.sum
        }
    }

    private static func change(_ kind: Int, _ source: inout Source, _ interval: Int64) {
        source.isOn.toggle()
        let roll = Int(SampleGenerator.roll(&source) & 0xFFFF_FFFF)
        let seconds: Int
        switch kind {
        case 7: seconds = source.isOn ? 3600 + roll % 14_400 : 1800 + roll % 10_000
        case 5, 6: seconds = source.isOn ? 20 + roll % 60 : 3600 + roll % 20_000
        default: seconds = source.isOn ? 60 + roll % 3000 : 3600 + roll % 20_000
        }
        source.left = seconds * 1000 / Int(interval) + 1
        source.level = kind == 7 ? 1100 + roll / 7 % 600 : 50 + roll / 7 % 4000
    }
}
