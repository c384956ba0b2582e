import Model

/// An attribute that a device may publish, with what it means here.
struct ZigbeeAttribute {
    let name: String
    let channel: String
    /// From the bridge's unit to the channel's.
    let scale: Double
    let unit: Unit

    /// In the order of the channels. Energy comes in kWh.
    static let measured: [ZigbeeAttribute] = [
        ZigbeeAttribute(name: "power", channel: "power", scale: 1, unit: .watt),
        ZigbeeAttribute(name: "voltage", channel: "voltage", scale: 1, unit: .volt),
        ZigbeeAttribute(name: "current", channel: "current", scale: 1, unit: .ampere),
        ZigbeeAttribute(name: "ac_frequency", channel: "frequency", scale: 1, unit: .hertz),
        ZigbeeAttribute(name: "power_factor", channel: "power_factor", scale: 1, unit: .one),
        ZigbeeAttribute(name: "energy", channel: "energy", scale: 1e6, unit: .milliwattHour),
        ZigbeeAttribute(name: "produced_energy", channel: "energy.export", scale: 1e6, unit: .milliwattHour),
        ZigbeeAttribute(name: "device_temperature", channel: "temperature", scale: 1, unit: .celsius),
    ]
    /// `measured`, and after them the relay.
    static let relay = measured.count
}

/// What one state message says.
struct ZigbeeMessage {
    var values = InlineArray<8, Said>(repeating: .nothing)
    var relay = Said.nothing
    var linkQuality = Said.nothing
    /// When the bridge last heard the device; nil where it does not write it, or where that cannot be true.
    var lastSeen: Instant?
    private(set) var hasBadTime = false
    private(set) var isObject = false

    /// Takes the whole message. `names` are those of `ZigbeeAttribute.measured` and of the relay; `scales` where the
    /// bridge has told another unit than the usual one.
    mutating func read(
        _ names: [[UInt8]], _ scales: InlineArray<8, Double?>, _ json: inout JSONScanner, _ b: borrowing Span<UInt8>
    ) {
        guard json.beginObject(b) else { return }
        isObject = true
        while let key = json.nextKey(b) {
            if JSONScanner.equals(key, "linkquality", b) {
                linkQuality = .read(&json, b)
            } else if JSONScanner.equals(key, "last_seen", b) {
                readTime(&json, b)
            } else if let index = Self.index(key, names, b) {
                if index == ZigbeeAttribute.relay {
                    relay = Self.readSwitch(&json, b)
                } else {
                    let attribute = ZigbeeAttribute.measured[index]
                    values[index] = .read(
                        &json, b, times: scales[index] ?? attribute.scale, isWhole: attribute.unit == .milliwattHour)
                }
            } else {
                json.skip(b)
            }
        }
    }

    static func index(_ key: Range<Int>, _ names: [[UInt8]], _ b: borrowing Span<UInt8>) -> Int? {
        for index in names.indices where names[index].count == key.count {
            var place = 0
            while place < key.count, names[index][place] == b[key.lowerBound + place] { place += 1 }
            if place == key.count { return index }
        }
        return nil
    }

    private static func readSwitch(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) -> Said {
        guard let word = json.string(b) else {
            if json.null(b) { return .unknown }
            json.skip(b)
            return .unusable
        }
        if JSONScanner.equals(word, "ON", b) { return .number(1) }
        return JSONScanner.equals(word, "OFF", b) ? .number(0) : .unusable
    }

    /// `"2026-08-12T05:30:05.114Z"`, the same with an offset, or milliseconds since 1970.
    private mutating func readTime(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        if let milliseconds = json.number(b) {
            lastSeen = (0...4_102_444_800_000).contains(milliseconds) ? Instant(milliseconds: Int64(milliseconds)) : nil
        } else if let text = json.string(b) {
            lastSeen = text.count <= 40 ? JSONScanner.text(text, b).flatMap { Instant($0) } : nil
        } else if json.null(b) {
            return
        } else {
            json.skip(b)
        }
        // Before 2020 the bridge's clock was not set.
        if let time = lastSeen, time.milliseconds < 1_577_836_800_000 { lastSeen = nil }
        hasBadTime = lastSeen == nil
    }
}
