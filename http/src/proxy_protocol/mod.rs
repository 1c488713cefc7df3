//! The PROXY protocol: what a proxy says of its client before it passes on the first byte (versions 1 and 2 of
//! haproxy's proxy-protocol.txt).
//!
//! [`decode`] is sans-IO: bytes in, a [`Header`] out. [`ProxyProtocol`] says from whom a server takes one.
//!
//! ```
//! use covet_http::proxy_protocol::{self, Client, Decoded};
//!
//! let bytes = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\nGET / HTTP/1.1\r\n";
//! let Ok(Decoded::Complete { header, consumed }) = proxy_protocol::decode(bytes) else { panic!() };
//! assert_eq!(header.client(), Client::At("192.0.2.1:56324".parse().unwrap()));
//! assert_eq!(&bytes[consumed..], b"GET / HTTP/1.1\r\n");
//! ```

mod crc32c;
mod tlv;
mod v1;
mod v2;

use std::net::{IpAddr, SocketAddr};

use crate::Networks;

pub use tlv::{Tlv, Tlvs};

/// The longest header that is taken, in bytes. One of version 1 has at most 107, and one of version 2 with addresses, a
/// unique id and what proxies say of TLS some 300; certificates, which some add, do not fit.
pub const MAX_LEN: usize = 2048;

/// Whether the connections of a server begin with a header of the PROXY protocol.
///
/// It must come from a proxy: anybody else could claim any address. Unix sockets count as trusted, since their mode says
/// who may connect. A header that is bad, missing where it is required, or from an address that is not trusted where it
/// is required ends the connection at once, with a line in the log. TLS behind a header is done by this process, also
/// where the kernel could.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyProtocol {
    /// None is expected; one that comes is no HTTP, and is answered 400.
    #[default]
    Off,
    /// Connections of these networks may begin with one; those of others are as with [`ProxyProtocol::Off`]. For the
    /// time of a change-over: a client behind a proxy that sends none could send its own.
    Optional(Networks),
    /// Connections must come from these networks, and begin with one.
    Required(Networks),
}

impl ProxyProtocol {
    /// Whether a header may come at all.
    #[inline]
    pub fn is_on(&self) -> bool {
        !matches!(self, ProxyProtocol::Off)
    }

    /// Whether connections from this address are on behalf of others.
    pub fn speaks_for(&self, address: IpAddr) -> bool {
        match self {
            ProxyProtocol::Off => false,
            ProxyProtocol::Optional(trusted) | ProxyProtocol::Required(trusted) => trusted.contains(address),
        }
    }
}

/// What a proxy has said of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    client: Client,
    destination: Option<SocketAddr>,
    tlvs: Box<[u8]>,
}

/// Where a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// At this address.
    At(SocketAddr),
    /// It is the sender of the header itself, which checks our health, or knows no better (LOCAL, UNKNOWN, UNSPEC).
    Sender,
    /// It has no IP address: it has reached the proxy over a Unix socket.
    Elsewhere,
}

impl Header {
    /// Where the client is.
    pub fn client(&self) -> Client {
        self.client
    }

    /// The address that the client has connected to, where it is known.
    pub fn destination(&self) -> Option<SocketAddr> {
        self.destination
    }

    /// What else has been said, in version 2.
    pub fn tlvs(&self) -> Tlvs<'_> {
        Tlvs::new(&self.tlvs)
    }

    /// The value of the first TLV of a kind.
    pub fn tlv(&self, kind: u8) -> Option<&[u8]> {
        self.tlvs().find(|tlv| tlv.kind == kind).map(|tlv| tlv.value)
    }

    /// The host name that the client has asked for, by SNI as a rule (PP2_TYPE_AUTHORITY).
    pub fn authority(&self) -> Option<&str> {
        self.tlv(tlv::AUTHORITY).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Whether the client speaks TLS to the proxy (PP2_CLIENT_SSL); `None` if that has not been said.
    pub fn is_tls(&self) -> Option<bool> {
        self.tlv(tlv::SSL).and_then(<[u8]>::first).map(|flags| flags & tlv::CLIENT_SSL != 0)
    }
}

/// What [`decode`] has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A header, and how many bytes it takes.
    Complete {
        /// The header.
        header: Header,
        /// Its length.
        consumed: usize,
    },
    /// So far it may be one: more bytes are needed.
    Partial,
    /// The bytes begin with something else.
    Absent,
}

/// Why a header can't be understood. The connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// A line of version 1 that does not end within 107 bytes.
    #[error("the PROXY line is longer than 107 bytes")]
    LineTooLong,
    /// A line of version 1 with something else than a protocol, two addresses of it and two ports.
    #[error("the PROXY line is malformed")]
    MalformedLine,
    /// A version other than 2 behind the binary signature.
    #[error("version {0} of the PROXY protocol is not known")]
    Version(u8),
    /// A command other than LOCAL and PROXY.
    #[error("command {0} of the PROXY protocol is not known")]
    Command(u8),
    /// An address family or transport protocol that is not assigned.
    #[error("family and protocol {0:#04x} of the PROXY protocol are not known")]
    Family(u8),
    /// A header longer than [`MAX_LEN`].
    #[error("the PROXY header has {0} bytes, more than 2048")]
    TooLong(usize),
    /// Less room than the addresses need.
    #[error("the PROXY header is too short for its addresses")]
    TooShort,
    /// A TLV that goes beyond the end of the header.
    #[error("a TLV of the PROXY header is malformed")]
    MalformedTlv,
    /// A checksum (PP2_TYPE_CRC32C) that is not that of the header.
    #[error("the checksum of the PROXY header is wrong")]
    Checksum,
}

/// Looks for a header at the start of `bytes`.
///
/// # Errors
/// When there is one, and it is malformed or too long. It never waits for more than [`MAX_LEN`] bytes.
pub fn decode(bytes: &[u8]) -> Result<Decoded, HeaderError> {
    if is_start_of(bytes, &v2::SIGNATURE) {
        v2::decode(bytes)
    } else if is_start_of(bytes, v1::SIGNATURE) {
        v1::decode(bytes)
    } else {
        Ok(Decoded::Absent)
    }
}

/// Whether the bytes can be nothing else than the start of a header.
pub(crate) fn is_begun(bytes: &[u8]) -> bool {
    bytes.starts_with(&v2::SIGNATURE) || bytes.starts_with(v1::SIGNATURE)
}

/// Whether the bytes begin with the signature, or are the beginning of it.
fn is_start_of(bytes: &[u8], signature: &[u8]) -> bool {
    let common = bytes.len().min(signature.len());
    bytes[..common] == signature[..common]
}

#[cfg(test)]
mod tests;
