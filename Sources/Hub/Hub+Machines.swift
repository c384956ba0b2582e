import Model
import Store
import Usage

// What readings mean to machines, when they come and when they are remembered.

extension Hub {
    /// What each channel of each device means: the first device that gives a quantity gives it to the machine. And
    /// whose silence makes the machine offline.
    func assignRoles() -> [[DevicePart]] {
        var parts = [[DevicePart]](repeating: [], count: configuration.devices.count)
        // Most devices are alike: those share one list.
        var known: Set<[Role]> = []
        for (machineIndex, machine) in configuration.machines.enumerated() {
            var given: [(role: Role, term: Configuration.Term)] = []
            for member in machine.members {
                let channels = configuration.devices[member.device].driver.channels
                var part = DevicePart.none(channels)
                part.machine = machineIndex
                part.term = member.term
                var teller: Int?
                for (channel, description) in channels.enumerated() {
                    let role = role(of: description.name, device: member.device, in: machine)
                    guard role != .none,
                        !given.contains(where: { $0.role == role && member.term.overlaps($0.term) })
                    else { continue }
                    given.append((role, member.term))
                    part.roles[channel] = role
                    if tells(role, machine.source) { teller = machine.devices.firstIndex(of: member.device) }
                }
                part.roles = known.insert(part.roles).memberAfterInsert
                part.presence = Presence(teller: teller, part.roles)
                parts[member.device].append(part)
            }
        }
        return parts
    }

    private func tells(_ role: Role, _ source: UsageRule.Source) -> Bool {
        switch (source, role) {
        case (.state, .state), (.power, .power), (.press, .zoneTemperature), (.press, .shots), (.occupied, .occupied):
            true
        default: false
        }
    }

    private func role(of channel: String, device: Int, in machine: Configuration.Machine) -> Role {
        switch channel {
        case "state": return .state
        case "job": return .job
        case "power": return .power
        case "shots": return .shots
        case "items": return .items
        case "occupied": return .occupied
        case "scrap": return .scrap
        case "button": return .button
        case "mould": return .mould
        case "filament": return .filament
        case "total.filament":
            // The printer's own count over its life, where it has none of what it uses now.
            let hasOwn = configuration.devices[device].driver.channels.contains { $0.name == "filament" }
            return hasOwn ? .none : .filament
        case "energy": return machine.energy.firstIndex(of: device).map(Role.energy) ?? .none
        case "restart": return machine.energy.firstIndex(of: device).map(Role.restart) ?? .none
        case "exchange": return machine.energy.firstIndex(of: device).map(Role.exchange) ?? .none
        default:
            if let role = Self.scaleRole(of: channel, device: device, in: machine) { return role }
            guard case .press = machine.source else { return .none }
            return Self.zoneRole(of: channel, in: machine)
        }
    }

    /// How each machine's use is told; those that are alike share one rule.
    func makeRules() -> [CommonRule] {
        var known: [UsageRule: CommonRule] = [:]
        return configuration.machines.map { machine in
            let rule = rule(of: machine)
            if let common = known[rule] { return common }
            let common = CommonRule(rule)
            known[rule] = common
            return common
        }
    }

    private func rule(of machine: Configuration.Machine) -> UsageRule {
        let energy = machine.energy.map { index in
            let device = configuration.devices[index]
            let channel = device.driver.channels.first { $0.name == "energy" }
            return CounterRule.energy(
                watts: device.rating * 1.25, resolution: Int64(max(1, channel?.resolution ?? 1)),
                wrapsAt: channel?.wrapsAt.map { Int64($0) }, isFloat32: channel?.isFloat32 ?? false)
        }
        return UsageRule(
            source: machine.source, energy: energy, itemsPerShot: machine.itemsPerShot.map(Int64.init),
            tellers: machine.devices.count, disagreesAbove: machine.disagreesAbove, material: machine.material)
    }

    func makeDevice(_ device: Configuration.Device, _ parts: [DevicePart]) -> DeviceRuntime {
        let channels = device.driver.channels
        let always = parts.first { $0.term == .always }
        return DeviceRuntime(
            configuration: device, driver: device.driver, channels: channels, part: always ?? .none(channels),
            terms: always == nil ? parts : [],
            series: [SeriesID?](repeating: nil, count: channels.count), latest: LatestValues(count: channels.count))
    }

    /// Finds every series, and makes those that usage follows from. Others are made when their channel speaks: most plugs
    /// have channels that they never use, and each series takes room in memory and time at every start. Where the store
    /// has no room for one more, its readings are counted and shown.
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
            let device = devices[index]
            let id = device.configuration.id
            takeOver(device.configuration.formerID, by: id)
            devices[index].onlineSeries = open(id, "online", .one, .gauge)
            let parts = device.terms.isEmpty ? [device.part] : device.terms
            for (channel, description) in device.channels.enumerated() where description.name != "online" {
                if parts.contains(where: { $0.roles[channel] != .none }) {
                    let series = open(id, description.name, description.unit, description.kind)
                    devices[index].series[channel] = series
                    if series == nil { devices[index].unstored.insert(channel) }
                } else if let known = store.find(SeriesKey(device: id, channel: description.name)),
                    known.unit == description.unit, known.kind == description.kind
                {
                    devices[index].series[channel] = known.id
                }
            }
        }
        for index in machines.indices where !machines[index].configuration.material.moulds.isEmpty {
            machines[index].mouldSeries = open("machine:\(machines[index].configuration.id)", "mould", nil, .event)
        }
        beatSeries = open(Self.ownDevice, "beat", nil, .event)
        waitingSeries = open(Self.ownDevice, Self.waitingChannel, nil, .event)
        noteUnstored()
    }

    /// A channel spoke for the first time; nil where there is no room for its series.
    mutating func openLate(_ channel: Int, of index: Int) -> SeriesID? {
        guard !devices[index].unstored.contains(channel) else { return nil }
        let description = devices[index].channels[channel]
        let key = SeriesKey(device: devices[index].configuration.id, channel: description.name)
        do {
            if let series = try store.series(key, unit: description.unit, kind: description.kind) {
                devices[index].series[channel] = series
                return series
            }
        } catch {
            storeTrouble = "\(error)"
        }
        devices[index].unstored.insert(channel)
        noteUnstored()
        return nil
    }

    private static let isFull = "the store holds no more than its limit of series"

    private mutating func noteUnstored() {
        let missing = devices.reduce(0) { $0 + $1.unstored.count }
        guard missing > 0, storeTrouble?.hasPrefix(Self.isFull) ?? true else { return }
        storeTrouble =
            "\(Self.isFull); \(missing) channels are not stored. Raise store.series_limit and start with a new store"
        alertsMayDiffer = true
    }

    /// The series of a device's earlier name get its name, unless it has such a series already.
    private mutating func takeOver(_ former: String?, by id: String) {
        guard let former, former != id else { return }
        for info in store.allSeries where info.key.device == former {
            do {
                try store.rename(info.key, to: SeriesKey(device: id, channel: info.key.channel))
            } catch {
                storeTrouble = "\(error)"
            }
        }
    }

    // MARK: what a value means

    /// The same for a reading that just came and for one that is remembered.
    mutating func apply(_ value: Value, channel: Int, device index: Int, at time: Instant) {
        // By index, and not by a copy of the part: this is done for every reading.
        let past = devices[index].terms.isEmpty ? nil : part(of: index, at: time)
        guard let machine = past == nil ? devices[index].part.machine : past?.machine else { return }
        let role = past?.roles[channel] ?? devices[index].part.roles[channel]
        // Most of what a lab measures is kept and shown, and says nothing of use.
        if case .none = role { return }
        touch(machine)
        if isRemembering { noteDuringMemory(machine, at: time) }
        role.apply(value, to: &machines[machine].usage, at: time)
        switch (role, value) {
        case (.zoneTemperature, .number(let celsius)), (.zoneSetpoint, .number(let celsius)):
            watchHeat(celsius, role, machine)
        default: break
        }
    }

    mutating func applyOnline(_ isOnline: Bool, device index: Int, at time: Instant) {
        devices[index].isOnline = isOnline
        let part = devices[index].terms.isEmpty ? devices[index].part : part(of: index, at: time)
        guard let machine = part.machine else { return }
        touch(machine)
        if isRemembering { noteDuringMemory(machine, at: time) }
        part.presence.apply(isOnline, to: &machines[machine].usage, at: time)
    }

    /// From `time` on the gateway knew nothing.
    mutating func applyBlindness(_ reason: String, at time: Instant) {
        for index in machines.indices {
            if isRemembering { noteDuringMemory(index, at: time) }
            machines[index].usage.blind(reason, clockWasSet: reason == Self.clockReason, at: time)
        }
        touchAll()
        for index in devices.indices {
            devices[index].isOnline = nil
            devices[index].lastSeen = nil
        }
    }

    /// Writes down that nothing is known from `time` on, and forgets what is shown as current.
    mutating func markBlind(_ reason: String, at time: Instant) {
        if let beatSeries { put(beatSeries, time, .text(reason)) }
        applyBlindness(reason, at: time)
    }
}

extension Role {
    var isExchange: Bool { if case .exchange = self { true } else { false } }

    /// Gives a value to a machine's usage.
    func apply(_ value: Value, to usage: inout MachineUsage, at time: Instant) {
        switch (self, value) {
        case (.state, .state(let state, let reason)): usage.observe(state: state, reason: reason, at: time)
        case (.state, .unknown): usage.observe(state: .unknown, reason: "device does not know", at: time)
        case (.job, .event(let name)):
            if let outcome = JobOutcome(rawValue: name) { usage.observe(job: outcome, at: time) }
        case (.power, .number(let watts)): usage.observe(power: watts, at: time)
        case (.power, .unknown): usage.observe(power: nil, at: time)
        case (.energy(let counter), .number(let raw)):
            usage.observe(energy: Int64(raw.rounded()), counter: counter, at: time)
        case (.restart(let counter), .event): usage.restarted(counter: counter, at: time)
        case (.exchange(let counter), .event): usage.exchanged(counter: counter)
        case (.shots, .number(let raw)): usage.observe(shots: Int64(raw.rounded()), at: time)
        case (.items, .number(let raw)): usage.observe(items: Int64(raw.rounded()), at: time)
        case (.filament, .number(let millimetres)):
            usage.observe(filament: Int64((millimetres * 1000).rounded()), at: time)
        case (.occupied, .number(let value)): usage.observe(occupied: value > 0, at: time)
        case (.zoneTemperature(let zone), .number(let celsius)):
            usage.observe(temperature: celsius, zone: zone, at: time)
        case (.zoneTemperature(let zone), .unknown): usage.observe(temperature: nil, zone: zone, at: time)
        case (.zoneSetpoint(let zone), .number(let celsius)): usage.observe(setpoint: celsius, zone: zone, at: time)
        default: applyMaterial(value, to: &usage, at: time)
        }
    }
}
