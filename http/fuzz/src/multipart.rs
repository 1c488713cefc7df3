//! Multipart forms: any split must give the same parts or the same error, and everything stays within its limits.

use covet_http::multipart::{Decoder, Event, Limits, MultipartError, boundary};

use crate::{Signature, signature, splits};

const LIMITS: Limits = Limits { parts: 4, part: 100, total: 1_000, head: 100, fields: 3 };

/// Name, file name and content of each part.
type Parts = Vec<(String, Option<String>, Vec<u8>)>;

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Parts, MultipartError> {
    let mut decoder = Decoder::new(b"XbX", LIMITS);
    let mut pieces = pieces.into_iter();
    let mut parts = Parts::new();
    let mut open = false;
    loop {
        match decoder.next()? {
            Event::Part(head) => {
                assert!(!open, "a part begins within another");
                assert!(head.headers().len() <= LIMITS.fields);
                assert!(head.safe_file_name().is_none_or(|name| !name.contains(['/', '\\', '\0'])));
                open = true;
                parts.push((head.name().to_owned(), head.file_name().map(str::to_owned), Vec::new()));
            }
            Event::Data(data) => {
                assert!(open && !data.is_empty(), "content belongs to a part and has bytes");
                if let Some((.., content)) = parts.last_mut() {
                    content.extend_from_slice(&data);
                    assert!(content.len() as u64 <= LIMITS.part);
                }
            }
            Event::PartEnd => {
                assert!(open, "an end without a beginning");
                open = false;
            }
            Event::NeedMore => match pieces.next() {
                Some(piece) => decoder.feed(piece)?,
                None => decoder.end(),
            },
            Event::End => {
                assert!(!open && parts.len() <= LIMITS.parts);
                for piece in pieces {
                    decoder.feed(piece)?;
                }
                return Ok(parts);
            }
        }
    }
}

pub fn check(input: &[u8]) -> Signature {
    let (_, bytes) = splits::parts(input);
    // Whatever follows the type is a boundary or is refused.
    let content_type = [b"multipart/form-data;", bytes].concat();
    let _ = boundary(&content_type).map(|boundary| assert!((1..=70).contains(&boundary.len())));
    let text = |decoded: Result<Parts, MultipartError>| decoded.map_err(|error| error.to_string());
    let whole = decode([bytes]);
    // A form over the limit in all may show another fault first when it trickles in.
    if !matches!(whole, Err(MultipartError::TooLarge { .. })) {
        let whole = text(whole);
        assert_eq!(text(decode(splits::halves(input))), whole);
        assert_eq!(text(decode(splits::pieces(input))), whole);
        return signature(whole.map(|parts| {
            let shape = |(name, file, content): &(String, Option<String>, Vec<u8>)| {
                (name.len().min(4), file.is_some(), content.len().min(4))
            };
            parts.iter().map(shape).collect::<Vec<_>>()
        }));
    }
    let _ = decode(splits::pieces(input));
    signature("too large")
}
