//! The request-target and the authority (RFC 9112 section 3.2, RFC 3986 section 3.2).

use std::net::Ipv6Addr;
use std::ops::Range;

use http::Method;

use super::HeadError;

/// Where the parts of a request-target are, as byte ranges of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TargetParts {
    /// Empty where the target names no authority.
    pub(super) authority: Range<u32>,
    /// Empty where the path is implied.
    pub(super) path: Range<u32>,
    /// Whether a query follows the path.
    pub(super) has_query: bool,
    /// Whether an empty path stands for the server as a whole (RFC 9112 section 3.2.4).
    pub(super) server_wide: bool,
}

/// Finds the parts of a target of visible ASCII, which must be in a form that goes with the method.
///
/// A fragment is refused, as it is no part of any form.
pub(super) fn parse(method: &Method, target: &str) -> Result<TargetParts, HeadError> {
    let bytes = target.as_bytes();
    if bytes.is_empty()
        || u32::try_from(bytes.len()).is_err()
        || !bytes.iter().all(|&byte| is_target_byte(byte))
    {
        return Err(HeadError::Target);
    }
    if *method == Method::CONNECT {
        return match is_authority(bytes, true) {
            true => Ok(TargetParts { authority: 0..target.len() as u32, ..TargetParts::default() }),
            false => Err(HeadError::Target),
        };
    }
    if bytes[0] == b'/' {
        return Ok(origin(target, 0));
    }
    if target == "*" {
        return match *method == Method::OPTIONS {
            true => Ok(TargetParts { path: 0..1, ..TargetParts::default() }),
            false => Err(HeadError::Target),
        };
    }
    absolute(method, target)
}

/// Whether a byte may be in a request-target: visible ASCII but `#`, which would start a fragment.
pub(super) fn is_target_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'#'
}

/// The path from `start` on, up to the query.
fn origin(target: &str, start: usize) -> TargetParts {
    let query = memchr::memchr(b'?', &target.as_bytes()[start..]);
    let end = query.map_or(target.len(), |at| start + at);
    TargetParts { path: start as u32..end as u32, has_query: query.is_some(), ..TargetParts::default() }
}

fn absolute(method: &Method, target: &str) -> Result<TargetParts, HeadError> {
    let (scheme, rest) = target.split_once("://").ok_or(HeadError::Target)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(HeadError::Target);
    }
    let start = target.len() - rest.len();
    let end = start + rest.find(['/', '?']).unwrap_or(rest.len());
    if !is_authority(&target.as_bytes()[start..end], false) {
        return Err(HeadError::Target);
    }
    let mut parts = origin(target, end);
    parts.authority = start as u32..end as u32;
    parts.server_wide = *method == Method::OPTIONS && end == target.len();
    Ok(parts)
}

/// Whether this is `host [":" port]` with a host that is not empty and without userinfo.
///
/// An empty host is no valid http URI (RFC 9110 section 4.2.1), so it is refused in Host fields, too.
pub(super) fn is_authority(text: &[u8], needs_port: bool) -> bool {
    let host = match text.first() {
        Some(b'[') => ip_literal_len(text),
        _ => reg_name_len(text),
    };
    match host.map(|len| &text[len..]) {
        Some([]) => !needs_port,
        Some([b':', port @ ..]) => match port_number(port) {
            // There is nothing to connect to at port 0 (RFC 9110 section 9.3.6).
            Some(number) => !needs_port || number != 0,
            None => false,
        },
        _ => false,
    }
}

fn ip_literal_len(text: &[u8]) -> Option<usize> {
    let end = memchr::memchr(b']', text)?;
    let address = str::from_utf8(&text[1..end]).ok()?;
    address.parse::<Ipv6Addr>().is_ok().then_some(end + 1)
}

/// The length of the reg-name or IPv4 address (RFC 3986 section 3.2.2) at the start, if it is not empty.
fn reg_name_len(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if !REG_NAME[byte as usize] {
            break;
        }
        if byte == b'%' {
            let digits = text.get(at + 1..at + 3)?;
            if !digits.iter().all(u8::is_ascii_hexdigit) {
                return None;
            }
            at += 2;
        }
        at += 1;
    }
    (at > 0).then_some(at)
}

/// Bytes of a reg-name, with the `%` that begins an escape.
static REG_NAME: [bool; 256] = {
    let marks = b"-._~!$&'()*+,;=%";
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
};

/// The number of a port below 65,536; 0 if it is empty.
fn port_number(port: &[u8]) -> Option<u32> {
    let number = port.iter().try_fold(0_u32, |number, byte| {
        byte.is_ascii_digit().then(|| (number * 10 + u32::from(byte - b'0')).min(1 << 16))
    });
    number.filter(|&number| number < 1 << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_hosts_with_optional_ports() {
        for good in
            ["a", "a.b:80", "a:", "127.0.0.1:8080", "[::1]", "[::1]:65535", "a-b_c~%4a", "xn--bcher-kva.ch"]
        {
            assert!(is_authority(good.as_bytes(), false), "{good}");
        }
        for bad in [
            "",
            ":80",
            "a:b",
            "a:65536",
            "a:-1",
            "a:+1",
            "u@a",
            "a b",
            "a/b",
            "[::1",
            "[::1]x",
            "[::g]",
            "[]",
            "::1",
            "a:1:2",
            "%4",
            "%zz",
            "a\\b",
            "[fe80::1%25eth0]",
            "<a>",
            "a\"",
        ] {
            assert!(!is_authority(bad.as_bytes(), false), "{bad}");
        }
        assert!(is_authority(b"a:1", true));
        assert!(!is_authority(b"a", true) && !is_authority(b"a:", true) && !is_authority(b"a:0", true));
    }

    #[test]
    fn each_form_goes_with_its_methods() {
        let ok = |method: Method, target: &str| parse(&method, target).is_ok();
        assert!(ok(Method::GET, "/a?b#".trim_end_matches('#')));
        assert!(ok(Method::GET, "http://a/b") && ok(Method::OPTIONS, "*") && ok(Method::CONNECT, "a:1"));
        assert!(!ok(Method::GET, "*") && !ok(Method::CONNECT, "/") && !ok(Method::CONNECT, "http://a/"));
        assert!(!ok(Method::GET, "a:1") && !ok(Method::GET, "ftp://a/") && !ok(Method::GET, "http:///b"));
        assert!(!ok(Method::GET, "http://u@a/") && !ok(Method::GET, "a") && !ok(Method::GET, ""));
        assert!(!ok(Method::GET, "/a#b") && !ok(Method::GET, "/a b") && !ok(Method::GET, "/\u{e9}"));
        assert!(!ok(Method::OPTIONS, "**") && !ok(Method::GET, "://a/"));
    }
}
