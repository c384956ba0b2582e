import Model
import Testing

@Suite struct TopicFilterOverlapTests {
    @Test(arguments: [
        ("a/b", "a/b", true), ("a/+", "a/b", true), ("a/#", "a", true), ("a", "a/#", true), ("a/#", "a/b/c", true),
        ("+/b", "a/+", true), ("a/b", "a/c", false), ("a/b", "a/b/c", false), ("a/+/c", "a/b", false),
        ("#", "x/y", true), ("a/+", "a/#", true), ("tele/laser/#", "tele/laser/SENSOR", true),
    ]) func twoFiltersCanMeanTheSameTopic(_ one: String, _ other: String, _ overlap: Bool) {
        #expect(TopicFilter.overlap(one, other) == overlap)
        #expect(TopicFilter.overlap(other, one) == overlap)
    }
}
