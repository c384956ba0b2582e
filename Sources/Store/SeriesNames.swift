import Model

/// Finds numbers by what they stand for, which is kept elsewhere: two bytes for each of at most twice as many places as
/// there are numbers, where a dictionary takes more than thirty.
struct NumberIndex {
    /// Numbers plus one, 0 for nothing. Whoever finds the place taken goes on to the next one.
    private var places: [UInt16] = []
    private var count = 0

    /// The number with this hash that is the one.
    func number(_ hash: Int, where isIt: (UInt16) -> Bool) -> UInt16? {
        guard !places.isEmpty else { return nil }
        let place = place(hash, isIt)
        return places[place] == 0 ? nil : places[place] - 1
    }

    /// Adds a number, in place of a lower one that stands for the same.
    /// - Parameter hashes: of the numbers that are here already.
    mutating func add(_ number: UInt16, _ hash: Int, where isSame: (UInt16) -> Bool, hashes: (UInt16) -> Int) {
        if (count + 1) * 3 > places.count * 2 { grow(hashes) }
        let place = place(hash, isSame)
        if places[place] == 0 { count += 1 }
        places[place] = max(places[place], number + 1)
    }

    /// Where it is, or would be put.
    private func place(_ hash: Int, _ isIt: (UInt16) -> Bool) -> Int {
        let mask = places.count - 1
        var place = hash & mask
        while places[place] != 0, !isIt(places[place] - 1) { place = (place + 1) & mask }
        return place
    }

    private mutating func grow(_ hashes: (UInt16) -> Int) {
        let old = places
        places = [UInt16](repeating: 0, count: max(16, old.count * 2))
        for entry in old where entry != 0 {
            let place = place(hashes(entry - 1)) { _ in false }
            places[place] = entry
        }
    }
}

/// Texts, each once: thousands of series share the names of their devices, and hundreds of devices those of their
/// channels. At most 65,535 of them.
struct SharedTexts {
    private var texts: [String] = []
    private var index = NumberIndex()

    subscript(number: UInt16) -> String { texts[Int(number)] }

    func number(_ text: String) -> UInt16? { index.number(text.hashValue) { texts[Int($0)] == text } }

    /// The number of a text, which is kept from now on.
    mutating func keep(_ text: String) -> UInt16 {
        // What is read page by page mostly has the name of what stood before it.
        if let last = texts.last, last == text { return UInt16(texts.count - 1) }
        let hash = text.hashValue
        if let known = index.number(hash, where: { texts[Int($0)] == text }) { return known }
        let number = UInt16(texts.count)
        texts.append(text)
        index.add(number, hash, where: { _ in false }, hashes: { [texts] in texts[Int($0)].hashValue })
        return number
    }
}

/// The names of series by number, and back.
struct SeriesNames {
    /// What is known of a series, six bytes.
    private struct Row {
        var device: UInt16 = 0
        var channel: UInt16 = 0
        var unit: Unit?
        /// nil where no series has this number.
        var kind: Kind?

        func isSame(_ other: Row) -> Bool { device == other.device && channel == other.channel }

        var hash: Int { Int(truncatingIfNeeded: ((UInt64(device) << 16 | UInt64(channel)) &* 0x9E37_79B9) >> 8) }
    }

    private var rows: [Row] = []
    private var devices = SharedTexts()
    private var channels = SharedTexts()
    private var index = NumberIndex()

    /// Numbers are below; not each of them need be of a series.
    var end: Int { rows.count }

    func kind(_ number: Int) -> Kind? { number < rows.count ? rows[number].kind : nil }

    subscript(number: Int) -> SeriesInfo? {
        guard number < rows.count, let kind = rows[number].kind else { return nil }
        let row = rows[number]
        return SeriesInfo(
            id: SeriesID(raw: UInt32(number)),
            key: SeriesKey(device: devices[row.device], channel: channels[row.channel]), unit: row.unit, kind: kind)
    }

    /// The number under a name; of several the highest.
    func number(_ key: SeriesKey) -> UInt16? {
        guard let device = devices.number(key.device), let channel = channels.number(key.channel) else { return nil }
        let row = Row(device: device, channel: channel)
        return index.number(row.hash) { row.isSame(rows[Int($0)]) }
    }

    /// Numbers below are in use.
    mutating func reserve(below number: Int) {
        if number > rows.count { rows.append(contentsOf: repeatElement(Row(), count: number - rows.count)) }
    }

    /// Names a number. The name means it from `find` on, or from the next `index`.
    mutating func name(_ number: UInt16, _ key: SeriesKey, unit: Unit?, kind: Kind) {
        reserve(below: Int(number) + 1)
        rows[Int(number)] = Row(
            device: devices.keep(key.device), channel: channels.keep(key.channel), unit: unit, kind: kind)
    }

    /// From now on the name of this number means it, unless it means a higher one.
    mutating func find(_ number: UInt16) {
        let rows = rows
        let row = rows[Int(number)]
        index.add(number, row.hash, where: { row.isSame(rows[Int($0)]) }, hashes: { rows[Int($0)].hash })
    }

    /// The same for all numbers, from nothing.
    mutating func findAll() {
        index = NumberIndex()
        for number in rows.indices where rows[number].kind != nil { find(UInt16(number)) }
    }

    /// Gives all series of one name another; keeps no text that none has any more.
    mutating func rename(_ old: SeriesKey, to new: SeriesKey) {
        var renamed = SeriesNames()
        renamed.reserve(below: rows.count)
        for number in rows.indices {
            guard let info = self[number] else { continue }
            renamed.name(UInt16(number), info.key == old ? new : info.key, unit: info.unit, kind: info.kind)
        }
        renamed.findAll()
        self = renamed
    }
}
