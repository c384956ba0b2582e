import Model

/// A smart plug with Tasmota and an energy meter. It says what it measures every TelePeriod (10 s, the shortest that
/// there is; 300 s by default) and when power changes by PowerDelta, and switches its relay:
///
///     tele/T/LWT     Online            retained
///     tele/T/STATE   {"Time":…,"Uptime":…,"UptimeSec":…,"POWER":"ON",…}
///     tele/T/SENSOR  {"Time":…,"ENERGY":{"TotalStartTime":…,"Total":812.417,…,"Period":2,"Power":742,…}}
///     tele/T/MARGINS {"MARGINS":{"PowerDelta":321}}   and a SENSOR without Period
///     stat/T/POWER   ON                and stat/T/RESULT {"POWER":"ON"}
///
/// Power that ends with the relay is not a PowerDelta: then only `stat` tells. Numbers are rounded as the firmware does
/// by default: 1 W, 1 V, 1 Wh.
struct TasmotaPlug: Hashable, Sendable {
    let topic: String
    private let stateTopic: String
    private let sensorTopic: String
    private let utcOffset: Duration
    /// What it counted before the simulation began, µJ.
    private var before: Int64
    private(set) var isOn = false
    private var bootedAt: Instant
    private var bootCount = 40
    private var nextReport: Instant
    private var lastSent = Instant.distantPast
    private var sentWatts = 0.0
    /// Counts at the last report and at the last two midnights of its clock, µJ.
    private var atReport: Int64
    private var atMidnight: Int64
    private var atMidnightBefore: Int64
    private var midnight: Instant
    /// After a power cut it has lost today's count, and its clock, until it has found the time again.
    private var lostUntil: Instant?

    private static let microjoulesPerWattHour: Int64 = 3_600_000_000
    private let period: Duration
    /// What it measured last.
    private var watts = 0.0

    init(
        topic: String, wattHours: Int64, yesterday: Int64, today: Int64, utcOffset: Duration, start: Instant,
        period: Duration = .seconds(10)
    ) {
        self.topic = topic
        stateTopic = "tele/\(topic)/STATE"
        sensorTopic = "tele/\(topic)/SENSOR"
        self.period = period
        self.utcOffset = utcOffset
        before = wattHours * Self.microjoulesPerWattHour
        atReport = before
        atMidnight = before - today * Self.microjoulesPerWattHour
        atMidnightBefore = atMidnight - yesterday * Self.microjoulesPerWattHour
        midnight = (start + utcOffset).floor(to: .hours(24)) + .hours(24) - utcOffset
        bootedAt = start - .hours(300)
        nextReport = start
    }

    // MARK: what happens to it

    /// What it says when it has just found the broker.
    mutating func connect(_ at: Instant, _ load: ElectricalLoad, _ energy: Int64, _ out: inout [Emission]) {
        out.append(.publish("tele/\(topic)/LWT", "Online", retain: true))
        out.append(
            .publish(
                "tele/\(topic)/INFO3", #"{"Info3":{"RestartReason":"Power On","BootCount":\#(bootCount)}}"#))
        tellRelay(&out)
        nextReport = at
        tick(at, load, energy, &out)
    }

    /// Its relay is switched.
    mutating func turn(on: Bool, _ out: inout [Emission]) {
        guard on != isOn else { return }
        isOn = on
        if !on { sentWatts = 0 }
        tellRelay(&out)
    }

    /// The mains failed for a moment: today's count is away until its clock has found the time.
    mutating func losePower(at: Instant, _ load: ElectricalLoad, _ energy: Int64, _ out: inout [Emission]) {
        bootCount += 1
        bootedAt = at
        lostUntil = at + .seconds(25)
        connect(at, load, energy, &out)
    }

    /// Somebody sets its count to zero (`EnergyTotal 0`).
    mutating func resetCounter(_ energy: Int64) {
        before = -energy
        atReport = 0
        atMidnight = 0
        atMidnightBefore = 0
    }

    // MARK: what it says

    /// When it says something next, if its load stays as it is.
    var next: Instant {
        isOn && isJump(watts) ? min(nextReport, lastSent + .seconds(3)) : nextReport
    }

    /// Once a second, or whenever its load changes or `next` comes. `energy` is what the load used since the simulation began, µJ.
    mutating func tick(_ at: Instant, _ load: ElectricalLoad, _ energy: Int64, _ out: inout [Emission]) {
        let count = before + energy
        watts = load.watts
        while at >= midnight {
            atMidnightBefore = atMidnight
            atMidnight = count
            midnight = midnight + .hours(24)
        }
        if let lostUntil, at >= lostUntil { self.lostUntil = nil }
        if at >= nextReport {
            nextReport = at + period
            tellState(at, &out)
            let used = wattHours(count) - wattHours(atReport)
            atReport = count
            tellEnergy(at, load, count, period: used, &out)
        } else if isOn, at >= lastSent + .seconds(3), isJump(load.watts) {
            out.append(
                .publish("tele/\(topic)/MARGINS", #"{"MARGINS":{"PowerDelta":\#(load.watts - sentWatts, places: 0)}}"#))
            tellEnergy(at, load, count, period: nil, &out)
        }
    }

    /// PowerDelta 30, as percent, and never for less than 5 W.
    private func isJump(_ watts: Double) -> Bool {
        let change = (watts - sentWatts).magnitude
        return change >= 5 && change >= 0.3 * max(sentWatts, 1)
    }

    private func tellRelay(_ out: inout [Emission]) {
        let word: FirmwareText = isOn ? "ON" : "OFF"
        out.append(.publish("stat/\(topic)/RESULT", #"{"POWER":"\#(word)"}"#))
        out.append(.publish("stat/\(topic)/POWER", word))
    }

    private func tellState(_ at: Instant, _ out: inout [Emission]) {
        let up = (at - bootedAt).milliseconds / 1000
        var text = FirmwareText(capacity: 260)
        text.add(#"{"Time":""#)
        text.add(localTime: clock(at))
        text.add(#"","Uptime":""#)
        text.add(up / 86_400)
        text.add("T")
        text.add(up / 3600 % 24, digits: 2)
        text.add(":")
        text.add(up / 60 % 60, digits: 2)
        text.add(":")
        text.add(up % 60, digits: 2)
        text.add(#"","UptimeSec":"#)
        text.add(up)
        text.add(#","Heap":25,"SleepMode":"Dynamic","Sleep":50,"LoadAvg":19,"MqttCount":1,"POWER":""#)
        text.add(isOn ? "ON" : "OFF")
        text.add(#"","Wifi":{"AP":1,"SSId":"lab","Channel":6,"Mode":"11n","RSSI":78,"Signal":-61,"LinkCount":1}}"#)
        out.append(.publish(topic: stateTopic, payload: text.bytes, retain: false))
    }

    private mutating func tellEnergy(
        _ at: Instant, _ load: ElectricalLoad, _ count: Int64, period: Int64?, _ out: inout [Emission]
    ) {
        lastSent = at
        sentWatts = load.watts
        let isLost = lostUntil != nil
        let today = isLost ? 0 : wattHours(count) - wattHours(atMidnight)
        let total = isLost ? wattHours(atMidnight) : wattHours(count)
        let yesterday = wattHours(atMidnight) - wattHours(atMidnightBefore)
        var text = FirmwareText(capacity: 300)
        text.add(#"{"Time":""#)
        text.add(localTime: clock(at))
        text.add(#"","ENERGY":{"TotalStartTime":"2026-01-03T09:12:44","Total":"#)
        text.add(total, places: 3)
        text.add(#","Yesterday":"#)
        text.add(yesterday, places: 3)
        text.add(#","Today":"#)
        text.add(today, places: 3)
        if let period {
            text.add(#","Period":"#)
            text.add(period)
        }
        text.add(#","Power":"#)
        text.add(load.watts, places: 0)
        text.add(#","ApparentPower":"#)
        text.add(load.voltAmperes, places: 0)
        text.add(#","ReactivePower":"#)
        text.add(load.reactive, places: 0)
        text.add(#","Factor":"#)
        text.add(Int64((load.factor * 100).rounded()), places: 2)
        text.add(#","Voltage":"#)
        text.add(Int64(load.volts.rounded()))
        text.add(#","Current":"#)
        text.add(Int64((load.amperes * 1000).rounded()), places: 3)
        text.add("}}")
        out.append(.publish(topic: sensorTopic, payload: text.bytes, retain: false))
    }

    /// What its clock shows. Without a time server it begins in 1970.
    private func clock(_ at: Instant) -> Instant {
        lostUntil == nil ? at + utcOffset : Instant(milliseconds: (at - bootedAt).milliseconds)
    }

    private func wattHours(_ microjoules: Int64) -> Int64 { microjoules / Self.microjoulesPerWattHour }
}
