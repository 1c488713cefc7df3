use std::time::Duration;

use http::HeaderValue;

use super::{Admission, Counts, Overload};
use crate::forwarded::Forwarding;
use crate::h1::Limits;
use crate::proxy_protocol::ProxyProtocol;

/// How a server treats its connections. The defaults suit a server on the open Internet.
#[derive(Clone, Debug)]
pub struct Config {
    /// Bounds on what a client may send.
    pub limits: Limits,
    /// Bounds on how long it may take.
    pub timeouts: Timeouts,
    /// Requests served on one connection before it is closed. Default: no bound.
    pub requests_per_connection: u64,
    /// Connections open at a time on this core; beyond, new ones wait in the kernel's backlog. Default: nine tenths
    /// of RLIMIT_NOFILE, read when the server starts.
    pub connections: Option<usize>,
    /// Bounds on the connections of all cores together, and of each address. Default: `None`.
    pub admission: Option<Admission>,
    /// Bounds on the requests that are worked on, and on how long others wait. Default: `None`, no bound.
    pub overload: Option<Overload>,
    /// Whether connections begin with a header of the PROXY protocol. Default: off.
    pub proxy_protocol: ProxyProtocol,
    /// Whose Forwarded or X-Forwarded fields are believed by [`Request::client`](crate::Request::client). Default:
    /// `None`, nobody's.
    pub forwarded: Option<Forwarding>,
    /// Bytes of an unread request body that are read and thrown away to keep the connection; with more, it is
    /// closed after the answer. Default 64 KiB.
    pub drain: u64,
    /// Whether a client that has ended its side may still wait for answers, which no rule of HTTP forbids. If not, its end is
    /// taken for its going: the handler that works for it by then is dropped, and the connection closed behind the
    /// answers that were made before. Requests that came before the end and are answered at once are answered in either
    /// case. The end is that of TCP or, through TLS, a close_notify or the end of TCP without one, whichever comes first
    /// (RFC 9112 section 9.8). Default: yes.
    pub half_close: bool,
    /// The value of the Server field; `None` leaves it out. Default `covet`.
    pub server_name: Option<HeaderValue>,
    /// What was turned away or cut off. Clones of a configuration count together.
    pub counts: Counts,
    /// Take TLS connections, and no others. Default: `None`, plain HTTP.
    #[cfg(feature = "tls")]
    pub tls: Option<crate::tls::Config>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            requests_per_connection: u64::MAX,
            connections: None,
            admission: None,
            overload: None,
            proxy_protocol: ProxyProtocol::default(),
            forwarded: None,
            drain: 64 * 1024,
            half_close: true,
            server_name: Some(HeaderValue::from_static("covet")),
            counts: Counts::default(),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

/// How long a client may take. Each is watched by a timer of the core's wheel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a whole request head, from its first byte, or from the accept for the first one; beyond, 408 (or a
    /// silent close if nothing has come). Default 10 s.
    pub head: Duration,
    /// Between requests on a connection that is kept; beyond, it is closed. Default 60 s.
    pub idle: Duration,
    /// Without a byte of a body that is being read; beyond, reading fails with
    /// [`BodyError::TimedOut`](crate::BodyError::TimedOut) (408). Default 30 s.
    pub body: Duration,
    /// Bytes per second that a body must bring on average once `body` has passed. Default 256.
    pub body_rate: u64,
    /// For the client to take 64 KiB of an answer, or what is left of it; beyond, the connection is reset.
    /// Default 30 s.
    pub write: Duration,
    /// For a connection that has left HTTP ([`Upgraded`](crate::Upgraded)) to be silent, with nothing received and nothing
    /// sent; beyond, receiving from it fails with [`TimedOut`](std::io::ErrorKind::TimedOut). `Duration::MAX` for never.
    /// Default 5 min.
    pub upgraded: Duration,
    /// How long a connection without a request is kept once the shutdown has begun: a request that was on its way
    /// by then is answered, and told that it is the last. Default 500 ms.
    pub farewell: Duration,
    /// How long the client's last bytes are waited for and thrown away after an answer that closes the connection,
    /// so that the answer is not lost to a reset. Default 2 s.
    pub linger: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            body: Duration::from_secs(30),
            body_rate: 256,
            write: Duration::from_secs(30),
            upgraded: Duration::from_secs(300),
            farewell: Duration::from_millis(500),
            linger: Duration::from_secs(2),
        }
    }
}
