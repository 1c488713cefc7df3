//! Sockets on the core's ring.

pub mod activation;
mod connect;
pub mod handover;
mod listener;
mod options;
mod resolve;
mod steering;
mod stream;

pub use connect::{AttemptError, ConnectError, ConnectOptions, Keepalive};
pub use listener::TcpListener;
pub use options::ListenOptions;
pub(crate) use resolve::Lookups;
pub use resolve::{LookupError, LookupErrorKind, Resolver, lookup};
pub use steering::{PerCoreListener, Steering};
pub use stream::TcpStream;

pub use crate::ring::RecvBuf;
