//! Version 1: a line of text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{Client, Decoded, Header, HeaderError};

pub(super) const SIGNATURE: &[u8] = b"PROXY ";
/// With its CRLF (section 2.1).
const MAX_LINE: usize = 107;

pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, HeaderError> {
    let within = &bytes[..bytes.len().min(MAX_LINE)];
    let Some(end) = within.windows(2).position(|two| two == b"\r\n") else {
        return if bytes.len() >= MAX_LINE { Err(HeaderError::LineTooLong) } else { Ok(Decoded::Partial) };
    };
    let rest = &within[SIGNATURE.len()..end];
    let (client, destination) = if rest == b"UNKNOWN" || rest.starts_with(b"UNKNOWN ") {
        // What follows is to be ignored.
        (Client::Sender, None)
    } else {
        let text = std::str::from_utf8(rest).map_err(|_| HeaderError::MalformedLine)?;
        let (source, destination) = addresses(text).ok_or(HeaderError::MalformedLine)?;
        (Client::At(source), Some(destination))
    };
    let header = Header { client, destination, tlvs: Box::default() };
    Ok(Decoded::Complete { header, consumed: end + 2 })
}

fn addresses(text: &str) -> Option<(SocketAddr, SocketAddr)> {
    let mut words = text.split(' ');
    let address = match words.next()? {
        "TCP4" => |word| Ipv4Addr::from_str(word).ok().map(IpAddr::from),
        "TCP6" => |word| Ipv6Addr::from_str(word).ok().map(IpAddr::from),
        _ => return None,
    };
    let (source, destination) = (address(words.next()?)?, address(words.next()?)?);
    let (from, to) = (port(words.next()?)?, port(words.next()?)?);
    words.next().is_none().then(|| (SocketAddr::new(source, from), SocketAddr::new(destination, to)))
}

/// Decimal digits, without a sign or zeros before them.
fn port(word: &str) -> Option<u16> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word.len() == 1 || !word.starts_with('0'));
    plain.then(|| word.parse().ok()).flatten()
}
