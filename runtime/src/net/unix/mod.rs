//! Unix domain sockets.

mod address;
mod claim;
mod credentials;
mod datagram;
mod listener;
mod passing;
mod stream;

pub use credentials::PeerCredentials;
pub use datagram::{UnixDatagram, UnixDatagramOptions};
pub use listener::{UnixListenOptions, UnixListener};
pub use stream::UnixStream;
