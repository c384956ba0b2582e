// The peer of the Tasmota driver: what most Swift programs would read its message with.

import AllocationCount
import FoundationEssentials

/// The members that the driver reads, and no more.
private struct TasmotaSensor: Decodable {
    struct Energy: Decodable {
        let total: Double
        let power: Double
        let factor: Double
        let frequency: Double
        let voltage: Double
        let current: Double

        enum CodingKeys: String, CodingKey {
            case total = "Total"
            case power = "Power"
            case factor = "Factor"
            case frequency = "Frequency"
            case voltage = "Voltage"
            case current = "Current"
        }
    }

    let time: String
    let energy: Energy

    enum CodingKeys: String, CodingKey {
        case time = "Time"
        case energy = "ENERGY"
    }
}

/// The same bytes through JSONDecoder: one decoder for all messages, and the bytes are Data already. It only reads the
/// members; the driver also checks them against their limits and makes readings of them.
func jsonDecoderPeer(_ message: String, beside own: BenchResult) throws -> BenchResult {
    let decoder = JSONDecoder()
    let data = Data(message.utf8)
    guard try decoder.decode(TasmotaSensor.self, from: data).energy.voltage == 219 else {
        throw BenchFailure("JSONDecoder reads another voltage")
    }
    let batch = 256
    var runs: [Measured] = []
    var allocations: UInt64 = 0
    var failure: (any Error)?
    var sum = 0.0
    for round in 0..<120 {
        let before = allocation_count()
        let measured = Bench.measure {
            do {
                for _ in 0..<batch { sum += try decoder.decode(TasmotaSensor.self, from: data).energy.power }
            } catch { failure = error }
        }
        if round < 20 { continue }
        allocations += allocation_count() - before
        runs.append(measured)
    }
    if let failure { throw failure }
    guard sum > 0 else { throw BenchFailure("JSONDecoder reads no power") }
    let middle = Bench.middle(of: runs)
    let cpu = middle.cpu / Double(batch)
    return BenchResult(
        name: "decode.tasmota_sensor.json_decoder", count: runs.count * batch, cpuNanoseconds: cpu,
        wallNanoseconds: middle.wall / Double(batch),
        figures: [
            ("allocations_per_op", Double(allocations) / Double(runs.count * batch)),
            ("times_own", cpu / own.cpuNanoseconds), ("bytes", Double(message.utf8.count)),
        ])
}
