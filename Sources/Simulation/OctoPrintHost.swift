import Model

/// What OctoPrint's MQTT plugin publishes, in its default layout (base topic `octoPrint`, retained but for events):
///
///     octoPrint/mqtt                   connected
///     octoPrint/event/PrintDone        {"name":…,"path":…,"origin":"local","size":…,…,"_event":"PrintDone","_timestamp":…}
///     octoPrint/progress/printing      {"location":"local","path":…,"progress":91,"_timestamp":…}
///     octoPrint/temperature/tool0      {"actual":21.3,"target":60.0,"_timestamp":…}
struct OctoPrintHost: Hashable, Sendable {
    struct File: Hashable, Sendable {
        let name: String
        let size: Int

        /// The members that every event of a print has.
        var members: String { #""name":"\#(name)","path":"\#(name)","origin":"local","size":\#(size),"owner":"lab""# }
    }

    private let base: String
    private var sentProgress: Int?
    private var sentHeat: [String: Sent] = [:]
    private struct Sent: Hashable {
        let actual: Int
        let target: Double
    }

    /// `base` stands before every topic.
    init(base: String = "octoPrint") { self.base = base }

    mutating func connect(_ at: Instant, _ out: inout [Emission]) {
        out.append(.publish("\(base)/mqtt", "connected", retain: true))
        tellProgress(0, nil, at, &out)
        out.append(
            .publish(
                "\(base)/progress/slicing",
                #"{"slicer":"","source_location":"","source_path":"","destination_location":"","#
                    + #""destination_path":"","progress":0,"_timestamp":\#(seconds(at))}"#, retain: true))
    }

    /// An event; `members` are those before its name and time.
    func tell(_ event: String, _ members: String = "", _ at: Instant, _ out: inout [Emission]) {
        let head = members.isEmpty ? "" : members + ","
        out.append(
            .publish("\(base)/event/\(event)", #"{\#(head)"_event":"\#(event)","_timestamp":\#(seconds(at))}"#))
    }

    func tell(_ state: OctoPrintState, _ at: Instant, _ out: inout [Emission]) {
        tell(
            "PrinterStateChanged", #""state_id":"\#(state.rawValue)","state_string":"\#(state.text)""#, at, &out)
    }

    /// Looked at every five seconds, said only when it changed.
    mutating func tellProgress(_ percent: Int, _ file: File?, _ at: Instant, _ out: inout [Emission]) {
        guard percent != sentProgress else { return }
        sentProgress = percent
        out.append(
            .publish(
                "\(base)/progress/printing",
                #"{"location":"\#(file == nil ? "" : "local")","path":"\#(file?.name ?? "")","progress":\#(percent),"#
                    + #""_timestamp":\#(seconds(at))}"#, retain: true))
    }

    /// Said only when it moved by 0.1 °C or its target changed.
    mutating func tellHeat(_ name: String, _ actual: Double, target: Double, _ at: Instant, _ out: inout [Emission]) {
        let now = Sent(actual: Int((actual * 10).rounded()), target: target)
        guard now != sentHeat[name] else { return }
        sentHeat[name] = now
        out.append(
            .publish(
                "\(base)/temperature/\(name)",
                #"{"actual":\#(actual, places: 1),"target":\#(target, places: 1),"_timestamp":\#(seconds(at))}"#,
                retain: true))
    }

    private func seconds(_ at: Instant) -> Int64 { at.floor(to: .seconds(1)).milliseconds / 1000 }
}

/// The states of OctoPrint that occur here, and what they mean for the machine.
enum OctoPrintState: String, Sendable {
    case offline = "OFFLINE"
    case detecting = "DETECT_SERIAL"
    case connecting = "CONNECTING"
    case operational = "OPERATIONAL"
    case starting = "STARTING"
    case printing = "PRINTING"
    case pausing = "PAUSING"
    case paused = "PAUSED"
    case resuming = "RESUMING"
    case finishing = "FINISHING"
    case cancelling = "CANCELLING"

    var text: String {
        switch self {
        case .offline: "Offline"
        case .detecting: "Detecting serial connection"
        case .connecting: "Connecting"
        case .operational: "Operational"
        case .starting: "Starting"
        case .printing: "Printing"
        case .pausing: "Pausing"
        case .paused: "Paused"
        case .resuming: "Resuming"
        case .finishing: "Finishing"
        case .cancelling: "Cancelling"
        }
    }

    var meaning: MachineState {
        switch self {
        case .offline, .detecting, .connecting: .offline
        case .operational: .idle
        case .starting: .preparing
        case .printing, .resuming, .finishing, .cancelling: .running
        case .pausing, .paused: .paused
        }
    }
}
