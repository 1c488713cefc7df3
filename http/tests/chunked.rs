//! Chunked content: RFC 9112 section 7.1, over all ways to cut it.

use covet_http::BodyError;
use covet_http::h1::encode::{LAST_CHUNK, encode_chunk};
use covet_http::h1::{ChunkError, ChunkEvent, ChunkedDecoder, Limits};
use proptest::prelude::*;
use proptest::sample::Index;

/// Content and bytes used, once the end is there.
type Decoded = Result<Option<(Vec<u8>, usize)>, ChunkError>;

/// Feeds the bytes cut at these places.
fn decode_cut(bytes: &[u8], cuts: &[usize], limits: &Limits) -> Decoded {
    let mut decoder = ChunkedDecoder::new(limits);
    let mut content = Vec::new();
    let mut start = 0;
    for &end in cuts.iter().chain([&bytes.len()]) {
        let mut piece = &bytes[start..end];
        start = end;
        loop {
            match decoder.feed(piece)? {
                ChunkEvent::Data(range) => {
                    assert!(!range.is_empty());
                    content.extend_from_slice(&piece[range.clone()]);
                    piece = &piece[range.end..];
                }
                ChunkEvent::NeedMore => break,
                ChunkEvent::Done(used) => {
                    assert!(decoder.is_done());
                    return Ok(Some((content, end - piece.len() + used)));
                }
            }
        }
    }
    assert!(!decoder.is_done());
    Ok(None)
}

fn decode(bytes: &[u8]) -> Decoded {
    decode_cut(bytes, &[], &Limits::default())
}

fn content(text: &str) -> Decoded {
    Ok(Some((text.as_bytes().to_vec(), 0)))
}

fn without_use(decoded: Decoded) -> Decoded {
    decoded.map(|decoded| decoded.map(|(content, _)| (content, 0)))
}

#[test]
fn chunks_extensions_and_trailers_come_off() {
    for bytes in [
        "5\r\nhello\r\n0\r\n\r\n",
        "05\r\nhello\r\n000\r\n\r\n",
        "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        "5;a=b;c=\"d;e\"\r\nhello\r\n0;last\r\n\r\n",
        "5 ;a\r\nhello\r\n0 \t;\r\n\r\n",
        "5\r\nhello\r\n0\r\nX: y\r\nZ:\r\n\r\n",
    ] {
        assert_eq!(without_use(decode(bytes.as_bytes())), content("hello"), "{bytes:?}");
    }
    assert_eq!(decode(b"A\r\n0123456789\r\n0\r\n\r\nGET /"), Ok(Some((b"0123456789".to_vec(), 20))));
    assert_eq!(decode(b"0\r\n\r\n"), Ok(Some((Vec::new(), 5))));
}

#[test]
fn sizes_are_strict() {
    for size in
        ["", " 5", "0x5", "+5", "-5", "5g", "g", "5.", "\u{665}", "ffffffffffffffff0", "10000000000000000"]
    {
        let bytes = format!("{size}\r\nhello\r\n0\r\n\r\n");
        assert_eq!(decode(bytes.as_bytes()), Err(ChunkError::Size), "{size}");
    }
    assert_eq!(decode(b"ffffffffffffffff\r\nhello"), Ok(None));
    assert_eq!(decode(b"5 \r\nhello\r\n0\r\n\r\n"), Err(ChunkError::Size));
    assert_eq!(decode(b"5 5\r\nhello\r\n0\r\n\r\n"), Err(ChunkError::Size));
}

#[test]
fn line_ends_are_strict() {
    for (bytes, error) in [
        ("5\nhello\r\n0\r\n\r\n", ChunkError::Size),
        ("5\r\nhello\n0\r\n\r\n", ChunkError::LineEnd),
        ("5\r\nhello\r0\r\n\r\n", ChunkError::LineEnd),
        ("5\r\nhello!\r\n0\r\n\r\n", ChunkError::LineEnd),
        ("5\r\nhell\r\n0\r\n\r\n", ChunkError::LineEnd),
        ("5\r\rhello\r\n0\r\n\r\n", ChunkError::LineEnd),
        ("5;a\nhello\r\n0\r\n\r\n", ChunkError::Extension),
        ("5;a\rb\r\nhello\r\n0\r\n\r\n", ChunkError::LineEnd),
        ("5;a\0\r\nhello\r\n0\r\n\r\n", ChunkError::Extension),
        ("5;\"\n\"\r\nhello\r\n0\r\n\r\n", ChunkError::Extension),
        ("0\r\n\n", ChunkError::Trailer),
        ("0\r\n\rX", ChunkError::LineEnd),
    ] {
        assert_eq!(decode(bytes.as_bytes()), Err(error), "{bytes:?}");
    }
}

#[test]
fn trailers_are_checked() {
    for line in ["X", "X : y", " X: y", ": y", "X: \0", "X: a\x7f", "X: a\n Y: b", "X: a\r\n b", "X\u{e9}: a"]
    {
        let bytes = format!("0\r\n{line}\r\n\r\n");
        assert!(
            matches!(decode(bytes.as_bytes()), Err(ChunkError::Trailer | ChunkError::LineEnd)),
            "{line:?}"
        );
    }
}

#[test]
fn framing_is_bounded() {
    let limits =
        Limits { chunk_line: 8, chunk_extensions: 12, trailers: 20, trailer_fields: 2, ..Limits::default() };
    let decode = |bytes: &str| decode_cut(bytes.as_bytes(), &[], &limits).map(|decoded| decoded.is_some());
    assert_eq!(decode("1;abcdef\r\nx\r\n0\r\n\r\n"), Ok(true));
    assert_eq!(decode("1;abcdefg"), Err(ChunkError::LineTooLong));
    assert_eq!(decode("000000001"), Err(ChunkError::LineTooLong));
    assert_eq!(decode("1;abcdef\r\nx\r\n0;abcd\r\n\r\n"), Ok(true));
    assert_eq!(decode("1;abcdef\r\nx\r\n0;abcde"), Err(ChunkError::ExtensionsTooLong));
    assert_eq!(decode("0\r\nA: b\r\nC: d\r\n\r\n"), Ok(true));
    assert_eq!(decode("0\r\nA: b\r\nC: d\r\nE"), Err(ChunkError::TrailersTooLong));
    assert_eq!(decode("0\r\nA: 0123456789012345\r\n"), Err(ChunkError::TrailersTooLong));
}

#[test]
fn an_error_is_final() {
    let mut decoder = ChunkedDecoder::new(&Limits::default());
    assert_eq!(decoder.feed(b"x"), Err(ChunkError::Size));
    assert_eq!(decoder.feed(b"0\r\n\r\n"), Err(ChunkError::Size));
}

#[test]
fn errors_have_their_status() {
    assert_eq!(BodyError::from(ChunkError::Size).status(), 400);
    assert_eq!(BodyError::from(ChunkError::TrailersTooLong).status(), 431);
}

fn cuts(len: usize, cuts: &[Index]) -> Vec<usize> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(len + 1)).collect();
    cuts.sort_unstable();
    cuts
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn what_is_encoded_and_cut_is_decoded(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..6),
        behind in prop::collection::vec(any::<u8>(), 0..10),
        places in prop::collection::vec(any::<Index>(), 0..12),
    ) {
        let mut bytes = Vec::new();
        chunks.iter().for_each(|chunk| encode_chunk(chunk, &mut bytes));
        bytes.extend_from_slice(LAST_CHUNK);
        let framed = bytes.len();
        bytes.extend_from_slice(&behind);
        let decoded = decode_cut(&bytes, &cuts(bytes.len(), &places), &Limits::default());
        prop_assert_eq!(decoded, Ok(Some((chunks.concat(), framed))));
    }

    #[test]
    fn cuts_change_nothing(
        bytes in prop::collection::vec(prop::sample::select(b"0123aF;=\r\n\r\n\r\n :X\t\"\0".to_vec()), 0..40),
        start in prop::sample::select(vec!["", "3\r\nabc\r\n", "0\r\n", "3;a\r\nabc\r\n0\r\nX: y\r\n"]),
        places in prop::collection::vec(any::<Index>(), 0..8),
    ) {
        let bytes = [start.as_bytes(), &bytes].concat();
        let whole = decode(&bytes);
        prop_assert_eq!(&decode_cut(&bytes, &cuts(bytes.len(), &places), &Limits::default()), &whole);
        let every: Vec<_> = (0..bytes.len()).collect();
        prop_assert_eq!(&decode_cut(&bytes, &every, &Limits::default()), &whole);
    }
}

#[test]
fn trailers_are_kept_apart_and_can_be_taken_once() {
    let mut decoder = ChunkedDecoder::new(&Limits::default());
    assert_eq!(decoder.feed(b"1\r\na"), Ok(ChunkEvent::Data(3..4)));
    assert!(decoder.take_trailers().is_none(), "the end is not there yet");
    let end = b"\r\n0\r\nX-Sum: \t1 2 \r\nx-sum:3\r\nEmpty:\r\nContent-Length: 9\r\n\r\n";
    assert_eq!(decoder.feed(end), Ok(ChunkEvent::Done(end.len())));
    let trailers = decoder.take_trailers().unwrap();
    let sums: Vec<_> = trailers.get_all("x-sum").iter().map(|value| value.as_bytes()).collect();
    assert_eq!(sums, [&b"1 2"[..], b"3"]);
    assert_eq!((trailers["empty"].as_bytes(), trailers.len()), (&b""[..], 4));
    assert!(decoder.take_trailers().is_none());

    let mut decoder = ChunkedDecoder::new(&Limits::default());
    assert_eq!(decoder.feed(b"0\r\n\r\n"), Ok(ChunkEvent::Done(5)));
    assert!(decoder.take_trailers().is_none());
}
