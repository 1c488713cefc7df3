//! How a client behaves.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use covet_runtime::net::ConnectOptions;
use http::HeaderMap;

use super::{ContentDecoder, Proxies};
use crate::h1;

/// How long each part of an exchange may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection: name lookup, TCP, the proxy, and the TLS handshake together. Default 10 s.
    pub connect: Duration,
    /// From the last byte of the request to the last of the answer's head. Default 30 s.
    pub head: Duration,
    /// Between two pieces of a body, sent or received. Default 30 s.
    pub idle: Duration,
    /// How long a request with [`RequestBuilder::expect_continue`](super::RequestBuilder::expect_continue) waits before
    /// it sends its body unasked (RFC 9110 section 10.1.1). Default 1 s.
    pub expect_continue: Duration,
    /// From the call of `send` to the last byte of the body, redirects and all. Default none;
    /// [`RequestBuilder::timeout`](super::RequestBuilder::timeout) sets it for one request.
    pub total: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(10),
            head: Duration::from_secs(30),
            idle: Duration::from_secs(30),
            expect_continue: Duration::from_secs(1),
            total: None,
        }
    }
}

/// How much of everything a response may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head. Default 64 KiB.
    pub head: usize,
    /// Number of fields in a head. Default 100, and never more.
    pub fields: usize,
    /// Bytes of a body that [`Response::bytes`](super::Response::bytes), `text` and `json` collect; a body that is read
    /// in pieces has no limit. Default 16 MiB.
    pub collected: usize,
    /// Bytes of one chunk-size line with its extensions. Default 4 KiB.
    pub chunk_line: usize,
    /// Bytes of all chunk extensions of a body. Default 16 KiB.
    pub chunk_extensions: usize,
    /// Bytes of the trailer section. Default 8 KiB.
    pub trailers: usize,
    /// Bytes that are read and thrown away to keep a connection, where a redirect's body is of no use; beyond, the
    /// connection is closed. Default 16 KiB.
    pub discarded: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            head: 64 * 1024,
            fields: 100,
            collected: 16 * 1024 * 1024,
            chunk_line: 4 * 1024,
            chunk_extensions: 16 * 1024,
            trailers: 8 * 1024,
            discarded: 16 * 1024,
        }
    }
}

impl Limits {
    pub(super) fn of_codec(&self) -> h1::Limits {
        h1::Limits {
            head: self.head,
            fields: self.fields,
            chunk_line: self.chunk_line,
            chunk_extensions: self.chunk_extensions,
            trailers: self.trailers,
            ..h1::Limits::default()
        }
    }
}

/// Which connections are kept for later requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// Idle connections per origin; 0 keeps none. Default 32.
    pub idle_per_origin: usize,
    /// Idle connections of all origins together; beyond, the longest idle is closed. Default 256.
    pub idle: usize,
    /// How long a connection may be idle. Default 30 s, which is less than most servers allow.
    pub idle_time: Duration,
}

impl Default for PoolSettings {
    fn default() -> PoolSettings {
        PoolSettings { idle_per_origin: 32, idle: 256, idle_time: Duration::from_secs(30) }
    }
}

/// Which redirects are followed (RFC 9110 section 15.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirects {
    /// How many in a row; one more is an error. 0 follows none and returns the 3xx answer. Default 10.
    pub limit: usize,
    /// Whether a redirect from https to http is followed; otherwise it is an error. Default no.
    pub to_plain: bool,
}

impl Default for Redirects {
    fn default() -> Redirects {
        Redirects { limit: 10, to_plain: false }
    }
}

impl Redirects {
    /// Follows none: the 3xx answer is the answer.
    pub fn none() -> Redirects {
        Redirects { limit: 0, to_plain: false }
    }
}

/// All of it.
pub(super) struct Config {
    pub(super) timeouts: Timeouts,
    pub(super) limits: Limits,
    pub(super) codec_limits: h1::Limits,
    pub(super) redirects: Redirects,
    pub(super) fields: HeaderMap,
    pub(super) connect: ConnectOptions,
    pub(super) proxies: Proxies,
    pub(super) unix_socket: Option<Rc<Path>>,
    pub(super) decoder: Option<Rc<dyn ContentDecoder>>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<crate::tls::ClientConfig>,
    #[cfg(feature = "tls")]
    pub(super) proxy_tls: Option<crate::tls::ClientConfig>,
}
