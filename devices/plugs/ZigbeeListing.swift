import Model

/// What the bridge's list says of one device; the list is read as it stands, without a copy, by each device for itself:
///
///     zigbee2mqtt/bridge/devices  [{"ieee_address":"0xa4c138a1b2c3d4e5","friendly_name":"3dprinter-a",
///                                   "power_source":"Mains (single phase)",
///                                   "definition":{"vendor":"Tuya","model":"TS011F_plug_1","exposes":[
///                                     {"property":"power","unit":"W",…},{"type":"switch","features":[…]},…]},…},…]
struct ZigbeeListing {
    /// The address of the radio, as a hash: another one under the same name is another device.
    private(set) var address: UInt64?
    private(set) var vendor = ""
    private(set) var model = ""
    private(set) var powerSource = ""
    /// Which of `ZigbeeAttribute.measured` it can tell, as bits.
    private(set) var told: UInt16 = 0
    /// By attribute, where the list gives another unit than is usual: what to multiply with.
    private(set) var scales = InlineArray<8, Double?>(repeating: nil)
    /// Attributes in units that are none of ours.
    private(set) var strange: [String] = []
    /// The bridge was told to leave it alone, and says nothing of it.
    private(set) var isDisabled = false
    private var hasDefinition = false

    /// What the list says of the name; `isWhole` false where it is no list.
    static func find(
        _ name: [UInt8], _ names: [[UInt8]], _ b: borrowing Span<UInt8>
    ) -> (listing: ZigbeeListing?, isWhole: Bool) {
        var json = JSONScanner()
        var found: ZigbeeListing?
        guard json.beginArray(b) else { return (nil, false) }
        while json.nextElement(b) {
            guard json.peek(b) == .object else {
                json.skip(b)
                continue
            }
            var listing = ZigbeeListing()
            if listing.read(name, names, &json, b) { found = listing }
        }
        return (found, json.finish(b))
    }

    /// Takes one element; true where it is the one with this name.
    private mutating func read(
        _ name: [UInt8], _ names: [[UInt8]], _ json: inout JSONScanner, _ b: borrowing Span<UInt8>
    ) -> Bool {
        var isMeant = false
        _ = json.beginObject(b)
        while let key = json.nextKey(b) {
            if JSONScanner.equals(key, "friendly_name", b), let text = json.string(b) {
                isMeant = JSONScanner.text(text, b).map { Array($0.utf8) == name } ?? false
            } else if JSONScanner.equals(key, "ieee_address", b), let text = json.string(b) {
                address = Identity.hash(b, text)
            } else if JSONScanner.equals(key, "power_source", b), let text = json.string(b) {
                powerSource = Self.words(text, b)
            } else if JSONScanner.equals(key, "disabled", b), let flag = json.bool(b) {
                isDisabled = flag
            } else if JSONScanner.equals(key, "definition", b), json.peek(b) == .object {
                readDefinition(names, &json, b)
            } else {
                json.skip(b)
            }
        }
        return isMeant
    }

    private mutating func readDefinition(
        _ names: [[UInt8]], _ json: inout JSONScanner, _ b: borrowing Span<UInt8>
    ) {
        hasDefinition = true
        _ = json.beginObject(b)
        while let key = json.nextKey(b) {
            if JSONScanner.equals(key, "vendor", b), let text = json.string(b) {
                vendor = Self.words(text, b)
            } else if JSONScanner.equals(key, "model", b), let text = json.string(b) {
                model = Self.words(text, b)
            } else if JSONScanner.equals(key, "exposes", b), json.peek(b) == .array {
                readExposes(names, &json, b, depth: 0)
            } else {
                json.skip(b)
            }
        }
    }

    /// Lists of features stand inside of each other, three deep at most.
    private mutating func readExposes(
        _ names: [[UInt8]], _ json: inout JSONScanner, _ b: borrowing Span<UInt8>, depth: Int
    ) {
        _ = json.beginArray(b)
        while json.nextElement(b) {
            guard json.peek(b) == .object else {
                json.skip(b)
                continue
            }
            var property: Range<Int>?
            var unit: Range<Int>?
            _ = json.beginObject(b)
            while let key = json.nextKey(b) {
                if JSONScanner.equals(key, "property", b), let text = json.string(b) {
                    property = text
                } else if JSONScanner.equals(key, "unit", b), let text = json.string(b) {
                    unit = text
                } else if JSONScanner.equals(key, "features", b), json.peek(b) == .array, depth < 3 {
                    readExposes(names, &json, b, depth: depth + 1)
                } else {
                    json.skip(b)
                }
            }
            if let property, let index = ZigbeeMessage.index(property, names, b), index < ZigbeeAttribute.relay {
                expose(index, unit.map { Self.words($0, b) })
            }
        }
    }

    private mutating func expose(_ index: Int, _ unit: String?) {
        told |= 1 << UInt16(index)
        guard let unit, !unit.isEmpty else { return }
        let attribute = ZigbeeAttribute.measured[index]
        if let known = SourceUnit.named(unit), known.unit == attribute.unit, known.reading(of: 0) == 0 {
            let scale = known.step(of: 1)
            scales[index] = scale == attribute.scale ? nil : scale
        } else if strange.count < 8 {
            strange.append("\(attribute.name) in \(unit)")
        }
    }

    /// The few words that a person reads.
    private static func words(_ range: Range<Int>, _ b: borrowing Span<UInt8>) -> String {
        (range.count <= 400 ? JSONScanner.text(range, b) : nil)?.clipped(to: 64) ?? ""
    }

    /// `Tuya TS011F_plug_1, Mains (single phase)`; empty where the list tells nothing.
    var description: String {
        let name = [vendor, model].filter { !$0.isEmpty }.joined(separator: " ")
        return [name, powerSource].filter { !$0.isEmpty }.joined(separator: ", ")
    }

    /// It is known what it can tell, and that is neither power nor energy.
    var measuresNothing: Bool { hasDefinition && told & 0b0110_0001 == 0 }
}
