import Model

/// Which parts of a message are new, as bits in the order of the channels.
struct ZigbeeFresh {
    private var fresh: UInt16 = 0
    private var changed: UInt16 = 0
    /// The device itself was heard.
    var isAlive = false

    static let all = ZigbeeFresh(fresh: .max, changed: .max, isAlive: true)

    init() {}

    private init(fresh: UInt16, changed: UInt16, isAlive: Bool) {
        self.fresh = fresh
        self.changed = changed
        self.isAlive = isAlive
    }

    func contains(_ index: Int) -> Bool { fresh & 1 << UInt16(index) != 0 }
    func hasChanged(_ index: Int) -> Bool { changed & 1 << UInt16(index) != 0 }

    mutating func note(_ index: Int, changed isChanged: Bool) {
        fresh |= 1 << UInt16(index)
        if isChanged { changed |= 1 << UInt16(index) }
    }
}

/// What the bridge last said of a device, to tell what was measured from what was repeated.
///
/// The first message is a baseline and no sample: it may be what the bridge remembered from last week. From then on
/// an attribute is new if it differs, or if `last_seen` moved on and the device is known to tell this attribute by
/// itself: because it has changed before, or because the configuration says so for power.
struct ZigbeeMemory {
    private var values = InlineArray<9, Said>(repeating: .nothing)
    private var linkQuality = Said.nothing
    private var lastSeen: Instant?
    private var hasBaseline = false
    /// The attributes, as bits, that have changed before.
    private var told: UInt16 = 0

    init(alwaysTellsPower: Bool) { told = alwaysTellsPower ? 1 : 0 }

    /// The device has said what flows, so that there is a meter.
    var hasPower: Bool { if case .number = values[0] { true } else { false } }

    mutating func judge(_ heard: ZigbeeMessage) -> ZigbeeFresh {
        var fresh = ZigbeeFresh()
        let isLater = isLater(heard.lastSeen)
        // From before the last one: the bridge was started with an old memory, or a clock was set back. Nothing in it
        // is a sample, and what follows is measured against it, so that no wrong time makes a device mute for good.
        if let time = heard.lastSeen, let lastSeen, time < lastSeen { hasBaseline = false }
        fresh.isAlive = isLater || changes(&linkQuality, heard.linkQuality)
        for index in 0..<values.count {
            let said = index < ZigbeeAttribute.relay ? heard.values[index] : heard.relay
            guard said != .nothing, said != .unusable else { continue }
            let bit: UInt16 = 1 << UInt16(index)
            let isKnown = values[index] != .nothing
            let isChanged = changes(&values[index], said)
            // An attribute that turns up later than the others was not remembered, so it was heard.
            if isChanged {
                fresh.isAlive = true
                if isKnown { told |= bit }
            }
            if hasBaseline, isChanged || isLater && told & bit != 0 { fresh.note(index, changed: isChanged) }
        }
        if let time = heard.lastSeen { lastSeen = time }
        if !hasBaseline {
            hasBaseline = true
            fresh = ZigbeeFresh()
        }
        return fresh
    }

    /// The same where each attribute comes by itself: the first value of each is a baseline, and so is what follows a
    /// `last_seen` that went back.
    mutating func judge(attribute heard: ZigbeeMessage) -> ZigbeeFresh {
        var fresh = ZigbeeFresh()
        if let time = heard.lastSeen {
            fresh.isAlive = isLater(time)
            if let lastSeen, time < lastSeen { values = InlineArray(repeating: .nothing) }
            lastSeen = time
        }
        if case .number = heard.linkQuality {
            let isKnown = linkQuality != .nothing
            fresh.isAlive = changes(&linkQuality, heard.linkQuality) && isKnown || fresh.isAlive
        }
        for index in 0..<values.count {
            let said = index < ZigbeeAttribute.relay ? heard.values[index] : heard.relay
            guard said != .nothing, said != .unusable else { continue }
            let isKnown = values[index] != .nothing
            guard changes(&values[index], said), isKnown else { continue }
            fresh.isAlive = true
            fresh.note(index, changed: true)
        }
        return fresh
    }

    private func isLater(_ time: Instant?) -> Bool {
        guard let time, let lastSeen else { return false }
        return time > lastSeen
    }

    private func changes(_ old: inout Said, _ new: Said) -> Bool {
        guard new != .nothing, new != .unusable, new != old else { return false }
        old = new
        return true
    }
}
