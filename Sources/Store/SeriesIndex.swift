import Model

/// Finds a series by its name. The names stand in the catalog already, so only numbers are kept here: two bytes for each
/// of at most twice as many places as there are series, where a dictionary takes more than thirty.
struct SeriesIndex {
    /// Numbers plus one, 0 for nothing. Whoever finds the place taken goes on to the next one.
    private var places: [UInt16] = []
    private var count = 0

    private static func start(_ key: SeriesKey, _ mask: Int) -> Int { key.hashValue & mask }

    /// The number under a name, where `infos` say what name a number has.
    func number(_ key: SeriesKey, _ infos: [SeriesInfo?]) -> UInt16? {
        guard !places.isEmpty else { return nil }
        let place = place(of: key, infos)
        return places[place] == 0 ? nil : places[place] - 1
    }

    /// The name means this number, which `infos` have under that name already, unless it means a higher one.
    mutating func add(_ key: SeriesKey, _ number: UInt16, _ infos: [SeriesInfo?]) {
        if (count + 1) * 3 > places.count * 2 { grow(infos) }
        let place = place(of: key, infos)
        if places[place] == 0 { count += 1 }
        places[place] = max(places[place], number + 1)
    }

    /// Begins anew, where names have changed; of several numbers under one name the highest is meant.
    init(_ infos: [SeriesInfo?]) {
        let all = infos.count { $0 != nil }
        guard all > 0 else { return }
        // As many as growing one by one would have made: two thirds full at most.
        var room = 16
        while (all + 1) * 3 > room * 2 { room *= 2 }
        places = [UInt16](repeating: 0, count: room)
        for (number, info) in infos.enumerated() { if let key = info?.key { add(key, UInt16(number), infos) } }
    }

    /// Where the name is, or would be put.
    private func place(of key: SeriesKey, _ infos: [SeriesInfo?]) -> Int {
        let mask = places.count - 1
        var place = Self.start(key, mask)
        while places[place] != 0, infos[Int(places[place] - 1)]?.key != key { place = (place + 1) & mask }
        return place
    }

    private mutating func grow(_ infos: [SeriesInfo?]) {
        let old = places
        places = [UInt16](repeating: 0, count: max(16, old.count * 2))
        let mask = places.count - 1
        for entry in old where entry != 0 {
            guard let key = infos[Int(entry - 1)]?.key else { continue }
            var place = Self.start(key, mask)
            while places[place] != 0 { place = (place + 1) & mask }
            places[place] = entry
        }
    }
}
