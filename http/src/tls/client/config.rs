use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::sign::SingleCertAndKey;
use rustls::{ConfigBuilder, KeyLogFile, WantsVerifier};

use super::roots::{self, Roots};
use super::unverified::Unverified;
use crate::tls::certificate::Certificate;
use crate::tls::config::provider;
use crate::tls::{Error, Version};

/// Sessions that one core remembers for resumption, of all servers together.
const SESSIONS: usize = 256;

/// How a client speaks TLS: whom it trusts, and what it shows of itself.
///
/// It can be cloned and sent to every core; each core then remembers sessions for itself, so that none waits for
/// another.
///
/// By default the roots are those of the system (`/etc/ssl/certs` and its like, or what SSL_CERT_FILE and
/// SSL_CERT_DIR name): they are renewed with the system, without a new build of the program, and hold what a company
/// has added for itself. A list compiled in has neither.
///
/// ```
/// use covet_http::tls::{Certificate, ClientConfig};
///
/// # fn example() -> Result<(), covet_http::tls::Error> {
/// let internal = ClientConfig::builder()
///     .only_roots_file("/etc/covet/internal-ca.pem")
///     .certificate(Certificate::files("client.pem", "client.key"))
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ClientConfig {
    pub(super) rustls: Arc<rustls::ClientConfig>,
    resumes: bool,
}

/// The usual configuration, once it was asked for: reading all roots takes some milliseconds.
static USUAL: Mutex<Option<ClientConfig>> = Mutex::new(None);

impl ClientConfig {
    /// Starts with the roots of the system, TLS 1.2 and 1.3, and no certificate of one's own.
    pub fn builder() -> ClientConfigBuilder {
        ClientConfigBuilder {
            system_roots: true,
            roots: Vec::new(),
            verifies: true,
            certificate: None,
            oldest: Version::Tls12,
            newest: Version::Tls13,
            resumes: true,
            key_log: false,
        }
    }

    /// The configuration of a builder that nothing was said to, read once per process. The first call reads files.
    ///
    /// # Errors
    /// As for [`ClientConfigBuilder::build`]; the next call tries again.
    pub fn usual() -> Result<ClientConfig, Error> {
        let mut usual = USUAL.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = &*usual {
            return Ok(config.clone());
        }
        let config = ClientConfig::builder().build()?;
        *usual = Some(config.clone());
        Ok(config)
    }

    /// A copy that remembers sessions for itself, and whose reference count belongs to one core.
    pub fn for_core(&self) -> ClientConfig {
        let mut rustls = rustls::ClientConfig::clone(&self.rustls);
        rustls.resumption = resumption(self.resumes);
        ClientConfig { rustls: Arc::new(rustls), resumes: self.resumes }
    }
}

fn resumption(on: bool) -> Resumption {
    if on { Resumption::in_memory_sessions(SESSIONS) } else { Resumption::disabled() }
}

/// Makes a [`ClientConfig`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientConfigBuilder {
    system_roots: bool,
    roots: Vec<Roots>,
    verifies: bool,
    certificate: Option<Certificate>,
    oldest: Version,
    newest: Version,
    resumes: bool,
    key_log: bool,
}

impl ClientConfigBuilder {
    /// Trusts the roots in a PEM file as well.
    pub fn roots_file(mut self, path: impl Into<PathBuf>) -> ClientConfigBuilder {
        self.roots.push(Roots::File(path.into()));
        self
    }

    /// Trusts the roots in a PEM text as well.
    pub fn roots_pem(mut self, pem: impl AsRef<[u8]>) -> ClientConfigBuilder {
        self.roots.push(Roots::Pem(pem.as_ref().into()));
        self
    }

    /// Trusts the roots in a PEM file and no others, those of the system neither.
    pub fn only_roots_file(mut self, path: impl Into<PathBuf>) -> ClientConfigBuilder {
        self.system_roots = false;
        self.roots = vec![Roots::File(path.into())];
        self
    }

    /// Trusts the roots in a PEM text and no others, those of the system neither.
    pub fn only_roots_pem(mut self, pem: impl AsRef<[u8]>) -> ClientConfigBuilder {
        self.system_roots = false;
        self.roots = vec![Roots::Pem(pem.as_ref().into())];
        self
    }

    /// Shows this certificate to servers that ask for one.
    pub fn certificate(mut self, certificate: Certificate) -> ClientConfigBuilder {
        self.certificate = Some(certificate);
        self
    }

    /// The oldest version that is spoken. Default: [`Version::Tls12`].
    pub fn oldest_version(mut self, oldest: Version) -> ClientConfigBuilder {
        self.oldest = oldest;
        self
    }

    /// The newest version that is spoken. Default: [`Version::Tls13`].
    pub fn newest_version(mut self, newest: Version) -> ClientConfigBuilder {
        self.newest = newest;
        self
    }

    /// Whether sessions are remembered and resumed, which saves both sides the certificates and their signatures.
    /// Default: yes. Without it every handshake is a full one.
    pub fn resumption(mut self, on: bool) -> ClientConfigBuilder {
        self.resumes = on;
        self
    }

    /// Whether the keys of every connection are appended to the file that the environment variable SSLKEYLOGFILE
    /// names. Who has the file reads the traffic. Default: no, whatever the environment says.
    pub fn key_log(mut self, on: bool) -> ClientConfigBuilder {
        self.key_log = on;
        self
    }

    /// What makes connections insecure.
    pub fn dangerous(self) -> Dangerous {
        Dangerous { builder: self }
    }

    /// Reads and checks everything. It reads files, so do it before the cores start.
    ///
    /// # Errors
    /// A file that can't be read or holds something else, no roots at all, no version between the
    /// oldest and the newest, and what [`Certificate`] can be wrong
    /// about.
    pub fn build(self) -> Result<ClientConfig, Error> {
        let versions: &[_] = match (self.oldest, self.newest) {
            (Version::Tls12, Version::Tls13) => &[&rustls::version::TLS13, &rustls::version::TLS12],
            (Version::Tls12, Version::Tls12) => &[&rustls::version::TLS12],
            (Version::Tls13, Version::Tls13) => &[&rustls::version::TLS13],
            (Version::Tls13, Version::Tls12) => return Err(Error::NoVersion),
        };
        let refused = |source| Error::Refused { what: "TLS can't be set up", source };
        let builder: ConfigBuilder<rustls::ClientConfig, WantsVerifier> =
            rustls::ClientConfig::builder_with_provider(provider())
                .with_protocol_versions(versions)
                .map_err(refused)?;
        let builder = if self.verifies {
            builder.with_root_certificates(roots::load(self.system_roots, &self.roots)?)
        } else {
            tracing::warn!(
                "certificates of servers are not verified: anybody on the way can read and change all"
            );
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified::new(&provider())))
        };
        let mut rustls = match &self.certificate {
            None => builder.with_no_client_auth(),
            Some(certificate) => {
                let certified = certificate.load(&provider(), SystemTime::now())?;
                let shown: Arc<dyn ResolvesClientCert> = Arc::new(SingleCertAndKey::from(certified));
                builder.with_client_cert_resolver(shown)
            }
        };
        rustls.alpn_protocols = vec![b"http/1.1".to_vec()];
        rustls.resumption = resumption(self.resumes);
        if self.key_log {
            tracing::warn!("the keys of TLS connections are written to SSLKEYLOGFILE");
            rustls.key_log = Arc::new(KeyLogFile::new());
        }
        Ok(ClientConfig { rustls: Arc::new(rustls), resumes: self.resumes })
    }
}

/// What makes connections insecure; see [`ClientConfigBuilder::dangerous`].
#[derive(Debug)]
#[must_use]
pub struct Dangerous {
    builder: ClientConfigBuilder,
}

impl Dangerous {
    /// Takes any certificate of any server, for development against a self-signed one. Anybody on the way can then
    /// read and change everything; a warning in the log says so.
    pub fn accept_any_certificate(mut self) -> ClientConfigBuilder {
        self.builder.verifies = false;
        self.builder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_must_leave_one() {
        let of = |oldest, newest| {
            ClientConfig::builder()
                .oldest_version(oldest)
                .newest_version(newest)
                .dangerous()
                .accept_any_certificate()
                .build()
        };
        assert!(matches!(of(Version::Tls13, Version::Tls12), Err(Error::NoVersion)));
        assert!(of(Version::Tls12, Version::Tls12).is_ok() && of(Version::Tls13, Version::Tls13).is_ok());
    }
}
