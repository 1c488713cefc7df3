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
        return match is_authority(target, true) {
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
    if !is_authority(&target[start..end], false) {
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
pub(super) fn is_authority(text: &str, needs_port: bool) -> bool {
    let (host_is_valid, rest) = match text.strip_prefix('[') {
        Some(literal) => match literal.split_once(']') {
            Some((address, rest)) => (address.parse::<Ipv6Addr>().is_ok(), rest),
            None => return false,
        },
        None => {
            let end = memchr::memchr(b':', text.as_bytes()).unwrap_or(text.len());
            (is_reg_name(&text.as_bytes()[..end]), &text[end..])
        }
    };
    host_is_valid
        && match rest.strip_prefix(':') {
            Some(port) => is_port(port) && !(needs_port && port.is_empty()),
            None => rest.is_empty() && !needs_port,
        }
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && (port.is_empty() || port.parse::<u16>().is_ok())
}

/// A reg-name or IPv4 address of RFC 3986 section 3.2.2, not empty.
fn is_reg_name(mut bytes: &[u8]) -> bool {
    if bytes.is_empty() {
        return false;
    }
    while let [first, rest @ ..] = bytes {
        bytes = match (first, rest) {
            (b'%', [high, low, rest @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest,
            (byte, rest) if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(byte) => rest,
            _ => return false,
        };
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_hosts_with_optional_ports() {
        for good in
            ["a", "a.b:80", "a:", "127.0.0.1:8080", "[::1]", "[::1]:65535", "a-b_c~%4a", "xn--bcher-kva.ch"]
        {
            assert!(is_authority(good, false), "{good}");
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
            assert!(!is_authority(bad, false), "{bad}");
        }
        assert!(is_authority("a:1", true));
        assert!(!is_authority("a", true) && !is_authority("a:", true));
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
