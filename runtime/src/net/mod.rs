//! Sockets on the core's ring.

mod acceptor;
pub mod activation;
mod connect;
mod forward;
pub mod handover;
mod listener;
mod message_socket;
mod options;
mod resolve;
mod send_file;
mod socket_options;
mod sockopt;
mod splice;
mod split;
mod steering;
mod stream;
mod tcp;
mod udp;
mod unix;
mod zero_copy;

pub use connect::{AttemptError, ConnectError, ConnectOptions, Keepalive};
pub use listener::TcpListener;
pub use options::ListenOptions;
pub(crate) use resolve::Lookups;
pub use resolve::{LookupError, LookupErrorKind, Resolver, lookup};
pub(crate) use send_file::Route;
pub use send_file::SendFileError;
pub use socket_options::SocketOptions;
pub use split::{ReadHalf, ReuniteError, WriteHalf};
pub use steering::{ParseSteeringError, PerCoreListener, Steering};
pub use stream::StreamSocket;
pub use tcp::TcpStream;
pub use udp::{Datagram, Outbound, UdpOptions, UdpSocket};
pub use unix::{
    PeerCredentials, UnixDatagram, UnixDatagramOptions, UnixListenOptions, UnixListener, UnixStream,
};

pub use crate::ring::RecvBuf;
