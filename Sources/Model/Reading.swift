// What a driver makes of bytes.

/// What a machine is doing. The same nine words for every kind of machine.
package enum MachineState: String, CaseIterable, Sendable {
    /// Connected, but what it does is not known.
    case unknown
    /// No contact.
    case offline
    /// Can be used now.
    case idle
    /// Busy, no work yet: heating, homing, loading.
    case preparing
    /// Doing the work.
    case running
    /// Stopped on purpose inside a job.
    case paused
    /// Stopped, needs a person.
    case blocked
    /// Cannot go on.
    case fault
    /// Taken out of use by a person.
    case maintenance
}

/// How a job ended.
package enum JobOutcome: String, CaseIterable, Sendable {
    case completed, cancelled, failed, interrupted, unknown
}

/// What one reading says.
package enum Value: Hashable, Sendable {
    /// A gauge or a counter in the channel's unit; always finite. Counters in mWh are whole numbers.
    case number(Double)
    /// A state and the device's own word for it, at most 64 bytes.
    case state(MachineState, reason: String)
    /// Something that happened: a `JobOutcome` on channel `job`, otherwise a name of at most 64 bytes.
    case event(String)
    /// The device says that it does not know: a broken sensor, a null.
    case unknown
}

/// One value of one channel of one device, just decoded.
package struct Reading: Hashable, Sendable {
    /// Index into the driver's `channels`.
    package var channel: Int
    package var value: Value
    /// The device's own time, only where it can be trusted; otherwise the time of arrival counts.
    package var time: Instant?

    package init(channel: Int, value: Value, time: Instant? = nil) {
        self.channel = channel
        self.value = value
        self.time = time
    }
}

/// What a driver could not use. Counted per device, never thrown: a noisy line is weather, not an error.
package struct Fault: Hashable, Sendable {
    /// The name under which it is counted and printed.
    package enum Kind: String, CaseIterable, Sendable {
        /// A frame's checksum does not fit.
        case badChecksum
        /// Bytes that are no frame of this protocol: broken JSON, a cut line, unknown fields.
        case badFrame
        /// A frame that is longer than the protocol allows.
        case overrun
        /// Nobody answered in time.
        case noReply
        /// An answer to a question that was not asked, or from another unit.
        case unexpectedReply
        /// The device answered that it will not: a Modbus exception, an error line.
        case refused
        /// A member of the wrong type, a NaN, an infinity.
        case badValue
        /// A number outside what this quantity can be.
        case implausible
        /// The device reports a broken sensor or a value out of its own range.
        case sensorFault
        /// A word that this driver does not know, such as a new state of a new firmware.
        case unknownValue
        /// A value whose own time lies so far back that it cannot be placed any more.
        case outdated
    }

    package let kind: Kind
    /// What exactly, in words for a technician; at most 200 bytes.
    package let detail: String

    package init(_ kind: Kind, _ detail: String) {
        self.kind = kind
        self.detail = detail.utf8.count <= 200 ? detail : detail.clipped(to: 197) + "…"
    }
}

extension String {
    /// The longest beginning of whole Unicode scalars that takes no more than `limit` bytes of UTF-8. A `Character` is
    /// no measure for what a stranger sends: one letter may carry a megabyte of accents.
    package func clipped(to limit: Int) -> String {
        guard utf8.count > limit else { return self }
        var bytes = 0
        var end = unicodeScalars.startIndex
        while end < unicodeScalars.endIndex {
            bytes += UTF8.width(unicodeScalars[end])
            if bytes > limit { break }
            unicodeScalars.formIndex(after: &end)
        }
        return String(unicodeScalars[..<end])
    }
}
