import Hub
import Model
import Usage

/// Machines, devices and alerts as the API shows them. Unknown is null, never 0.
enum MachinesJSON {
    static func all(_ hub: Hub, _ now: Now) -> JSON {
        let lab = hub.configuration.lab
        return .object([
            "lab": .object(["id": .string(lab.id), "name": .string(lab.name), "timezone": .string(lab.zone.name)]),
            "now": .string(now.wall.description),
            "machines": .array(hub.machineViews(at: now).map(machine)),
        ])
    }

    static func one(_ hub: Hub, _ id: String, _ now: Now) -> JSON? {
        hub.machineViews(at: now).first { $0.id == id }.map(machine)
    }

    static func devices(_ hub: Hub) -> JSON {
        .object(["devices": .array(hub.deviceViews().map { device($0, withValues: true) })])
    }

    static func alerts(_ hub: Hub) -> JSON {
        .object(["alerts": .array(hub.alerts().map { .object($0.members) })])
    }

    private static func machine(_ view: MachineView) -> JSON {
        .object([
            "id": .string(view.id), "name": .string(view.name), "class": .string(view.machineClass),
            "state": .string(view.state.rawValue), "reason": .string(view.reason),
            "since": .string(view.since.description), "power_w": .optional(view.power), "today": today(view),
            "zones": .array(view.zones.map(PressJSON.zone)),
            "material": view.material.map(PressJSON.material) ?? .null,
            "progress": view.progress.map(progress) ?? .null,
            "last_job": view.lastJob.map(job) ?? .null,
            "devices": .array(view.devices.map { device($0, withValues: false) }),
            "series": .array(view.series.map(JSON.string)),
        ])
    }

    private static func today(_ view: MachineView) -> JSON {
        var members = MachineState.allCases.map { state in
            JSON.Member("\(state.rawValue)_s", .number(Double(view.today[state]) / 1000))
        }
        members.insert(.init("run_s", .number(Double(view.today[.running]) / 1000)), at: 0)
        let knowsEnergy = view.knowsEnergy
        members += [
            .init("energy_wh", knowsEnergy ? .number(Double(view.today.energy) / 1000) : .null),
            .init("idle_energy_wh", knowsEnergy ? .number(Double(view.today.idleEnergy) / 1000) : .null),
            .init(
                "jobs",
                .object(JobOutcome.allCases.map { JSON.Member($0.rawValue, .integer(view.today[$0])) })),
            .init("energy_per_item_wh", .optional(view.energyPerItem.map { ($0).rounded() / 1000 })),
            .init("shots", view.countsShots ? .integer(view.today.shots) : .null),
            .init("items", view.countsItems ? .integer(view.today.items) : .null),
            .init(
                "filament_mm",
                .optional(view.countsFilament ? view.today.knownFilament.map { Double($0) / 1000 } : nil)),
            .init("scrap", view.countsScrap ? .integer(view.today.scrap) : .null),
        ]
        if view.material != nil { members += PressJSON.masses(view.today) }
        return .object(members)
    }

    /// Its energy is that part of each step of the counters that lies between its start and its end.
    private static func job(_ job: JobRecord) -> JSON {
        .object([
            "start": .string(job.start.description), "end": .optional(job.end?.description),
            "outcome": .optional(job.outcome?.rawValue),
            "energy_wh": .optional(job.energy.map { Double($0) / 1000 }),
        ])
    }

    private static func progress(_ view: ProgressView) -> JSON {
        .object([
            "share": .number(view.share), "remaining_s": .optional(view.remaining), "layer": .optional(view.layer),
            "layers": .optional(view.layers),
            "heaters": .array(
                view.heaters.map {
                    .object([
                        "name": .string($0.name), "temperature_c": .optional($0.temperature),
                        "target_c": .optional($0.target),
                    ])
                }),
            "t": .string(view.time.description),
        ])
    }

    private static func device(_ view: DeviceView, withValues: Bool) -> JSON {
        var members: [JSON.Member] = [
            .init("id", .string(view.id)), .init("driver", .string(view.driver)), .init("model", .optional(view.model)),
            .init("description", .optional(view.description)), .init("link", .string(view.link)),
            .init("online", view.isOnline.map(JSON.bool) ?? .null),
            .init("last_seen", .optional(view.lastSeen?.description)), .init("faults", .integer(view.faults)),
            .init("unanswered", view.unanswered.map { .integer($0.turns) } ?? .null),
            .init("asked_every_s", view.unanswered.map { .integer($0.askedEvery.milliseconds / 1000) } ?? .null),
            .init("last_fault", .optional(view.lastFault.map { "\($0.fault.kind.rawValue): \($0.fault.detail)" })),
            .init(
                "faults_by_kind",
                .object(
                    view.faultsByKind.sorted { $0.key.rawValue < $1.key.rawValue }.map {
                        JSON.Member($0.key.rawValue, .integer($0.value))
                    })),
        ]
        if withValues {
            members.append(.init("channels", .array(view.values.map { channel($0.channel, $0.latest) })))
        }
        return .object(members)
    }

    private static func channel(_ channel: Channel, _ latest: Latest?) -> JSON {
        let value: JSON =
            switch latest?.value {
            case .number(let number): .number(number)
            case .state(let state, _): .string(state.rawValue)
            case .event(let name): .string(name)
            case .unknown, nil: .null
            }
        return .object([
            "channel": .string(channel.name), "unit": .optional(channel.unit?.rawValue),
            "kind": .string(channel.kind.rawValue), "value": value, "t": .optional(latest?.time.description),
        ])
    }
}
