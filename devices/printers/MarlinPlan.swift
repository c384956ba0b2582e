/// Which command is asked next. Every one only asks, or switches on reports that the board sends by itself.
struct MarlinPlan {
    /// The command that waits for its ok.
    private(set) var asked: String?
    /// The board said since the last turn that it is busy.
    var wasBusy = false

    private var capabilityTries = 0
    private var knowsCapabilities = false
    private var canReportTemperature = false
    private var canReportCard = false
    private var hasAskedTemperatureReports = false
    private var hasAskedCardReports = false
    private var hasCard = true
    private var hasStatistics = true
    /// A print is over since the board's counts were asked for.
    private var hasNewStatistics = false
    private var turn = 0
    private var turnsWithoutTemperature = 0
    private var turnsWithoutCard = 0

    /// nil where nothing needs asking, or the board must finish first.
    mutating func next(isPrinting: Bool) -> String? {
        // A board that is busy has not answered the last command; another one would only fill its buffer.
        if wasBusy, asked != nil {
            wasBusy = false
            return nil
        }
        wasBusy = false
        asked = choose(isPrinting)
        return asked
    }

    private mutating func choose(_ isPrinting: Bool) -> String? {
        if !knowsCapabilities, capabilityTries < 3 {
            capabilityTries += 1
            return "M115"
        }
        if canReportTemperature, !hasAskedTemperatureReports {
            hasAskedTemperatureReports = true
            return "M155 S5"
        }
        if canReportCard, !hasAskedCardReports {
            hasAskedCardReports = true
            return "M27 S5"
        }
        turn &+= 1
        turnsWithoutTemperature += 1
        turnsWithoutCard += 1
        // Every hour at a turn in five seconds, and when a print has ended: the board counts its filament then.
        if hasStatistics, hasNewStatistics || turn % 720 == 3 {
            hasNewStatistics = false
            return "M78"
        }
        if isPrinting, turn % 6 == 0 { return "M31" }
        // Reports that stay out are asked for, too; of both, the one that is older.
        let isCardDue = hasCard && turnsWithoutCard >= (canReportCard ? 4 : 1)
        let isTemperatureDue = turnsWithoutTemperature >= (canReportTemperature ? 4 : 1)
        // A board that was reset, and whose word about that was lost, has forgotten that it should report.
        if isCardDue, !isTemperatureDue || turnsWithoutCard >= turnsWithoutTemperature {
            turnsWithoutCard = 0
            hasAskedCardReports = false
            return "M27"
        }
        guard isTemperatureDue else { return nil }
        turnsWithoutTemperature = 0
        hasAskedTemperatureReports = false
        return "M105"
    }

    mutating func gotAnswer() {
        if asked == "M115" { knowsCapabilities = true }
        asked = nil
        wasBusy = false
    }

    mutating func gotNoReply() { if !wasBusy { asked = nil } }

    mutating func printEnded() { hasNewStatistics = true }

    mutating func heardTemperature() { turnsWithoutTemperature = 0 }
    mutating func heardCard() { turnsWithoutCard = 0 }

    /// A line of the answer to M115.
    mutating func learned(_ capability: String, _ isThere: Bool) {
        switch capability {
        case "AUTOREPORT_TEMP": canReportTemperature = isThere
        case "AUTOREPORT_SD_STATUS": canReportCard = isThere
        default: break
        }
    }

    /// The board does not know a command.
    mutating func refused(_ command: String) {
        if command.hasPrefix("M155") { canReportTemperature = false }
        if command == "M27 S5" { canReportCard = false } else if command.hasPrefix("M27") { hasCard = false }
        if command.hasPrefix("M78") { hasStatistics = false }
    }

    /// What was switched on is off again.
    mutating func boardWasReset() {
        asked = nil
        hasAskedTemperatureReports = false
        hasAskedCardReports = false
    }
}
