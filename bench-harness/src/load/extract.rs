//! Values that a session takes out of one answer and sends in a later request.

use covet_http::h1::{ChunkEvent, ChunkedDecoder, Limits};
use memchr::memmem;
use thiserror::Error;

/// Bytes of an answer that are kept to look for values in.
pub(super) const CAPTURE_LIMIT: usize = 1024 * 1024;

/// A value to take out of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extraction {
    /// What later requests call it: `{{value:NAME}}`.
    pub name: String,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// A field of the head.
    Header(String),
    /// A JSON pointer (RFC 6901) into the body.
    Json(String),
    /// What stands between two texts in the body, the first time.
    Between(String, String),
}

/// Why a text does not say where a value is.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{0}` does not say where a value is: write header:Location, json:/token or between:id=\"..\"")]
pub struct ExtractionError(String);

impl Extraction {
    /// Reads where the value called `name` is: `header:NAME`, `json:POINTER`, or `between:BEFORE..AFTER`.
    ///
    /// # Errors
    /// When the text has another form.
    pub fn parse(name: &str, text: &str) -> Result<Self, ExtractionError> {
        let bad = || ExtractionError(text.to_owned());
        let place = match text.split_once(':') {
            Some(("header", field)) if !field.is_empty() => Place::Header(field.to_owned()),
            Some(("json", pointer)) if pointer.is_empty() || pointer.starts_with('/') => {
                Place::Json(pointer.to_owned())
            }
            Some(("between", texts)) => match texts.split_once("..") {
                Some((before, after)) if !before.is_empty() && !after.is_empty() => {
                    Place::Between(before.to_owned(), after.to_owned())
                }
                _ => return Err(bad()),
            },
            _ => return Err(bad()),
        };
        Ok(Self { name: name.to_owned(), place })
    }

    /// The value in an answer. One that would break the next request, with a control character in it, is none.
    pub(super) fn find(&self, answer: &Captured) -> Option<Vec<u8>> {
        let value = match &self.place {
            Place::Header(name) => answer.field(name)?.into(),
            Place::Json(pointer) => match answer.json()?.pointer(pointer)? {
                serde_json::Value::String(text) => text.clone().into_bytes(),
                other => other.to_string().into_bytes(),
            },
            Place::Between(before, after) => {
                let start = memmem::find(&answer.body, before.as_bytes())? + before.len();
                let length = memmem::find(&answer.body[start..], after.as_bytes())?;
                answer.body[start..start + length].to_vec()
            }
        };
        (!value.iter().any(u8::is_ascii_control)).then_some(value)
    }
}

/// A whole answer, taken apart.
#[derive(Debug)]
pub(super) struct Captured {
    head: String,
    body: Vec<u8>,
}

impl Captured {
    /// Takes the bytes of one answer apart; interim responses before it are passed over.
    pub(super) fn parse(mut bytes: &[u8]) -> Option<Self> {
        let head = loop {
            let end = memmem::find(bytes, b"\r\n\r\n")?;
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            bytes = &bytes[end + 4..];
            let interim = head.split(' ').nth(1).is_some_and(|status| status.starts_with('1'));
            if !interim {
                break head;
            }
        };
        let mut captured = Self { head, body: Vec::new() };
        let chunked = captured
            .field("transfer-encoding")
            .is_some_and(|coding| String::from_utf8_lossy(coding).to_ascii_lowercase().ends_with("chunked"));
        captured.body = if chunked { unchunked(bytes)? } else { bytes.to_vec() };
        Some(captured)
    }

    fn field(&self, name: &str) -> Option<&[u8]> {
        self.head.split("\r\n").skip(1).find_map(|line| {
            let (other, value) = line.split_once(':')?;
            other.eq_ignore_ascii_case(name).then(|| value.trim().as_bytes())
        })
    }

    fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

fn unchunked(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut decoder, mut body) = (ChunkedDecoder::new(&Limits::default()), Vec::new());
    loop {
        match decoder.feed(bytes).ok()? {
            ChunkEvent::Data(range) => {
                body.extend_from_slice(&bytes[range.clone()]);
                bytes = &bytes[range.end..];
            }
            ChunkEvent::Done(_) => return Some(body),
            ChunkEvent::NeedMore => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &[u8] =
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX-Token:  abc \r\nContent-Length: 44\r\n\r\n\
        {\"user\":{\"id\":17,\"name\":\"Ada\"},\"t\":\"a\\nb\"}  ";
    const CHUNKED: &[u8] =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n<i id=\"x1\r\n5\r\n2\">..\r\n0\r\n\r\n";

    fn value(answer: &[u8], text: &str) -> Option<String> {
        let found = Extraction::parse("v", text).unwrap().find(&Captured::parse(answer).unwrap());
        found.map(|value| String::from_utf8(value).unwrap())
    }

    #[test]
    fn values_are_found_where_they_are_said_to_be() {
        assert_eq!(value(PLAIN, "header:x-token").as_deref(), Some("abc"));
        assert_eq!(value(PLAIN, "json:/user/id").as_deref(), Some("17"));
        assert_eq!(value(PLAIN, "json:/user/name").as_deref(), Some("Ada"));
        assert_eq!(value(CHUNKED, "between:id=\"..\"").as_deref(), Some("x12"));
    }

    #[test]
    fn what_is_not_there_or_would_break_a_request_is_no_value() {
        assert_eq!(value(PLAIN, "header:X-Other"), None);
        assert_eq!(value(PLAIN, "json:/user/age"), None);
        assert_eq!(value(PLAIN, "json:/t"), None, "a line feed");
        assert_eq!(value(CHUNKED, "json:/x"), None);
        assert_eq!(value(CHUNKED, "between:id=(..)"), None);
        assert!(Captured::parse(b"HTTP/1.1 200 OK\r\n").is_none());
    }

    #[test]
    fn other_places_are_refused() {
        for text in ["", "x", "json:a", "header:", "between:a", "between:..b", "cookie:a"] {
            assert!(Extraction::parse("v", text).is_err(), "{text}");
        }
    }
}
