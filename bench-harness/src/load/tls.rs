//! TLS of the generator: what it is asked for, and what a handshake that fails has to say.

use std::fmt;
use std::path::PathBuf;

use covet_http::tls::{Certificate, ClientConfig, ClientSession, Error, Version};

use super::TargetUrl;

/// How connections to an `https` URL are secured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsOptions {
    /// Whether the server's certificate must be good.
    pub verify: bool,
    /// PEM file of the roots that are trusted, in the place of the system's.
    pub roots: Option<PathBuf>,
    /// PEM files of the certificate that is shown to a server that asks for one, and of its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The name that the server is asked for (SNI) and that its certificate must have, in the place of the URL's host.
    pub server_name: Option<String>,
    /// The oldest version that is spoken.
    pub oldest: Version,
    /// The newest version that is spoken.
    pub newest: Version,
    /// Whether a connection resumes the session of an earlier one where the server lets it.
    pub resume: bool,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self {
            verify: true,
            roots: None,
            certificate: None,
            server_name: None,
            oldest: Version::Tls12,
            newest: Version::Tls13,
            resume: true,
        }
    }
}

impl fmt::Display for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |version| if version == Version::Tls12 { "1.2" } else { "1.3" };
        match (self.oldest, self.newest) {
            (oldest, newest) if oldest == newest => f.write_str(number(oldest))?,
            (oldest, newest) => write!(f, "{} to {}", number(oldest), number(newest))?,
        }
        f.write_str(if self.resume { ", resumption" } else { ", no resumption" })?;
        f.write_str(if self.verify { ", verified" } else { ", not verified" })?;
        f.write_str(if self.certificate.is_some() { ", client certificate" } else { "" })?;
        self.server_name.as_ref().map_or(Ok(()), |name| write!(f, ", as {name}"))
    }
}

/// What connections need to secure themselves.
#[derive(Debug, Clone)]
pub(super) struct Security {
    pub(super) config: ClientConfig,
    /// The name that the certificate must have.
    pub(super) name: String,
    pub(super) verified: bool,
}

impl Security {
    /// That of the connections to a URL; `None` where it is a plain one. Reads files.
    pub(super) fn of(url: &TargetUrl, options: &TlsOptions) -> Result<Option<Self>, Error> {
        if !url.is_secure() {
            return Ok(None);
        }
        let builder = ClientConfig::builder()
            .oldest_version(options.oldest)
            .newest_version(options.newest)
            .resumption(options.resume);
        let builder = match &options.roots {
            Some(file) => builder.only_roots_file(file),
            None => builder,
        };
        let builder = match &options.certificate {
            Some((chain, key)) => builder.certificate(Certificate::files(chain, key)),
            None => builder,
        };
        let builder = if options.verify { builder } else { builder.dangerous().accept_any_certificate() };
        let name = options.server_name.clone().unwrap_or_else(|| url.host().to_owned());
        let config = builder.build()?;
        // The first session of a process gathers entropy for 50 ms, which belongs to no handshake; whether it could be
        // made is told by those that count.
        let _ = ClientSession::begin(&config, &name, &mut Vec::new());
        Ok(Some(Self { config, name, verified: options.verify }))
    }

    /// The same for one core, which remembers sessions for itself.
    pub(super) fn for_core(&self) -> Self {
        Self { config: self.config.for_core(), ..self.clone() }
    }
}

/// Why there is no TLS session, or no more.
#[derive(Debug, thiserror::Error)]
#[error("{cause}{}", advice(cause))]
pub(super) struct SessionError {
    // Not its source: the text has it.
    cause: rustls::Error,
}

impl SessionError {
    pub(super) fn new(cause: rustls::Error) -> Self {
        Self { cause }
    }
}

fn advice(error: &rustls::Error) -> &'static str {
    use rustls::{AlertDescription, CertificateError, Error as Tls};
    match error {
        Tls::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "; trust its issuer with --cacert FILE, or verify nothing with --insecure"
        }
        Tls::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "; write a name that the certificate has, as the URL's host or after --sni",
        Tls::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => "; renew it, or verify nothing with --insecure",
        // No class of its own, and what the usual command for a certificate of one's own makes.
        Tls::InvalidCertificate(CertificateError::Other(other))
            if format!("{other:?}").contains("CaUsedAsEndEntity") =>
        {
            "; it is an issuer's own, as `openssl req -x509` makes them: make it with \
             `-addext basicConstraints=critical,CA:FALSE`, or verify nothing with --insecure"
        }
        Tls::InvalidCertificate(_) => "; verify nothing with --insecure",
        Tls::InvalidMessage(_) => "; does this port speak TLS?",
        Tls::AlertReceived(AlertDescription::CertificateRequired) => {
            "; the server asks for a client certificate: give --cert FILE and --key FILE"
        }
        Tls::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::UnsupportedCertificate,
        ) => "; the server does not take the certificate of --cert",
        Tls::AlertReceived(AlertDescription::ProtocolVersion) | Tls::PeerIncompatible(_) => {
            "; ask for versions that the server has, with --tls-min and --tls-max"
        }
        Tls::AlertReceived(AlertDescription::UnrecognisedName) => {
            "; write a name that the server has, as the URL's host or after --sni"
        }
        Tls::AlertReceived(AlertDescription::HandshakeFailure) => {
            "; the server found no common cipher, or asks for a client certificate (--cert)"
        }
        Tls::AlertReceived(AlertDescription::NoApplicationProtocol) => "; the server has no HTTP/1.1 there",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_said_in_a_few_words() {
        assert_eq!(TlsOptions::default().to_string(), "1.2 to 1.3, resumption, verified");
        let other = TlsOptions {
            verify: false,
            newest: Version::Tls12,
            resume: false,
            server_name: Some("a.b".to_owned()),
            ..TlsOptions::default()
        };
        assert_eq!(other.to_string(), "1.2, no resumption, not verified, as a.b");
    }

    #[test]
    fn a_plain_url_needs_no_security_and_reads_no_file() {
        let options = TlsOptions { roots: Some("/nonexistent".into()), ..TlsOptions::default() };
        let of = |url: &str| Security::of(&TargetUrl::parse(url).unwrap(), &options);
        assert!(of("http://a/").unwrap().is_none());
        assert!(of("https://a/").unwrap_err().to_string().contains("/nonexistent"));
    }

    #[test]
    fn errors_say_what_to_do() {
        let text = |error| SessionError::new(error).to_string();
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        assert!(text(unknown).ends_with("--cacert FILE, or verify nothing with --insecure"));
        let required = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
        assert!(text(required).contains("--cert FILE"));
    }
}
