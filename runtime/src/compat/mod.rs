//! At home among other people's crates.
//!
//! Each part is behind a feature that is off by default:
//!
//! | Feature | What it brings |
//! |---|---|
//! | `tokio` | `tokio::io::{AsyncRead, AsyncWrite}` for our streams; no tokio runtime |
//! | `futures-io` | `futures_io::{AsyncRead, AsyncWrite}` for our streams |
//! | `futures-core` | `futures_core::Stream` for channels, intervals and listeners |
//! | `hyper` | [`hyper`]: `hyper::rt` executor, timer and I/O |
//! | `tokio-rt` | [`tokio`]: our cores beside a tokio runtime, or as the guest of one |
//!
//! # What runs where unchanged
//!
//! | Crate | Takes | How |
//! |---|---|---|
//! | hyper 1, client and server, HTTP/1 and HTTP/2 | `hyper` | `serve_connection(stream, ..)`, `handshake(CoreExecutor, stream)` |
//! | hyper-util's `server::conn::auto` | `hyper` | as above |
//! | h2 | `tokio` | `h2::server::handshake(stream)`, `h2::client::handshake(stream)` |
//! | rustls, by tokio-rustls | `tokio` | `TlsAcceptor::accept(stream)`, `TlsConnector::connect(name, stream)` |
//! | axum 0.8 with tower-http | `hyper`, `tokio-rt` | `TowerToHyperService::new(router)`; its time limits need [`Builder::beside_tokio`](crate::Builder::beside_tokio) |
//! | tokio-postgres | `tokio`, `tokio-rt` | `Config::connect_raw(stream, tls)`, the connection in a task of ours |
//! | what calls `tokio::spawn`, `tokio::time` or `tokio::net` inside | `tokio-rt` | [`Builder::beside_tokio`](crate::Builder::beside_tokio), or [`tokio::guest`] |
//! | hyper-util's pooled client | - | it wants a connection that is `Send`; beside tokio, with tokio's sockets, it works |
//!
//! # The traits and our own calls
//! A write copies into a pooled buffer, 64 KiB at most at a time, and is submitted when the send before it has been
//! taken by the kernel; `poll_flush` waits for that and tells the send's failure. Where a buffer is at hand that can be
//! given away, our own [`write_all`](crate::net::StreamSocket::write_all) spares the copy. A read copies out of what
//! was received; bytes that did not fit wait, with no shared buffer kept, for the next read, in whatever manner it is
//! made. All of it is cancel-safe.
//!
//! With an extension trait such as `tokio::io::AsyncWriteExt` in scope, `stream.write_all(..)` on a mutable
//! [`TcpStream`](crate::net::TcpStream) means the trait's; `(*stream).write_all(..)` means ours.

#[cfg(feature = "futures-io")]
mod futures_io;
#[cfg(feature = "hyper")]
pub mod hyper;
#[cfg(any(feature = "futures-io", feature = "hyper", feature = "tokio"))]
mod io;
#[cfg(feature = "futures-core")]
mod streams;
#[cfg(feature = "tokio-rt")]
pub mod tokio;
#[cfg(feature = "tokio")]
mod tokio_io;
