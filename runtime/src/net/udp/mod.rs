//! UDP.

mod datagram;
mod multicast;
mod options;
mod outbound;
mod socket;

pub use datagram::Datagram;
pub use options::UdpOptions;
pub use outbound::Outbound;
pub use socket::UdpSocket;
