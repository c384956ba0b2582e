// The way into the loop from other threads.

import CLinux
@preconcurrency import Glibc
import Synchronization

/// Takes work from any thread and wakes the loop, which runs it in the order of arrival. Work that comes after the loop's
/// last turn is never run.
package final class LoopRemote: Sendable {
    enum Item: Sendable {
        case work(@Sendable () -> Void)
        case result(UInt64, any Sendable)
    }

    /// Readable while there is something to take.
    let descriptor: CInt
    private let items = Mutex<[Item]>([])

    init() throws(PortError) {
        descriptor = try call("eventfd", on: "the event loop") {
            eventfd(0, CInt(EFD_CLOEXEC) | CInt(EFD_NONBLOCK))
        }
    }

    deinit { close(descriptor) }

    /// Runs `work` on the loop's thread, soon.
    package func post(_ work: @escaping @Sendable () -> Void) { add(.work(work)) }

    func complete(_ number: UInt64, with result: any Sendable) { add(.result(number, result)) }

    private func add(_ item: Item) {
        let isFirst = items.withLock {
            $0.append(item)
            return $0.count == 1
        }
        // Only the first one needs to wake the loop: it takes all.
        if isFirst { eventfd_write(descriptor, 1) }
    }

    func take() -> [Item] {
        var count: eventfd_t = 0
        eventfd_read(descriptor, &count)
        return items.withLock {
            let taken = $0
            $0 = []
            return taken
        }
    }
}
