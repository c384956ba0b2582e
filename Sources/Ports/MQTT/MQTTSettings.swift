// What a connection to an MQTT broker needs to know.

package import Model

package enum MQTTVersion: String, CaseIterable, Sendable {
    case v311 = "3.1.1"
    case v5 = "5"
}

/// TLS from 1.2 on, with the broker's name checked; there is no way to switch that off.
package struct MQTTTLS: Hashable, Sendable {
    /// The authority that signed the broker's certificate; nil is the system's own list.
    package var caFile: String?
    /// The client's certificate and key, both or none.
    package var certFile: String?
    package var keyFile: String?
    /// The name that the broker's certificate must have, instead of the host's: a printer's is its serial number.
    package var serverName: String?

    package init(
        caFile: String? = nil, certFile: String? = nil, keyFile: String? = nil, serverName: String? = nil
    ) {
        self.caFile = caFile
        self.certFile = certFile
        self.keyFile = keyFile
        self.serverName = serverName
    }
}

/// What the broker says for us when the connection breaks.
package struct MQTTWill: Hashable, Sendable {
    package var topic: String
    package var payload: [UInt8]
    package var qos: Int
    package var retain: Bool

    package init(topic: String, payload: [UInt8], qos: Int = 1, retain: Bool = true) {
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
    }
}

package struct MQTTSettings: Sendable {
    /// The name in the configuration, for threads and messages.
    package var name: String
    package var host: String
    package var port: UInt16
    package var version: MQTTVersion
    package var username: String?
    package var password: String?
    /// Fixed, and not shared with anybody: by it the broker knows which messages we have not had yet.
    package var clientID: String
    /// True forgets at the broker what came while we were away.
    package var cleanSession: Bool
    /// After this long without a word the broker is asked whether it is there; in whole seconds, at least 5.
    package var keepAlive: Duration
    package var tls: MQTTTLS?
    package var will: MQTTWill?

    package init(
        name: String, host: String, port: UInt16 = 1883, version: MQTTVersion = .v311, username: String? = nil,
        password: String? = nil, clientID: String, cleanSession: Bool = false, keepAlive: Duration = .seconds(60),
        tls: MQTTTLS? = nil, will: MQTTWill? = nil
    ) {
        self.name = name
        self.host = host
        self.port = port
        self.version = version
        self.username = username
        self.password = password
        self.clientID = clientID
        self.cleanSession = cleanSession
        self.keepAlive = keepAlive
        self.tls = tls
        self.will = will
    }
}
