//! The HTTP client, against servers that behave and servers that do not, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod basics;
mod codec;
#[cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]
mod codings;
mod fetch;
mod hostile;
mod peers;
mod pool;
#[path = "../programs/mod.rs"]
mod programs;
mod proxies;
mod redirects;
mod script;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod tls_proxies;
mod upload;
