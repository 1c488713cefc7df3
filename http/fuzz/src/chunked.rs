//! Chunked content: any split must give the same content and trailers, and nothing may panic.

use covet_http::HeaderMap;
use covet_http::h1::{ChunkError, ChunkEvent, ChunkedDecoder, Limits};

use crate::{Signature, signature, splits};

/// The content, the trailers, and whether the end was seen.
type Decoded = Result<(Vec<u8>, Option<HeaderMap>, bool), ChunkError>;

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
    let limits = Limits {
        chunk_line: 64,
        chunk_extensions: 128,
        trailers: 128,
        trailer_fields: 4,
        ..Limits::default()
    };
    let mut decoder = ChunkedDecoder::new(&limits);
    let mut content = Vec::new();
    for mut piece in pieces {
        while let ChunkEvent::Data(range) = decoder.feed(piece)? {
            assert!(!range.is_empty(), "a piece of content has bytes");
            content.extend_from_slice(&piece[range.clone()]);
            piece = &piece[range.end..];
        }
    }
    let trailers = decoder.take_trailers();
    assert!(decoder.is_done() || trailers.is_none(), "trailers come after the end");
    assert!(trailers.as_ref().is_none_or(|trailers| (1..=4).contains(&trailers.len())));
    Ok((content, trailers, decoder.is_done()))
}

pub fn check(input: &[u8]) -> Signature {
    let (_, bytes) = splits::parts(input);
    let whole = decode([bytes]);
    assert_eq!(decode(splits::halves(input)), whole);
    assert_eq!(decode(splits::pieces(input)), whole);
    signature(
        whole
            .map(|(content, trailers, done)| {
                (content.len().min(20), trailers.map(|trailers| trailers.len()), done)
            })
            .map_err(|error| error.to_string()),
    )
}
