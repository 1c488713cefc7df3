//! What the log and the counts are told of TLS handshakes that fail.

use std::io;

use rustls::{AlertDescription, Error};

use super::Event;
use super::link::Link;
use super::prelude;

/// Why a handshake failed over a certificate, of which an operator has to know: it is the client's, or the server's own.
/// What else fails is scanners and clients of other ages as a rule, and is counted.
fn trouble_with_certificates(error: &Error) -> Option<&'static str> {
    match error {
        Error::NoCertificatesPresented => Some("a client shows no certificate, and is refused"),
        Error::InvalidCertificate(_) => Some("a client's certificate is not good, and it is refused"),
        Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            // What clients say of a signature that is not the issuer's.
            | AlertDescription::DecryptError
            | AlertDescription::BadCertificateStatusResponse,
        ) => Some("a client does not accept the certificate of this server"),
        _ => None,
    }
}

impl Link {
    /// Notes that the connection failed before a request came; if it was for its TLS handshake, that is told.
    #[cold]
    pub(super) fn tell_of_handshake(&self, error: &io::Error) {
        if !self.stream.has_no_handshake() {
            return;
        }
        let timed_out = error.kind() == io::ErrorKind::TimedOut && error.raw_os_error().is_none();
        if timed_out && !self.shared.is_closing() {
            return self.shared.config.counts.add(Event::HeadTimeout);
        }
        let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else { return };
        if self.stream.is_proxied_below_tls() {
            prelude::tell_of_unexpected(self);
        }
        let Some(trouble) = trouble_with_certificates(error) else {
            return self.shared.config.counts.add(Event::TlsHandshake);
        };
        if let Some(times) = self.shared.complaint(Event::TlsHandshake) {
            let client = self.stream.peer_addr().map(tracing::field::display);
            tracing::warn!(client, %error, times, "{trouble}");
        }
    }
}
