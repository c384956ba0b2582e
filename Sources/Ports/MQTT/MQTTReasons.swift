// Why there is no connection to a broker, in words that say what to do.

import CMosquitto
@preconcurrency import Glibc
import Model

extension MQTTSettings {
    /// `mqtt main (127.0.0.1:1883)`
    var place: String { "mqtt \(name) (\(host):\(port))" }

    /// Why `connect` failed.
    func reason(_ outcome: MQTTSession.Outcome, log: String) -> String {
        switch mosq_err_t(rawValue: outcome.code) {
        case MOSQ_ERR_ERRNO where outcome.systemError == ECONNREFUSED:
            "nothing listens at \(place): connection refused; is the broker running, and is the port right?"
        case MOSQ_ERR_ERRNO:
            "cannot reach \(place): \(PortError.words(for: outcome.systemError))"
        case MOSQ_ERR_EAI, MOSQ_ERR_LOOKUP:
            "cannot find the host of \(place): \(words(forLookup: outcome.systemError)); check the name and the network"
        case MOSQ_ERR_INVAL where tls != nil:
            "\(place) cannot use its TLS files; check that these can be read: "
                + [tls?.caFile, tls?.certFile, tls?.keyFile].compactMap { $0 }.joined(separator: ", ")
        case MOSQ_ERR_INVAL:
            "\(place) has a setting that MQTT does not allow; check client id, user name and will"
        default: reason(code: outcome.code, log: log)
        }
    }

    /// Why a connection that was open has ended.
    func reason(code: Int32, log: String) -> String {
        switch mosq_err_t(rawValue: code) {
        // A broken handshake may also look like a lost connection; only OpenSSL logs.
        case _ where tls != nil && !log.isEmpty, MOSQ_ERR_TLS, MOSQ_ERR_TLS_HANDSHAKE:
            "\(place): TLS failed\(log.isEmpty ? "" : ": \(log)"); check the broker's name and the ca, cert and key files"
        case MOSQ_ERR_KEEPALIVE:
            "\(place) has not answered for \(keepAlive.milliseconds / 1000) s"
        case MOSQ_ERR_CONN_LOST, MOSQ_ERR_SUCCESS, MOSQ_ERR_ERRNO, MOSQ_ERR_NO_CONN:
            "\(place) closed the connection; if this repeats, does another client use the id '\(clientID)'?"
        default: "\(place): \(mosquitto_strerror(code).map { String(cString: $0) } ?? "error \(code)")"
        }
    }

    /// Why the broker did not accept us, or sent us away.
    func reason(refusal code: Int32) -> String {
        let words = version == .v5 ? mosquitto_reason_string(code) : mosquitto_connack_string(code)
        let said = words.map { String(cString: $0) } ?? "reason \(code)"
        let isLogin = version == .v5 ? [134, 135].contains(code) : [4, 5].contains(code)
        return "\(place) refuses us: \(said)" + (isLogin ? "; check username and password_file" : "")
    }

    private func words(forLookup code: Int32) -> String {
        code < 0 ? gai_strerror(code).map { String(cString: $0) } ?? "unknown" : "unknown host"
    }
}
