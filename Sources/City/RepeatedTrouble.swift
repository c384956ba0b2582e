package import Model

/// What goes wrong goes wrong with each of a thousand gateways, which ask again every minute. It is said when it is new,
/// and once a minute with how often it was not.
package struct RepeatedTrouble: Sendable {
    private static let pause = Duration.minutes(1)
    private var last = ""
    private var said = Instant.distantPast
    private var unsaid = 0

    package init() {}

    /// What is to be said now of a trouble; nil where it was said a moment ago.
    package mutating func news(_ trouble: String, at now: Instant) -> String? {
        // A clock that was set back must not make it silent.
        if trouble == last, now >= said, now < said + Self.pause {
            unsaid += 1
            return nil
        }
        defer { (last, said, unsaid) = (trouble, now, 0) }
        return trouble == last && unsaid > 0 ? "\(trouble) (and \(unsaid) times before)" : trouble
    }
}
