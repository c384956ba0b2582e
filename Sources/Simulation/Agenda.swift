// Which of many parts is due next, known at once after each change of one.

package import Model

/// A knock-out of the times of some parts: whoever changes plays again only against those on its way to the top. Of
/// parts that are due at once the first goes first, as it would if all were looked at.
///
///     places   1 | 2 3 | 4 5 6 7 | …       a place's two below it are twice its number, and one more
///     index    the earliest of both; the lowest row holds the parts themselves
package struct Agenda: Sendable {
    private var times: [Instant]
    private var winners: [Int]
    private let width: Int

    /// `count` parts, at least one, none of them due yet.
    package init(_ count: Int) {
        var width = 1
        while width < count { width *= 2 }
        self.width = width
        times = [Instant](repeating: .distantFuture, count: width)
        winners = Array(repeating: 0, count: width) + Array(0..<width)
        for place in (1..<width).reversed() { winners[place] = winners[place * 2] }
    }

    /// The part that is due first, and when.
    package var first: (index: Int, time: Instant) { (winners[1], times[winners[1]]) }

    /// When a part is due.
    package subscript(index: Int) -> Instant {
        get { times[index] }
        set {
            guard newValue != times[index] else { return }
            times[index] = newValue
            var place = (index + width) / 2
            while place > 0 {
                let (left, right) = (winners[place * 2], winners[place * 2 + 1])
                let winner = times[right] < times[left] ? right : left
                // Above it nothing changes, either, where another one won before and wins again.
                if winner == winners[place], winner != index { break }
                winners[place] = winner
                place /= 2
            }
        }
    }
}
