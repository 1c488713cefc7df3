//! How a server speaks TLS.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use rustls::KeyLogFile;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, ServerConfig, ServerSessionMemoryCache, StoresServerSessions};
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;
use super::client_certificates::ClientCertificates;
use super::kernel::Support;
use super::resolver::{Names, Resolver};
use super::tickets::{self, Tickets};
use super::{CertificateDer, Error, Session, Version};

/// How long a handshake may take unless set otherwise.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How a server speaks TLS: its certificates, what it asks of clients, and the keys of its session tickets.
///
/// Make one for a process and give every core a clone, all of which are the same configuration: a session that began
/// on one core is then resumed on any other, and [`Config::reload`] reaches all of them. Tickets are
/// encrypted with keys that live in this configuration alone and change every six hours (see
/// [`ConfigBuilder::ticket_lifetime`]), the one before being accepted as well; two configurations do not take each
/// other's, so that a client can't carry a session past the client certificates that the other asks for. Nor is a session
/// resumed under another server name than it began with.
///
/// ```no_run
/// use covet_http::{server, tls};
///
/// let tls = tls::Config::builder()
///     .certificate(tls::Certificate::files("example.pem", "example.key"))
///     .certificate(tls::Certificate::files("other.pem", "other.key"))
///     .build()?;
/// let config = server::Config { tls: Some(tls), ..server::Config::default() };
/// # Ok::<(), tls::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    terms: Terms,
    /// What sessions are made with.
    server: RwLock<ServerConfig>,
    /// How often `server` was replaced.
    generation: AtomicU64,
    /// Held for the whole of a reload, so that two of them don't mix.
    sources: Mutex<Sources>,
    handshake_timeout: Duration,
}

/// Where a reload reads certificates, and the roots of client certificates that the last one read.
#[derive(Debug)]
struct Sources {
    certificates: Vec<Certificate>,
    roots: Vec<CertificateDer<'static>>,
}

/// What one core needs of a configuration.
pub(crate) struct ForCore {
    shared: Arc<Shared>,
    /// A copy whose reference count belongs to the core; tickets, certificates and verifier are those of all.
    server: RefCell<Arc<ServerConfig>>,
    generation: Cell<u64>,
    pub(crate) handshake_timeout: Duration,
    /// What is left to the kernel.
    pub(crate) kernel: Support,
}

impl ForCore {
    /// A session for a new connection.
    pub(crate) fn session(&self) -> Session {
        let generation = self.shared.generation.load(Ordering::Acquire);
        if self.generation.replace(generation) != generation {
            self.server.replace(Arc::new(self.shared.server()));
        }
        Session::new(self.server.borrow().clone())
            .expect("a session was made when the configuration was built")
    }
}

impl Shared {
    fn server(&self) -> ServerConfig {
        self.server.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Config {
    /// Starts with no certificate, TLS 1.2 and 1.3, and no client certificates.
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder {
            certificates: Vec::new(),
            clients: ClientCertificates::default(),
            oldest: Version::Tls12,
            key_log: false,
            handshake_timeout: HANDSHAKE,
            ticket_lifetime: tickets::LONGEST,
            session_cache: 0,
            kernel_tls: true,
        }
    }

    /// Reads all certificates, keys and OCSP responses again, and the roots of client certificates, and uses them from
    /// the next handshake on. Connections that are open go on as they are. It reads files, so call it off the cores.
    ///
    /// If the roots have changed, sessions that began before are not resumed: they keep the certificate that the client
    /// showed then, which the new roots may not allow.
    ///
    /// # Errors
    /// As for [`ConfigBuilder::build`]. Nothing is changed then: what was served before is served on.
    pub fn reload(&self) -> Result<(), Error> {
        let mut sources = self.sources();
        let names = load(&sources.certificates)?;
        let roots = self.shared.terms.clients.load()?;
        if roots != sources.roots {
            let server = self.shared.terms.server(&roots)?;
            *self.shared.server.write().unwrap_or_else(PoisonError::into_inner) = server;
            self.shared.generation.fetch_add(1, Ordering::Release);
            sources.roots = roots;
        }
        self.shared.terms.resolver.replace(names);
        Ok(())
    }

    /// Shows other certificates than so far, and reads these at the next reload.
    ///
    /// # Errors
    /// As for [`Config::reload`].
    pub fn replace_certificates(&self, certificates: Vec<Certificate>) -> Result<(), Error> {
        let mut sources = self.sources();
        self.shared.terms.resolver.replace(load(&certificates)?);
        sources.certificates = certificates;
        Ok(())
    }

    fn sources(&self) -> MutexGuard<'_, Sources> {
        self.shared.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn for_core(&self) -> ForCore {
        // Read before the configuration: what is replaced in between is then taken once more.
        let generation = self.shared.generation.load(Ordering::Acquire);
        ForCore {
            server: RefCell::new(Arc::new(self.shared.server())),
            generation: Cell::new(generation),
            handshake_timeout: self.shared.handshake_timeout,
            kernel: self.shared.terms.kernel,
            shared: self.shared.clone(),
        }
    }
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn load(sources: &[Certificate]) -> Result<Names, Error> {
    let (provider, now) = (provider(), SystemTime::now());
    let loaded: Result<Vec<CertifiedKey>, Error> =
        sources.iter().map(|source| source.load(&provider, now)).collect();
    Names::of(loaded?).ok_or(Error::NoCertificate)
}

/// Makes a [`Config`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ConfigBuilder {
    certificates: Vec<Certificate>,
    clients: ClientCertificates,
    oldest: Version,
    key_log: bool,
    handshake_timeout: Duration,
    ticket_lifetime: Duration,
    session_cache: usize,
    kernel_tls: bool,
}

impl ConfigBuilder {
    /// Adds a certificate. A client that asks for a server name is shown the first that has it, exactly or by
    /// wildcard; others are shown the first of all.
    pub fn certificate(mut self, certificate: Certificate) -> ConfigBuilder {
        self.certificates.push(certificate);
        self
    }

    /// What is asked of clients; see [`ClientCertificates`]. Default: nothing.
    pub fn client_certificates(mut self, clients: ClientCertificates) -> ConfigBuilder {
        self.clients = clients;
        self
    }

    /// The oldest version that is spoken. Default: [`Version::Tls12`].
    pub fn oldest_version(mut self, oldest: Version) -> ConfigBuilder {
        self.oldest = oldest;
        self
    }

    /// Whether the keys of every connection are appended to the file that the environment variable SSLKEYLOGFILE
    /// names, for Wireshark and its like. Who has the file reads the traffic. Default: no, whatever the environment
    /// says.
    pub fn key_log(mut self, on: bool) -> ConfigBuilder {
        self.key_log = on;
        self
    }

    /// How long a client may take from its connection to the end of the handshake; beyond, the connection is closed.
    /// Default 10 s.
    pub fn handshake_timeout(mut self, time: Duration) -> ConfigBuilder {
        self.handshake_timeout = time;
        self
    }

    /// How long one key makes session tickets; they are taken for as long again, and no longer. A resumed session keeps
    /// the client certificate of its first handshake, so this bounds how long one that has expired may still be used.
    /// From 1 s to 6 h, which is the default.
    pub fn ticket_lifetime(mut self, time: Duration) -> ConfigBuilder {
        self.ticket_lifetime = time;
        self
    }

    /// How many sessions the process remembers for clients of TLS 1.2 that take no tickets; the oldest are forgotten
    /// first. All cores share it. Default 0: such clients make full handshakes.
    pub fn session_cache(mut self, sessions: usize) -> ConfigBuilder {
        self.session_cache = sessions;
        self
    }

    /// Whether the kernel makes and reads the records of connections whose cipher it has (kTLS, tls(4)), if it has TLS at
    /// all. Nothing else changes, but that such a connection ends when the client wants to change keys in the middle of
    /// it (RFC 8446 section 4.6.3), and after 4 million requests, as most kernels can't change keys. Default: yes.
    pub fn kernel_tls(mut self, on: bool) -> ConfigBuilder {
        self.kernel_tls = on;
        self
    }

    /// Reads and checks everything. It reads files, so do it before the cores start.
    ///
    /// # Errors
    /// A file that can't be read or holds something else, a key that is not the certificate's, a certificate that has
    /// expired or is not valid yet, and no certificate at all.
    pub fn build(self) -> Result<Config, Error> {
        let terms = Terms {
            resolver: Arc::new(Resolver::new(load(&self.certificates)?)),
            clients: self.clients,
            oldest: self.oldest,
            key_log: self.key_log,
            ticket_lifetime: self.ticket_lifetime,
            session_cache: self.session_cache,
            kernel: if self.kernel_tls { Support::of_this_kernel() } else { Support::default() },
        };
        let roots = terms.clients.load()?;
        let server = RwLock::new(terms.server(&roots)?);
        if terms.key_log {
            tracing::warn!("the keys of TLS connections are written to SSLKEYLOGFILE");
        }
        let (handshake_timeout, generation) = (self.handshake_timeout, AtomicU64::new(0));
        let sources = Mutex::new(Sources { certificates: self.certificates, roots });
        Ok(Config { shared: Arc::new(Shared { terms, server, generation, sources, handshake_timeout }) })
    }
}

/// What a configuration was asked to be.
#[derive(Debug)]
struct Terms {
    resolver: Arc<Resolver>,
    clients: ClientCertificates,
    oldest: Version,
    key_log: bool,
    ticket_lifetime: Duration,
    session_cache: usize,
    kernel: Support,
}

impl Terms {
    /// The configuration as rustls has it, with new ticket keys; checked.
    fn server(&self, roots: &[CertificateDer<'static>]) -> Result<ServerConfig, Error> {
        let versions: &[_] = match self.oldest {
            Version::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            Version::Tls13 => &[&rustls::version::TLS13],
        };
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .map_err(|source| Error::Refused { what: "TLS can't be set up", source })?;
        let builder = match self.clients.verifier(roots)? {
            None => builder.with_no_client_auth(),
            Some(verifier) => builder.with_client_cert_verifier(verifier),
        };
        let mut server = builder.with_cert_resolver(self.resolver.clone());
        server.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()];
        // Clients use one at a time, and each is made with the core's time.
        server.send_tls13_tickets = 1;
        let tickets = Tickets::new(self.ticket_lifetime, Instant::now())
            .map_err(|source| Error::Refused { what: "no key for session tickets could be made", source })?;
        server.ticketer = Arc::new(tickets);
        server.session_storage = match self.session_cache {
            0 => Arc::new(NoServerSessionStorage {}) as Arc<dyn StoresServerSessions>,
            sessions => ServerSessionMemoryCache::new(sessions),
        };
        if self.key_log {
            server.key_log = Arc::new(KeyLogFile::new());
        }
        server.enable_secret_extraction = self.kernel.is_any();
        Session::new(Arc::new(server.clone()))
            .map_err(|source| Error::Refused { what: "no session can be made of this", source })?;
        Ok(server)
    }
}
