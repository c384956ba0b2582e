package import Model

/// A mould of the simulated presses, for them and for whoever writes their configuration.
package struct PressMould: Hashable, Sendable {
    package let name: String
    package let item: String
    package let polymer: Polymer
    /// Grams of one shot, and the items in it.
    package let shot: Double
    package let items: Int64
    /// °C to which a press is heated for it.
    let heat: Double

    /// In the order of the buttons.
    package static let all = [
        PressMould(name: "pot-9cm", item: "pot", polymer: .pp, shot: 62.5, items: 1, heat: 200),
        PressMould(name: "coaster", item: "coaster", polymer: .hdpe, shot: 48, items: 2, heat: 190),
    ]
}

/// The scale beside a press, on which good parts are collected in a box. It prints its display, 1 g a division:
///
///     US,GS,+  0.182kg    somebody puts something on it
///     ST,NT,+  0.063kg    at rest, the box tared
///
/// Whoever begins puts a box on it and tares, parts are laid into it one by one, and at the end it is lifted, when the
/// display falls below nothing, until the tare is taken back.
struct PressScale: Sendable {
    private enum Box: Hashable { case none, there, lifted }

    private let wire: String
    /// Seconds between two lines while nothing happens.
    private let pace: Int64
    private var box = Box.none
    /// Milligrams in the box.
    private var content: Int64 = 0
    private var restsAt = Instant.distantPast
    private var clears = Instant.distantFuture
    private(set) var next: Instant

    private static let boxMass: Int64 = 182_000

    init(wire: String, pace: Int64, start: Instant) {
        self.wire = wire
        self.pace = pace
        next = start
    }

    /// An empty box is put on it and tared while the display still moves.
    mutating func begin(at time: Instant, _ out: inout [Emission]) {
        box = .there
        content = 0
        move(Self.boxMass, isNet: false, at: time, &out)
    }

    /// Parts are laid into the box, milligrams.
    mutating func lay(_ mass: Int64, at time: Instant, _ out: inout [Emission]) {
        move(content + mass / 2, isNet: true, at: time, &out)
        content += mass
    }

    /// The box is carried away, and a while later the tare is taken back.
    mutating func empty(at time: Instant, _ out: inout [Emission]) {
        box = .lifted
        content = 0
        clears = time + .seconds(40)
        move(0, isNet: true, at: time, &out)
    }

    /// Up to `time`, where something is due by then.
    mutating func tick(at time: Instant, _ out: inout [Emission]) {
        guard time >= next else { return }
        if time >= clears {
            clears = .distantFuture
            box = .none
        }
        let shown = box == .lifted ? -Self.boxMass : content
        say("ST", shown, isNet: box != .none, &out)
        // What rests is shown again soon, so that it is believed, and then now and then.
        let soon = time < restsAt + .seconds(4)
        next = min(clears, time + .seconds(soon ? 3 : pace))
    }

    private mutating func move(_ shown: Int64, isNet: Bool, at time: Instant, _ out: inout [Emission]) {
        say("US", shown, isNet: isNet, &out)
        restsAt = time + .seconds(2)
        next = restsAt
    }

    private func say(_ head: StaticString, _ milligrams: Int64, isNet: Bool, _ out: inout [Emission]) {
        let grams = (milligrams + (milligrams < 0 ? -500 : 500)) / 1000
        var number = FirmwareText(capacity: 12)
        number.add(Int64(grams.magnitude), places: 3)
        var text = FirmwareText(capacity: 24)
        text.add(head)
        text.add(isNet ? ",NT," : ",GS,")
        text.add(grams < 0 ? "-" : "+")
        for _ in number.bytes.count..<max(7, number.bytes.count) { text.add(" ") }
        text.add(number.bytes)
        text.add("kg")
        out.append(.line(wire, text))
    }
}
