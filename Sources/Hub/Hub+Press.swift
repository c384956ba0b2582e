package import Model
package import Usage

// What is shown of a press and its material, and what people are warned of.

/// One zone of a press.
package struct ZoneView: Sendable {
    /// `zone1`
    package let name: String
    /// °C; nil where it is not known.
    package let temperature: Double?
    package let setpoint: Double?
    /// The controller says that its sensor is broken.
    package let isBroken: Bool
    /// When the older of both values was heard.
    package let time: Instant?
}

/// What is in a machine, and what tells its mass.
package struct MaterialView: Sendable {
    /// nil where nobody knows which mould is in it.
    package let mould: Mould?
    package let chosen: Instant?
    package let moulds: [Mould]
    package let polymer: Polymer
    package let weighed: [MassRole]
    /// Shots against scale since the lab's midnight; nil where there are not both.
    package let evidence: MassEvidence?
    /// Milliseconds since the lab's midnight for which the mass is known, and for which it could be.
    package let covered: Int64
    package let expected: Int64
}

extension Hub {
    /// Items are counted, or follow from shots.
    func countsItems(_ machine: MachineRuntime) -> Bool {
        machine.usage.countsItems || machine.configuration.itemsPerShot != nil
            || machine.configuration.material.tellsByShots
    }

    /// Somebody counts scrap: a board that does, or a person with a button.
    func countsScrap(_ machine: MachineRuntime) -> Bool {
        machine.usage.countsScrap
            || machine.configuration.material.tellsByShots
                && machine.configuration.devices.contains { devices[$0].roles.contains(.button) }
    }

    /// One of its devices counts filament.
    func countsFilament(_ machine: MachineRuntime) -> Bool {
        machine.configuration.devices.contains { devices[$0].roles.contains(.filament) }
    }

    func zoneViews(_ machine: Int) -> [ZoneView] {
        var zones: [(name: String, temperature: Latest?, setpoint: Latest?)] = machines[machine].usage.zoneNames.map {
            ($0, nil, nil)
        }
        func place(_ name: String) -> Int? { zones.firstIndex { $0.name == name } }
        for index in machines[machine].configuration.devices where devices[index].machine == machine {
            for (channel, role) in devices[index].roles.enumerated() {
                switch role {
                case .zoneTemperature(let name):
                    if let at = place(name) { zones[at].temperature = devices[index].latest[channel] }
                case .zoneSetpoint(let name):
                    if let at = place(name) { zones[at].setpoint = devices[index].latest[channel] }
                default: break
                }
            }
        }
        return zones.sorted { $0.name < $1.name }.map { zone in
            ZoneView(
                name: zone.name, temperature: zone.temperature?.number, setpoint: zone.setpoint?.number,
                isBroken: zone.temperature?.value == .unknown,
                time: [zone.temperature?.time, zone.setpoint?.time].compactMap { $0 }.min())
        }
    }

    func materialView(_ index: Int, from midnight: Instant, at time: Instant) -> MaterialView? {
        let machine = machines[index]
        let rule = machine.configuration.material
        guard rule.sources > 0 else { return nil }
        let today = machine.usage.slots.sum(from: midnight, to: time.floor(to: Slot.length) + Slot.length)
        return MaterialView(
            mould: machine.usage.mould, chosen: machine.usage.mouldChosen, moulds: rule.moulds,
            polymer: machine.usage.mould?.polymer ?? rule.polymer, weighed: rule.weighed,
            evidence: evidence(of: index, from: midnight, at: time), covered: today.massCovered,
            expected: max(0, (time - midnight).milliseconds) * rule.sources)
    }

    /// Shots against scale from `midnight` on. What was made a moment ago cools and is not on the scale yet.
    private func evidence(of index: Int, from midnight: Instant, at time: Instant) -> MassEvidence? {
        guard machines[index].configuration.material.mayDisagree else { return nil }
        let slots = machines[index].usage.slots
        let now = time.floor(to: Slot.length)
        let today = slots.sum(from: midnight, to: now + Slot.length)
        let moving = slots.sum(from: now - Slot.length, to: now + Slot.length).massByShots
        return machines[index].configuration.material.evidence(today, moving: moving)
    }

    // MARK: what people should know

    /// A zone's temperature or set value, `what`, in °C: notes when it gets beyond what the machine's polymer bears, or
    /// back.
    mutating func watchHeat(_ celsius: Double, _ what: Role, _ machine: Int) {
        let polymer = machines[machine].usage.fedWith()
        guard (celsius > polymer.most) != machines[machine].tooHot.contains(what) else { return }
        if machines[machine].tooHot.remove(what) == nil { machines[machine].tooHot.insert(what) }
        alertsMayDiffer = true
    }

    /// Zones that are hotter, or set hotter, than what is in the press bears. The gateway only says so.
    func heatAlerts(of index: Int) -> [Alert] {
        let polymer = machines[index].usage.mould?.polymer ?? machines[index].configuration.material.polymer
        let limit = polymer.most
        let (id, name) = (machines[index].configuration.id, machines[index].configuration.name)
        let stuff = polymer.heat == nil ? "a hand press" : polymer.rawValue.uppercased()
        let korean = polymer.heat == nil ? "수동 사출기" : polymer.rawValue.uppercased()
        return zoneViews(index).compactMap { zone in
            if let celsius = zone.temperature, celsius > limit {
                return Alert(
                    id: "heat/\(id)/\(zone.name)", severity: .error, machine: id,
                    english:
                        "\(name): \(zone.name) is at \(Self.degrees(celsius)) °C, and \(stuff) bears \(Self.degrees(limit)) °C. Lower its set value and air the room",
                    korean:
                        "\(name): \(zone.name) 온도 \(Self.degrees(celsius)) °C, \(korean) 한계 \(Self.degrees(limit)) °C. 설정값을 낮추고 환기하세요",
                    since: zone.time)
            }
            if let setpoint = zone.setpoint, setpoint > limit {
                return Alert(
                    id: "setpoint/\(id)/\(zone.name)", severity: .warning, machine: id,
                    english:
                        "\(name): \(zone.name) is set to \(Self.degrees(setpoint)) °C, and \(stuff) bears \(Self.degrees(limit)) °C. Check the set value and the chosen mould",
                    korean:
                        "\(name): \(zone.name) 설정값 \(Self.degrees(setpoint)) °C, \(korean) 한계 \(Self.degrees(limit)) °C. 설정값과 선택한 금형을 확인하세요",
                    since: zone.time)
            }
            return nil
        }
    }

    /// Shots of an unknown mould, and two accounts of mass that do not agree.
    func materialAlerts(of index: Int) -> [Alert] {
        let rule = machines[index].configuration.material
        let now = lastLook.wall
        let (id, name) = (machines[index].configuration.id, machines[index].configuration.name)
        let midnight = configuration.lab.zone.start(of: configuration.lab.zone.date(at: now))
        var alerts: [Alert] = []
        let mould = machines[index].usage.mould
        if rule.tellsByShots, mould == nil {
            let slot = now.floor(to: Slot.length)
            if machines[index].usage.slots.sum(from: slot - Slot.length, to: slot + Slot.length).shots > 0 {
                alerts.append(
                    Alert(
                        id: "mould/\(id)", severity: .warning, machine: id,
                        english:
                            "\(name): shots are made and nobody said with which mould, so their mass is not known. Choose the mould",
                        korean: "\(name): 사출 중이지만 금형이 선택되지 않아 질량을 알 수 없습니다. 금형을 선택하세요", since: nil))
            }
        }
        if let evidence = evidence(of: index, from: midnight, at: now), !evidence.agrees {
            let (shots, scale) = (Self.grams(evidence.byShots), Self.grams(evidence.byScale))
            alerts.append(
                Alert(
                    id: "mass/\(id)", severity: .warning, machine: id,
                    english:
                        "\(name): by its shots today's mass is \(shots) g, by the scale \(scale) g. Check the chosen mould\(mould.map { " (\($0.name))" } ?? ""), that all parts go over the scale, and its tare",
                    korean:
                        "\(name): 오늘 질량이 사출 기준 \(shots) g, 저울 기준 \(scale) g입니다. 선택한 금형\(mould.map { " (\($0.name))" } ?? ""), 모든 부품의 계량 여부, 저울 영점을 확인하세요",
                    since: nil))
        }
        return alerts
    }

    private static func degrees(_ celsius: Double) -> String { "\(Int(celsius.rounded()))" }
    private static func grams(_ milligrams: Int64) -> String { "\((milligrams + 500) / 1000)" }
}

extension Latest {
    /// nil where it is no number.
    var number: Double? {
        if case .number(let number) = value { return number }
        return nil
    }
}
