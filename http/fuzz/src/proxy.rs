//! Headers of the PROXY protocol: one that is taken says what its bytes say, as a second reading of them finds; it is
//! seen as soon as it is there, and what is behind it means nothing.

use std::net::{IpAddr, SocketAddr};

use covet_http::proxy_protocol::{Client, Decoded, Header, HeaderError, MAX_LEN, decode};

use crate::{Signature, signature, splits};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// A header of version 2 as far as its length.
const FIXED: usize = 16;

/// The header as a proxy would write it. What a [`Header`] does not keep is taken from the bytes it was read from.
fn encode(header: &Header, read: &[u8]) -> Vec<u8> {
    match read.starts_with(SIGNATURE) {
        true => encode_binary(header, read),
        false => encode_line(header, read),
    }
}

fn encode_line(header: &Header, read: &[u8]) -> Vec<u8> {
    assert_eq!(header.tlvs().count(), 0, "a line has no room for them");
    match (header.client(), header.destination()) {
        (Client::At(source), Some(to)) => {
            let protocol = if source.is_ipv4() { "TCP4" } else { "TCP6" };
            let (from, ip) = (source.ip(), to.ip());
            format!("PROXY {protocol} {from} {ip} {} {}\r\n", source.port(), to.port()).into_bytes()
        }
        (Client::Sender, None) => {
            let ignored = &read[b"PROXY UNKNOWN".len()..];
            assert!(ignored.starts_with(b" ") || ignored == b"\r\n");
            [b"PROXY UNKNOWN", ignored].concat()
        }
        other => panic!("a line can't say {other:?}"),
    }
}

fn encode_binary(header: &Header, read: &[u8]) -> Vec<u8> {
    let (command, family) = (read[12] & 0xf, read[13]);
    let mut variable = match (header.client(), header.destination()) {
        (Client::At(source), Some(to)) => {
            assert_eq!(command, 1);
            assert_eq!((family >> 4, family & 0xf == 0), (if source.is_ipv4() { 1 } else { 2 }, false));
            [octets(source.ip()), octets(to.ip()), ports(source, to).to_vec()].concat()
        }
        (Client::Elsewhere, None) => {
            assert_eq!((command, family >> 4), (1, 3));
            read[FIXED..FIXED + 216].to_vec()
        }
        (Client::Sender, None) if command == 0 => {
            assert_eq!(header.tlvs().count(), 0, "LOCAL: the rest means nothing");
            read[FIXED..].to_vec()
        }
        (Client::Sender, None) => {
            assert!(family >> 4 == 0 || family & 0xf == 0, "nothing is unspecified in {family:#x}");
            let length = [0, 12, 36, 216][usize::from(family >> 4)];
            read[FIXED..FIXED + length].to_vec()
        }
        other => panic!("a header can't say {other:?}"),
    };
    for tlv in header.tlvs() {
        variable.push(tlv.kind);
        variable.extend((tlv.value.len() as u16).to_be_bytes());
        variable.extend(tlv.value);
    }
    let length = (variable.len() as u16).to_be_bytes();
    [SIGNATURE.as_slice(), &[0x20 | command, family], &length, &variable].concat()
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn ports(source: SocketAddr, to: SocketAddr) -> [u8; 4] {
    let [[a, b], [c, d]] = [source.port().to_be_bytes(), to.port().to_be_bytes()];
    [a, b, c, d]
}

/// An IPv6 address can be written in many ways, so a line with some is only read once more.
fn is_one_of_many(header: &Header, read: &[u8]) -> bool {
    !read.starts_with(SIGNATURE) && matches!(header.client(), Client::At(source) if source.is_ipv6())
}

pub fn check(input: &[u8]) -> Signature {
    let (_, bytes) = splits::parts(input);
    let whole = decode(bytes);
    if let Ok(Decoded::Complete { header, consumed }) = &whole {
        assert!((1..=bytes.len().min(MAX_LEN)).contains(consumed));
        let read = &bytes[..*consumed];
        let written = encode(header, read);
        match is_one_of_many(header, read) {
            true => {
                let again = Decoded::Complete { header: header.clone(), consumed: written.len() };
                assert_eq!(decode(&written), Ok(again));
            }
            false => assert_eq!(written.escape_ascii().to_string(), read.escape_ascii().to_string()),
        }
        let named = header.tlv(2).is_some_and(|name| std::str::from_utf8(name).is_ok());
        assert_eq!(header.authority().is_some(), named);
    }
    assert!(bytes.len() < MAX_LEN || whole != Ok(Decoded::Partial), "it waits for more than it takes");
    let mut come = 0;
    for piece in [&[][..]].into_iter().chain(splits::pieces(input)) {
        come += piece.len();
        match (decode(&bytes[..come]), &whole) {
            (Ok(Decoded::Partial), Ok(Decoded::Complete { consumed, .. })) => {
                assert!(come < *consumed, "a whole header is seen as soon as it is there");
            }
            (Ok(Decoded::Partial), _) => {}
            // What is behind it means nothing, and what is no header, or a bad one, stays so.
            (told, whole) => {
                assert_eq!(&told, whole, "{come} bytes");
                break;
            }
        }
    }
    signature(match &whole {
        Ok(Decoded::Complete { header, .. }) => {
            (0, format!("{:?}", std::mem::discriminant(&header.client())), header.tlvs().count().min(4))
        }
        Ok(Decoded::Partial) => (1, String::new(), 0),
        Ok(Decoded::Absent) => (2, String::new(), 0),
        Err(HeaderError::Version(_) | HeaderError::Command(_) | HeaderError::Family(_)) => {
            (3, String::new(), 0)
        }
        Err(error) => (4, format!("{:?}", std::mem::discriminant(error)), 0),
    })
}
