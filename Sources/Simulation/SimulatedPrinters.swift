package import Model

/// One printer of each protocol, all on one broker but the last:
///
///     p1s     Bambu Lab P1S, serial 01P00A000000001, changes only
///     x1c     Bambu Lab X1C, serial 00M00A000000002, everything each time
///     voron   Klipper behind Moonraker, instance `voron`
///     mk4     Prusa, asked over HTTP
package struct SimulatedPrinters: Sendable {
    private var p1s: BambuPrinter
    private var x1c: BambuPrinter
    private var voron: KlipperPrinter
    private var mk4: PrusaPrinter
    private var waiting: [Emission] = []
    package let start: Instant
    private var now: Instant

    package init(seed: UInt64, start: Instant, profile: LabProfile = .demo) {
        var random = SeededRandom(seed)
        p1s = BambuPrinter(profile, serial: "01P00A000000001", random: random.fork(), start: start)
        x1c = BambuPrinter(profile, serial: "00M00A000000002", sendsAll: true, random: random.fork(), start: start)
        voron = KlipperPrinter(profile, name: "voron", random: random.fork(), start: start)
        mk4 = PrusaPrinter(profile, random: random.fork(), start: start)
        self.start = start
        now = start
    }

    /// When something happens next.
    package var nextEvent: Instant { waiting.isEmpty ? min(p1s.next, x1c.next, voron.next, mk4.next) : now }

    /// Lives until `time`, and says what the printers say.
    package mutating func advance(to time: Instant, _ emit: (Emission) -> Void) {
        while true {
            let next = min(p1s.next, x1c.next, voron.next, mk4.next)
            guard next <= time else { break }
            now = max(now, next)
            if p1s.next == next { p1s.tick(&waiting) }
            if x1c.next == next { x1c.tick(&waiting) }
            if voron.next == next { voron.tick(&waiting) }
            if mk4.next == next { mk4.tick(&waiting) }
            for emission in waiting { emit(emission) }
            waiting.removeAll(keepingCapacity: true)
        }
        now = max(now, time)
    }

    /// A message of the gateway on the broker; what the printers answer.
    package mutating func received(_ topic: String, _ payload: [UInt8], at time: Instant) -> [Emission] {
        p1s.received(topic, payload, at: time) + x1c.received(topic, payload, at: time)
            + voron.received(topic, payload, at: time)
    }

    /// What the Prusa answers to a question over HTTP.
    package func answer(_ path: String, at time: Instant) -> (status: Int, body: [UInt8]) {
        mk4.answer(path, at: time)
    }

    /// mm that `voron` has used in all.
    package var filament: Double { voron.filament }

    /// What really happened until now.
    package var truth: Truth {
        Truth(
            ["p1s": p1s.record, "x1c": x1c.record, "voron": voron.record, "mk4": mk4.record], start: start, until: now)
    }
}
