//! TLS 1.2 and 1.3 for servers, by rustls (feature `tls`).
//!
//! A [`Config`] says what a server speaks; with it in [`server::Config::tls`](crate::server::Config::tls) the server
//! takes TLS connections and nothing else. A handler asks [`Request::tls`](crate::Request::tls) what was
//! agreed on.
//!
//! The records are made and read by rustls over buffers of the core's pool: the answers to a batch of requests are
//! encrypted into as few records as hold them and leave in one send, and a connection that is idle owns no buffer.
//! The cryptography is that of AWS-LC.
//!
//! Only `http/1.1` and `http/1.0` are agreed on by ALPN; a client that offers neither is refused (RFC 7301
//! section 3.2). Early data (0-RTT) is not accepted, as it can be replayed. The kernel's own TLS (kTLS) is not used: when
//! it is there, a debug line says so.

mod certificate;
mod config;
mod error;
mod info;
mod resolver;
mod session;
mod validity;

pub use certificate::Certificate;
pub use config::{ClientCertificates, Config, ConfigBuilder};
pub use error::Error;
pub use info::{ConnectionInfo, Version};
pub use rustls::pki_types::CertificateDer;
pub(crate) use session::Session;
