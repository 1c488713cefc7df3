//! Covet beside hyper: the same bytes must give the same requests, or a difference that is known and explained in
//! README.md. Any other is a finding.

use covet_http::Version;
use covet_http::h1::{ChunkError, HeadError, Limits};

use crate::connection::{self, Content, Ending};
use crate::{Signature, peer, signature, splits};

/// Longer inputs would meet limits, which differ by intent.
const MOST_BYTES: usize = 4000;

/// The limits that short inputs can meet, as they are in hyper.
fn limits() -> Limits {
    Limits { fields: 100, trailer_fields: 100, ..Limits::default() }
}

/// A difference that is meant; each has its paragraph in README.md.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
enum Difference {
    HostRules,
    TargetForms,
    TargetBytes,
    LeadingLines,
    BareLineFeed,
    LaterMinorVersion,
    LengthSpelling,
    LargestLengths,
    LengthBesideCoding,
    TransferCodings,
    Expectations,
    ChunkSyntax,
    Trailers,
    ConnectionOptions,
}

pub fn check(input: &[u8]) -> Signature {
    let (_, bytes) = splits::parts(input);
    let bytes = &bytes[..bytes.len().min(MOST_BYTES)];
    let covet = connection::converse(&[bytes], &limits());
    let hyper = peer::converse(bytes);
    match compare(bytes, &covet, &hyper) {
        Ok(difference) => {
            signature((difference, covet.requests.len(), format!("{:?}", covet.ending), hyper.ending.is_ok()))
        }
        Err(reason) => panic!(
            "unexplained difference: {reason}\n{}\nCovet: {covet:#?}\nhyper: {:#?}, {:?}, sent {}",
            bytes.escape_ascii(),
            hyper.requests,
            hyper.ending,
            hyper.sent.escape_ascii(),
        ),
    }
}

/// The first difference, as what follows one means nothing; `Err` if it is not one of those that are meant.
fn compare(
    bytes: &[u8],
    covet: &connection::Outcome,
    hyper: &peer::Outcome,
) -> Result<Option<Difference>, &'static str> {
    let count = covet.requests.len().max(hyper.requests.len());
    for at in 0..count {
        let difference = match (covet.requests.get(at), hyper.requests.get(at)) {
            (Some(covet), Some(hyper)) => same_request(bytes, covet, hyper)?,
            (Some(request), None) => {
                Some(only_covet(bytes, request, covet.requests.get(at.wrapping_sub(1)))?)
            }
            (None, Some(request)) => {
                Some(only_hyper(request, covet, covet.requests.get(at.wrapping_sub(1)))?)
            }
            (None, None) => None,
        };
        if difference.is_some() {
            return Ok(difference);
        }
    }
    Ok(None)
}

fn same_request(
    bytes: &[u8],
    covet: &connection::Seen,
    hyper: &peer::Seen,
) -> Result<Option<Difference>, &'static str> {
    if covet.method != hyper.method {
        return Err("the methods differ");
    }
    match covet.target.parse::<http::Uri>() {
        Ok(target) if target == hyper.target => {}
        _ => return Err("the targets differ"),
    }
    if covet.version != hyper.version {
        return Err("the versions differ");
    }
    if covet.fields.len() != hyper.fields.len() {
        return Err("the numbers of fields differ");
    }
    for (name, _) in &covet.fields {
        let here = covet.fields.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let there = hyper.fields.get_all(name).iter();
        if !here.map(|(_, value)| value.as_slice()).eq(there.map(|value| value.as_bytes())) {
            return Err("the values of a field differ");
        }
    }
    match (&covet.content, &hyper.content) {
        (Content::Whole(covet, _), Some(hyper)) if covet == hyper => Ok(None),
        (Content::Whole(..), Some(_)) => Err("the content differs"),
        (Content::Incomplete(_) | Content::Malformed(_), None) => Ok(None),
        // A blank behind a size, controls in an extension.
        (Content::Malformed(ChunkError::Size | ChunkError::Extension), Some(_)) => {
            Ok(Some(Difference::ChunkSyntax))
        }
        (Content::Malformed(ChunkError::Trailer), Some(_)) if has_bare_line_feed(bytes) => {
            Ok(Some(Difference::Trailers))
        }
        (Content::Malformed(_), Some(_)) => Err("hyper takes content that Covet refuses"),
        (Content::Incomplete(_), Some(_)) => Err("hyper sees an end of the content that Covet does not"),
        (Content::Whole(..), None) => Err("Covet sees an end of the content that hyper does not"),
    }
}

/// Why Covet takes a request that hyper refuses.
fn only_covet(
    bytes: &[u8],
    request: &connection::Seen,
    before: Option<&connection::Seen>,
) -> Result<Difference, &'static str> {
    if request.target.parse::<http::Uri>().is_err() {
        return Ok(Difference::TargetBytes);
    }
    let later = bytes
        .windows(10)
        .any(|text| text.starts_with(b" HTTP/1.") && (b'2'..=b'9').contains(&text[8]) && text[9] == b'\r');
    if later {
        return Ok(Difference::LaterMinorVersion);
    }
    let mut lengths = request.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    if lengths.any(|(_, value)| {
        value.ends_with(b"18446744073709551614") || value.ends_with(b"18446744073709551615")
    }) {
        return Ok(Difference::LargestLengths);
    }
    if before.is_some_and(has_odd_options) {
        return Ok(Difference::ConnectionOptions);
    }
    Err("Covet takes what hyper refuses")
}

/// Why Covet refuses, or does not get to, a request that hyper takes.
fn only_hyper(
    request: &peer::Seen,
    covet: &connection::Outcome,
    before: Option<&connection::Seen>,
) -> Result<Difference, &'static str> {
    let values =
        |name: &str| request.fields.get_all(name).iter().map(|value| value.as_bytes()).collect::<Vec<_>>();
    let bytes = &covet.rest[..];
    let error = match covet.ending {
        Ending::Refused(error) => error,
        Ending::Closed if before.is_some_and(has_odd_options) => return Ok(Difference::ConnectionOptions),
        _ => return Err("Covet does not get to what hyper takes"),
    };
    let (explained, difference) = match error {
        HeadError::HostMissing => (values("host").is_empty(), Difference::HostRules),
        HeadError::HostRepeated => (values("host").len() > 1, Difference::HostRules),
        HeadError::Host => (!values("host").is_empty(), Difference::HostRules),
        HeadError::Target => (is_odd_target(bytes, request), Difference::TargetForms),
        HeadError::LeadingLine => (has_leading_lines(bytes), Difference::LeadingLines),
        HeadError::BareLineFeed | HeadError::Version => (has_bare_line_feed(bytes), Difference::BareLineFeed),
        // hyper takes repetitions of one length out of the fields, and all lengths beside a coding.
        HeadError::ContentLength => (mentions(bytes, b"content-length"), Difference::LengthSpelling),
        HeadError::AmbiguousFraming => (
            mentions(bytes, b"content-length") && !values("transfer-encoding").is_empty(),
            Difference::LengthBesideCoding,
        ),
        HeadError::TransferEncoding | HeadError::UnsupportedCoding => {
            let plain = values("transfer-encoding")
                .iter()
                .map(|value| value.to_ascii_lowercase())
                .collect::<Vec<_>>();
            (plain != [b"chunked"] || request.version == Version::HTTP_10, Difference::TransferCodings)
        }
        HeadError::Expectation => (!values("expect").is_empty(), Difference::Expectations),
        _ => return Err("Covet refuses what hyper takes"),
    };
    if explained { Ok(difference) } else { Err("Covet's reason does not fit the request") }
}

/// Whether a request's connection options stand beside bytes that make hyper ignore them.
fn has_odd_options(request: &connection::Seen) -> bool {
    let mut fields = request.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("connection"));
    fields.any(|(_, value)| !value.is_ascii() || value.contains(&b'\t'))
}

/// Whether a target is in no form that goes with its method, as far as hyper's reading of it tells.
fn is_odd_target(bytes: &[u8], request: &peer::Seen) -> bool {
    let target = &request.target;
    let odd_authority = target.authority().is_some_and(|authority| {
        // What a number may be parsed from may have a sign; a port may not.
        let is_port = |digits: &str| {
            digits.is_empty()
                || digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok()
        };
        let behind = authority.as_str().strip_prefix(authority.host());
        authority.host().is_empty()
            || !behind
                .is_some_and(|behind| behind.is_empty() || behind.strip_prefix(':').is_some_and(is_port))
            || !authority.host().bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
    });
    let fits = match (request.method.as_str(), target.scheme_str()) {
        ("CONNECT", scheme) => {
            scheme.is_none() && target.authority().is_some_and(|a| a.port_u16().is_some_and(|p| p > 0))
        }
        ("OPTIONS", None) => target.path() == "*" || target.authority().is_none(),
        (_, None) => target.authority().is_none() && target.path().starts_with('/'),
        (_, Some(scheme)) => matches!(scheme, "http" | "https"),
    };
    !fits || odd_authority || bytes.contains(&b'#') || !bytes.is_ascii()
}

/// Whether the bytes have this name in them, in any case.
fn mentions(bytes: &[u8], name: &[u8]) -> bool {
    bytes.windows(name.len()).any(|text| text.eq_ignore_ascii_case(name))
}

/// Whether more empty lines, or other line ends, come first than Covet skips.
fn has_leading_lines(bytes: &[u8]) -> bool {
    !bytes.starts_with(b"\r\n") || bytes.starts_with(b"\r\n\r") || bytes.starts_with(b"\r\n\n")
}

fn has_bare_line_feed(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\n") || bytes.windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r')
}

#[cfg(test)]
#[path = "differential_tests.rs"]
mod tests;
