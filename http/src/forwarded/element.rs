//! The Forwarded field (RFC 7239 section 4).

use std::borrow::Cow;

use super::node::Node;
use super::{Hop, Hops, host, scheme};

/// What each proxy has said, in order.
///
/// A value that is malformed is as one proxy that has said nothing, whatever is in it: a client that leaves a quotation
/// mark open could otherwise choose which part of what the proxy adds is text and which is not.
pub(super) fn hops<'r>(values: impl Iterator<Item = &'r [u8]>) -> Hops<'r> {
    let mut hops = Hops::new();
    for value in values {
        let before = hops.len();
        if elements(value, &mut hops).is_none() {
            hops.truncate(before);
            hops.push(Hop::default());
        }
    }
    hops
}

/// Reads `element *( OWS "," OWS element )`, where elements may be empty.
fn elements<'r>(value: &'r [u8], hops: &mut Hops<'r>) -> Option<()> {
    let mut rest = value;
    loop {
        rest = rest.trim_ascii_start();
        let mut hop = Hop::default();
        let mut is_empty = true;
        loop {
            let name_len = rest.iter().take_while(|&&byte| is_token(byte)).count();
            if name_len > 0 {
                let (name, behind) = rest.split_at(name_len);
                let (value, behind) = pair_value(behind.strip_prefix(b"=")?)?;
                take(&mut hop, name, value);
                is_empty = false;
                rest = behind;
            }
            match rest.strip_prefix(b";") {
                Some(behind) => rest = behind,
                None => break,
            }
        }
        if !is_empty {
            hops.push(hop);
        }
        rest = rest.trim_ascii_start();
        match rest.split_first() {
            None => return Some(()),
            Some((b',', behind)) => rest = behind,
            Some(_) => return None,
        }
    }
}

fn take<'r>(hop: &mut Hop<'r>, name: &[u8], value: Cow<'r, [u8]>) {
    if name.eq_ignore_ascii_case(b"for") {
        hop.node = Node::parse(&value);
    } else if name.eq_ignore_ascii_case(b"proto") {
        hop.scheme = scheme(&value);
    } else if name.eq_ignore_ascii_case(b"host") {
        hop.host = host(value);
    }
}

/// A token or a quoted string, and what is behind it.
fn pair_value(bytes: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let Some(quoted) = bytes.strip_prefix(b"\"") else {
        let len = bytes.iter().take_while(|&&byte| is_token(byte)).count();
        let (token, behind) = bytes.split_at(len);
        return (len > 0).then_some((Cow::Borrowed(token), behind));
    };
    let mut plain: Option<Vec<u8>> = None;
    let mut at = 0;
    loop {
        match *quoted.get(at)? {
            b'"' => {
                let value = plain.map_or(Cow::Borrowed(&quoted[..at]), Cow::Owned);
                return Some((value, &quoted[at + 1..]));
            }
            b'\\' => {
                let escaped = *quoted.get(at + 1)?;
                plain.get_or_insert_with(|| quoted[..at].to_vec()).push(escaped);
                at += 2;
            }
            byte => {
                if let Some(plain) = &mut plain {
                    plain.push(byte);
                }
                at += 1;
            }
        }
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
