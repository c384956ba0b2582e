package import Model

/// Samples that were stored and cannot be read any more.
package struct Loss: Hashable, Sendable, CustomStringConvertible {
    package let samples: Int
    /// They were between these, as far as the samples around them tell.
    package let from: Instant?
    package let to: Instant?

    package var description: String {
        "\(samples) samples lost between \(from.map(\.description) ?? "the beginning") "
            + "and \(to.map(\.description) ?? "the end")"
    }
}

/// What opening the store found and did. Opening writes nothing.
package struct RecoveryReport: Sendable, CustomStringConvertible {
    /// Samples found in the archive.
    package internal(set) var archived = 0
    /// Samples found in the journal alone.
    package internal(set) var journaled = 0
    /// Samples that were once acknowledged as durable and are gone.
    package internal(set) var losses: [Loss] = []
    /// Records of slots and days that were once acknowledged as durable and are gone, at least; of slots, those whose
    /// samples are still there are made again of these.
    package internal(set) var lostRecords = 0
    /// Pages of a write that a power cut interrupted: nothing in them was acknowledged as durable.
    package internal(set) var unfinishedPages = 0
    /// Series numbers that samples carry and the catalog does not know.
    package internal(set) var unnamedSeries = 0
    /// The geometry was found by looking through all pages.
    package internal(set) var rebuiltSuperblocks = false
    /// Everything else worth a line in the log.
    package internal(set) var notes: [String] = []

    package var lost: Int { losses.reduce(0) { $0 + $1.samples } }

    package var description: String {
        var parts = ["\(archived) samples in the archive, \(journaled) in the journal"]
        parts += losses.prefix(5).map(\.description)
        if losses.count > 5 { parts.append("\(losses.count - 5) more losses") }
        if lostRecords > 0 { parts.append("\(lostRecords) records of slots and days lost") }
        if unfinishedPages > 0 { parts.append("\(unfinishedPages) pages of an interrupted write dropped") }
        if unnamedSeries > 0 { parts.append("\(unnamedSeries) series without a name") }
        if rebuiltSuperblocks { parts.append("both superblocks were unreadable and are rebuilt from the pages") }
        return (parts + notes).joined(separator: "; ")
    }
}

/// Numbers about the store, since it was opened where not said otherwise.
package struct StoreStatistics: Sendable {
    /// The archive ring's size and how much of it is in use.
    package var pages = 0
    package var usedPages = 0
    /// Of the whole region, and how many pages of it the rings of slots and days have.
    package var bytes = 0
    package var tierPages: [Int] = []
    package var usedTierPages: [Int] = []
    /// Pages of samples that newer ones were written over since the store was made.
    package var pagesEverOverwritten = 0
    /// Readable now, in archive and head.
    package var samples = 0
    package var series = 0
    package var seriesLimit = 0
    /// Appended, the dropped ones not counted.
    package var appended = 0
    /// Dropped because the series has a sample of this time and value.
    package var duplicates = 0
    /// Dropped because they came later than the store takes them.
    package var tooLate = 0
    /// The same since the store was made, those of before the last opening at least: up to an eighth less where a process
    /// was killed.
    package var tooLateEver = 0
    /// Series that were refused because the limit was reached.
    package var refusedSeries = 0
    /// Dropped because the disk takes nothing and memory is full.
    package var refused = 0
    /// Since the store was made, as with what came too late.
    package var refusedEver = 0
    /// Records of slots and days: held, replaced versions counted where they stand in different runs; refused; and
    /// written over when their ring wrapped.
    package var records = 0
    package var refusedRecords = 0
    package var overwrittenRecords = 0
    /// Texts cut to 96 bytes.
    package var shortened = 0
    /// Pages, and their samples, that the ring wrote over.
    package var overwrittenPages = 0
    package var overwrittenSamples = 0
    /// Of these pages: with samples at or after `mayOverwriteBefore`.
    package var overwrittenUnrolled = 0
    /// Nothing is written over any more, because the oldest samples are still needed.
    package var isHolding = false
    /// Pages that the disk refused to write.
    package var refusedWrites = 0
    package var failedSyncs = 0
    /// Samples in pages that cannot be read now, and those that recovery missed.
    package var lost = 0
    /// Bytes given to the region, in whole pages.
    package var writtenBytes = 0
    /// How long the ring reaches back when it is full: measured, or from the rate so far; nil where there is too little.
    package var retention: Duration?
    /// The same for slots and days.
    package var tierRetention: [Duration?] = []
}

/// What a reading of every page found.
package struct VerifyReport: Sendable, CustomStringConvertible {
    package internal(set) var pages = 0
    package internal(set) var samples = 0
    package internal(set) var records = 0
    /// The page's number in the region and what is wrong with it.
    package internal(set) var damaged: [(page: Int, reason: String)] = []

    package var isSound: Bool { damaged.isEmpty }

    package var description: String {
        let head = "\(pages) pages, \(samples) samples and \(records) records of slots and days read"
        guard !isSound else { return head + ", all sound" }
        let list = damaged.prefix(10).map { "page \($0.page): \($0.reason)" }.joined(separator: "; ")
        return head + ", \(damaged.count) damaged: " + list
    }
}
