import Model
import Testing
import Usage

private let noon = Instant("2026-11-23T12:00:00Z") ?? .distantPast

private func at(_ seconds: Int64) -> Instant { noon + .seconds(seconds) }

/// A press with two zones at 200 °C that has been hot for an hour.
private func hotPress(_ rule: PressRule) -> MachineUsage {
    var usage = MachineUsage(UsageRule(source: .press(rule), energy: []), start: noon)
    for zone in ["zone1", "zone2"] {
        usage.observe(setpoint: 200, zone: zone, at: at(0))
        usage.observe(temperature: 199, zone: zone, at: at(0))
    }
    usage.observe(shots: 10, at: at(1))
    usage.advance(to: at(3600))
    return usage
}

@Suite struct PressTests {
    @Test func hotAndWithoutShotsIsReady() {
        let usage = hotPress(PressRule(countsShots: true))
        #expect(usage.state == .idle)
        #expect(usage.reason == "ready")
    }

    @Test func faultsNameTheirZone() {
        var usage = hotPress(PressRule(alarmsAreFaults: true))
        usage.observe(alarm: true, zone: "zone2", at: at(3601))
        #expect(usage.state == .fault)
        #expect(usage.reason == "zone2 alarm")
        usage.observe(alarm: false, zone: "zone2", at: at(3602))
        usage.observe(temperature: nil, zone: "zone2", at: at(3603))
        #expect(usage.reason == "zone2 sensor")
        var shown = hotPress(PressRule(alarmsAreFaults: false))
        shown.observe(alarm: true, zone: "zone2", at: at(3601))
        #expect(shown.state == .idle)
    }

    /// A minute far above the set value is a fault from then on; a peak is none, and neither is a lowered set value.
    @Test func aZoneOutOfControlIsAFault() {
        var usage = hotPress(PressRule())
        usage.observe(temperature: 231, zone: "zone1", at: at(3601))
        usage.observe(temperature: 199, zone: "zone1", at: at(3650))
        usage.advance(to: at(3700))
        #expect(usage.state == .idle)
        usage.observe(temperature: 231, zone: "zone1", at: at(3701))
        usage.advance(to: at(3760))
        #expect(usage.state == .idle)
        usage.advance(to: at(3900))
        #expect(usage.state == .fault)
        #expect(usage.reason == "zone1 too hot")
        #expect(usage.since == at(3761))
        usage.observe(temperature: 229, zone: "zone1", at: at(3901))
        #expect(usage.state == .idle)
        usage.observe(setpoint: 150, zone: "zone1", at: at(3902))
        usage.advance(to: at(4200))
        #expect(usage.state == .idle)
    }

    @Test func aHotPressWhoseShotsNobodySeesIsNotReady() {
        var usage = hotPress(PressRule(countsShots: true))
        usage.observe(silenceOf: [], shots: true, at: at(3601))
        #expect(usage.state == .unknown)
        #expect(usage.reason == "shot counter is silent")
        // It did not run meanwhile, as its count tells when it is back.
        usage.observe(shots: 10, at: at(3700))
        #expect(usage.state == .idle)
    }

    @Test func aZoneThatFellSilentIsNoGuess() {
        var usage = hotPress(PressRule(countsShots: true))
        usage.observe(silenceOf: ["zone2"], shots: false, at: at(3601))
        #expect(usage.state == .unknown)
        #expect(usage.reason == "zone2 is silent")
        usage.observe(shots: 11, at: at(3610))
        #expect(usage.state == .running)
        usage.observe(temperature: 198, zone: "zone2", at: at(3620))
        usage.observe(setpoint: 200, zone: "zone2", at: at(3620))
        #expect(usage.state == .running)
        usage.advance(to: at(3610 + 901))
        #expect(usage.state == .idle)
    }
}
