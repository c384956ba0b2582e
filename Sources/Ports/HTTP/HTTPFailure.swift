internal import CCurl
@preconcurrency internal import Glibc

extension HTTPClient {
    /// Why there is no answer. A status of 400 or 500 is an answer, not a failure.
    package struct Failure: Error, CustomStringConvertible {
        /// What a caller may want to tell apart.
        package enum Kind: Hashable, Sendable {
            /// The name is unknown, or no name server answers.
            case nameNotFound
            /// The computer answers, but nothing listens there.
            case refused
            /// No way to that computer.
            case unreachable
            case timedOut
            /// The certificate is signed by nobody that is trusted here.
            case untrusted
            /// The certificate is for another name.
            case wrongName
            /// The certificate is no longer, or not yet, valid.
            case expired
            /// The two sides found no common TLS, or the other side speaks none.
            case noTLS
            /// The server wants another certificate of ours, or ours cannot be read.
            case clientCertificate
            /// The answer is larger than allowed.
            case tooLarge
            /// The connection broke, or what came is no HTTP.
            case broken
            /// The request itself is wrong: URL, header or file.
            case badRequest
            /// This computer lacks the library that asks.
            case noLibrary
            case cancelled
        }

        package let kind: Kind
        package let description: String

        init(_ kind: Kind, _ host: String, _ reason: String) {
            self.kind = kind
            description = "\(host): \(reason)"
        }

        static func cancelled(_ host: String) -> Failure { Failure(.cancelled, host, "the request was given up") }
    }
}

extension HTTPClient.Failure {
    /// From curl's result; `detail` is curl's own sentence, `verification` OpenSSL's verdict on the certificate.
    init(_ code: CURLcode, host: String, detail: String, verification: Int, systemError: Int32) {
        let kind: Kind
        let advice: String
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST:
            (kind, advice) = (.nameNotFound, "is the name right, and does this network have a name server?")
        case CURLE_COULDNT_CONNECT:
            (kind, advice) = HTTPClient.Failure.connecting(systemError)
        case CURLE_OPERATION_TIMEDOUT:
            (kind, advice) = (.timedOut, "it did not answer in time; is it busy, or does a firewall swallow packets?")
        case CURLE_PEER_FAILED_VERIFICATION:
            (kind, advice) = HTTPClient.Failure.certificate(verification)
        case CURLE_SSL_CERTPROBLEM, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CRL_BADFILE:
            (kind, advice) = (
                .clientCertificate, "check the paths, permissions and contents of the ca, cert and key files"
            )
        case _ where detail.contains("alert") && detail.contains("certificate"):
            (kind, advice) = (.clientCertificate, "the server refuses our client certificate, or wants one")
        case CURLE_SSL_CONNECT_ERROR:
            (kind, advice) = (.noTLS, "does it speak TLS 1.2 or newer on this port?")
        case CURLE_WRITE_ERROR, CURLE_FILESIZE_EXCEEDED:
            (kind, advice) = (.tooLarge, "the answer is larger than allowed here")
        case CURLE_URL_MALFORMAT:
            (kind, advice) = (.badRequest, "write the URL as http://host:port/path or https://…")
        default:
            (kind, advice) = (
                .broken, "the connection broke off, or it does not speak HTTP; it will be worth another try"
            )
        }
        self.init(kind, host, "\(detail); \(advice)")
    }

    private static func connecting(_ systemError: Int32) -> (Kind, String) {
        systemError == ECONNREFUSED
            ? (.refused, "nothing listens there; is the program running, and the port right?")
            : (.unreachable, "is the cable in, and the address right?")
    }

    /// The numbers are OpenSSL's X509_V_ERR constants (X509_STORE_CTX_get_error(3)). 0 and 1, which curl starts with, mean
    /// that nothing is said against the chain, so it is the name.
    private static func certificate(_ verification: Int) -> (Kind, String) {
        switch verification {
        case 0, 1, 62...64:
            (
                .wrongName,
                "its certificate is for another name; use the name in the certificate, or there is a captive portal in between"
            )
        case 9, 10:
            (
                .expired,
                "its certificate is not valid today; is this computer's clock right? Else it has to be renewed there"
            )
        default:
            (
                .untrusted,
                "its certificate is signed by nobody trusted here; name its authority's file as ca, "
                    + "or there is a captive portal in between"
            )
        }
    }
}
