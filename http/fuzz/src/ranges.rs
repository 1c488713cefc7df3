//! Range fields: what is selected is within the representation, no byte of it twice, and the answer is as long as it
//! says. The number at the start is the length.

use covet_http::ranges::{Limits, Selection, Validators, respond, select};
use covet_http::{HeaderValue, Request, Response};

use crate::{Signature, signature, splits};

pub fn check(input: &[u8]) -> Signature {
    let (length, bytes) = splits::parts(input);
    let limits = Limits::default();
    // A line end separates Range from If-Range.
    let (range, if_range) = match bytes.iter().position(|&byte| byte == b'\n') {
        Some(at) => (&bytes[..at], Some(&bytes[at + 1..])),
        None => (bytes, None),
    };
    let Ok(range) = HeaderValue::from_bytes(range) else { return signature("no value") };
    let mut builder = Request::builder("GET", "/").header("Range", range);
    if let Some(Ok(value)) = if_range.map(HeaderValue::from_bytes) {
        builder = builder.header("If-Range", value);
    }
    let Ok(request) = builder.body(()) else { return signature("no request") };
    let validators = Validators { etag: Some(b"\"v\""), last_modified: None };
    let selection = select(&request, u64::from(length), &validators, &limits);
    // Positions near the end of what 64 bits can say.
    for length in [u64::MAX, u64::MAX - 1] {
        if let Selection::Partial(ranges) = select(&request, length, &validators, &limits) {
            assert!(ranges.iter().all(|range| range.start < range.end && range.end <= length));
        }
    }
    if let Selection::Partial(ranges) = &selection {
        assert!((1..=limits.ranges).contains(&ranges.len()));
        let mut sorted = ranges.clone();
        sorted.sort_by_key(|range| range.start);
        assert!(sorted.iter().all(|range| range.start < range.end && range.end <= u64::from(length)));
        assert!(sorted.windows(2).all(|two| two[0].end + limits.gap < two[1].start));
    }
    let mut whole = Response::new(vec![b'x'; usize::from(length)]);
    whole.headers_mut().insert("etag", HeaderValue::from_static("\"v\""));
    let response = respond(&request, whole, &limits);
    let content = response.body().as_fixed().map_or(0, <[u8]>::len);
    let wanted: u64 = match &selection {
        Selection::Whole => u64::from(length),
        Selection::Unsatisfiable => 0,
        Selection::Partial(ranges) => ranges.iter().map(|range| range.end - range.start).sum(),
    };
    let parts = if let Selection::Partial(ranges) = &selection { ranges.len() } else { 0 };
    assert_eq!(
        response.status().as_u16(),
        match &selection {
            Selection::Whole => 200,
            Selection::Unsatisfiable => 416,
            Selection::Partial(_) => 206,
        }
    );
    assert!(
        content as u64 >= wanted && (parts > 1 || content as u64 == wanted),
        "{content} bytes for {wanted}"
    );
    assert!(content <= wanted as usize + parts * 200 + 40, "the heads of the parts are short");
    signature((response.status().as_u16(), parts, length.min(9), wanted.min(9)))
}
