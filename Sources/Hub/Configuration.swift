package import CityLink
package import Model
package import Store
package import Usage

/// The whole configuration, checked: what `fabgate.yaml` and `conf.d/*.yaml` say, with every driver made.
package struct Configuration: Sendable {
    package struct Lab: Sendable {
        package var id = ""
        package var name = ""
        package var zone = Zone.utc
        package var open = OpeningHours()
        /// Somebody vouches for the computer's clock.
        package var trustsClock = false
    }

    package struct TLSFiles: Hashable, Sendable {
        package var ca: String?
        package var cert: String?
        package var key: String?
        /// The name in the server's certificate, where it is another one than that of its address.
        package var serverName: String?
    }

    package struct Broker: Sendable {
        package var name: String
        package var host: String
        package var port: Int
        package var usesTLS: Bool
        package var isVersion5: Bool
        package var username: String?
        package var passwordFile: String?
        package var clientID: String?
        package var tls: TLSFiles?
    }

    package struct Line: Sendable {
        package var name: String
        package var path: String
        package var baud: Int
        package var format: String
    }

    /// Where a device is asked over HTTP: one for each such device, and by its name.
    package struct Endpoint: Sendable {
        /// The device's id.
        package var name: String
        /// `http://192.168.1.30`, with a path where it lies below one, without a slash at the end.
        package var url: String
        package var username: String?
        package var passwordFile: String?
        package var apiKeyFile: String?
        package var tls: TLSFiles?
    }

    package enum Link: Hashable, Sendable {
        case broker(Int)
        case line(Int)
        case http(Int)
    }

    /// Never changed once it is made, and so the same object for all that look at it: there may be thousands.
    package final class Device: Sendable {
        package let id: String
        /// An earlier name: what is stored under it goes on under `id`.
        package let formerID: String?
        package let driverName: String
        package let model: String?
        package let link: Link
        /// Index into `endpoints`, where it is asked over HTTP, alone or beside its link.
        package let endpoint: Int?
        package let driver: any DeviceDriver
        package var info: DriverInfo { type(of: driver).info }
        /// How often its turn comes; nil where it is not asked.
        package let every: Duration?
        package let silence: Duration
        /// The most that something behind it can draw, in W.
        package let rating: Double

        init(
            id: String, formerID: String?, driverName: String, model: String?, link: Link, endpoint: Int?,
            driver: any DeviceDriver, every: Duration?, silence: Duration, rating: Double
        ) {
            self.id = id
            self.formerID = formerID
            self.driverName = driverName
            self.model = model
            self.link = link
            self.endpoint = endpoint
            self.driver = driver
            self.every = every
            self.silence = silence
            self.rating = rating
        }
    }

    /// Never changed once it is made, like a device.
    package final class Machine: Sendable {
        package let id: String
        package let name: String
        package let machineClass: String
        /// Its devices, each for its term: one may come back.
        package let members: [Member]
        /// Indices into `devices`: those of its members, each once.
        package let devices: [Int]
        /// Those of `devices` whose energy counters are added up.
        package let energy: [Int]
        package let source: UsageRule.Source
        package let itemsPerShot: Int?
        /// A machine that says itself that it idles, and draws this many watts, contradicts itself.
        package let disagreesAbove: Double?
        /// So long it may, before that is an alert.
        package let disagreesAfter: Duration
        /// What its hour counter showed when it was first watched.
        package let runningBefore: Duration
        /// Those of a press that are used; nil for all.
        package let zones: [String]?
        package let material: MaterialRule
        package let scales: [Scale]

        init(
            id: String, name: String, machineClass: String, members: [Member], devices: [Int], energy: [Int],
            source: UsageRule.Source, itemsPerShot: Int?, disagreesAbove: Double?, disagreesAfter: Duration,
            runningBefore: Duration, zones: [String]?, material: MaterialRule, scales: [Scale]
        ) {
            self.id = id
            self.name = name
            self.machineClass = machineClass
            self.members = members
            self.devices = devices
            self.energy = energy
            self.source = source
            self.itemsPerShot = itemsPerShot
            self.disagreesAbove = disagreesAbove
            self.disagreesAfter = disagreesAfter
            self.runningBefore = runningBefore
            self.zones = zones
            self.material = material
            self.scales = scales
        }
    }

    /// A channel that weighs something of a machine.
    package struct Scale: Hashable, Sendable {
        /// An index into `devices`.
        package var device: Int
        package var channel: String
        package var role: MassRole
    }

    package struct Store: Sendable {
        /// The folder of a configuration that names none.
        package static let usualPath = "/var/lib/fabgate"

        package var path = usualPath
        package var size = 512 * 1024 * 1024
        package var sync = Duration.seconds(1)
        package var seriesLimit = 2000
        /// What becomes of the oldest samples when the ring is full and no outbox has what follows from them.
        package var whenFull = WhenFull.overwrite
    }

    package struct Rollups: Sendable {
        /// A window is told for the last time this long after its end.
        package var finalAfter = Duration.hours(7 * 24)
    }

    package struct HTTP: Sendable {
        package var address = "127.0.0.1"
        package var port = 8080
        /// Further names under which browsers may ask, such as that of a proxy in front.
        package var hosts: [String] = []

        /// Only this machine itself can reach it.
        package var isLocal: Bool { address.hasPrefix("127.") || address == "::1" || address == "localhost" }
    }

    package struct City: Sendable {
        package var name: String
        package var url: String
        package var tokenFile: String
        package var grains: [Window.Grain]
        package var showsMachines: Bool
        package var privacy: PrivacyRule
        package var tls: TLSFiles?
    }

    /// The lab's clock runs faster than the real one: only for demonstrations.
    package struct SimulatedClock: Sendable {
        package var speed: Int
        package var realOrigin: Instant
        package var labOrigin: Instant
    }

    package var lab = Lab()
    package var brokers: [Broker] = []
    package var lines: [Line] = []
    package var endpoints: [Endpoint] = []
    package var devices: [Device] = []
    package var moulds: [Mould] = []
    package var machines: [Machine] = []
    package var store = Store()
    package var rollups = Rollups()
    package var tariff = Tariff()
    package var http = HTTP()
    package var cities: [City] = []
    package var simulation: SimulatedClock?

    package init() {}
}

/// The fablabs.io capabilities and what they lack, as classes of machines in a rollup.
package enum MachineClass: String, CaseIterable, Sendable {
    case threeDPrinting = "three_d_printing"
    case cncMilling = "cnc_milling"
    case circuitProduction = "circuit_production"
    case laser
    case precisionMilling = "precision_milling"
    case vinylCutting = "vinyl_cutting"
    case plasticShredding = "plastic_shredding"
    case plasticExtrusion = "plastic_extrusion"
    case injectionMolding = "injection_molding"
    case sheetPress = "sheet_press"
    case sewing, electronics, woodwork, other
}

/// When a lab is open, by day of the week.
package struct OpeningHours: Hashable, Sendable {
    /// Minutes of the wall clock, `from < to <= 1440`.
    package struct Hours: Hashable, Sendable {
        package let from: Int
        package let to: Int
        package init(from: Int, to: Int) {
            self.from = from
            self.to = to
        }
    }

    /// Monday first.
    package var days: [[Hours]]

    package init(days: [[Hours]] = [[Hours]](repeating: [], count: 7)) { self.days = days }

    package var isEmpty: Bool { days.allSatisfy(\.isEmpty) }

    /// How long the lab is open between two instants.
    package func open(from: Instant, to: Instant, in zone: Zone) -> Duration {
        var total: Int64 = 0
        var date = zone.date(at: from)
        let last = zone.date(at: to)
        while date <= last {
            let offset = Int64(zone.offsetSeconds(at: zone.start(of: date) + .hours(12))) * 1000
            for hours in days[date.weekday] {
                let midnight = date.daysSince1970 * 86_400_000 - offset
                let opens = max(from.milliseconds, midnight + Int64(hours.from) * 60_000)
                let closes = min(to.milliseconds, midnight + Int64(hours.to) * 60_000)
                total += max(0, closes - opens)
            }
            date = CivilDate(daysSince1970: date.daysSince1970 + 1)
        }
        return Duration(milliseconds: total)
    }
}
