import Hub
import Model
import Ports
import Store

/// Opens a gateway's store while the rest of its configuration is still being read and checked: each is half of a start,
/// and a plug that speaks meanwhile waits for both.
final class StoreOpening {
    private typealias Opened = (region: FileRegion, store: RingStore)

    /// What the worker has opened; read once the worker has ended.
    private final class Outcome: @unchecked Sendable {
        var opened: Opened?
    }

    private var path: String?
    private let outcome = Outcome()
    private let worker = Worker(name: "opening")

    /// Begins with the store that a section `store` names, or the usual one, where it is there; once. To open a store
    /// writes nothing, so nothing has happened where the configuration is refused after that.
    func begin(_ section: Document?) {
        guard self.path == nil else { return }
        var folder = Configuration.Store.usualPath
        if case .scalar(let named, _)? = section?["path"]?.content { folder = named }
        let path = Configuration.Store.file(in: folder)
        self.path = path
        worker.run { [outcome] in
            guard Files.exists(path) else { return }
            // What is out of the ordinary is done, and told, in its order: the configuration may be wrong, too.
            guard let region = try? FileRegion(opening: path), RingStore.sizeWithTiers(region) == nil,
                let store = try? RingStore(opening: region)
            else { return }
            outcome.opened = (region, store)
        }
    }

    /// The store of a configuration that was found right; made where there is none. Says what opening it found.
    func finish(_ configuration: Configuration) throws -> (FileRegion, RingStore) {
        worker.stop()
        let file = configuration.storeFile
        let opened =
            try Files.exists(file) ? take(file, size: configuration.store.size) : NewStore.make(configuration)
        if let hint = StoreWear.hint(file) { Log.write(.info, "store: \(hint)") }
        return opened
    }

    private func take(_ file: String, size: Int) throws -> Opened {
        let ahead = outcome.opened
        outcome.opened = nil
        let opened = if let ahead, path == file { ahead } else { try Self.open(file) }
        if opened.region.size != size {
            Log.write(
                .warning,
                "the store \(file) has \(opened.region.size >> 20) MiB, the configuration says \(size >> 20); it keeps its size"
            )
        }
        Log.write(opened.store.recovery.lost > 0 ? .warning : .info, "store: \(opened.store.recovery)")
        return opened
    }

    private static func open(_ path: String) throws -> Opened {
        var region = try FileRegion(opening: path)
        if let size = RingStore.sizeWithTiers(region) {
            do {
                let bar = ProgressBar("making room for slots and days")
                region = try region.grown(to: size, progress: bar.show)
                Log.write(
                    .notice,
                    "the store \(path) was made by an older version; it is \(size >> 20) MiB long now and keeps slots and days, too"
                )
            } catch {
                Log.write(
                    .warning,
                    "the store \(path) has no room for slots and days until \(size >> 20) MiB are free: \(error)")
            }
        }
        return (region, try openStore(in: region, path))
    }
}

/// The store in a file; where there is none, what its owner can do about that.
func openStore(in region: FileRegion, _ path: String) throws -> RingStore {
    do {
        return try RingStore(opening: region)
    } catch {
        guard error.kind == .notAStore else { throw ToolFailure(.ioError, "the store \(path): \(error)") }
        throw ToolFailure(
            .ioError,
            "\(path) is no store, and no page of one is left in it; if nobody needs the file, move it away, and "
                + "`fabgate run` makes a new store")
    }
}
