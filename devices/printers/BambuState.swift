import Model

/// What a Bambu Lab printer is known to do: its messages laid over each other.
struct BambuState {
    /// `gcode_state`; nil while it was not told since the link was opened.
    var word: String?
    /// `stg_cur`; nil where there is no stage.
    var stage: Int?
    var layer = 0
    /// `print_error`, 0 for none.
    var error = 0
    var hasFatalHealth = false
    /// `print_type` is `system`: a calibration or another program of the printer's own. nil where it is neither that nor
    /// a print.
    var isOwnProgram: Bool?

    /// "0x0300400C": stopped by a person.
    static let cancelCode = 50_348_044

    /// What it shows of a job.
    var sight: BambuJob.Sight {
        switch word {
        case "PREPARE", "SLICING", "INIT": .preparing
        case "RUNNING", "PAUSE": .printing
        case "FINISH": .finished
        case "FAILED": .failed
        case "IDLE": .idle
        default: .unclear
        }
    }

    /// A program is on.
    var isActive: Bool { sight == .preparing || sight == .printing }

    /// The common word for it and the printer's own.
    var state: (state: MachineState, reason: String) {
        guard let word else { return (.unknown, "not told yet") }
        switch word {
        case "IDLE", "FINISH": return hasFatalHealth ? (.fault, "\(word), health message") : (.idle, word)
        case "FAILED":
            if hasFatalHealth { return (.fault, "FAILED, health message") }
            if error == 0 || error == Self.cancelCode { return (.idle, word) }
            return (.blocked, "FAILED, error \(Self.code(error))")
        case "PREPARE", "SLICING", "INIT": return (.preparing, withStage(word))
        case "RUNNING":
            // A stage within the print, such as cleaning the nozzle, is part of the work.
            let isWork = isOwnProgram != true && (stage == nil || stage == 0 || layer > 0)
            return (isWork ? .running : .preparing, withStage(word))
        case "PAUSE": return (paused, withStage(word))
        case "OFFLINE": return (.offline, word)
        case "", "UNKNOWN": return (.unknown, word.isEmpty ? "no word" : word)
        default: return (.unknown, word)
        }
    }

    /// Whether the word is one that is known.
    var isKnown: Bool { sight != .unclear || ["OFFLINE", "UNKNOWN", ""].contains(word) }

    private var paused: MachineState {
        if hasFatalHealth { return .fault }
        switch stage {
        // By a person, by the program; or the stage is still on its way.
        case nil, 0, 5, 16, 30: return .paused
        // The nozzle's or the bed's temperature is out of control.
        case 20, 21: return .fault
        default: return .blocked
        }
    }

    private func withStage(_ word: String) -> String {
        guard let stage, stage != 0 else { return word }
        return "\(word), \(Self.words(ofStage: stage))"
    }

    /// As the printer's screen shows it: `0300-400C`.
    static func code(_ error: Int) -> String {
        let digits = String(UInt32(truncatingIfNeeded: error), radix: 16, uppercase: true)
        let eight = String(repeating: "0", count: max(0, 8 - digits.utf8.count)) + digits
        return "\(eight.prefix(4))-\(eight.suffix(4))"
    }

    /// The stages of `stg_cur`, as greghesp/ha-bambulab and Doridian/OpenBambuAPI list them.
    private static let stages: [String] = [
        "printing", "bed levelling", "bed preheating", "sweeping XY", "changing filament", "M400 pause",
        "filament runout", "heating hotend", "calibrating extrusion", "scanning bed", "inspecting first layer",
        "identifying plate", "calibrating lidar", "homing toolhead", "cleaning nozzle", "checking temperature",
        "by user", "front cover", "calibrating lidar", "calibrating flow", "nozzle temperature malfunction",
        "bed temperature malfunction", "unloading filament", "skipped step", "loading filament",
        "calibrating motor noise", "AMS lost", "slow heat-break fan", "chamber temperature error", "cooling chamber",
        "by g-code", "motor noise showoff", "nozzle covered by filament", "cutter error", "first layer error",
        "nozzle clog", "calibrating accuracy", "calibrating accuracy", "calibrating accuracy", "nozzle offset",
        "hot bed levelling", "checking quick release", "checking door and cover", "laser calibration",
        "checking platform", "bird's-eye camera", "bird's-eye camera", "bed levelling", "bed levelling",
        "heating chamber", "cooling bed", "calibration lines", "checking material", "live-view camera",
        "waiting for bed", "checking material position", "cutter offset", "measuring surface",
        "thermal preconditioning", "testing blade", "testing camera", "testing camera", "testing hotend",
        "waiting for chamber", "preparing hotend", "checking nozzle clumping", "purifying air", "rotary",
        "purge chute", "cooling nozzle", "toolhead centre", "arc fitting", "hotend type", "checking plate",
        "checking plate", "foreign object", "pre-extrusion", "preparing AMS",
    ]

    private static func words(ofStage stage: Int) -> String {
        stages.indices.contains(stage) ? stages[stage] : "stage \(stage)"
    }
}
