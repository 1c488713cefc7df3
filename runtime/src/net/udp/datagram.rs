use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::ring::{Arrival, RecvBuf, Sender};

/// A datagram that has arrived, or several of one sender that the kernel has put together
/// ([`UdpOptions::coalesce`](super::UdpOptions::coalesce)).
///
/// The payload lies in a buffer of the core, which is given back when this is dropped.
#[derive(Debug)]
#[non_exhaustive]
pub struct Datagram {
    /// The bytes.
    pub payload: RecvBuf,
    /// Who sent it.
    pub from: SocketAddr,
    /// The payload is several datagrams of this length, the last one perhaps shorter. See [`Datagram::segments`].
    pub segment_size: Option<u16>,
    /// The congestion mark in the IP header (RFC 3168): 0 not capable, 1 and 2 capable, 3 congestion experienced. Only
    /// with [`UdpOptions::ecn`](super::UdpOptions::ecn).
    pub ecn: Option<u8>,
    /// The address it was sent to, and the number of the interface through which it came. Only with
    /// [`UdpOptions::destination`](super::UdpOptions::destination).
    pub to: Option<IpAddr>,
    /// See [`Datagram::to`].
    pub interface: Option<u32>,
    /// The datagram was longer than the 65,535 bytes that fit, and its end is lost.
    pub truncated: bool,
}

impl Datagram {
    /// The datagrams that this one is made of: itself, unless the kernel put several together.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        let size = self.segment_size.map_or(self.payload.len(), usize::from);
        // An empty datagram is one datagram, not none.
        let empty = self.payload.is_empty().then_some(&[][..]);
        self.payload.chunks(size.max(1)).chain(empty)
    }

    /// `None` for one without an IP sender, which no UDP socket receives.
    pub(super) fn from_arrival(arrival: Arrival) -> Option<Datagram> {
        let Sender::Ip(from) = arrival.from else { return None };
        let details = arrival.details;
        Some(Datagram {
            payload: arrival.payload,
            from,
            segment_size: details.segment,
            ecn: details.class.map(|class| class & 3),
            to: details.to,
            interface: details.interface,
            truncated: details.cut,
        })
    }

    pub(super) fn whole(self) -> io::Result<Datagram> {
        if !self.truncated {
            return Ok(self);
        }
        let text =
            format!("a datagram from {} is longer than the {} bytes that fit", self.from, self.payload.len());
        Err(io::Error::new(io::ErrorKind::InvalidData, text))
    }
}
