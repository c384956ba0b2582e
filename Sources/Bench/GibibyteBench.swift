// Opening a store of 1 GiB of which every page is in use.

import Model
import Store

/// Right after a run was sealed, which is as clean as a store gets, and killed just before the next one, with as much
/// in the journal as there can be.
func openingGibibyte() throws -> [BenchResult] {
    let stored = try BenchStore(mebibytes: 1024)
    try fillAllPages(stored)
    var generator = SampleGenerator(
        series: stored.ids.count, interval: 8640, start: BenchStore.start.milliseconds, seed: 1)
    func round() throws {
        for (index, id) in stored.ids.enumerated() {
            let sample = generator.next(index)
            stored.store.append(id, Instant(milliseconds: sample.time), .number(sample.number))
        }
        try stored.store.commit()
        stored.store.finishedSync(stored.store.beginSync())
    }
    // What opening looks into are the newest runs: two hours of a thousand series.
    for _ in 0..<830 { try round() }
    let before = stored.store.statistics.pagesEverOverwritten
    while stored.store.statistics.pagesEverOverwritten == before { try round() }
    let clean = try opening("store.open_gib", stored.region)
    for _ in 0..<128 { try round() }
    return [clean, try opening("store.open_gib_killed", stored.region)]
}

/// Long texts and records of many fields, because that takes seconds and samples would take minutes.
private func fillAllPages(_ stored: BenchStore) throws {
    let store = stored.store
    guard let log = try store.series(SeriesKey(device: "lab", channel: "log"), unit: nil, kind: .state) else {
        throw BenchFailure("there is no room for one more series")
    }
    let start = BenchStore.start - .hours(100_000)
    var random = SystemRandomNumberGenerator()
    var number: Int64 = 0
    func commit() throws {
        try store.commit()
        store.finishedSync(store.beginSync())
    }
    for tier in Tier.allCases {
        while store.statistics.usedTierPages[Int(tier.rawValue)] * 100 < store.statistics.tierPages[Int(tier.rawValue)]
            * 98
        {
            for _ in 0..<1000 {
                let fields = (0..<TierRecord.mostFields).map { _ in Int64(bitPattern: random.next()) }
                store.put(TierRecord(series: log, start: start + .seconds(number), fields: fields), in: tier)
                number += 1
                if number % 20 == 0 { try commit() }
            }
        }
    }
    while store.statistics.pagesEverOverwritten == 0 {
        for _ in 0..<20_000 {
            let text = String(repeating: "\(random.next())", count: 5).prefix(96)
            store.append(log, start + .seconds(number), .text(String(text)))
            number += 1
            if number % 500 == 0 { try commit() }
        }
    }
}
