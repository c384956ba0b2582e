// What the city holds, beside what this gateway remembers to have made. Asked for once a day; and before anything is made
// where the gateway may have been restored from a backup, because its new epoch would beat whatever the city has:
//
//     the city lacks a window, holds an older       it goes again, as a newer version
//     version, or other bytes of the same one
//     it holds one that this gateway never made     the city's stays: what this gateway has of the time may be less. Where
//                                                   both say the same it is this gateway's own from then on; where they do
//                                                   not, a person is told

package import Model

extension RollupOutbox {
    /// Stands for the content of a window that somebody else made.
    static let foreign = "foreign"

    /// Whether the city is to be asked before anything is made: this gateway got another epoch since it made its last
    /// version. In the same epoch no version of a gateway that has forgotten its own can beat the city's.
    package static func mustAskFirst(epoch: Int64, known: [EmittedWindow]) -> Bool {
        epoch > known.map(\.version.epoch).max() ?? 1
    }

    /// The city cannot say what it holds of a grain. The windows that were offered meanwhile are returned: compute them
    /// and `offer` them again.
    package mutating func goOn(_ grain: RollupGrain) -> [RollupKey] {
        awaited.remove(grain)
        let keys = deferred.filter { $0.grain == grain }
        deferred.subtract(keys)
        return keys.sorted { $0.start < $1.start }
    }

    /// Compares with what the city holds of one lab and grain in `[from, to)`. The windows that it lacks, or holds in
    /// another version, and those that were offered before, are returned: compute them and `offer` them again.
    package mutating func reconcile(
        _ summary: [RollupSummary], lab: String, grain: RollupGrain, from: Instant, to: Instant
    ) -> [RollupKey] {
        let held = Dictionary(summary.map { ($0.key, $0) }) { $0.version < $1.version ? $1 : $0 }
        var again = Set(goOn(grain))
        for key in known.keys where key.start >= from && key.start < to && key.grain == grain && key.lab == lab {
            guard rows[key] == nil, let window = known[key] else { continue }
            let city = held[key]
            if let city, city.version > window.version { continue }
            if let city, city.version == window.version, city.digest == window.digest { continue }
            var lost = window
            lost.contentDigest = ""
            lost.isReceipted = false
            known[key] = lost
            effects.append(.note(lost))
            again.insert(key)
        }
        adopt(
            held.values.filter { known[$0.key].map { $0.version } ?? RollupVersion(epoch: 0, revision: 0) < $0.version }
        )
        return again.sorted { $0.start < $1.start }
    }

    /// Takes up versions that this gateway never made.
    private mutating func adopt(_ foreign: [RollupSummary]) {
        for summary in foreign {
            let window = EmittedWindow(
                key: summary.key, version: summary.version, contentDigest: Self.foreign, digest: summary.digest,
                isReceipted: true, suppressed: known[summary.key]?.suppressed ?? [])
            known[summary.key] = window
            noteStored(summary.key)
            if let row = rows[summary.key] {
                effects.append(.delete(row.key, row.version))
                remove(row.key)
            }
            effects.append(.note(window))
        }
        guard let first = foreign.map(\.key).min(by: { $0.start < $1.start }) else { return }
        effects.append(
            .alarm(
                "the city holds \(foreign.count) windows, from \(first) on, that this gateway does not remember to have "
                    + "made: it was restored from a backup, lost its outbox, or has a twin. They stay as the city has them "
                    + "unless this gateway's are the same, or somebody says `fabgate outbox claim`"))
    }

    /// Windows that are somebody else's and stay as the city has them.
    package var foreignWindows: [RollupKey] {
        known.values.filter { $0.contentDigest == Self.foreign }.map(\.key).sorted {
            ($0.start, $0.grain.rawValue) < ($1.start, $1.grain.rawValue)
        }
    }

    /// A person says that what this gateway has of windows is right: one, or all that are somebody else's. When the city is
    /// asked next what it holds, they go as the next version. Returns them.
    package mutating func claim(_ key: RollupKey? = nil) -> [RollupKey] {
        let claimed = foreignWindows.filter { key == nil || $0 == key }
        for key in claimed {
            guard var window = known[key] else { continue }
            window.contentDigest = ""
            window.digest = ""
            window.isReceipted = false
            known[key] = window
            warned.remove(key)
            effects.append(.note(window))
        }
        return claimed
    }

    /// Whether this gateway may make the next version of a window. Where the city's is somebody else's, only if that says
    /// what this gateway would have said, final or not.
    mutating func isOurs(_ content: RollupContent, _ now: Instant) -> Bool {
        guard var window = known[content.key], window.contentDigest == Self.foreign else { return true }
        for isFinal in [content.isFinal, !content.isFinal] {
            var same = content
            same.isFinal = isFinal
            let bare = same.canonical()
            let item = bare.numbered(window.version, emitted: now)
            guard RollupContent.digest(of: item, sha256) == window.digest else { continue }
            window.contentDigest = same.contentDigest(of: bare, sha256)
            known[content.key] = window
            effects.append(.note(window))
            return true
        }
        if warned.insert(content.key).inserted {
            effects.append(
                .alarm(
                    "\(content.key) is not sent: the city's version \(window.version) is not this gateway's, and says "
                        + "something else. `fabgate outbox claim` replaces it"))
        }
        return false
    }
}
