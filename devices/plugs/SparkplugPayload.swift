import Model

/// A payload of Sparkplug B without its metrics, which are read one by one.
///
///     Payload { 1 timestamp ms  2 metric…  3 seq  4 uuid  5 body }
struct SparkplugPayload {
    private(set) var timestamp: UInt64?
    private(set) var seq: UInt64?

    /// nil where the bytes are no payload: all of it is looked at before any of it counts.
    init?(_ b: borrowing Span<UInt8>) {
        var reader = ProtobufReader(b.indices)
        while let field = reader.next(b) {
            switch (field.number, field.content) {
            case (1, .varint(let value)): timestamp = value
            case (2, .bytes(let range)): guard SparkplugMetric(range, b) != nil else { return nil }
            case (3, .varint(let value)): seq = value
            case (1...3, _): return nil
            default: break
            }
        }
        if reader.failed { return nil }
    }

    /// The places of the metrics, one after the other.
    struct Metrics {
        private var reader: ProtobufReader

        init(_ b: borrowing Span<UInt8>) { reader = ProtobufReader(b.indices) }

        mutating func next(_ b: borrowing Span<UInt8>) -> SparkplugMetric? {
            while let field = reader.next(b) {
                if field.number == 2, case .bytes(let range) = field.content { return SparkplugMetric(range, b) }
            }
            return nil
        }
    }

    /// What asks an edge node to say everything again: `Node Control/Rebirth` = true. The standard wants a time in it;
    /// `timestamp` is the node's own last one.
    static func rebirth(timestamp: UInt64?) -> [UInt8] {
        var metric = ProtobufWriter()
        metric.bytes(1, Array("Node Control/Rebirth".utf8))
        if let timestamp { metric.varint(3, timestamp) }
        metric.varint(4, 11)
        metric.varint(14, 1)
        var payload = ProtobufWriter()
        if let timestamp { payload.varint(1, timestamp) }
        payload.bytes(2, metric.bytes)
        return payload.bytes
    }
}

/// One metric.
///
///     Metric { 1 name  2 alias  3 timestamp ms  4 datatype  5 is_historical  6 is_transient  7 is_null
///              8 metadata  9 properties  10 int u32  11 long u64  12 float  13 double  14 boolean  15 string
///              16 bytes  17 dataset  18 template }
///
///     datatype  1 Int8  2 Int16  3 Int32  4 Int64  5 UInt8  6 UInt16  7 UInt32  8 UInt64  9 Float  10 Double
///               11 Boolean  12 String  13 DateTime
///
/// A negative whole number stands as its two's complement in the unsigned field, which the datatype tells; after the
/// birth the datatype may be left out.
struct SparkplugMetric {
    enum Raw {
        case none
        case whole(UInt64)
        case real(Double)
        case bool(Bool)
        case text(Range<Int>)
        /// Bytes, a data set, a template.
        case other
    }

    private(set) var name: Range<Int>?
    private(set) var alias: UInt64?
    private(set) var timestamp: UInt64?
    private(set) var datatype: UInt64?
    private(set) var isHistorical = false
    private(set) var isNull = false
    private(set) var raw = Raw.none

    init?(_ range: Range<Int>, _ b: borrowing Span<UInt8>) {
        var reader = ProtobufReader(range)
        while let field = reader.next(b) {
            switch (field.number, field.content) {
            case (1, .bytes(let range)): name = range
            case (2, .varint(let value)): alias = value
            case (3, .varint(let value)): timestamp = value
            case (4, .varint(let value)): datatype = value
            case (5, .varint(let value)): isHistorical = value != 0
            case (7, .varint(let value)): isNull = value != 0
            case (10, .varint(let value)), (11, .varint(let value)): raw = .whole(value)
            case (12, .fixed32(let bits)): raw = .real(Double(Float(bitPattern: bits)))
            case (13, .fixed64(let bits)): raw = .real(Double(bitPattern: bits))
            case (14, .varint(let value)): raw = .bool(value != 0)
            case (15, .bytes(let range)): raw = .text(range)
            case (16...18, .bytes): raw = .other
            // A known field of another shape: this is no metric.
            case (1...5, _), (7, _), (10...18, _): return nil
            default: break
            }
        }
        if reader.failed { return nil }
    }

    /// A whole number as its datatype means it; nil for a datatype that is none of a number.
    static func number(_ whole: UInt64, datatype: UInt64) -> Double? {
        switch datatype {
        case 1: Double(Int8(truncatingIfNeeded: whole))
        case 2: Double(Int16(truncatingIfNeeded: whole))
        case 3: Double(Int32(truncatingIfNeeded: whole))
        case 4: Double(Int64(bitPattern: whole))
        case 5...8, 9, 10, 13: Double(whole)
        default: nil
        }
    }

    func isNamed(_ text: [UInt8], _ b: borrowing Span<UInt8>) -> Bool {
        guard let name else { return false }
        return JSONPick.equal(name, text, b)
    }
}
