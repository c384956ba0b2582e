// What is to be called when.

import Model

/// Names one call of `Loop.after`.
package struct TimerID: Hashable, Sendable {
    let number: UInt64
}

/// Handlers by the moment when they are due, in a binary heap. A cancelled timer stays in the heap without a handler until
/// its moment comes or too many have gathered.
struct TimerQueue {
    private struct Entry {
        let due: Moment
        let number: UInt64

        /// Equal moments fire in the order in which they were set.
        static func < (a: Entry, b: Entry) -> Bool { a.due == b.due ? a.number < b.number : a.due < b.due }
    }

    /// Far enough for any timer, near enough to add to any moment.
    private static let longest = Duration.hours(24 * 36_525)

    private var heap: [Entry] = []
    private var handlers: [UInt64: () -> Void] = [:]
    private var nextNumber: UInt64 = 0

    /// When the next one is due.
    var next: Moment? { heap.first?.due }

    mutating func add(at now: Moment, after delay: Duration, _ handler: @escaping () -> Void) -> TimerID {
        let number = nextNumber
        nextNumber += 1
        handlers[number] = handler
        push(Entry(due: now + min(max(delay, .zero), TimerQueue.longest), number: number))
        return TimerID(number: number)
    }

    mutating func cancel(_ timer: TimerID) {
        guard handlers.removeValue(forKey: timer.number) != nil, heap.count > 2 * handlers.count + 64 else { return }
        let live = heap.filter { handlers[$0.number] != nil }
        heap = []
        for entry in live { push(entry) }
    }

    /// Takes the first handler that is due at `now` and older than `limit`.
    mutating func take(at now: Moment, before limit: UInt64) -> (() -> Void)? {
        while let first = heap.first, first.due <= now, first.number < limit {
            pop()
            if let handler = handlers.removeValue(forKey: first.number) { return handler }
        }
        return nil
    }

    /// A number that no timer has yet: what fires now may set new timers, which wait for the next turn.
    var limit: UInt64 { nextNumber }

    private mutating func push(_ entry: Entry) {
        heap.append(entry)
        var child = heap.count - 1
        while child > 0, heap[child] < heap[(child - 1) / 2] {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private mutating func pop() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child] < heap[least] {
                least = child
            }
            if least == parent { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
