@preconcurrency import Glibc
import Hub
import Ports
import Store

/// Makes a store where there is none.
enum NewStore {
    /// The file bears its name only once it holds a store: a process that is killed, or a machine that loses power, while
    /// hundreds of megabytes are zeroed must not leave behind what the next start takes for a store that lost everything.
    static func make(_ configuration: Configuration) throws -> (FileRegion, RingStore) {
        let path = configuration.storeFile
        let unfinished = path + ".new"
        if Files.exists(unfinished) {
            // Refused where another process is at work on it.
            _ = try FileRegion(opening: unfinished)
            Files.removeFolder(unfinished)
        }
        let region = try zeroed(unfinished, size: configuration.store.size)
        let store = try RingStore.create(
            in: region, plan: StorePlan(seriesLimit: configuration.store.seriesLimit),
            identity: Digest.randomBytes(16))
        try region.rename(to: path)
        return (region, store)
    }

    private static func zeroed(_ path: String, size: Int) throws -> FileRegion {
        do {
            return try FileRegion(
                creating: path, size: size, progress: ProgressBar("making the store of \(size >> 20) MiB").show)
        } catch {
            guard [ENOSPC, EDQUOT, EFBIG].contains(error.code) else { throw error }
            throw ToolFailure(
                .ioError,
                "there is no room for a store of \(size >> 20) MiB: \(error); free some, give store.path another disk, or "
                    + "set store.size lower")
        }
    }
}
