import Hub
import Model
import Store
import Usage

/// The Prometheus text format, version 0.0.4. Labels come from the configuration alone, so their number is bounded.
enum Metrics {
    static func text(_ hub: Hub, _ around: WebSurroundings) -> String {
        var out = ""
        // One sample after the other: a thousand machines are asked several times a minute.
        func family(
            _ name: String, _ type: String, _ help: String, _ samples: some Sequence<(labels: String, value: Double)>
        ) {
            var isFirst = true
            for sample in samples {
                if isFirst { out += "# HELP fabgate_\(name) \(help)\n# TYPE fabgate_\(name) \(type)\n" }
                isFirst = false
                var number: [UInt8] = []
                JSON.append(sample.value, to: &number)
                let labels = sample.labels.isEmpty ? "" : "{\(sample.labels)}"
                out += "fabgate_\(name)\(labels) \(String(decoding: number, as: UTF8.self))\n"
            }
        }
        func label(_ name: String, _ value: String) -> String {
            guard value.utf8.contains(where: { [0x5C, 0x22, 0x0A].contains($0) }) else { return "\(name)=\"\(value)\"" }
            let escaped = value.flatMap { character -> [Character] in
                switch character {
                case "\\": ["\\", "\\"]
                case "\"": ["\\", "\""]
                case "\n": ["\\", "n"]
                default: [character]
                }
            }
            return "\(name)=\"\(String(escaped))\""
        }

        let tally = hub.tally
        let store = hub.store.statistics
        family("mqtt_messages_total", "counter", "MQTT messages received.", [("", Double(tally.messages))])
        family("serial_chunks_total", "counter", "Reads from serial lines.", [("", Double(tally.chunks))])
        family("http_answers_total", "counter", "Answers of devices over HTTP.", [("", Double(tally.answers))])
        family("readings_total", "counter", "Readings decoded.", [("", Double(tally.readings))])
        family(
            "samples_stored_total", "counter",
            "Samples that the store took: of readings, and the gateway's own marks of who came and went.",
            [("", Double(tally.stored + tally.marks - store.duplicates - store.tooLate - store.refused))])
        family(
            "mqtt_messages_dropped_total", "counter",
            "Messages that reached no driver, by reason; all others did, and what those could not use is a fault.",
            [
                (label("reason", "no_device"), Double(tally.unrouted)),
                (label("reason", "too_long"), Double(tally.tooLong)),
            ])
        family(
            "mqtt_messages_retained_total", "counter",
            "Messages that the broker had kept: of unknown age, they may set a baseline and are no samples.",
            [("", Double(tally.retained))])
        family(
            "readings_dropped_total", "counter",
            "Readings that became no sample, by reason; with samples_stored_total less the marks they are readings_total.",
            [
                (label("reason", "no_series"), Double(tally.noSeries)),
                (label("reason", "unusable"), Double(tally.unusable)),
                (label("reason", "life_sign"), Double(tally.lifeSigns)),
                (label("reason", "duplicate"), Double(store.duplicates)),
                (label("reason", "too_late"), Double(store.tooLate)),
                (label("reason", "store_refused"), Double(store.refused)),
            ])
        family(
            "clock_known", "gauge", "0 while the computer's clock is not believed and samples wait for their time.",
            [("", hub.isWaitingForClock ? 0 : 1)])
        family(
            "samples_undated_total", "counter", "Samples of a start in which the clock was never right; left out.",
            [("", Double(tally.undated))])
        family("marks_total", "counter", "Samples of the gateway's own.", [("", Double(tally.marks))])
        family("bus_bytes_unasked_total", "counter", "Bytes of late answers.", [("", Double(hub.unaskedBytes))])
        family(
            "store_overwritten_unconfirmed_pages_total", "counter",
            "Pages of samples that were overwritten before their rollups were kept.",
            [("", Double(store.overwrittenUnrolled))])
        family("store_holding", "gauge", "1 while the full ring waits for the outbox.", [("", store.isHolding ? 1 : 0)])
        family(
            "link_up", "gauge", "1 while a broker is connected, a serial line is open, or a device answers over HTTP.",
            hub.linkStates.map { (label("link", $0.name), $0.isUp ? 1 : 0) })
        let devices = hub.deviceGlances.lazy
        family(
            "device_online", "gauge", "1 while the device is heard; missing before it was heard first.",
            devices.compactMap { device in device.isOnline.map { (label("device", device.id), $0 ? 1 : 0) } })
        family(
            "device_faults_total", "counter", "What a driver could not use, by kind.",
            devices.flatMap { device in
                device.faultsByKind.sorted { $0.key.rawValue < $1.key.rawValue }.map {
                    (label("device", device.id) + "," + label("kind", $0.key.rawValue), Double($0.value))
                }
            })
        let machines = hub.machineGlances(at: around.now).lazy
        family(
            "machine_power_watts", "gauge", "Power now, where it is known.",
            machines.compactMap { machine in machine.power.map { (label("machine", machine.id), $0) } })
        family(
            "machine_state", "gauge", "1 for the state that the machine is in.",
            machines.map { (label("machine", $0.id) + "," + label("state", $0.state.rawValue), 1) })
        family(
            "machine_today_energy_watt_hours", "gauge", "Energy since the lab's midnight, where it is counted.",
            machines.compactMap { machine in
                machine.energyToday().map { (label("machine", machine.id), Double($0) / 1000) }
            })
        let pending = around.outbox["pending"]?.number ?? 0
        family("outbox_pending", "gauge", "Rollups that wait for a receipt.", [("", pending)])
        return out
    }
}
