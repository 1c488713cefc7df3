//! Unix domain sockets.

mod address;
mod claim;
mod credentials;
mod listener;
mod stream;

pub use credentials::PeerCredentials;
pub use listener::{UnixListenOptions, UnixListener};
pub use stream::UnixStream;
