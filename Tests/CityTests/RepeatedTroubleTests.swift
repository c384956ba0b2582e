import City
import Model
import Testing

@Suite struct RepeatedTroubleTests {
    @Test func theSameIsSaidOnceAMinute() {
        var trouble = RepeatedTrouble()
        let start = Instant(milliseconds: 1_700_000_000_000)
        func at(_ seconds: Int64) -> Instant { start + .seconds(seconds) }
        #expect(trouble.news("disk full", at: at(0)) == "disk full")
        #expect(trouble.news("disk full", at: at(1)) == nil)
        #expect(trouble.news("disk full", at: at(59)) == nil)
        #expect(trouble.news("disk full", at: at(60)) == "disk full (and 2 times before)")
        #expect(trouble.news("locked", at: at(61)) == "locked")
        #expect(trouble.news("disk full", at: at(62)) == "disk full")
        #expect(trouble.news("disk full", at: at(200)) == "disk full")
        // The clock was set back.
        #expect(trouble.news("disk full", at: at(100)) == "disk full")
    }
}
