//! Sockets on the core's ring.

mod listener;
mod options;
mod stream;

pub use listener::TcpListener;
pub use options::ListenOptions;
pub use stream::TcpStream;

pub use crate::ring::RecvBuf;
