import Ports

/// What a memory card has to take because of the file system that the store is on.
enum StoreWear {
    /// In seconds; beyond, what the journal takes is little beside the store's own pages.
    private static let enough = 300

    /// What to do where the file system of this path writes far more than the store; nil where that is not known.
    static func hint(_ path: String) -> String? {
        guard let mount = Mount.holding(path), let interval = mount.journalInterval, interval < enough else {
            return nil
        }
        // Each commit takes about 13 kB; `deploy/labs/wear --real` measures it.
        return
            "ext4 on \(mount.point) writes about \(1120 / max(1, interval)) MB a day beside the store, since each write "
            + "changes the file's time and its journal is committed every \(interval) s; where that is a memory card, add "
            + "commit=900 to the options of \(mount.point) in /etc/fstab"
    }
}
