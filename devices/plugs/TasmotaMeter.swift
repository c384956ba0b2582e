import Model

/// The quantities of one SENSOR message. Keys may come in any order; those that are not named here are left alone.
///
///     {"Time":"2026-08-12T14:30:05","ENERGY":{"Total":812.417,"Today":1.266,"Period":61,"Power":742,
///      "ApparentPower":781,"Factor":0.95,"Voltage":219,"Current":3.566}}
///
/// `Today`, `Yesterday` and `Period` begin anew every day or message and say nothing that `Total` does not. `Time` is
/// the plug's idea of local time, without its offset, and 1970 after a power cut without NTP: it is not used.
struct TasmotaMeter {
    var power = PhaseValues()  // W
    var voltage = PhaseValues()  // V
    var current = PhaseValues()  // A
    var frequency = PhaseValues()  // Hz
    var factor = PhaseValues()  // 1
    var total = PhaseValues()  // kWh, drawn since `TotalStartTime`
    var export = PhaseValues()  // kWh, fed in
    /// Which `TotalStartTime` it has, as a hash: another one where somebody set the counter, or exchanged the plug.
    private(set) var started: UInt64?
    private var tariffs = PhaseValues()  // kWh, `total` by tariff
    private var exportTariffs = PhaseValues()  // kWh, `export` by tariff

    /// There was an ENERGY that is no object.
    private(set) var isMisshapen = false
    private var hasEnergy = false

    /// Takes a whole SENSOR object.
    mutating func read(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        guard json.beginObject(b) else { return }
        while let key = json.nextKey(b) {
            if JSONScanner.equals(key, "ENERGY", b) {
                readEnergy(&json, b)
            } else if JSONScanner.equals(key, "ANALOG", b) {
                readAnalog(&json, b)
            } else {
                json.skip(b)
            }
        }
    }

    /// Takes the value of `ENERGY`.
    private mutating func readEnergy(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        guard json.beginObject(b) else { return misshapen(&json, b) }
        // What a current clamp said in the same message counts only without a meter.
        if !hasEnergy { self = TasmotaMeter() }
        hasEnergy = true
        while let key = json.nextKey(b) {
            if JSONScanner.equals(key, "Power", b) {
                power.read(&json, b)
            } else if JSONScanner.equals(key, "Total", b) {
                total.read(&json, b)
            } else if JSONScanner.equals(key, "Voltage", b) {
                voltage.read(&json, b)
            } else if JSONScanner.equals(key, "Current", b) {
                current.read(&json, b)
            } else if JSONScanner.equals(key, "Factor", b) {
                factor.read(&json, b)
            } else if JSONScanner.equals(key, "Frequency", b) {
                frequency.read(&json, b)
            } else if JSONScanner.equals(key, "TotalStartTime", b) {
                readStart(&json, b)
            } else if JSONScanner.equals(key, "ExportActive", b) {
                export.read(&json, b)
            } else if JSONScanner.equals(key, "TotalTariff", b) {
                tariffs.read(&json, b)
            } else if JSONScanner.equals(key, "ExportTariff", b) {
                exportTariffs.read(&json, b)
            } else {
                json.skip(b)
            }
        }
    }

    private mutating func readStart(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        guard let time = json.string(b) else {
            json.skip(b)
            return
        }
        // Before its clock was first set, a plug does not know.
        let year = time.lowerBound..<min(time.lowerBound + 4, time.upperBound)
        started = time.isEmpty || JSONScanner.equals(year, "1970", b) ? nil : Identity.hash(b, time)
    }

    /// Takes the value of `ANALOG`, where current clamps stand: `{"CTEnergy1":{"Energy":1.2,"Power":230,…},…}`.
    private mutating func readAnalog(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        guard !hasEnergy, json.beginObject(b) else {
            json.skip(b)
            return
        }
        while let key = json.nextKey(b) {
            let start = key.lowerBound..<min(key.lowerBound + 8, key.upperBound)
            let digit = key.count == 9 ? b[key.upperBound - 1] : 0x31
            guard JSONScanner.equals(start, "CTEnergy", b), key.count <= 9, (0x31...0x38).contains(digit) else {
                json.skip(b)
                continue
            }
            readClamp(Int(digit) - 0x31, &json, b)
        }
    }

    private mutating func readClamp(_ index: Int, _ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        guard json.beginObject(b) else { return misshapen(&json, b) }
        while let key = json.nextKey(b) {
            if JSONScanner.equals(key, "Energy", b) {
                total.set(index, &json, b)
            } else if JSONScanner.equals(key, "Power", b) {
                power.set(index, &json, b)
            } else if JSONScanner.equals(key, "Voltage", b) {
                voltage.set(index, &json, b)
            } else if JSONScanner.equals(key, "Current", b) {
                current.set(index, &json, b)
            } else {
                json.skip(b)
            }
        }
    }

    private mutating func misshapen(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        json.skip(b)
        isMisshapen = true
    }

    /// What was drawn: `Total`, else the tariffs together.
    var drawn: PhaseValues { total.count > 0 ? total : tariffs.together }
    /// What was fed in, in the same way.
    var fed: PhaseValues { export.count > 0 ? export : exportTariffs.together }
}
