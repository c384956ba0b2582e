import Model

// The owner commits and syncs; the hub only remembers whether that works.

extension Hub {
    /// Samples could not be written or made durable: said once, shown until it works again.
    package mutating func storeFails(_ reason: String) {
        if storeTrouble != reason { act(.log(.error, "store: \(reason)")) }
        storeTrouble = reason
        storeFailed = true
        alertsMayDiffer = true
    }

    package mutating func storeWorks() {
        guard storeFailed else { return }
        storeFailed = false
        storeTrouble = nil
        alertsMayDiffer = true
        act(.log(.notice, "store: writing again"))
    }
}
