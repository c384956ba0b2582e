import Model

/// What one message of a Bambu Lab printer says, before it is laid over what was known. Texts are noted by where they
/// stand; names of jobs and files are only read to tell two jobs apart.
///
///     {"print":{"command":"push_status","msg":1,"gcode_state":"RUNNING","mc_percent":38,"mc_remaining_time":82,…
///               "device":{"bed":{"info":{"temp":3932220}},"extruder":{"info":[{"id":0,"temp":14418140}]},…}}}
///
/// The order of members is arbitrary; `command` often comes last.
struct BambuReport {
    /// Of one heater: °C.
    struct Heater {
        var actual = MessageNumber.absent
        var target = MessageNumber.absent

        /// Current value in the low 16 bits, target in the high ones: 0x00DC00DB is 219 of 220 °C.
        fileprivate mutating func unpack(_ packed: MessageNumber) {
            guard packed != .absent else { return }
            guard let bits = packed.integer, bits >= 0 else {
                actual = packed == .unknown ? .unknown : .wrong
                return
            }
            actual = .value(Double(bits & 0xFFFF))
            target = .value(Double(bits >> 16))
        }
    }

    /// The message is a status report; anything else echoes somebody's request.
    private(set) var isStatus = false
    /// All that the printer knows, and not only what changed.
    var isWhole: Bool { isStatus && state != nil && message.number != 1 }
    /// `msg`: 1 for changes, 0 or none for everything.
    private var message = MessageNumber.absent
    private(set) var state: Range<Int>?
    private(set) var printType: Range<Int>?
    private(set) var stage = MessageNumber.absent
    private(set) var error = MessageNumber.absent
    private(set) var percent = MessageNumber.absent
    /// min.
    private(set) var remaining = MessageNumber.absent
    private(set) var layer = MessageNumber.absent
    private(set) var layers = MessageNumber.absent
    /// Whether a health message of the highest severity stands; nil where nothing is said of health.
    private(set) var hasFatalHealth: Bool?
    private(set) var nozzle = Heater()
    private(set) var bed = Heater()
    private(set) var chamber = Heater()
    /// The packed values of newer models. `extruders` is how many of them were listed.
    private(set) var packedNozzles = (Heater(), Heater())
    private(set) var extruders = 0
    private var packedBed = Heater()
    private var packedChamber = Heater()
    private var taskIDs: (Range<Int>?, Range<Int>?)
    private var names: (Range<Int>?, Range<Int>?)

    /// Reads the whole message; false where it is no JSON object.
    mutating func read(_ b: borrowing Span<UInt8>) -> Bool {
        var json = JSONScanner()
        guard json.beginObject(b) else { return false }
        while let key = json.nextKey(b) {
            if JSONScanner.equals(key, "print", b), json.beginObject(b) {
                while let key = json.nextKey(b) { readMember(key, &json, b) }
            } else {
                json.skip(b)
            }
        }
        settle()
        return json.finish(b)
    }

    private mutating func readMember(_ key: Range<Int>, _ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        func isKey(_ name: StaticString, _ b: borrowing Span<UInt8>) -> Bool { JSONScanner.equals(key, name, b) }
        if isKey("command", b), let text = json.string(b) {
            isStatus = JSONScanner.equals(text, "push_status", b)
        } else if isKey("gcode_state", b), let text = json.string(b) {
            state = text
        } else if isKey("msg", b) {
            message.readLenient(&json, b)
        } else if isKey("print_type", b), let text = json.string(b) {
            printType = text
        } else if isKey("stg_cur", b) {
            stage.readLenient(&json, b)
        } else if isKey("print_error", b) {
            error.readLenient(&json, b)
        } else if isKey("mc_percent", b) {
            percent.readLenient(&json, b)
        } else if isKey("mc_remaining_time", b) {
            remaining.readLenient(&json, b)
        } else if isKey("layer_num", b) {
            layer.readLenient(&json, b)
        } else if isKey("total_layer_num", b) {
            layers.readLenient(&json, b)
        } else if isKey("hms", b), json.beginArray(b) {
            hasFatalHealth = false
            while json.nextElement(b) { readHealth(&json, b) }
        } else if isKey("device", b), json.beginObject(b) {
            while let key = json.nextKey(b) { readDevice(key, &json, b) }
        } else if isKey("subtask_id", b), let text = json.string(b) {
            taskIDs.0 = text
        } else if isKey("task_id", b), let text = json.string(b) {
            taskIDs.1 = text
        } else if isKey("gcode_file", b), let text = json.string(b) {
            names.0 = text
        } else if isKey("subtask_name", b), let text = json.string(b) {
            names.1 = text
        } else {
            readHeater(key, &json, b)
        }
    }

    private mutating func readHeater(_ key: Range<Int>, _ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        if JSONScanner.equals(key, "nozzle_temper", b) {
            nozzle.actual.read(&json, b)
        } else if JSONScanner.equals(key, "nozzle_target_temper", b) {
            nozzle.target.read(&json, b)
        } else if JSONScanner.equals(key, "bed_temper", b) {
            bed.actual.read(&json, b)
        } else if JSONScanner.equals(key, "bed_target_temper", b) {
            bed.target.read(&json, b)
        } else if JSONScanner.equals(key, "chamber_temper", b) {
            chamber.actual.read(&json, b)
        } else {
            json.skip(b)
        }
    }

    /// `{"attr":50335744,"code":65543}`: the severity is in the high half of the code, 1 is fatal.
    private mutating func readHealth(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        guard json.beginObject(b) else {
            json.skip(b)
            return
        }
        while let key = json.nextKey(b) {
            guard JSONScanner.equals(key, "code", b) else {
                json.skip(b)
                continue
            }
            var code = MessageNumber.absent
            code.read(&json, b)
            if let code = code.integer, code >> 16 == 1 { hasFatalHealth = true }
        }
    }

    // MARK: packed temperatures

    private mutating func readDevice(_ key: Range<Int>, _ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        if JSONScanner.equals(key, "bed", b) {
            packedBed.unpack(Self.infoTemperature(&json, b))
        } else if JSONScanner.equals(key, "ctc", b) {
            packedChamber.unpack(Self.infoTemperature(&json, b))
        } else if JSONScanner.equals(key, "extruder", b), json.beginObject(b) {
            while let key = json.nextKey(b) {
                if JSONScanner.equals(key, "info", b), json.beginArray(b) {
                    while json.nextElement(b) { readExtruder(&json, b) }
                } else {
                    json.skip(b)
                }
            }
        } else {
            json.skip(b)
        }
    }

    /// The packed number in `{"info":{"temp":3932220}}`.
    private static func infoTemperature(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) -> MessageNumber {
        var packed = MessageNumber.absent
        guard json.beginObject(b) else {
            json.skip(b)
            return .absent
        }
        while let key = json.nextKey(b) {
            guard JSONScanner.equals(key, "info", b), json.beginObject(b) else {
                json.skip(b)
                continue
            }
            while let key = json.nextKey(b) {
                if JSONScanner.equals(key, "temp", b) { packed.read(&json, b) } else { json.skip(b) }
            }
        }
        return packed
    }

    private mutating func readExtruder(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        guard json.beginObject(b) else {
            json.skip(b)
            return
        }
        var id = MessageNumber.absent
        var packed = MessageNumber.absent
        while let key = json.nextKey(b) {
            if JSONScanner.equals(key, "id", b) {
                id.readLenient(&json, b)
            } else if JSONScanner.equals(key, "temp", b) {
                packed.read(&json, b)
            } else {
                json.skip(b)
            }
        }
        switch id.integer {
        case 0: packedNozzles.0.unpack(packed)
        case 1: packedNozzles.1.unpack(packed)
        default: return
        }
        extruders = min(extruders + 1, 2)
    }

    /// The plain members are finer; the packed ones fill in where there are none.
    private mutating func settle() {
        if bed.actual == .absent { bed.actual = packedBed.actual }
        if bed.target == .absent { bed.target = packedBed.target }
        // Printers without the sensor always say 5.
        if chamber.actual == .value(5) { chamber.actual = .absent }
        if chamber.actual == .absent { chamber.actual = packedChamber.actual }
        if chamber.target == .absent { chamber.target = packedChamber.target }
    }

    // MARK: which job

    /// A number by which this job is told from another one, without its names: from the ids where the printer has any
    /// (a print over the local network has "0"), else from file and title. nil where the message tells neither.
    func jobKey(_ b: borrowing Span<UInt8>) -> UInt64? {
        for id in [taskIDs.0, taskIDs.1] {
            guard let id, !id.isEmpty, !JSONScanner.equals(id, "0", b) else { continue }
            return JobKey.of([id], b)
        }
        guard let file = names.0, let title = names.1, !(file.isEmpty && title.isEmpty) else { return nil }
        return JobKey.of([file, title], b)
    }
}
