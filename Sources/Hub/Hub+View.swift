package import Model
import Store
package import Usage

// What the hub shows: plain values for pages, the API and metrics.

package struct DeviceView: Sendable {
    package let id: String
    package let driver: String
    package let model: String?
    /// What it says itself that it is: make, model.
    package let description: String?
    package let link: String
    package let isOnline: Bool?
    package let lastSeen: Instant?
    /// A unit of a bus that does not answer: after how many silent turns, and how often it is asked by now.
    package let unanswered: (turns: Int, askedEvery: Duration)?
    package let faults: Int
    package let faultsByKind: [Fault.Kind: Int]
    package let lastFault: (fault: Fault, at: Instant)?
    package let values: [(channel: Channel, latest: Latest?)]
}

/// What metrics tell of a device.
package struct DeviceGlance {
    package let id: String
    package let isOnline: Bool?
    package let faultsByKind: [Fault.Kind: Int]
}

/// What metrics tell of a machine. `power` in W.
package struct MachineGlance {
    package let id: String
    package let state: MachineState
    package let power: Double?
    /// mWh of the civil day so far; nil where they are not known.
    package let energyToday: () -> Int64?
}

package struct MachineView: Sendable {
    package let id: String
    package let name: String
    package let machineClass: String
    package let state: MachineState
    package let reason: String
    package let since: Instant
    package let power: Double?
    /// The civil day so far; its states sum to the time since it began.
    package let today: Slot
    package let countsEnergy: Bool
    package let countsShots: Bool
    package let countsItems: Bool
    package let countsScrap: Bool
    package let countsFilament: Bool
    /// The zones of a press; empty for other machines.
    package let zones: [ZoneView]
    /// nil where nothing tells its material.
    package let material: MaterialView?
    /// Of the job that it is at; nil between two jobs.
    package let progress: ProgressView?
    /// The last job that is over.
    package let lastJob: JobRecord?
    package let devices: [DeviceView]
    package let series: [String]

    /// Whether the energy of the day is known.
    package var knowsEnergy: Bool { countsEnergy && today.energyCovered > 0 }
    /// mWh for each good item of the day, with all that the day took; nil where either is not known.
    package var energyPerItem: Double? {
        knowsEnergy && countsItems && today.items > 0 ? Double(today.energy) / Double(today.items) : nil
    }
}

/// Something that a person should know.
package struct Alert: Sendable, Hashable {
    package enum Severity: String, Sendable { case warning, error }
    package let id: String
    package let severity: Severity
    package let machine: String?
    package let english: String
    package let korean: String
    package let since: Instant?
}

extension Hub {
    package func machineViews(at now: Now) -> [MachineView] {
        let midnight = configuration.lab.zone.start(of: configuration.lab.zone.date(at: now.wall))
        return machines.indices.map { index in
            let machine = machines[index]
            var today = sum(of: index, from: midnight, to: now.wall.floor(to: Slot.length) + Slot.length)
            // What is not decided yet counts as what the machine does now; what was never observed, as unknown.
            let open = now.wall - max(machine.usage.settled, midnight)
            if open > .zero { today[machine.usage.state] += open.milliseconds }
            today[MachineState.unknown] += max(0, (now.wall - midnight).milliseconds - today.observed)
            let own = machine.configuration.devices.filter { devices[$0].machine == index }
            return MachineView(
                id: machine.configuration.id, name: machine.configuration.name,
                machineClass: machine.configuration.machineClass, state: machine.usage.state,
                reason: machine.usage.reason, since: machine.usage.since, power: machine.usage.power, today: today,
                countsEnergy: !machine.configuration.energy.isEmpty,
                countsShots: machine.usage.countsShots,
                countsItems: countsItems(machine), countsScrap: countsScrap(machine),
                countsFilament: countsFilament(machine), zones: zoneViews(index),
                material: materialView(index, from: midnight, at: now.wall),
                progress: progressView(index),
                lastJob: machine.usage.jobs.last { $0.end != nil }, devices: own.map(deviceView),
                series: own.flatMap { deviceSeries(devices[$0]) })
        }
    }

    /// What metrics tell of each device; made one by one as they are asked for.
    package var deviceGlances: LazyMapCollection<Range<Int>, DeviceGlance> {
        devices.indices.lazy.map { [devices] index in
            DeviceGlance(
                id: devices[index].configuration.id, isOnline: devices[index].isOnline,
                faultsByKind: devices[index].faultsByKind)
        }
    }

    /// The same of each machine.
    package func machineGlances(at now: Now) -> LazyMapCollection<Range<Int>, MachineGlance> {
        let midnight = configuration.lab.zone.start(of: configuration.lab.zone.date(at: now.wall))
        return machines.indices.lazy.map { [self] index in
            MachineGlance(
                id: machines[index].configuration.id, state: machines[index].usage.state,
                power: machines[index].usage.power
            ) {
                guard !machines[index].configuration.energy.isEmpty else { return nil }
                let today = sum(of: index, from: midnight, to: now.wall.floor(to: Slot.length) + Slot.length)
                return today.energyCovered > 0 ? today.energy : nil
            }
        }
    }

    package func deviceViews() -> [DeviceView] { devices.indices.map(deviceView) }

    private func deviceSeries(_ device: DeviceRuntime) -> [String] {
        device.channels.indices.filter { device.series[$0] != nil }.map {
            "\(device.configuration.id)/\(device.channels[$0].name)"
        }
    }

    private func deviceView(_ index: Int) -> DeviceView {
        let device = devices[index]
        let link =
            switch device.configuration.link {
            case .broker(let broker): brokers[broker].configuration.name
            case .line(let line): lines[line].configuration.name
            case .http(let endpoint): endpoints[endpoint].configuration.url
            }
        return DeviceView(
            id: device.configuration.id, driver: device.configuration.driverName, model: device.configuration.model,
            description: device.description, link: link, isOnline: device.isOnline, lastSeen: device.lastSeen?.wall,
            unanswered: unanswered(index),
            faults: device.faults,
            faultsByKind: device.faultsByKind, lastFault: device.lastFault,
            values: zip(device.channels, device.latest).map { ($0, $1) })
    }

    /// What is wrong now, worst first.
    package func alerts() -> [Alert] {
        var alerts: [Alert] = []
        func add(
            _ severity: Alert.Severity, _ id: String, _ english: String, _ korean: String, machine: Int? = nil,
            since: Instant? = nil
        ) {
            let name = machine.map { machines[$0].configuration.id }
            alerts.append(
                Alert(id: id, severity: severity, machine: name, english: english, korean: korean, since: since))
        }
        if let storeTrouble {
            add(.error, "store", "Samples are not stored: \(storeTrouble)", "측정값을 저장하지 못합니다: \(storeTrouble)")
        }
        if let doubt = waiting?.doubt {
            add(
                .error, "clock",
                "Nothing is rolled up: \(doubt.english). Set the clock or connect a time server; what is measured meanwhile gets its time then",
                "집계하지 않습니다: \(doubt.korean). 시계를 맞추거나 시간 서버를 연결하세요. 그동안의 측정값은 이후에 시각이 매겨집니다")
        }
        if store.isHolding {
            add(
                .error, "store/full", "The store is full and waits for the outbox: new samples will be lost",
                "저장소가 가득 차서 전송 대기열을 기다립니다: 새 측정값을 잃게 됩니다")
        }
        let dropped = store.droppedForRoom
        if dropped.samples + dropped.records > 0 {
            add(
                .error, "store/dropped",
                "The store had no room for \(dropped.samples) samples and \(dropped.records) records of slots since the gateway started: what is told of these hours may be too small. Its disk takes no writes, or too slowly: check the disk and its free space, then restart the gateway",
                "시작한 뒤 저장소에 자리가 없어 측정값 \(dropped.samples)개와 구간 기록 \(dropped.records)개를 저장하지 못했습니다: 그 시간의 집계가 실제보다 작을 수 있습니다. 디스크가 쓰기를 받지 못하거나 너무 느립니다. 디스크 상태와 남은 공간을 확인한 뒤 게이트웨이를 다시 시작하세요"
            )
        }
        if store.overwrittenUnconfirmed > 0 {
            add(
                .warning, "store/overwritten",
                "\(store.overwrittenUnconfirmed) pages of samples were overwritten before their rollups were kept",
                "집계가 보관되기 전에 측정값 \(store.overwrittenUnconfirmed)쪽을 덮어썼습니다")
        }
        for broker in brokers where !broker.isUp {
            let name = broker.configuration.name
            add(
                .error, "broker/\(name)", "MQTT broker \(name): \(broker.trouble)",
                "MQTT 브로커 \(name): \(broker.trouble)")
        }
        for line in lines where !line.isOpen {
            let name = line.configuration.name
            add(.error, "line/\(name)", "Serial \(line.trouble)", "시리얼 연결 끊김: \(line.trouble)")
        }
        for index in machines.indices {
            guard machines[index].disagrees, let since = machines[index].usage.disagreesSince else { continue }
            let name = machines[index].configuration.name
            let watts = Int((machines[index].usage.power ?? 0).rounded())
            add(
                .warning, "disagree/\(machines[index].configuration.id)",
                "\(name) says that it is idle, but draws \(watts) W",
                "\(name)은(는) 대기 중이라고 하지만 \(watts) W를 소비합니다", machine: index, since: since)
        }
        if let window = refused.last {
            // One for all: where a page has rotted, each hour of a week would have one of its own.
            let more =
                refused.count > 1 ? (" and \(refused.count - 1) before it", " 및 이전 \(refused.count - 1)개 구간") : ("", "")
            add(
                .error, "slots/gone",
                "\(window)\(more.0): not sent again, because slots behind it were written over or cannot be read; "
                    + "`fabgate store verify` names unreadable pages, a larger store keeps them longer",
                "\(window)\(more.1): 슬롯이 덮어써졌거나 읽을 수 없어 다시 보내지 않습니다. "
                    + "읽을 수 없는 페이지는 `fabgate store verify`로 확인하고, 오래 보관하려면 저장소를 늘리세요")
        }
        // By index here and below: a copy of all that is known of a device or a machine, each minute, is dear.
        for index in devices.indices {
            let unit = devices[index].isSilent ? unanswered(index) : nil
            guard devices[index].isOnline == false || unit != nil else { continue }
            // Nobody misses what was taken off its machine.
            guard devices[index].terms.isEmpty || devices[index].machine != nil else { continue }
            let id = devices[index].configuration.id
            let endpoint = devices[index].configuration.endpoint.map { endpoints[$0] }
            let why = endpoint?.isUp == false ? " (\(endpoint?.trouble ?? ""))" : ""
            let seconds = unit.map { $0.askedEvery.milliseconds / 1000 }
            add(
                .warning, "device/\(id)",
                "\(id) does not answer; check its power and cable\(why)"
                    + (seconds.map { ". It is asked every \($0) s by now" } ?? ""),
                "\(id) 응답 없음: 전원과 배선을 확인하세요\(why)" + (seconds.map { ". 지금은 \($0)초마다 묻습니다" } ?? ""),
                machine: devices[index].machine, since: devices[index].lastSeen?.wall)
        }
        // What was told is what is: each change of a state is told before anybody looks, and leads here.
        for index in machines.indices where machines[index].told.state == .fault {
            let (name, why) = (machines[index].configuration.name, machines[index].usage.reason)
            add(
                .error, "fault/\(machines[index].configuration.id)", "\(name): fault, \(why)", "\(name): 고장, \(why)",
                machine: index, since: machines[index].usage.since)
        }
        for index in machines.indices where machines[index].told.state == .blocked {
            let (name, why) = (machines[index].configuration.name, machines[index].usage.reason)
            add(
                .warning, "blocked/\(machines[index].configuration.id)", "\(name) needs a person: \(why)",
                "\(name): 사람의 조치가 필요합니다 (\(why))", machine: index, since: machines[index].usage.since)
        }
        for index in machines.indices {
            if case .press = machines[index].configuration.source { alerts += heatAlerts(of: index) }
            if machines[index].configuration.material.sources > 0 { alerts += materialAlerts(of: index) }
        }
        return alerts.sorted { $0.severity == .error && $1.severity != .error }
    }

    /// The links with what is wrong with them, for `/metrics`.
    package var linkStates: [(name: String, isUp: Bool)] {
        brokers.map { ($0.configuration.name, $0.isUp) } + lines.map { ($0.configuration.name, $0.isOpen) }
            + endpoints.map { ($0.configuration.name, $0.isUp == true) }
    }

    /// Bytes that came on a bus while nobody was asked.
    package var unaskedBytes: Int { lines.reduce(0) { $0 + $1.unasked } }
}
