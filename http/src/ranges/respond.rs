//! Answers with parts of content that is all there.

use bytes::Bytes;
use http::header::{ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED};
use http::{HeaderValue, StatusCode};

use super::{ByteRanges, Limits, Segment, Selection, Validators, content_range, select, unsatisfied_range};
use crate::{Body, FixedBody, Request, Response};

/// Makes of the answer with a whole representation the one with the parts that the request asks for.
///
/// The answer is left as it is unless it is a 200 whose body's bytes are all there. Its ETag and Last-Modified are what
/// If-Range is compared with, its Content-Type goes into each part. One range is sent as it is, several as
/// `multipart/byteranges`, and none that can be satisfied is 416 without content. Nothing is copied but where there
/// are several.
pub fn respond(request: &Request, mut response: Response, limits: &Limits) -> Response {
    if response.status() != StatusCode::OK {
        return response;
    }
    let Some(length) = response.body().as_fixed().map(|content| content.len() as u64) else {
        return response;
    };
    let modified = response.header("last-modified").and_then(|date| std::str::from_utf8(date).ok());
    let validators = Validators {
        etag: response.header("etag"),
        last_modified: modified.and_then(|date| httpdate::parse_http_date(date).ok()),
    };
    let selection = select(request, length, &validators, limits);
    response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    match selection {
        Selection::Whole => response,
        Selection::Unsatisfiable => unsatisfiable(&response, length),
        Selection::Partial(ranges) => {
            response.set_status(StatusCode::PARTIAL_CONTENT);
            let content = match response.take_body().into_fixed() {
                Ok(FixedBody::Static(bytes)) => Bytes::from_static(bytes),
                Ok(FixedBody::Bytes(bytes)) => bytes,
                Ok(FixedBody::Vec(bytes)) => bytes.into(),
                Err(body) => return Response::new(body),
            };
            let piece =
                |range: &std::ops::Range<u64>| content.slice(range.start as usize..range.end as usize);
            if let [range] = &ranges[..] {
                response.headers_mut().insert(CONTENT_RANGE, content_range(range, length));
                response.set_body(piece(range));
                return response;
            }
            let parts = ByteRanges::new(&ranges, length, response.header("content-type"));
            let mut body = Vec::with_capacity(parts.content_length() as usize);
            for segment in parts.segments() {
                match segment {
                    Segment::Framing(bytes) => body.extend_from_slice(bytes),
                    Segment::Content(range) => body.extend_from_slice(&piece(range)),
                }
            }
            response.headers_mut().insert(CONTENT_TYPE, parts.content_type());
            response.set_body(body);
            response
        }
    }
}

fn unsatisfiable(whole: &Response, length: u64) -> Response {
    let mut response = Response::with_status(StatusCode::RANGE_NOT_SATISFIABLE);
    // What describes the representation is of use to a client that asks again; what describes the content is not.
    for name in [ACCEPT_RANGES, ETAG, LAST_MODIFIED] {
        if let Some(value) = whole.headers().and_then(|headers| headers.get(&name)) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response.headers_mut().insert(CONTENT_RANGE, unsatisfied_range(length));
    response.set_body(Body::empty());
    response
}
