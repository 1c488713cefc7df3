//! Who is at the other end of a connection.

use std::net::SocketAddr;
use std::rc::Rc;

use crate::forwarded::Forwarding;
use crate::proxy_protocol::Header;

/// The other end of a connection, as all its requests share it.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(super) address: Option<SocketAddr>,
    pub(super) proxied: Option<Rc<Header>>,
    /// How its word about its own clients is taken, if it is.
    pub(super) trusted: Option<Forwarding>,
}

impl Peer {
    pub(crate) fn new(
        address: Option<SocketAddr>,
        proxied: Option<Rc<Header>>,
        trusted: Option<Forwarding>,
    ) -> Peer {
        Peer { address, proxied, trusted }
    }
}
