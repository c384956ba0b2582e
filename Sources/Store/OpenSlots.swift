/// The slot that a series was in when it was sealed last.
struct OpenSlot {
    var state = SlotState(start: .min)
    /// The tier has it as it is here.
    var isRecorded = true
    /// The number of the last seal that had samples for it.
    var seal: UInt32 = 0
    /// The latest start that the series has been in since the store was opened.
    var newest = Int64.min
}

/// The open slots of those series that spoke in the last run: of thousands that a store knows, many are silent for hours,
/// and a third are no numbers.
struct OpenSlots {
    private var slots: [OpenSlot] = []
    /// By place in `slots`, whose it is.
    private var owners: [UInt16] = []
    /// By series, a place plus one; 0 for none.
    private var places: [UInt16] = []
    /// The latest start that a series was in which has no slot here any more.
    private var forgotten = Int64.min

    /// nil where the series has none.
    subscript(series: UInt16) -> OpenSlot? {
        guard series < places.count, places[Int(series)] > 0 else { return nil }
        return slots[Int(places[Int(series)]) - 1]
    }

    /// The same, to go on from.
    func begun(_ series: UInt16) -> OpenSlot { self[series] ?? OpenSlot(newest: forgotten) }

    mutating func put(_ slot: OpenSlot, _ series: UInt16) {
        if series >= places.count {
            places.append(contentsOf: repeatElement(0, count: Int(series) + 1 - places.count))
        }
        let place = Int(places[Int(series)]) - 1
        if place >= 0 {
            slots[place] = slot
        } else {
            slots.append(slot)
            owners.append(series)
            places[Int(series)] = UInt16(slots.count)
        }
    }

    /// Forgets those that have had no samples since a seal, and gives each that is not recorded yet to `record` before.
    mutating func close(before seal: UInt32, _ record: (SlotState, UInt16) -> Void) {
        var place = 0
        while place < slots.count {
            guard slots[place].seal < seal else {
                place += 1
                continue
            }
            let slot = slots[place]
            if !slot.isRecorded { record(slot.state, owners[place]) }
            forgotten = max(forgotten, slot.newest, slot.state.start)
            places[Int(owners[place])] = 0
            // The last one takes its place.
            let (last, owner) = (slots.removeLast(), owners.removeLast())
            if place < slots.count {
                slots[place] = last
                owners[place] = owner
                places[Int(owner)] = UInt16(place + 1)
            }
        }
    }
}
