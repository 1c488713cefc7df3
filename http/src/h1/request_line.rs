//! The request line (RFC 9112 section 3).

use http::{Method, Version};

use super::HeadError;
use super::target::{self, TargetParts};

/// A request line whose end was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RequestLine {
    pub(super) method: Method,
    pub(super) version: Version,
    /// Where the target begins; it ends where [`VERSION_END`] begins, and is visible ASCII.
    pub(super) target_start: usize,
    pub(super) parts: TargetParts,
    /// Bytes of the line with its CRLF.
    pub(super) len: usize,
}

/// A request line of a common method, in origin-form and HTTP/1.1.
pub(super) struct UsualLine {
    pub(super) method: &'static Method,
    pub(super) target_start: usize,
    pub(super) path_len: u32,
    pub(super) has_query: bool,
    pub(super) len: usize,
}

/// What ends a request line behind the target; as long as its counterpart of HTTP/1.0.
pub(super) const VERSION_END: &[u8; 11] = b" HTTP/1.1\r\n";

/// Parses a request line if it is of the usual kind and whole.
#[inline]
pub(super) fn parse_usual(buf: &[u8]) -> Option<UsualLine> {
    let (method, target_start) = match buf {
        [b'G', b'E', b'T', b' ', b'/', ..] => (&Method::GET, 4),
        [b'P', b'O', b'S', b'T', b' ', b'/', ..] => (&Method::POST, 5),
        [b'P', b'U', b'T', b' ', b'/', ..] => (&Method::PUT, 4),
        [b'H', b'E', b'A', b'D', b' ', b'/', ..] => (&Method::HEAD, 5),
        _ => return None,
    };
    let (stop, query) = scan(&buf[target_start..]);
    let end = target_start + stop;
    if buf[end..].first_chunk()? != VERSION_END {
        return None;
    }
    let path_len = query.unwrap_or(stop) as u32;
    Some(UsualLine {
        method,
        target_start,
        path_len,
        has_query: query.is_some(),
        len: end + VERSION_END.len(),
    })
}

/// Parses the request line at the start of `buf`; `None` if its end is not there yet.
///
/// What is wrong is reported as soon as it shows.
pub(super) fn parse(buf: &[u8]) -> Result<Option<RequestLine>, HeadError> {
    match parse_usual(buf) {
        Some(line) => Ok(Some(RequestLine {
            method: line.method.clone(),
            version: Version::HTTP_11,
            target_start: line.target_start,
            parts: TargetParts {
                path: 0..line.path_len,
                has_query: line.has_query,
                ..TargetParts::default()
            },
            len: line.len,
        })),
        None => parse_any(buf),
    }
}

fn parse_any(buf: &[u8]) -> Result<Option<RequestLine>, HeadError> {
    let Some((method, target_start)) = method(buf)? else { return Ok(None) };
    let end = target_start + scan(&buf[target_start..]).0;
    match buf.get(end) {
        None => return Ok(None),
        Some(b' ') if end > target_start => {}
        Some(_) => return Err(HeadError::Target),
    }
    let Some(version) = version(&buf[end..])? else { return Ok(None) };
    let target = str::from_utf8(&buf[target_start..end]).map_err(|_| HeadError::Target)?;
    let parts = target::parse(&method, target)?;
    Ok(Some(RequestLine { method, version, target_start, parts, len: end + VERSION_END.len() }))
}

/// The method, and where the target begins.
fn method(buf: &[u8]) -> Result<Option<(Method, usize)>, HeadError> {
    let Some(end) = buf.iter().position(|&byte| !is_token_byte(byte)) else { return Ok(None) };
    if end == 0 || buf[end] != b' ' {
        return Err(HeadError::Method);
    }
    let method = Method::from_bytes(&buf[..end]).map_err(|_| HeadError::Method)?;
    Ok(Some((method, end + 1)))
}

/// Whether a byte may be in a token (RFC 9110 section 5.6.2).
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The version behind a target, once it is there with its CRLF.
fn version(rest: &[u8]) -> Result<Option<Version>, HeadError> {
    let Some(text) = rest.first_chunk() else {
        return if rest.contains(&b'\n') { Err(HeadError::Version) } else { Ok(None) };
    };
    match text {
        VERSION_END => Ok(Some(Version::HTTP_11)),
        b" HTTP/1.0\r\n" => Ok(Some(Version::HTTP_10)),
        // A later minor version is served as the highest one that is known (RFC 9110 section 2.5).
        [b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9', b'\r', b'\n'] => {
            Ok(Some(Version::HTTP_11))
        }
        [b' ', b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9', b'\r', b'\n'] => {
            Err(HeadError::UnsupportedVersion)
        }
        _ => Err(HeadError::Version),
    }
}

const ONES: u64 = u64::MAX / 255;
const HIGHS: u64 = ONES << 7;

/// Finds the first byte that is not of a target (or the end), and the first `?` before it.
///
/// Eight bytes at a time. In each mask the lowest mark is exact: a borrow or carry makes false marks only
/// above a true one.
#[inline]
fn scan(bytes: &[u8]) -> (usize, Option<usize>) {
    let mut query = None;
    let mut at = 0;
    while let Some(word) = bytes[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        let below = word.wrapping_sub(ONES * 0x21) & !word;
        let above = word.wrapping_add(ONES) | word;
        let stops = (below | above | zero_bytes(word ^ (ONES * u64::from(b'#')))) & HIGHS;
        let marks = zero_bytes(word ^ (ONES * u64::from(b'?'))) & HIGHS;
        if marks != 0 && query.is_none() && marks.trailing_zeros() < stops.trailing_zeros() {
            query = Some(at + (marks.trailing_zeros() / 8) as usize);
        }
        if stops != 0 {
            return (at + (stops.trailing_zeros() / 8) as usize, query);
        }
        at += 8;
    }
    for (at, &byte) in bytes.iter().enumerate().skip(at) {
        if !target::is_target_byte(byte) {
            return (at, query);
        }
        if byte == b'?' && query.is_none() {
            query = Some(at);
        }
    }
    (bytes.len(), query)
}

/// Marks the high bit of each byte that is zero; exact up to the lowest mark.
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scan_by_byte(bytes: &[u8]) -> (usize, Option<usize>) {
        let end = bytes.iter().position(|&byte| !target::is_target_byte(byte)).unwrap_or(bytes.len());
        (end, bytes[..end].iter().position(|&byte| byte == b'?'))
    }

    proptest! {
        #[test]
        fn the_scan_by_words_equals_the_scan_by_bytes(
            bytes in prop::collection::vec(
                prop_oneof![3 => 0x20_u8..=0x7f, 1 => any::<u8>(), 1 => Just(b'?'), 6 => Just(b'a')], 0..40),
        ) {
            prop_assert_eq!(scan(&bytes), scan_by_byte(&bytes));
        }

        #[test]
        fn the_fast_origin_form_equals_the_general_parser(target in "/[!-~]{0,30}") {
            let line = format!("GET {target} HTTP/1.1\r\n");
            let fast = parse(line.as_bytes()).map(|line| line.unwrap().parts);
            prop_assert_eq!(fast, target::parse(&Method::GET, &target));
        }
    }

    proptest! {
        #[test]
        fn what_the_usual_parser_takes_the_general_takes_just_so(
            line in "(GET|POST|PUT|HEAD|get|CONNECT) [/*a]?[ -~]{0,20}( HTTP/1.1\r\n)?( HTTP/1.0\r\n)?",
        ) {
            if parse_usual(line.as_bytes()).is_some() {
                prop_assert_eq!(parse(line.as_bytes()), parse_any(line.as_bytes()));
            }
        }
    }

    #[test]
    fn every_byte_value_is_classified_at_every_position() {
        for byte in 0..=255 {
            for at in 0..20 {
                let mut bytes = [b'a'; 20];
                bytes[at] = byte;
                assert_eq!(scan(&bytes), scan_by_byte(&bytes), "{byte:#x} at {at}");
            }
        }
    }

    #[test]
    fn lines_are_partial_until_their_end_and_errors_show_early() {
        let line = b"DELETE /a/b?c=d HTTP/1.0\r\n";
        for end in 0..line.len() {
            assert_eq!(parse(&line[..end]), Ok(None), "{end}");
        }
        let parsed = parse(line).unwrap().unwrap();
        assert_eq!((parsed.method, parsed.version), (Method::DELETE, Version::HTTP_10));
        assert_eq!((parsed.target_start, parsed.len), (7, line.len()));
        for (bytes, error) in [
            (&b"\x16\x03\x01"[..], HeadError::Method),
            (b" GET", HeadError::Method),
            (b"GET\t", HeadError::Method),
            (b"G(T /", HeadError::Method),
            (b"GET  ", HeadError::Target),
            (b"GET /\r\n", HeadError::Target),
            (b"GET /\n", HeadError::Target),
            (b"GET /a\x00", HeadError::Target),
            (b"GET /\xc3\xa9", HeadError::Target),
            (b"GET /a#b", HeadError::Target),
            (b"GET / \r\n", HeadError::Version),
            (b"GET / HTTP/1.1\nHost", HeadError::Version),
            (b"GET / HTTP/1.1 \r\n", HeadError::Version),
            (b"GET / http/1.1\r\n", HeadError::Version),
            (b"GET / HTTP/1.10\r\n", HeadError::Version),
            (b"GET / HTTP/11\r\n\r\n", HeadError::Version),
            (b"GET / HTTP/1.1\r\r\n", HeadError::Version),
            (b"GET  / HTTP/1.1\r\n", HeadError::Target),
            (b"GET /  HTTP/1.1\r\n", HeadError::Version),
            (b"GET / a HTTP/1.1\r\n", HeadError::Version),
            (b"GET / HTTP/2.0\r\n", HeadError::UnsupportedVersion),
            (b"GET / HTTP/3.1\r\n", HeadError::UnsupportedVersion),
            (b"GET / HTTP/0.9\r\n", HeadError::UnsupportedVersion),
            (b"PRI * HTTP/2.0\r\n", HeadError::UnsupportedVersion),
            (b"GET * HTTP/1.1\r\n", HeadError::Target),
            (b"CONNECT /a HTTP/1.1\r\n", HeadError::Target),
        ] {
            assert_eq!(parse(bytes), Err(error), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_method_is_any_token() {
        let parsed = parse(b"M-SEARCH_VERY_LONG_METHOD_NAME /x HTTP/1.1\r\n").unwrap().unwrap();
        assert_eq!(parsed.method.as_str(), "M-SEARCH_VERY_LONG_METHOD_NAME");
        for method in ["GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "TRACE", "get"] {
            let line = format!("{method} /x HTTP/1.1\r\n");
            assert_eq!(parse(line.as_bytes()).unwrap().unwrap().method.as_str(), method);
        }
    }
}
