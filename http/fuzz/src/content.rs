//! Content codings: whatever is decoded, any split gives the same content or the same kind of error, nothing panics or
//! hangs, and the limits hold. The first byte chooses the coding.

use covet_http::compress::{ContentCoding, DecodeError, Decoder, Limits};

use crate::{Signature, signature, splits};

const LIMITS: Limits = Limits { decoded: 200_000, ratio: 50, free: 10_000, window: 1 << 20, codings: 1 };

const CODINGS: [ContentCoding; 4] =
    [ContentCoding::Gzip, ContentCoding::Deflate, ContentCoding::Brotli, ContentCoding::Zstd];

fn decode<'a>(
    coding: ContentCoding,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    room: usize,
) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = Decoder::new(coding, LIMITS)?;
    let (mut content, mut output) = (Vec::new(), vec![0; room]);
    for mut piece in pieces {
        loop {
            let (consumed, produced) = decoder.decode(piece, &mut output)?;
            content.extend_from_slice(&output[..produced]);
            assert!(content.len() as u64 <= LIMITS.decoded);
            piece = &piece[consumed..];
            if produced < room {
                assert!(piece.is_empty(), "all input is taken where there is room");
                break;
            }
        }
    }
    decoder.finish()?;
    Ok(content)
}

pub fn check(input: &[u8]) -> Signature {
    let (seed, bytes) = splits::parts(input);
    let (Some(&choice), Some(offset)) = (bytes.first(), bytes.get(1..)) else { return signature("none") };
    let coding = CODINGS[usize::from(choice) % CODINGS.len()];
    let whole = decode(coding, [offset], 4096);
    let pieces = splits::pieces(input);
    // The first byte of the first piece is the choice.
    let pieces = pieces.iter().enumerate().map(|(at, piece)| if at == 0 { &piece[1..] } else { piece });
    let room = 1 + usize::from(seed) % 3000;
    let cut = decode(coding, pieces, room);
    // Where a limit is crossed depends on how much is decoded at a time.
    let is_limit = |error: &DecodeError| error.status() == 413;
    match (&whole, &cut) {
        (Ok(whole), Ok(cut)) => assert!(whole == cut, "{coding}: a split changes the content"),
        (Err(one), _) if is_limit(one) => {}
        (_, Err(other)) if is_limit(other) => {}
        (Err(_), Err(_)) => {}
        (whole, cut) => panic!("{coding}: {:?} and {:?}", whole.as_ref().err(), cut.as_ref().err()),
    }
    signature((choice % 4, whole.map(|content| content.len().min(50)).map_err(|error| error.to_string())))
}
