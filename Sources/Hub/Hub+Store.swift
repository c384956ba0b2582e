import Model

// The owner commits and syncs; the hub only remembers whether that works.

extension Hub {
    /// Samples could not be written or made durable: said once, shown until it works again.
    package mutating func storeFails(_ reason: String) {
        // A disk that refuses does so at another place each time.
        func kind(_ reason: String?) -> String? { reason.map { $0.filter { !$0.isNumber } } }
        if kind(storeTrouble) != kind(reason) { act(.log(.error, "store: \(reason)")) }
        storeTrouble = reason
        // Said once: a tick at each failed commit would bring the next commit, and so on without a pause.
        if !storeFailed { alertsMayDiffer = true }
        storeFailed = true
    }

    package mutating func storeWorks() {
        guard storeFailed else { return }
        storeFailed = false
        storeTrouble = nil
        alertsMayDiffer = true
        act(.log(.notice, "store: writing again"))
    }
}
