package import Model

/// How power tells what a machine does. Between the two levels it stays as it was.
package struct PowerRule: Hashable, Sendable {
    /// Watts; at or below it the machine idles.
    package var idleBelow: Double
    /// Watts; at or above it the machine runs.
    package var runningAbove: Double
    /// A change must last this long; then it counts from its beginning.
    package var dwell: Duration

    package init(idleBelow: Double, runningAbove: Double, dwell: Duration) {
        self.idleBelow = idleBelow
        self.runningAbove = runningAbove
        self.dwell = dwell
    }

    /// Below this many watts, idle has the reason "off".
    package static let offBelow = 2.0

    /// What a power value says, given what was said before.
    package func state(at watts: Double, before: MachineState) -> (MachineState, reason: String) {
        let magnitude = watts.magnitude
        if magnitude >= runningAbove { return (.running, "power") }
        if magnitude <= idleBelow { return (.idle, magnitude < Self.offBelow ? "off" : "standby") }
        return before == .running ? (.running, "power") : (.idle, "standby")
    }
}
