/// Samples of one series on their way from the head to the archive, as columns; there may be room for more.
struct SortedColumns {
    /// What a sample is: 0…4 a decimal with so many places, and the marks below.
    static let double: UInt8 = 5
    static let unknown: UInt8 = 6
    static let text: UInt8 = 7

    var times: [Int64] = []
    /// As in `Record`.
    var bits: [UInt64] = []
    var marks: [UInt8] = []
    var texts: [String] = []
    /// No time is before the one ahead of it.
    var areInOrder = true

    /// Room for so many samples, which are to be filled in.
    mutating func makeRoom(_ count: Int) {
        let more = count - times.count
        guard more > 0 else { return }
        times.append(contentsOf: repeatElement(0, count: more))
        bits.append(contentsOf: repeatElement(0, count: more))
        marks.append(contentsOf: repeatElement(0, count: more))
    }

    static func mark(_ record: Record) -> UInt8 {
        switch record.tag {
        case .number: record.places
        case .text: text
        case .unknown, .lost, .tier: unknown
        }
    }
}
