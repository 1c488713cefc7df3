//! Chunked content: any split must give the same content, and nothing may panic.
#![no_main]

use covet_http::h1::{ChunkError, ChunkEvent, ChunkedDecoder, Limits};
use libfuzzer_sys::fuzz_target;

/// The content, and whether its end was seen.
fn decode(pieces: [&[u8]; 2]) -> Result<(Vec<u8>, bool), ChunkError> {
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
            content.extend_from_slice(&piece[range.clone()]);
            piece = &piece[range.end..];
        }
    }
    Ok((content, decoder.is_done()))
}

fuzz_target!(|input: (u16, &[u8])| {
    let (split, bytes) = input;
    let (first, second) = bytes.split_at(usize::from(split).min(bytes.len()));
    assert_eq!(decode([first, second]), decode([bytes, &[]]));
});
