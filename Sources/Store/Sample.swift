package import Model

/// A series' number: what samples carry instead of its name. Valid in the store that gave it, also after a restart.
package struct SeriesID: Hashable, Sendable {
    package let raw: UInt32
    package init(raw: UInt32) { self.raw = raw }
}

/// A series' name: one channel of one device.
package struct SeriesKey: Hashable, Sendable {
    /// At most 96 bytes of UTF-8.
    package let device: String
    /// At most 64 bytes of UTF-8.
    package let channel: String

    package init(device: String, channel: String) {
        self.device = device
        self.channel = channel
    }
}

/// A series as the store knows it.
package struct SeriesInfo: Hashable, Sendable {
    package let id: SeriesID
    package let key: SeriesKey
    package let unit: Unit?
    package let kind: Kind

    package init(id: SeriesID, key: SeriesKey, unit: Unit?, kind: Kind) {
        self.id = id
        self.key = key
        self.unit = unit
        self.kind = kind
    }
}

/// What a sample says.
package enum StoredValue: Hashable, Sendable {
    /// Every bit pattern comes back exactly, NaN and −0 included.
    case number(Double)
    /// A state with its reason, an event: at most 96 bytes of UTF-8, longer ones are cut.
    case text(String)
    /// The device said that it does not know.
    case unknown

    /// In bytes of UTF-8.
    package static let longestText = 96

    /// Numbers are equal when their bits are, so that NaN equals itself and −0 is not 0.
    package static func == (a: StoredValue, b: StoredValue) -> Bool {
        switch (a, b) {
        case (.number(let a), .number(let b)): a.bitPattern == b.bitPattern
        case (.text(let a), .text(let b)): a.utf8.elementsEqual(b.utf8)
        case (.unknown, .unknown): true
        default: false
        }
    }

    package func hash(into hasher: inout Hasher) {
        switch self {
        case .number(let number): hasher.combine(number.bitPattern)
        case .text(let text): for byte in text.utf8 { hasher.combine(byte) }
        case .unknown: hasher.combine(0)
        }
    }
}

/// A value and its moment.
package struct Sample: Hashable, Sendable {
    package let time: Instant
    package let value: StoredValue

    package init(time: Instant, value: StoredValue) {
        self.time = time
        self.value = value
    }
}

/// One bucket of a downsampled series. Times are half-open: a bucket holds `start` and not its end.
package struct Point: Hashable, Sendable {
    package let start: Instant
    /// How many numbers the bucket holds; at 0 the others are nil: a gap stays a gap.
    package let count: Int
    package let min: Double?
    package let max: Double?
    /// Weighted by time: each number holds until the next sample or the end of the bucket, an unknown holds nothing.
    package let mean: Double?
    package let last: Double?
}

/// What a full ring does with samples whose rollups are not on the outbox's disk yet.
package enum WhenFull: String, Hashable, Sendable, CaseIterable {
    /// Writes over them and counts it.
    case overwrite
    /// Takes no new ones, once journal and memory are full, and counts those.
    case hold
}

/// Why the store could not do what it was asked.
package struct StoreError: Error, CustomStringConvertible {
    package enum Kind: Sendable {
        /// The region is too small for the plan, or a name is too long.
        case plan
        /// There is no store in this region.
        case notAStore
        /// A newer program wrote it.
        case newerFormat
        /// The disk refused.
        case io
        /// The ring is full and may not write over anything.
        case held
    }

    package let kind: Kind
    package let description: String

    init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }
}
