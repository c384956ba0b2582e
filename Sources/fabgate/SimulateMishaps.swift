import City
import Model
import Simulation

// What happens to the lab and the gateway, and how it ends.

extension SimulatedWorld {
    mutating func suffer(_ mishap: Mishap) {
        audit.suffered(mishap)
        switch mishap.kind {
        case .reset(let machine): if lab.resetCounter(of: machine) { doubtCounter(of: machine, isReset: true) }
        case .dip(let machine): if lab.cutPower(of: machine) { doubtCounter(of: machine, isReset: false) }
        case .kill(let length): die(for: length)
        case .power(let length): die(for: length, losesPower: true)
        case .clock(let error, let length):
            guard clockIsWrongUntil == nil else { return }
            clockError = error
            isSynchronised = false
            clockIsWrongUntil = time + length
            lookAtClock()
        case .drift(let millionths, let length):
            guard clockIsWrongUntil == nil else { return }
            drift = (time, millionths)
            isSynchronised = false
            clockIsWrongUntil = time + length
            audit.drifts(from: time, to: time + length, most: length * abs(millionths) / 1_000_000 + .milliseconds(1))
        case .disk(let length, let isFull):
            storeDisk?.fail(isFull ? .noSpace : .ioError)
            diskFailsUntil = time + length
        case .rot: storeDisk?.rot(&random)
        case .late(let machine, let length):
            guard let index = lab.machines.firstIndex(of: machine), held[index] == nil else { return }
            held[index] = time + length
            audit.holdBack(index, at: time, until: time + length)
        case .copy: city.copy()
        case .fallBack: city.fallBack(at: time)
        }
    }

    private mutating func doubtCounter(of machine: String, isReset: Bool) {
        let release = lab.machines.firstIndex(of: machine).flatMap { held[$0] }
        audit.doubtCounter(of: machine, at: time, release: release, isReset: isReset)
    }

    /// What was wrong for a while and is right again.
    mutating func recover() {
        if let until = clockIsWrongUntil, time >= until {
            clockIsWrongUntil = nil
            clockError = .zero
            drift = nil
            isSynchronised = true
            lookAtClock()
        }
        if let until = diskFailsUntil, time >= until {
            diskFailsUntil = nil
            storeDisk?.fail(nil)
            if isDeadUntil == nil { redeliver() }
        }
        guard !held.isEmpty else { return }
        let over = held.filter { $0.value <= time }
        guard !over.isEmpty else { return }
        for machine in over.keys { held[machine] = nil }
        if isDeadUntil == nil { release() }
    }
}
