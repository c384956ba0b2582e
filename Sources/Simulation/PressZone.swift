/// One heated zone of a press: so much metal with a heater and a loss to the room, and its controller, which holds a set
/// value with a proportional band. Its sensor may break; then the controller heats no more.
struct PressZone: Hashable, Sendable {
    static let room = 22.0

    /// W of its heater, J/K of its metal, W/K to the room.
    let heater: Double
    let capacity: Double
    let loss: Double
    private(set) var temperature = PressZone.room
    /// 0…1.
    private(set) var duty = 0.0
    /// °C; 0 is off.
    var setpoint = 0.0

    static let barrel = PressZone(heater: 760, capacity: 2200, loss: 1)
    static let nozzle = PressZone(heater: 140, capacity: 420, loss: 0.25)

    private init(heater: Double, capacity: Double, loss: Double) {
        self.heater = heater
        self.capacity = capacity
        self.loss = loss
    }

    var watts: Double { duty * heater }
    var isCold: Bool { setpoint == 0 && temperature < Self.room + 1 }

    /// What its controller shows with some noise, tenths of a degree.
    func shown(_ noise: Double) -> Double { ((temperature + 0.1 * noise) * 10).rounded() / 10 }

    /// A second. A controller that sees no temperature does not heat.
    mutating func heat(sees: Bool) {
        if setpoint == 0 || !sees {
            duty = 0
        } else {
            let hold = loss * (setpoint - Self.room) / heater
            duty = min(1, max(0, hold + (setpoint - temperature) * 0.06))
        }
        temperature += (duty * heater - loss * (temperature - Self.room)) / capacity
    }

    /// Something cold came in.
    mutating func cool(by degrees: Double) { temperature -= degrees }
}
