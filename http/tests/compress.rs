//! Content codings, encoded by the tools that everybody uses: `gzip`, `brotli` and `zstd` must be installed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::Future;
use std::io::Write;
use std::pin::{Pin, pin};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use covet_http::compress::{
    ContentCoding, DecodeError, Decoder, Limits, accept_encoding, content_codings, decode_body,
    decode_request,
};
use covet_http::{Body, BodyError, BoxError, HeaderMap, Request};
use proptest::collection::vec;
use proptest::prelude::*;

const ALL: [ContentCoding; 4] =
    [ContentCoding::Gzip, ContentCoding::Deflate, ContentCoding::Brotli, ContentCoding::Zstd];

/// What a program makes of this input.
fn tool(name: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(name)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{name} does not start: {error}; see scripts/install-test-tools"));
    let mut stdin = child.stdin.take().unwrap();
    let bytes = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{name} failed");
    output.stdout
}

fn deflate(input: &[u8], zlib: bool) -> Vec<u8> {
    let mut compress = flate2::Compress::new(flate2::Compression::default(), zlib);
    let mut encoded = Vec::with_capacity(input.len() + 1000);
    compress.compress_vec(input, &mut encoded, flate2::FlushCompress::Finish).unwrap();
    encoded
}

fn encode(coding: ContentCoding, input: &[u8]) -> Vec<u8> {
    match coding {
        ContentCoding::Gzip => tool("gzip", &["-c"], input),
        ContentCoding::Deflate => deflate(input, true),
        ContentCoding::Brotli => tool("brotli", &["-c", "--lgwin=22"], input),
        ContentCoding::Zstd => tool("zstd", &["-c"], input),
    }
}

/// Decodes these pieces with output buffers of this size.
fn decode_pieces(
    coding: ContentCoding,
    pieces: impl IntoIterator<Item = impl AsRef<[u8]>>,
    room: usize,
    limits: Limits,
) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = Decoder::new(coding, limits)?;
    let (mut decoded, mut output) = (Vec::new(), vec![0; room]);
    for piece in pieces {
        let mut rest = piece.as_ref();
        loop {
            let (consumed, produced) = decoder.decode(rest, &mut output)?;
            decoded.extend_from_slice(&output[..produced]);
            rest = &rest[consumed..];
            if produced < room {
                assert!(rest.is_empty(), "all input is taken where there is room");
                break;
            }
        }
    }
    decoder.finish()?;
    Ok(decoded)
}

fn decode(coding: ContentCoding, input: &[u8]) -> Result<Vec<u8>, DecodeError> {
    decode_pieces(coding, [input], 1000, Limits::default())
}

/// Text as a program writes it, with some that repeats.
fn text(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    let lines = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        format!("GET /path/{} 200 {}\n", state >> 20, state >> 8)
    });
    lines.flat_map(String::into_bytes).take(length).collect()
}

#[test]
fn what_the_tools_encode_is_decoded_however_it_is_cut() {
    for coding in ALL {
        for length in [0, 1, 100, 70_000] {
            let plain = text(length);
            let encoded = encode(coding, &plain);
            for (piece, room) in [(usize::MAX, 100_000), (1, 7), (13, 1), (1000, 333)] {
                let pieces = encoded.chunks(piece.min(encoded.len()).max(1));
                let decoded = decode_pieces(coding, pieces, room, Limits::default()).unwrap();
                assert!(decoded == plain, "{coding} of {length} bytes by {piece} into {room}");
            }
        }
        assert_eq!(decode(coding, b"").unwrap(), b"", "nothing is nothing in every coding");
    }
    let plain = text(50_000);
    assert_eq!(
        decode(ContentCoding::Deflate, &deflate(&plain, false)).unwrap(),
        plain,
        "without zlib's head"
    );
}

#[test]
fn content_may_have_several_members_or_frames() {
    let (one, two) = (text(3_000), text(5_000));
    let both = [&one[..], &two].concat();
    for coding in [ContentCoding::Gzip, ContentCoding::Zstd] {
        let encoded = [encode(coding, &one), encode(coding, b""), encode(coding, &two)].concat();
        assert_eq!(decode(coding, &encoded).unwrap(), both, "{coding}");
    }
    // A skippable frame (RFC 8878 section 3.1.2).
    let skipped = [&b"\x50\x2a\x4d\x18\x04\0\0\0skip"[..], &encode(ContentCoding::Zstd, &one)].concat();
    assert_eq!(decode(ContentCoding::Zstd, &skipped).unwrap(), one);
    let empty = encode(ContentCoding::Gzip, b"");
    assert_eq!(decode(ContentCoding::Gzip, &empty.repeat(1_000)).unwrap(), b"");
    let error = decode(ContentCoding::Gzip, &empty.repeat(1_001)).unwrap_err();
    assert!(matches!(error, DecodeError::Trailing { .. }), "{error}");
}

#[test]
fn what_is_cut_short_or_goes_on_or_is_something_else_is_refused() {
    let plain = text(5_000);
    for coding in ALL {
        let encoded = encode(coding, &plain);
        for end in [1, 2, 3, 10, encoded.len() / 2, encoded.len() - 1] {
            let error = decode(coding, &encoded[..end]).unwrap_err();
            assert!(matches!(error, DecodeError::Incomplete { .. }), "{coding} of {end}: {error}");
            assert_eq!(error.status(), 400);
        }
        let error = decode(coding, &[&encoded[..], b"more"].concat()).unwrap_err();
        let trails = matches!(error, DecodeError::Trailing { .. });
        let looks_like_a_frame =
            coding == ContentCoding::Zstd && matches!(error, DecodeError::Malformed { .. });
        assert!(trails || looks_like_a_frame, "{coding}: {error}");
        assert_eq!(error.status(), 400);
        let error = decode(coding, b"\x07this is plain text and nothing else").unwrap_err();
        assert!(matches!(error, DecodeError::Malformed { .. }), "{coding}: {error}");
        assert!(std::error::Error::source(&error).is_some(), "the cause is kept");
    }
    // There is one deflate stream, whatever follows it.
    let followed = [&encode(ContentCoding::Deflate, &plain)[..], &encode(ContentCoding::Gzip, b"")].concat();
    assert!(matches!(decode(ContentCoding::Deflate, &followed), Err(DecodeError::Trailing { .. })));
    // Checksums are looked at.
    let mut encoded = encode(ContentCoding::Gzip, &plain);
    let at = encoded.len() - 6;
    encoded[at] ^= 1;
    assert!(matches!(decode(ContentCoding::Gzip, &encoded), Err(DecodeError::Malformed { .. })));
}

#[test]
fn bombs_go_off_early_and_small() {
    let zeros = vec![0; 16 << 20];
    for coding in ALL {
        let bomb = encode(coding, &zeros);
        assert!(bomb.len() < zeros.len() / 500, "{coding}: {}", bomb.len());
        let most = |limits: Limits| {
            let mut decoder = Decoder::new(coding, limits).unwrap();
            let (mut rest, mut output, mut total) = (&bomb[..], vec![0; 32 << 10], 0);
            loop {
                match decoder.decode(rest, &mut output) {
                    Ok((0, 0)) => return (total, None),
                    Ok((consumed, produced)) => {
                        rest = &rest[consumed..];
                        total += produced as u64;
                    }
                    Err(error) => return (total, Some(error)),
                }
            }
        };
        let usual = Limits::default();
        let (total, error) = most(usual);
        assert!(matches!(error, Some(DecodeError::Ratio { limit: 100 })), "{coding}: {error:?}");
        // One piece of input may be counted before all of it was used.
        assert!(total <= usual.free + 100 * bomb.len() as u64, "{coding}: {total}");
        let (total, error) = most(Limits { ratio: u64::MAX, ..usual });
        assert!(matches!(error, Some(DecodeError::TooLarge { limit: 8_388_608 })), "{coding}: {error:?}");
        assert!(total <= usual.decoded, "{coding}: {total}");
        assert_eq!(error.unwrap().status(), 413);
        assert_eq!(most(Limits { ratio: u64::MAX, decoded: u64::MAX, ..usual }).0, zeros.len() as u64);
    }
}

#[test]
fn content_may_be_as_long_as_the_limit_and_no_longer() {
    for coding in ALL {
        let encoded = encode(coding, &text(1000));
        let within = |decoded| {
            decode_pieces(coding, [&encoded], 64, Limits { decoded, ..Limits::default() })
                .map(|plain| plain.len())
        };
        assert!(matches!(within(1000), Ok(1000)), "{coding}");
        assert!(matches!(within(999), Err(DecodeError::TooLarge { limit: 999 })), "{coding}");
    }
}

#[test]
fn windows_are_bounded() {
    let plain = text(3_000_000);
    let brotli = tool("brotli", &["-c", "--lgwin=24"], &plain);
    let zstd = tool("zstd", &["-c", "--long=27"], &plain);
    // The tools make the window no larger than the input, if they know it; from a pipe they do not.
    for (coding, encoded) in [(ContentCoding::Brotli, brotli), (ContentCoding::Zstd, zstd)] {
        let error = decode(coding, &encoded).unwrap_err();
        assert!(matches!(error, DecodeError::Window { limit: 8_388_608, .. }), "{coding}: {error}");
        assert_eq!(error.status(), 413);
        let limits = Limits { window: 1 << 27, ..Limits::default() };
        assert!(decode_pieces(coding, [&encoded], 1 << 16, limits).unwrap() == plain, "{coding}");
    }
    // What a sender may call `br` has no windows beyond 16 MiB (RFC 7932), whatever is allowed here.
    let large = tool("brotli", &["-c", "--large_window=27"], &plain);
    let limits = Limits { window: 1 << 30, ..Limits::default() };
    assert!(decode_pieces(ContentCoding::Brotli, [&large], 1 << 16, limits).is_err());
}

#[test]
fn codings_are_read_from_fields() {
    let read = |values: &[&'static str], codings: usize| {
        let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
        content_codings(values, &Limits { codings, ..Limits::default() })
    };
    use ContentCoding::{Brotli, Deflate, Gzip, Zstd};
    for (values, codings) in [
        (&[][..], vec![]),
        (&[""], vec![]),
        (&["identity"], vec![]),
        (&["gzip"], vec![Gzip]),
        (&["X-Gzip , ,BR", "zstd"], vec![Gzip, Brotli, Zstd]),
        (&["deflate,Identity"], vec![Deflate]),
    ] {
        assert_eq!(read(values, 3).unwrap(), codings, "{values:?}");
    }
    for unknown in ["compress", "gzip;q=1", "gzip br", "\"gzip\"", "dcb", "gzip\u{e9}"] {
        let error = read(&[unknown], 3).unwrap_err();
        assert!(matches!(error, DecodeError::Unsupported { .. }), "{unknown}");
        assert_eq!(error.status(), 415);
    }
    let error = read(&["gzip, gzip", "gzip"], 2).unwrap_err();
    assert!(matches!(error, DecodeError::TooManyCodings { limit: 2 }));
    assert_eq!(error.status(), 415);
    assert_eq!(accept_encoding(), "gzip, deflate, br, zstd");
}

/// Polls a future that needs nobody else until it is done.
fn done<F: Future>(future: F) -> F::Output {
    let mut cx = Context::from_waker(Waker::noop());
    let mut future = pin!(future);
    for _ in 0..100_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
    }
    panic!("the future waits for somebody")
}

struct Pieces {
    bytes: Bytes,
    taken: Arc<AtomicUsize>,
}

impl futures_core::Stream for Pieces {
    type Item = Result<Bytes, BoxError>;
    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let length = self.bytes.len().min(100);
        self.taken.fetch_add(length, Ordering::Relaxed);
        Poll::Ready((length > 0).then(|| Ok(self.bytes.split_to(length))))
    }
}

#[test]
fn a_body_is_decoded_as_it_is_read_and_no_further() {
    let plain = text(1_000_000);
    for coding in ALL {
        let encoded = Bytes::from(encode(coding, &plain));
        let taken = Arc::new(AtomicUsize::new(0));
        let pieces = Pieces { bytes: encoded.clone(), taken: taken.clone() };
        let mut body = decode_body(Body::stream(pieces), &[coding], &Limits::default()).unwrap();
        let first = done(body.chunk()).unwrap().unwrap();
        assert!(first.len() <= 32 << 10 && plain.starts_with(&first), "{coding}");
        // Block formats have nothing to give before the end of the block.
        assert!(
            taken.load(Ordering::Relaxed) < encoded.len() * 2 / 3,
            "{coding}: {taken:?} of {}",
            encoded.len()
        );
        let rest = done(body.collect(usize::MAX)).unwrap();
        assert!([&first[..], &rest].concat() == plain, "{coding}");
    }
}

#[test]
fn what_a_decoder_still_holds_when_its_input_has_ended_comes_out() {
    let zeros = vec![0; 300_000];
    let limits = Limits { ratio: u64::MAX, ..Limits::default() };
    for coding in ALL {
        let encoded = encode(coding, &zeros);
        assert!(encoded.len() < 1_000, "{coding}: one piece, and nothing behind it");
        let mut body = decode_body(Body::from(encoded), &[coding], &limits).unwrap();
        assert!(done(body.collect(usize::MAX)).unwrap() == zeros, "{coding}");
    }
}

#[test]
fn codings_on_top_of_each_other_come_off_in_order() {
    let plain = text(100_000);
    let encoded = encode(ContentCoding::Brotli, &encode(ContentCoding::Gzip, &plain));
    let mut request = Request::builder("POST", "/")
        .header("Content-Encoding", "gzip")
        .header("Content-Encoding", "br")
        .header("Content-Length", encoded.len().to_string())
        .header("Content-Type", "text/plain")
        .body(encoded)
        .unwrap();
    decode_request(&mut request, &Limits::default()).unwrap();
    assert!(done(request.body_mut().collect(usize::MAX)).unwrap() == plain);
    let names: Vec<String> = request.fields().map(|(name, _)| name.to_ascii_lowercase()).collect();
    assert_eq!(names, ["content-type"], "what was said of the encoded content is no longer so");

    let mut request = Request::builder("POST", "/").header("Content-Encoding", "sdch").body("x").unwrap();
    assert!(decode_request(&mut request, &Limits::default()).is_err());
    assert_eq!(request.body().as_fixed(), Some(&b"x"[..]), "a refused request is as before");
}

#[test]
fn errors_of_a_body_say_what_is_wrong_and_end_it() {
    let encoded = encode(ContentCoding::Gzip, &text(100_000));
    let cut = encoded[..encoded.len() / 2].to_vec();
    let mut body = decode_body(Body::from(cut), &[ContentCoding::Gzip], &Limits::default()).unwrap();
    let error = done(body.collect(usize::MAX)).unwrap_err();
    assert!(matches!(error, BodyError::Encoded(DecodeError::Incomplete { .. })), "{error}");
    assert_eq!(error.status(), 400);
    assert!(done(body.chunk()).is_none());
    let mut taken = decode_body(Body::taken(), &[ContentCoding::Gzip], &Limits::default()).unwrap();
    assert!(matches!(done(taken.chunk()), Some(Err(BodyError::Taken))));
}

#[test]
fn trailers_pass_the_decoder() {
    use http_body_util::BodyExt;
    let encoded = encode(ContentCoding::Gzip, b"hello");
    let trailers: HeaderMap = [("x-sum".parse().unwrap(), "7".parse().unwrap())].into_iter().collect();
    let stream = http_body_util::Full::new(Bytes::from(encoded)).with_trailers(async { Some(Ok(trailers)) });
    // A length that is known has no trailers behind it, so the stream hides it.
    let stream = stream.boxed_unsync();
    let body = Body::from_http_body(Unsized(stream));
    let mut body = decode_body(body, &[ContentCoding::Gzip], &Limits::default()).unwrap();
    assert_eq!(done(Body::collect(&mut body, 10)).unwrap(), "hello");
    assert_eq!(body.take_trailers().unwrap()["x-sum"], "7");
}

/// A body that does not tell its length.
struct Unsized<B>(B);

impl<B: http_body::Body + Unpin> http_body::Body for Unsized<B> {
    type Data = B::Data;
    type Error = B::Error;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn deflate_of_anything_comes_back(plain in vec(any::<u8>(), 0..3_000), zlib in any::<bool>(), piece in 1usize..50) {
        let encoded = deflate(&plain, zlib);
        let decoded = decode_pieces(ContentCoding::Deflate, encoded.chunks(piece), 64, Limits::default());
        prop_assert_eq!(decoded.unwrap(), plain);
    }

    #[test]
    fn nothing_makes_a_decoder_panic_or_hang(bytes in vec(any::<u8>(), 0..300), piece in 1usize..20, room in 1usize..40) {
        for coding in ALL {
            let whole = decode_pieces(coding, [&bytes], 64, Limits::default()).map_err(|error| error.to_string());
            let cut = decode_pieces(coding, bytes.chunks(piece), room, Limits::default()).map_err(|error| error.to_string());
            prop_assert_eq!(whole.is_ok(), cut.is_ok(), "{}", coding);
        }
    }
}
