//! What holds for every request head, generated and mutated.

use covet_http::h1::{Decoded, Framing, Head, HeadError, Limits, decode_request};
use covet_http::{HeaderMap, Method, Version};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Bytes that failures show as text.
#[derive(Clone, Default)]
struct Text(Vec<u8>);

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl std::ops::Deref for Text {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// All that can be seen of a decoded head.
#[derive(Debug, PartialEq)]
struct Seen {
    consumed: usize,
    method: Method,
    version: Version,
    target: String,
    path: String,
    query: Option<String>,
    authority: Option<String>,
    fields: Vec<(String, Vec<u8>)>,
    map: HeaderMap,
    framing: Framing,
    keep_alive: bool,
    expect_continue: bool,
}

fn see(head: &Head, consumed: usize) -> Seen {
    Seen {
        consumed,
        method: head.method().clone(),
        version: head.version(),
        target: head.target().to_owned(),
        path: head.path().to_owned(),
        query: head.query().map(str::to_owned),
        authority: head.authority().map(str::to_owned),
        fields: head.fields().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        map: head.headers().clone(),
        framing: head.framing(),
        keep_alive: head.keep_alive(),
        expect_continue: head.expect_continue(),
    }
}

/// Decodes into `head`; `None` if the bytes are no whole head.
fn decode(bytes: &[u8], head: &mut Head, limits: &Limits) -> Result<Option<Seen>, HeadError> {
    Ok(match decode_request(bytes, head, limits)? {
        Decoded::Complete { consumed } => Some(see(head, consumed)),
        Decoded::Partial => None,
    })
}

fn limits(memo: bool) -> Limits {
    Limits { request_line: 60, head: 400, fields: 6, memo, ..Limits::default() }
}

fn target() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "/[a-z0-9/%.]{0,20}(\\?[a-z=&?]{0,10})?",
        1 => "https?://[a-z.]{0,8}(:[0-9]{0,5})?(/[a-z]{0,5})?(\\?[a-z]{0,3})?",
        1 => Just("*".to_owned()),
        1 => "[a-z]{1,5}:[0-9]{1,5}",
        1 => "/[ -~]{0,60}",
    ]
}

fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => select(vec![
            "Host: a", "Host: b:80", "Connection: close", "Connection: keep-alive", "connection: a, Close",
            "Content-Length: 5", "Content-Length: 6", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip",
            "Expect: 100-continue", "Accept: */*", "X:", "Cookie: a=b; c=d",
        ]).prop_map(str::to_owned),
        2 => "[A-Za-z-]{1,12}:[ \t]{0,2}[!-~]{0,20}[ \t]{0,2}",
        1 => "[ -~]{0,20}",
    ]
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let method = select(vec!["GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE", "get", "M-X"]);
    let version = select(vec!["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/1"]);
    let lead = select(vec!["", "", "", "", "\r\n", "\r\n\r\n\r\n"]);
    (lead, method, target(), version, any::<bool>(), prop::collection::vec(field(), 0..7)).prop_map(
        |(lead, method, target, version, host, fields)| {
            let mut text = format!("{lead}{method} {target} {version}\r\n");
            if host {
                text.push_str("Host: example.org\r\n");
            }
            for field in fields {
                text.push_str(&field);
                text.push_str("\r\n");
            }
            (text + "\r\n").into_bytes()
        },
    )
}

/// Requests, some with a byte changed, inserted or left out.
fn mutated() -> impl Strategy<Value = Text> {
    let byte = prop_oneof![select(b"\r\n\0 \t:,#?\x7f\xff".to_vec()), any::<u8>()];
    let change = prop::option::of((any::<Index>(), 0..3, byte));
    (request(), change).prop_map(|(mut bytes, change)| {
        if let Some((at, kind, byte)) = change {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        Text(bytes)
    })
}

/// A connection's worth of requests, where a head often has the field block of the one before.
fn sequence() -> impl Strategy<Value = Vec<Text>> {
    let follow = prop::collection::vec((mutated(), any::<bool>()), 1..6);
    follow.prop_map(|requests| {
        let mut last = Text::default();
        let mut sequence = Vec::new();
        for (mut request, same_block) in requests {
            if same_block && let (Some(line), Some(block)) = (line_end(&request), line_end(&last)) {
                request.0.truncate(line);
                request.0.extend_from_slice(&last[block..]);
            }
            last.clone_from(&request);
            sequence.push(request);
        }
        sequence
    })
}

fn line_end(bytes: &[u8]) -> Option<usize> {
    Some(bytes.iter().position(|&byte| byte == b'\n')? + 1)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    #[test]
    fn the_memo_changes_nothing(requests in sequence()) {
        let mut with = Head::new();
        for request in &requests {
            let without = decode(request, &mut Head::new(), &limits(false));
            let seen = decode(request, &mut with, &limits(true));
            if seen == Ok(None) {
                with.clear();
            }
            prop_assert_eq!(seen, without);
        }
    }

    #[test]
    fn the_memo_changes_nothing_under_other_limits(
        requests in sequence(), fields in 0_usize..6, head in 20_usize..200, line in 10_usize..60,
    ) {
        let tight = |memo| Limits { fields, head, request_line: line, ..limits(memo) };
        for request in &requests {
            let mut with = Head::new();
            if decode(request, &mut with, &limits(true)) == Ok(None) {
                with.clear();
            }
            let without = decode(request, &mut Head::new(), &tight(false));
            prop_assert_eq!(decode(request, &mut with, &tight(true)), without);
        }
    }

    #[test]
    fn every_split_gives_what_the_whole_gives(bytes in mutated(), memo in any::<bool>()) {
        let limits = limits(memo);
        let whole = decode(&bytes, &mut Head::new(), &limits);
        for split in 0..=bytes.len() {
            agree(&whole, pieces(&bytes, [split, bytes.len()], &mut Head::new(), &limits), &bytes)?;
        }
    }

    #[test]
    fn byte_by_byte_gives_what_the_whole_gives(bytes in mutated()) {
        let whole = decode(&bytes, &mut Head::new(), &limits(true));
        agree(&whole, pieces(&bytes, 1..=bytes.len(), &mut Head::new(), &limits(true)), &bytes)?;
    }

    #[test]
    fn the_memo_survives_a_head_that_comes_in_two_pieces(requests in sequence(), cut in any::<Index>()) {
        let mut head = Head::new();
        for request in &requests {
            let plain = decode(request, &mut Head::new(), &limits(false));
            let cut = cut.index(request.len());
            let seen = pieces(request, [cut, request.len()], &mut head, &limits(true));
            if seen == Ok(None) {
                head.clear();
            }
            agree(&plain, seen, request)?;
        }
    }

    #[test]
    fn any_bytes_are_decoded_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut head = Head::new();
        let _ = decode(&bytes, &mut head, &limits(true));
        let _ = decode(&bytes, &mut head, &limits(true));
    }
}

/// Decodes what grows to each of these lengths, until there is a result.
fn pieces(
    bytes: &[u8],
    ends: impl IntoIterator<Item = usize>,
    head: &mut Head,
    limits: &Limits,
) -> Result<Option<Seen>, HeadError> {
    ends.into_iter()
        .map(|end| decode(&bytes[..end], head, limits))
        .find(|seen| *seen != Ok(None))
        .unwrap_or(Ok(None))
}

/// Whether pieces were decoded as the whole was.
///
/// Where the whole is refused the pieces are, too, though maybe for another of their faults, and maybe not
/// before the head's end comes.
fn agree(
    whole: &Result<Option<Seen>, HeadError>,
    pieces: Result<Option<Seen>, HeadError>,
    bytes: &[u8],
) -> Result<(), TestCaseError> {
    match (whole, &pieces) {
        (Err(_), Err(_)) => {}
        (Err(_), Ok(None)) => {
            let ended = [bytes, b"\r\n\r\n"].concat();
            let ends = (1..=bytes.len()).chain([ended.len()]);
            let seen = self::pieces(&ended, ends, &mut Head::new(), &limits(true));
            prop_assert!(seen.is_err(), "{seen:?}");
        }
        _ => prop_assert_eq!(whole, &pieces),
    }
    Ok(())
}
