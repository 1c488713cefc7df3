use std::net::{IpAddr, SocketAddr};

use libc::{IPPROTO_IP, IPPROTO_IPV6};
use socket2::SockAddr;

use crate::ring::push_control;

/// What goes with a datagram to be sent, besides its bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outbound {
    /// To whom; nobody for a connected socket.
    pub to: Option<SocketAddr>,
    /// The buffer is several datagrams of this length, the last one perhaps shorter, which the kernel or the network
    /// card takes apart (UDP_SEGMENT, Linux 4.18). At most [`UdpSocket::max_segments`](super::UdpSocket::max_segments)
    /// of them, and 65,507 bytes (65,487 for IPv6).
    pub segment_size: Option<u16>,
    /// The congestion mark for the IP header, 0 to 3 (RFC 3168).
    pub ecn: Option<u8>,
    /// The local address to send from, one of this machine's: the one that a request was sent to, for its answer.
    pub from: Option<IpAddr>,
}

/// The bytes of IP_PKTINFO and IPV6_PKTINFO, UDP_SEGMENT and IP_TOS, each with its header and padding.
pub(super) const CONTROL: usize = 128;

impl Outbound {
    pub(super) fn name(&self) -> Option<SockAddr> {
        self.to.map(SockAddr::from)
    }

    pub(super) fn has_control(&self) -> bool {
        self.segment_size.is_some() || self.ecn.is_some() || self.from.is_some()
    }

    /// The control messages for a socket, of IPv6 or not; whoever it is connected to decides where `to` does not.
    pub(super) fn control(&self, v6_socket: bool, peer: Option<SocketAddr>) -> Vec<u8> {
        let mut control = Vec::with_capacity(CONTROL);
        if let Some(size) = self.segment_size {
            push_control(&mut control, libc::SOL_UDP, libc::UDP_SEGMENT, &size.to_ne_bytes());
        }
        if let Some(ecn) = self.ecn {
            let class = i32::from(ecn & 3).to_ne_bytes();
            let to = self.to.or(peer).map(|to| to.ip().to_canonical());
            if to.map_or(!v6_socket, |to| to.is_ipv4()) {
                push_control(&mut control, IPPROTO_IP, libc::IP_TOS, &class);
            } else {
                push_control(&mut control, IPPROTO_IPV6, libc::IPV6_TCLASS, &class);
            }
        }
        match self.from {
            None => {}
            Some(IpAddr::V4(from)) if !v6_socket => {
                // struct in_pktinfo: any interface, our address, and one that is not read.
                let mut info = [0; 12];
                info[4..8].copy_from_slice(&from.octets());
                push_control(&mut control, IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            Some(from) => {
                // struct in6_pktinfo: our address, any interface.
                let from = match from {
                    IpAddr::V4(from) => from.to_ipv6_mapped(),
                    IpAddr::V6(from) => from,
                };
                let mut info = [0; 20];
                info[..16].copy_from_slice(&from.octets());
                push_control(&mut control, IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
        }
        control
    }
}
