//! Version 2: binary, with addresses and whatever else the proxy says.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Client, Decoded, Header, HeaderError, MAX_LEN, tlv};

pub(super) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and protocol, length.
const FIXED: usize = 16;

pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, HeaderError> {
    let Some((fixed, behind)) = bytes.split_first_chunk::<FIXED>() else { return Ok(Decoded::Partial) };
    let [.., version_command, family, high, low] = *fixed;
    if version_command >> 4 != 2 {
        return Err(HeaderError::Version(version_command >> 4));
    }
    let is_local = match version_command & 0xf {
        0 => true,
        1 => false,
        other => return Err(HeaderError::Command(other)),
    };
    if family >> 4 > 3 || family & 0xf > 2 {
        return Err(HeaderError::Family(family));
    }
    let len = usize::from(u16::from_be_bytes([high, low]));
    let consumed = FIXED + len;
    if consumed > MAX_LEN {
        return Err(HeaderError::TooLong(consumed));
    }
    let Some(variable) = behind.get(..len) else { return Ok(Decoded::Partial) };
    if is_local {
        // The rest is of no meaning (section 2.2).
        let header = Header { client: Client::Sender, destination: None, tlvs: Box::default() };
        return Ok(Decoded::Complete { header, consumed });
    }
    let (client, destination, rest) = addresses(family, variable)?;
    tlv::validate(rest, bytes.get(..consumed).unwrap_or_default())?;
    let header = Header { client, destination, tlvs: rest.into() };
    Ok(Decoded::Complete { header, consumed })
}

type Addresses<'a> = (Client, Option<SocketAddr>, &'a [u8]);

fn addresses(family: u8, bytes: &[u8]) -> Result<Addresses<'_>, HeaderError> {
    let (client, destination, rest) = match family >> 4 {
        1 => {
            let (block, rest) = bytes.split_first_chunk::<12>().ok_or(HeaderError::TooShort)?;
            let [a, b, c, d, e, f, g, h, source, port, to, to_port] = *block;
            let source = (Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([source, port]));
            let destination = (Ipv4Addr::new(e, f, g, h), u16::from_be_bytes([to, to_port]));
            (Client::At(source.into()), Some(destination.into()), rest)
        }
        2 => {
            let (source, rest) = bytes.split_first_chunk::<16>().ok_or(HeaderError::TooShort)?;
            let (destination, rest) = rest.split_first_chunk::<16>().ok_or(HeaderError::TooShort)?;
            let (&[a, b, c, d], rest) = rest.split_first_chunk::<4>().ok_or(HeaderError::TooShort)?;
            let source = (Ipv6Addr::from(*source), u16::from_be_bytes([a, b]));
            let destination = (Ipv6Addr::from(*destination), u16::from_be_bytes([c, d]));
            (Client::At(source.into()), Some(destination.into()), rest)
        }
        3 => {
            let (_paths, rest) = bytes.split_first_chunk::<216>().ok_or(HeaderError::TooShort)?;
            (Client::Elsewhere, None, rest)
        }
        _ => (Client::Sender, None, bytes),
    };
    // With an unspecified protocol the addresses are of no meaning, but they are there.
    if family & 0xf == 0 { Ok((Client::Sender, None, rest)) } else { Ok((client, destination, rest)) }
}
