import Model
import Store
import Usage

// What readings mean to machines, when they come and when they are remembered.

extension Hub {
    /// What each channel of each device means: the first device that gives a quantity gives it to the machine.
    func assignRoles() -> [(roles: [Role], machine: Int?, tellsState: Bool)] {
        var result: [(roles: [Role], machine: Int?, tellsState: Bool)] = configuration.devices.map { device in
            (device.driver.channels.map { $0.name == "online" ? .online : .none }, nil, false)
        }
        for (machineIndex, machine) in configuration.machines.enumerated() {
            var given: Set<String> = []
            for index in machine.devices {
                let device = configuration.devices[index]
                result[index].machine = machineIndex
                for (channel, description) in device.driver.channels.enumerated() {
                    let role = role(of: description.name, device: index, in: machine)
                    guard role != .none else { continue }
                    if case .energy = role {} else if !given.insert(description.name).inserted { continue }
                    result[index].roles[channel] = role
                    switch (machine.source, role) {
                    case (.state, .state), (.power, .power), (.press, .zoneTemperature), (.press, .shots):
                        result[index].tellsState = true
                    default: break
                    }
                }
            }
        }
        return result
    }

    private func role(of channel: String, device: Int, in machine: Configuration.Machine) -> Role {
        switch channel {
        case "state": return .state
        case "job": return .job
        case "power": return .power
        case "shots": return .shots
        case "items": return .items
        case "energy": return machine.energy.firstIndex(of: device).map(Role.energy) ?? .none
        default:
            guard case .press = machine.source else { return .none }
            if channel.hasPrefix("temperature.zone") { return .zoneTemperature(String(channel.dropFirst(12))) }
            if channel.hasPrefix("setpoint.zone") { return .zoneSetpoint(String(channel.dropFirst(9))) }
            return .none
        }
    }

    func makeUsage(_ machine: Configuration.Machine, start: Instant) -> MachineUsage {
        let energy = machine.energy.map { index in
            let device = configuration.devices[index]
            let channel = device.driver.channels.first { $0.name == "energy" }
            return CounterRule.energy(watts: device.rating * 1.25, resolution: Int64(max(1, channel?.resolution ?? 1)))
        }
        return MachineUsage(
            UsageRule(source: machine.source, energy: energy, itemsPerShot: machine.itemsPerShot.map(Int64.init)),
            start: start)
    }

    func makeDevice(
        _ device: Configuration.Device, _ part: (roles: [Role], machine: Int?, tellsState: Bool)
    ) -> DeviceRuntime {
        let channels = device.driver.channels
        return DeviceRuntime(
            configuration: device, driver: device.driver, channels: channels, roles: part.roles, machine: part.machine,
            tellsState: part.tellsState, series: [SeriesID?](repeating: nil, count: channels.count),
            latest: [Latest?](repeating: nil, count: channels.count))
    }

    /// Finds or makes every series. Where the store has no room for one more, its readings are counted and shown.
    mutating func openSeries() {
        func open(_ device: String, _ channel: String, _ unit: Unit?, _ kind: Kind) -> SeriesID? {
            do {
                return try store.series(SeriesKey(device: device, channel: channel), unit: unit, kind: kind)
            } catch {
                storeTrouble = "\(error)"
                return nil
            }
        }
        for index in devices.indices {
            let id = devices[index].configuration.id
            devices[index].onlineSeries = open(id, "online", .one, .gauge)
            for (channel, description) in devices[index].channels.enumerated() where description.name != "online" {
                devices[index].series[channel] = open(id, description.name, description.unit, description.kind)
            }
        }
        beatSeries = open(Self.ownDevice, "beat", nil, .event)
        if devices.contains(where: { $0.series.contains(nil) && $0.channels.count > 1 }), storeTrouble == nil {
            let missing = devices.flatMap { device in
                device.channels.indices.filter { device.series[$0] == nil && device.channels[$0].name != "online" }
            }
            if !missing.isEmpty {
                storeTrouble =
                    "the store holds no more than its limit of series; \(missing.count) channels are not stored. "
                    + "Raise store.series_limit and start with a new store"
            }
        }
    }

    // MARK: what a value means

    /// The same for a reading that just came and for one that is remembered.
    mutating func apply(_ value: Value, channel: Int, device index: Int, at time: Instant) {
        guard let machine = devices[index].machine else { return }
        touch(machine)
        switch (devices[index].roles[channel], value) {
        case (.state, .state(let state, let reason)):
            machines[machine].usage.observe(state: state, reason: reason, at: time)
        case (.state, .unknown):
            machines[machine].usage.observe(state: .unknown, reason: "device does not know", at: time)
        case (.job, .event(let name)):
            if let outcome = JobOutcome(rawValue: name) { machines[machine].usage.observe(job: outcome, at: time) }
        case (.power, .number(let watts)): machines[machine].usage.observe(power: watts, at: time)
        case (.power, .unknown): machines[machine].usage.observe(power: nil, at: time)
        case (.energy(let counter), .number(let raw)):
            machines[machine].usage.observe(energy: Int64(raw.rounded()), counter: counter, at: time)
        case (.shots, .number(let raw)): machines[machine].usage.observe(shots: Int64(raw.rounded()), at: time)
        case (.items, .number(let raw)): machines[machine].usage.observe(items: Int64(raw.rounded()), at: time)
        case (.zoneTemperature(let zone), .number(let celsius)):
            machines[machine].usage.observe(temperature: celsius, zone: zone, at: time)
        case (.zoneTemperature(let zone), .unknown):
            machines[machine].usage.observe(temperature: nil, zone: zone, at: time)
        case (.zoneSetpoint(let zone), .number(let celsius)):
            machines[machine].usage.observe(setpoint: celsius, zone: zone, at: time)
        default: break
        }
    }

    mutating func applyOnline(_ isOnline: Bool, device index: Int, at time: Instant) {
        devices[index].isOnline = isOnline
        guard let machine = devices[index].machine, devices[index].tellsState else { return }
        touch(machine)
        if isOnline { return machines[machine].usage.back(at: time) }
        // Of several devices that tell the state, the last one that goes takes the machine with it.
        let others = configuration.machines[machine].devices.filter { $0 != index && devices[$0].tellsState }
        if others.allSatisfy({ devices[$0].isOnline != true }) {
            machines[machine].usage.lost("no contact", at: time)
        }
    }

    /// From `time` on the gateway knew nothing.
    mutating func applyBlindness(_ reason: String, at time: Instant) {
        for index in machines.indices { machines[index].usage.blind(reason, at: time) }
        touchAll()
        for index in devices.indices {
            devices[index].isOnline = nil
            devices[index].lastSeen = nil
        }
    }

    // MARK: memory

    /// Runs the stored samples through usage again, as if they came now, and marks the time since the last one.
    mutating func remember(from start: Instant, at now: Now) {
        var places: [SeriesID: (device: Int, channel: Int?)] = [:]
        for index in devices.indices {
            if let id = devices[index].onlineSeries { places[id] = (index, nil) }
            for (channel, id) in devices[index].series.enumerated() {
                if let id { places[id] = (index, channel) }
            }
        }
        // One by one: days of samples must not stand in memory at once.
        let store = store
        store.replay(from: start) { id, sample in recall(id, sample, places) }
        let memoryBegins = store.oldest ?? now.wall
        windows.begin(memory: memoryBegins, isWhole: memoryBegins >= start)
        guard let newest = store.newest else { return }
        markBlind("gateway was off", at: min(newest, now.wall))
    }

    /// One stored sample, as if it came now.
    private mutating func recall(_ id: SeriesID, _ sample: Sample, _ places: [SeriesID: (device: Int, channel: Int?)]) {
        if id == beatSeries {
            switch sample.value {
            case .text(let reason): applyBlindness(reason, at: sample.time)
            default: for index in machines.indices { machines[index].usage.advance(to: sample.time) }
            }
        } else if let place = places[id] {
            if let channel = place.channel {
                let kind = devices[place.device].channels[channel].kind
                apply(sample.value.value(kind), channel: channel, device: place.device, at: sample.time)
            } else if case .number(let value) = sample.value {
                applyOnline(value > 0, device: place.device, at: sample.time)
            }
        }
    }

    /// Writes down that nothing is known from `time` on, and forgets what is shown as current.
    mutating func markBlind(_ reason: String, at time: Instant) {
        if let beatSeries { store.append(beatSeries, time, .text(reason)) }
        applyBlindness(reason, at: time)
    }
}
