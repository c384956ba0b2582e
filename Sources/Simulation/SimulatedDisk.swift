import Model
package import Store
import Synchronization

/// A disk in memory that keeps what was synced, and loses of the rest what a power cut takes: all, some, or parts of a
/// page. It can refuse writes for a while, and a page of it can rot.
package final class SimulatedDisk: Region {
    package enum Failure: Hashable, Sendable { case ioError, noSpace }

    private struct State {
        /// What a read shows.
        var bytes: [UInt8]
        /// The writes since the last sync, and what stood at each place at that sync.
        var pending: [(offset: Int, bytes: [UInt8])] = []
        var before: [Int: [UInt8]] = [:]
        var failure: Failure?
    }

    private let state: Mutex<State>
    package let size: Int

    package init(size: Int) {
        self.size = size
        state = Mutex(State(bytes: [UInt8](repeating: 0, count: size)))
    }

    package func read(at offset: Int, into buffer: inout [UInt8]) throws(RegionError) {
        guard offset >= 0, offset + buffer.count <= size else { throw RegionError("read beyond the end", code: 0) }
        let part = state.withLock { Array($0.bytes[offset..<offset + buffer.count]) }
        buffer.replaceSubrange(buffer.startIndex..<buffer.endIndex, with: part)
    }

    package func write(_ data: [UInt8], at offset: Int) throws(RegionError) {
        guard offset >= 0, offset + data.count <= size else { throw RegionError("write beyond the end", code: 0) }
        let failure = state.withLock { state -> Failure? in
            if let failure = state.failure { return failure }
            let range = offset..<offset + data.count
            if state.before[offset] == nil {
                state.before[offset] = Array(state.bytes[range])
            }
            state.pending.append((offset, data))
            state.bytes.replaceSubrange(range, with: data)
            return nil
        }
        try Self.check(failure, "write")
    }

    package func sync() throws(RegionError) {
        let failure = state.withLock { state -> Failure? in
            if let failure = state.failure { return failure }
            state.pending.removeAll(keepingCapacity: true)
            state.before.removeAll(keepingCapacity: true)
            return nil
        }
        try Self.check(failure, "fdatasync")
    }

    private static func check(_ failure: Failure?, _ call: String) throws(RegionError) {
        switch failure {
        case .ioError: throw RegionError("\(call): Input/output error", code: 5)
        case .noSpace: throw RegionError("\(call): No space left on device", code: 28)
        case nil: break
        }
    }

    /// Power goes and comes back. Of what was not synced some writes are there, in any order, and one may be there in
    /// part: in sectors of 512 bytes, or as garbage.
    package func cutPower(_ random: inout SeededRandom) {
        var generator = random
        state.withLock { state in
            for (offset, old) in state.before {
                state.bytes.replaceSubrange(offset..<offset + old.count, with: old)
            }
            let share = Double(Int.random(in: 0...2, using: &generator)) / 2
            let victim = state.pending.indices.randomElement(using: &generator)
            for (index, write) in state.pending.enumerated() where index == victim || generator.chance(share) {
                guard index == victim else {
                    state.bytes.replaceSubrange(write.offset..<write.offset + write.bytes.count, with: write.bytes)
                    continue
                }
                let isGarbage = generator.chance(0.3)
                for sector in stride(from: 0, to: write.bytes.count, by: 512) where generator.chance(0.5) {
                    let end = min(sector + 512, write.bytes.count)
                    let part = write.bytes[sector..<end].map { isGarbage ? $0 ^ generator.byte() : $0 }
                    state.bytes.replaceSubrange(write.offset + sector..<write.offset + end, with: part)
                }
            }
            state.pending.removeAll()
            state.before.removeAll()
        }
        random = generator
    }

    /// From now on every write and sync fails; with nil they work again.
    package func fail(_ failure: Failure?) { state.withLock { $0.failure = failure } }

    /// One byte somewhere becomes another one. The first two pages, which name the store, are spared: they rot only
    /// together with a whole disk.
    package func rot(_ random: inout SeededRandom) {
        let place = Int.random(in: 2 * 4096..<size, using: &random)
        let change = UInt8.random(in: 1...255, using: &random)
        state.withLock { $0.bytes[place] ^= change }
    }
}

extension SeededRandom {
    fileprivate mutating func byte() -> UInt8 { UInt8.random(in: 0...255, using: &self) }
}
