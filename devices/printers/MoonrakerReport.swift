import Model

/// A field of a Klipper object that means something here.
enum MoonrakerField: Equatable {
    case state, printDuration, totalDuration, filament, filename, layers
    case klippyState
    case fileProgress, displayProgress
    /// Of nozzle, second nozzle, bed, chamber.
    case temperature(Int), target(Int)

    init?(object: String, field: String) {
        switch (object, field) {
        case ("print_stats", "state"): self = .state
        case ("print_stats", "print_duration"): self = .printDuration
        case ("print_stats", "total_duration"): self = .totalDuration
        case ("print_stats", "filament_used"): self = .filament
        case ("print_stats", "filename"): self = .filename
        case ("print_stats", "info"): self = .layers
        case ("webhooks", "state"): self = .klippyState
        case ("virtual_sdcard", "progress"): self = .fileProgress
        case ("display_status", "progress"): self = .displayProgress
        default:
            guard let part = Self.part(of: object) else { return nil }
            switch field {
            case "temperature": self = .temperature(part)
            case "target": self = .target(part)
            default: return nil
            }
        }
    }

    private static func part(of object: String) -> Int? {
        switch object {
        case "extruder": 0
        case "extruder1": 1
        case "heater_bed": 2
        case "temperature_sensor chamber", "heater_generic chamber", "temperature_fan chamber": 3
        default: nil
        }
    }
}

/// What one message says of Klipper's objects; fields that did not change are absent.
///
///     {"print_stats":{"state":"printing","filament_used":1843.27},"extruder":{"temperature":214.9}}
struct MoonrakerReport {
    private(set) var state: String?
    private(set) var klippyState: String?
    /// s without pauses and without what comes before the first extrusion; and with them.
    private(set) var printDuration = MessageNumber.absent
    private(set) var totalDuration = MessageNumber.absent
    /// mm in this print; dips by what is drawn back.
    private(set) var filament = MessageNumber.absent
    /// Tells two files apart; nil where the message names none.
    private(set) var file: UInt64?
    private(set) var layer = MessageNumber.absent
    private(set) var layers = MessageNumber.absent
    /// 0…1 of the file's bytes; and what the printer's display shows.
    private(set) var fileProgress = MessageNumber.absent
    private(set) var displayProgress = MessageNumber.absent
    private(set) var temperatures = [MessageNumber](repeating: .absent, count: 4)
    private(set) var targets = [MessageNumber](repeating: .absent, count: 4)
    /// A member was no text where one belongs.
    private(set) var hasBadText = false

    /// Reads an object of objects; anything else is skipped.
    mutating func readObjects(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        guard json.beginObject(b) else {
            json.skip(b)
            return
        }
        while let key = json.nextKey(b) {
            guard let object = Self.name(key, b), json.beginObject(b) else {
                json.skip(b)
                continue
            }
            while let key = json.nextKey(b) {
                if let name = Self.name(key, b), let field = MoonrakerField(object: object, field: name) {
                    read(field, &json, b)
                } else {
                    json.skip(b)
                }
            }
        }
    }

    /// Names that are known are short.
    private static func name(_ key: Range<Int>, _ b: borrowing Span<UInt8>) -> String? {
        key.count <= 40 ? JSONScanner.text(key, b) : nil
    }

    /// Reads the value of one field.
    mutating func read(_ field: MoonrakerField, _ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        switch field {
        case .state: state = word(&json, b)
        case .klippyState: klippyState = word(&json, b)
        case .printDuration: printDuration.read(&json, b)
        case .totalDuration: totalDuration.read(&json, b)
        case .filament: filament.read(&json, b)
        case .filename:
            if let name = json.string(b) { file = JobKey.of([name], b) } else { json.skip(b) }
        case .layers: readLayers(&json, b)
        case .fileProgress: fileProgress.read(&json, b)
        case .displayProgress: displayProgress.read(&json, b)
        case .temperature(let part): temperatures[part].read(&json, b)
        case .target(let part): targets[part].read(&json, b)
        }
    }

    private mutating func word(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) -> String? {
        guard let text = json.string(b) else {
            json.skip(b)
            hasBadText = true
            return nil
        }
        return JSONScanner.text(text, b)?.clipped(to: 64) ?? "not UTF-8"
    }

    /// `{"total_layer":120,"current_layer":14}`; null where the slicer does not say.
    private mutating func readLayers(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        guard json.beginObject(b) else {
            json.skip(b)
            return
        }
        while let key = json.nextKey(b) {
            if JSONScanner.equals(key, "current_layer", b) {
                layer.read(&json, b)
            } else if JSONScanner.equals(key, "total_layer", b) {
                layers.read(&json, b)
            } else {
                json.skip(b)
            }
        }
        // Not known is what nearly every print says.
        if layer == .unknown { layer = .absent }
        if layers == .unknown { layers = .absent }
    }
}
