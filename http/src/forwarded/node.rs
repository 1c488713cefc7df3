//! Names of nodes (RFC 7239 section 6).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Who has connected to a proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Node {
    Address(IpAddr, Option<u16>),
    /// It is not said, in words that mean that or in none that can be understood.
    #[default]
    Unknown,
}

impl Node {
    /// `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]`, `[2001:db8::1]:80`; and, as many write it, `2001:db8::1`.
    pub(super) fn parse(text: &[u8]) -> Node {
        std::str::from_utf8(text).ok().and_then(address).unwrap_or_default()
    }
}

fn address(text: &str) -> Option<Node> {
    if let Some(behind) = text.strip_prefix('[') {
        let (address, port) = behind.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        return with_port(address.into(), port.strip_prefix(':'), port.is_empty());
    }
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return with_port(address.into(), None, true);
    }
    let (address, port) = text.split_once(':').map_or((text, None), |(address, port)| (address, Some(port)));
    with_port(address.parse::<Ipv4Addr>().ok()?.into(), port, port.is_none())
}

/// The port may be hidden as well (`_` and a name), which leaves the address.
fn with_port(address: IpAddr, port: Option<&str>, is_alone: bool) -> Option<Node> {
    let address = address.to_canonical();
    match port {
        None => is_alone.then_some(Node::Address(address, None)),
        Some(port) if port.starts_with('_') => Some(Node::Address(address, None)),
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(Node::Address(address, Some(port.parse().ok()?)))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_read() {
        for (text, address, port) in [
            ("192.0.2.1", "192.0.2.1", None),
            ("192.0.2.1:4711", "192.0.2.1", Some(4711)),
            ("192.0.2.1:_x", "192.0.2.1", None),
            ("[2001:db8::1]", "2001:db8::1", None),
            ("[2001:db8::1]:80", "2001:db8::1", Some(80)),
            ("2001:db8::1", "2001:db8::1", None),
            ("::ffff:192.0.2.1", "192.0.2.1", None),
        ] {
            let address = address.parse().expect("an address");
            assert_eq!(Node::parse(text.as_bytes()), Node::Address(address, port), "{text}");
        }
        for text in [
            "",
            "unknown",
            "_hidden",
            "192.0.2.1:",
            "192.0.2.1:x",
            "192.0.2.1:99999",
            "[::1",
            "[::1]x",
            "1.2.3",
            "a.test",
            "\u{e9}",
        ] {
            assert_eq!(Node::parse(text.as_bytes()), Node::Unknown, "{text}");
        }
    }
}
