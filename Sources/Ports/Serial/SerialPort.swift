// A serial port that is opened again whenever it comes back.

@preconcurrency import Glibc
import Model

/// One serial device, read and written on the loop. It is opened once and kept open, because opening resets many boards;
/// when it goes away, it is tried again until it is there, without a restart.
package final class SerialPort {
    /// Bytes that may wait to be written.
    package static let mostWaiting = 4096
    /// Between attempts to open: at first, and at most.
    private static let firstDelay = Duration.seconds(1)
    private static let longestDelay = Duration.seconds(5)

    package typealias BytesHandler = (_ bytes: borrowing Span<UInt8>) -> Void

    private let loop: Loop
    private let settings: SerialSettings
    private let onBytes: BytesHandler
    private let onChange: (_ open: Bool, _ reason: String) -> Void

    private var descriptor: CInt = -1
    private var waiting: [UInt8] = []
    private var isWatchedForWriting = false
    private var retryTimer: TimerID?
    private var delay = SerialPort.firstDelay
    private var saidReason: String?
    private var isClosed = false
    private let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 4096)

    package var isOpen: Bool { descriptor >= 0 }

    /// Starts to open the port. `onChange` hears of each change, and while it is closed of each new reason. Handlers are
    /// called on the loop, not before `init` returns.
    package init(
        loop: Loop, settings: SerialSettings, onBytes: @escaping BytesHandler,
        onChange: @escaping (_ open: Bool, _ reason: String) -> Void
    ) {
        self.loop = loop
        self.settings = settings
        self.onBytes = onBytes
        self.onChange = onChange
        retry(after: .zero)
    }

    deinit { buffer.deallocate() }

    /// Sends bytes. False, and none of them is sent, where the port is closed or too much waits already.
    @discardableResult
    package func write(_ bytes: [UInt8]) -> Bool {
        guard isOpen, waiting.count + bytes.count <= SerialPort.mostWaiting else { return false }
        waiting += bytes
        flush()
        return true
    }

    package func close() {
        isClosed = true
        if let retryTimer { loop.cancel(retryTimer) }
        release()
    }

    // MARK: Opening

    private func retry(after delay: Duration) {
        retryTimer = loop.after(delay) { [self] in attempt() }
    }

    private func attempt() {
        do {
            descriptor = try SerialPort.open(settings)
        } catch {
            return lost(SerialPort.reason(error, settings))
        }
        isWatchedForWriting = false
        saidReason = nil
        loop.watch(descriptor, .read) { [self] in ready($0) }
        onChange(true, "\(settings.name) (\(settings.path)) is open at \(settings.baud) \(settings.format.rawValue)")
    }

    private static func open(_ settings: SerialSettings) throws(PortError) -> CInt {
        let path = settings.path
        // Not blocking: without it, open waits for a carrier that three wires do not have.
        let flags = O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC
        let descriptor = try call("open", on: path) { Glibc.open(path, flags) }
        do {
            var line = try LineSettings(of: descriptor, path)
            try call("claim", on: path) { ioctl(descriptor, UInt(TIOCEXCL), 0) }
            // TIOCEXCL lets root in; a lock keeps two gateways apart also there.
            try call("lock", on: path) { flock(descriptor, LOCK_EX | LOCK_NB) }
            line.makeRaw(baud: settings.baud, format: settings.format)
            try line.apply(to: descriptor, path)
            LineSettings.askForLowLatency(descriptor)
            return descriptor
        } catch {
            Glibc.close(descriptor)
            throw error
        }
    }

    private static func reason(_ error: PortError, _ settings: SerialSettings) -> String {
        let port = "\(settings.name) (\(settings.path))"
        return switch error.code {
        case ENOENT, ENXIO, ENODEV: "\(port) is not there; is it plugged in? `ls -l /dev/serial/by-id` shows what is"
        case EACCES, EPERM: "\(port) may not be opened: permission denied; add the user to group dialout"
        case EBUSY, EWOULDBLOCK: "\(port) is in use by another program; a serial port has one owner, so stop that one"
        default: "\(port): \(error)"
        }
    }

    private func lost(_ reason: String) {
        release()
        retry(after: delay)
        delay = min(delay * 2, SerialPort.longestDelay)
        if saidReason != reason {
            saidReason = reason
            onChange(false, reason)
        }
    }

    private func release() {
        guard isOpen else { return }
        loop.unwatch(descriptor)
        _ = ioctl(descriptor, UInt(TIOCNXCL), 0)
        Glibc.close(descriptor)
        descriptor = -1
        waiting = []
    }

    // MARK: Traffic

    private func ready(_ readiness: Readiness) {
        if readiness.contains(.write) { flush() }
        guard isOpen, readiness != .write else { return }
        // At most what came since the last turn; a line that never stops leaves others their turn.
        for _ in 0..<16 where isOpen {
            let count = read(descriptor, buffer.baseAddress, buffer.count)
            let code = errno
            if count > 0 {
                delay = SerialPort.firstDelay
                onBytes(UnsafeBufferPointer(rebasing: buffer[..<count]).span)
                if count < buffer.count, !readiness.contains(.hangup) { return }
            } else if count < 0, code == EINTR {
                continue
            } else if count < 0, code == EAGAIN {
                if readiness.contains(.hangup) { unplugged(EIO) }
                return
            } else {
                return unplugged(count == 0 ? EIO : code)
            }
        }
    }

    private func unplugged(_ code: CInt) {
        let what = code == EIO ? "was unplugged" : "failed: \(PortError.words(for: code))"
        lost("\(settings.name) (\(settings.path)) \(what); it is opened again when it is back")
    }

    private func flush() {
        while !waiting.isEmpty {
            let count = waiting.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            let code = errno
            if count > 0 {
                waiting.removeFirst(count)
            } else if count < 0, code == EINTR {
                continue
            } else if count < 0, code == EAGAIN {
                break
            } else {
                // Reading finds out what happened; here a handler of the caller may be running.
                waiting = []
            }
        }
        if isWatchedForWriting == waiting.isEmpty {
            isWatchedForWriting.toggle()
            loop.change(descriptor, isWatchedForWriting ? [.read, .write] : .read)
        }
    }
}
