package import Model
import Usage

/// How far the job has come that a machine is at, as a device told it last. What it does not tell is nil.
package struct ProgressView: Sendable {
    /// Of a printer: `nozzle`, `bed`, `chamber`; °C.
    package struct Heater: Sendable {
        package let name: String
        package let temperature: Double?
        package let target: Double?
    }

    /// 0…1.
    package let share: Double
    /// s.
    package let remaining: Double?
    package let layer: Double?
    package let layers: Double?
    package let heaters: [Heater]
    /// When the share was told.
    package let time: Instant
}

extension Hub {
    private static let heaters = ["nozzle", "nozzle1", "bed", "chamber"]

    /// nil between two jobs, and where no device tells.
    func progressView(_ machine: Int) -> ProgressView? {
        guard machines[machine].usage.state.isBusy else { return nil }
        for index in machines[machine].configuration.devices where devices[index].machine == machine {
            let device = devices[index]
            func told(_ name: String) -> Latest? {
                device.channels.firstIndex { $0.name == name }.flatMap { device.latest[$0] }
            }
            guard let progress = told("progress"), let share = progress.number else { continue }
            let heaters = Self.heaters.compactMap { name -> ProgressView.Heater? in
                let (temperature, target) = (told("temperature.\(name)")?.number, told("target.\(name)")?.number)
                guard temperature != nil || target != nil else { return nil }
                return ProgressView.Heater(name: name, temperature: temperature, target: target)
            }
            return ProgressView(
                share: share, remaining: told("remaining")?.number, layer: told("layer")?.number,
                layers: told("layer.total")?.number, heaters: heaters, time: progress.time)
        }
        return nil
    }
}
