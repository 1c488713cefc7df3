//! Groups, hops and loops.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use super::UdpSocket;

impl UdpSocket {
    /// Joins a multicast group on the interface with this number, or on one that the routing table says (0).
    ///
    /// # Errors
    /// The address is no multicast address or of the other family, there is no such interface, or no route says which.
    pub fn join_multicast(&self, group: IpAddr, interface: u32) -> io::Result<()> {
        self.with_socket(|socket| match group {
            IpAddr::V4(group) => socket.join_multicast_v4_n(&group, &interface_v4(interface)),
            IpAddr::V6(group) => socket.join_multicast_v6(&group, interface),
        })
    }

    /// Leaves a multicast group.
    ///
    /// # Errors
    /// When it was not joined there.
    pub fn leave_multicast(&self, group: IpAddr, interface: u32) -> io::Result<()> {
        self.with_socket(|socket| match group {
            IpAddr::V4(group) => socket.leave_multicast_v4_n(&group, &interface_v4(interface)),
            IpAddr::V6(group) => socket.leave_multicast_v6(&group, interface),
        })
    }

    /// Sets the interface that multicast datagrams leave through, for IPv4 by the address of one of ours.
    ///
    /// # Errors
    /// When no interface has that address, or the socket is not of IPv4.
    pub fn set_multicast_interface_v4(&self, address: Ipv4Addr) -> io::Result<()> {
        self.with_socket(|socket| socket.set_multicast_if_v4(&address))
    }

    /// Sets the interface that multicast datagrams leave through, for IPv6 by its number.
    ///
    /// # Errors
    /// When there is no such interface, or the socket is not of IPv6.
    pub fn set_multicast_interface_v6(&self, interface: u32) -> io::Result<()> {
        self.with_socket(|socket| socket.set_multicast_if_v6(interface))
    }

    /// Sets whether sockets of this machine get the multicast datagrams that this one sends. On by default.
    ///
    /// # Errors
    /// When the core has shut down.
    pub fn set_multicast_loop(&self, on: bool) -> io::Result<()> {
        if self.is_v6() {
            self.with_socket(|socket| socket.set_multicast_loop_v6(on))
        } else {
            self.with_socket(|socket| socket.set_multicast_loop_v4(on))
        }
    }

    /// Sets how many routers a multicast datagram may pass: 1 by default, which keeps it in the local network.
    ///
    /// # Errors
    /// When it is more than 255.
    pub fn set_multicast_hops(&self, hops: u32) -> io::Result<()> {
        if self.is_v6() {
            self.with_socket(|socket| socket.set_multicast_hops_v6(hops))
        } else {
            self.with_socket(|socket| socket.set_multicast_ttl_v4(hops))
        }
    }

    /// Sets how many routers a datagram may pass (TTL, or the hop limit of IPv6), from 1 to 255.
    ///
    /// # Errors
    /// When it is out of range.
    pub fn set_hops(&self, hops: u32) -> io::Result<()> {
        if self.is_v6() {
            self.with_socket(|socket| socket.set_unicast_hops_v6(hops))
        } else {
            self.with_socket(|socket| socket.set_ttl_v4(hops))
        }
    }
}

fn interface_v4(index: u32) -> socket2::InterfaceIndexOrAddress {
    socket2::InterfaceIndexOrAddress::Index(index)
}
