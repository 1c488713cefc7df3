//! What a receive brought besides bytes.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr as UnixAddr;

use super::control;
use crate::ring::recv_buf::RecvBuf;

/// A datagram that has arrived.
pub(crate) struct Arrival {
    pub(crate) payload: RecvBuf,
    pub(crate) from: Sender,
    pub(crate) details: Details,
}

/// Whose it is.
pub(crate) enum Sender {
    /// Of a socket without a name.
    Unnamed,
    Ip(SocketAddr),
    Unix(Box<UnixAddr>),
}

/// What its control messages and flags say. Only what the socket was told to ask for is there.
#[derive(Default)]
pub(crate) struct Details {
    /// The traffic class (or type of service), whose lowest two bits are ECN's.
    pub(crate) class: Option<u8>,
    /// The payload is several datagrams of this length, the last one perhaps shorter.
    pub(crate) segment: Option<u16>,
    /// Where it was sent to.
    pub(crate) to: Option<IpAddr>,
    /// Through which interface it came.
    pub(crate) interface: Option<u32>,
    pub(crate) descriptors: Vec<OwnedFd>,
    /// The payload was longer than the buffer.
    pub(crate) cut: bool,
    /// Control messages, descriptors among them perhaps, found no room.
    pub(crate) control_cut: bool,
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

impl Sender {
    /// Reads a `sockaddr` as the kernel wrote it.
    pub(super) fn read(name: &[u8]) -> Option<Sender> {
        let family = i32::from(u16::from_ne_bytes(array(name, 0)?));
        let port = |name| Some(u16::from_be_bytes(array(name, 2)?));
        Some(match family {
            libc::AF_INET => {
                let ip = Ipv4Addr::from(array::<4>(name, 4)?);
                Sender::Ip(SocketAddr::new(ip.into(), port(name)?))
            }
            libc::AF_INET6 => {
                let flow = u32::from_ne_bytes(array(name, 4)?);
                let scope = u32::from_ne_bytes(array(name, 24)?);
                let ip = Ipv6Addr::from(array::<16>(name, 8)?);
                Sender::Ip(SocketAddrV6::new(ip, port(name)?, flow, scope).into())
            }
            libc::AF_UNIX => {
                let name = name.get(2..)?;
                let address = match name.split_first()? {
                    (0, name) => UnixAddr::from_abstract_name(name),
                    _ => {
                        let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
                        UnixAddr::from_pathname(OsStr::from_bytes(&name[..end]))
                    }
                };
                Sender::Unix(Box::new(address.ok()?))
            }
            _ => return None,
        })
    }
}

impl Details {
    /// Reads flags and control messages, and takes over the descriptors among them.
    ///
    /// # Safety
    /// The kernel has just written them, and they are read once: each descriptor in them has no other owner.
    pub(super) unsafe fn read(flags: i32, bytes: &[u8]) -> Details {
        let mut details = Details {
            cut: flags & libc::MSG_TRUNC != 0,
            control_cut: flags & libc::MSG_CTRUNC != 0,
            ..Details::default()
        };
        for (level, kind, data) in control::messages(bytes) {
            match (level, kind) {
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                    let (numbers, _) = data.as_chunks::<{ size_of::<i32>() }>();
                    // SAFETY: the caller vouches for the descriptors.
                    let owned =
                        numbers.iter().map(|&raw| unsafe { OwnedFd::from_raw_fd(i32::from_ne_bytes(raw)) });
                    details.descriptors.extend(owned);
                }
                (libc::IPPROTO_IP, libc::IP_TOS) | (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                    // One byte for IPv4, an integer for IPv6.
                    details.class = match array(data, 0) {
                        Some(word) => u8::try_from(i32::from_ne_bytes(word)).ok(),
                        None => data.first().copied(),
                    };
                }
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    let size = array(data, 0).map(i32::from_ne_bytes);
                    details.segment = size.and_then(|size| u16::try_from(size).ok());
                }
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    // struct in_pktinfo: the interface, our address, and the address in the header.
                    details.interface = array(data, 0).map(u32::from_ne_bytes);
                    details.to = array::<4>(data, 8).map(IpAddr::from);
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    // struct in6_pktinfo: the address, then the interface.
                    details.to = array::<16>(data, 0).map(|ip| Ipv6Addr::from(ip).to_canonical());
                    details.interface = array(data, 16).map(u32::from_ne_bytes);
                }
                _ => {}
            }
        }
        details
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_families_are_read() {
        let texts = ["127.0.0.1:80", "[::1%3]:65535", "[2001:db8::1]:1"];
        for text in texts {
            let address: SocketAddr = text.parse().unwrap();
            let name = socket2::SockAddr::from(address);
            // SAFETY: the length is that of the address, which is initialised.
            let bytes =
                unsafe { std::slice::from_raw_parts(name.as_ptr().cast::<u8>(), name.len() as usize) };
            assert!(matches!(Sender::read(bytes), Some(Sender::Ip(read)) if read == address), "{text}");
            assert!(Sender::read(&bytes[..3]).is_none());
        }
        let path = |bytes: &[u8]| match Sender::read(&[&(libc::AF_UNIX as u16).to_ne_bytes(), bytes].concat())
        {
            Some(Sender::Unix(address)) => Some(*address),
            _ => None,
        };
        assert_eq!(path(b"/a\0").unwrap().as_pathname().unwrap().to_str(), Some("/a"));
        assert_eq!(path(b"\0a\0b").unwrap().as_abstract_name(), Some(&b"a\0b"[..]));
        assert!(path(b"").is_none() && Sender::read(&[]).is_none() && Sender::read(&[99, 9]).is_none());
    }
}
