//! TLS 1.2 and 1.3 for servers and clients, by rustls (feature `tls`).
//!
//! A [`Config`] says what a server speaks; with it in [`server::Config::tls`](crate::server::Config::tls) the server
//! takes TLS connections and nothing else. A handler asks [`Request::tls`](crate::Request::tls) what was
//! agreed on. A [`ClientConfig`] says whom a client trusts.
//!
//! The records are made and read by rustls over buffers of the core's pool: the answers to a batch of requests are
//! encrypted into as few records as hold them and leave in one send, and a connection that is idle owns no buffer.
//! The cryptography is that of AWS-LC.
//!
//! Only `http/1.1` and `http/1.0` are agreed on by ALPN; a client that offers neither is refused (RFC 7301
//! section 3.2). Early data (0-RTT) is not accepted, as it can be replayed.
//!
//! Where the kernel has TLS (kTLS, tls(4)) and the cipher that was agreed on, it makes and reads the records once the
//! handshake is done; [`ConfigBuilder::kernel_tls`] says more. A line in the log tells which of the two it is.
//!
//! A hostile client can pin at most 96 KiB of ciphertext per connection, the longest handshake message that is
//! waited for, besides the state of its handshake; and that for [`ConfigBuilder::handshake_timeout`].

mod certificate;
mod client;
mod client_certificates;
mod config;
mod error;
mod info;
mod kernel;
mod resolver;
mod session;
mod side;
mod tickets;
mod validity;

pub use certificate::Certificate;
pub use client::{ClientConfig, ClientConfigBuilder, ClientSession, Dangerous};
pub use client_certificates::ClientCertificates;
pub(crate) use config::ForCore;
pub use config::{Config, ConfigBuilder};
pub use error::Error;
pub use info::{ConnectionInfo, Version};
pub(crate) use kernel::{Alert, Control, MOST_RECORDS, Support, attach, receive_control, send_alert};
pub use rustls::pki_types::CertificateDer;
pub(crate) use session::Session;
