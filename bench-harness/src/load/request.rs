//! The request that is sent over and over.

use bytes::Bytes;
use covet_http::{HeaderName, HeaderValue, Method};
use thiserror::Error;

use super::TargetUrl;

/// What a request is made of, beside its URL.
#[derive(Debug, Clone)]
pub struct RequestOptions {
    /// The method; CONNECT cannot be loaded.
    pub method: Method,
    /// Fields in order, as name and value; one named Host replaces the URL's.
    pub fields: Vec<(String, String)>,
    /// The body, sent with a Content-Length where it is not empty or the method expects one.
    pub body: Vec<u8>,
}

impl Default for RequestOptions {
    fn default() -> Self {
        Self { method: Method::GET, fields: Vec::new(), body: Vec::new() }
    }
}

/// Why a request cannot be sent as asked.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RequestError {
    /// The field's name is not a token.
    #[error("`{name}` is not a field name: write --header 'Name: value'")]
    FieldName {
        /// The name given.
        name: String,
    },
    /// The field's value has a control character.
    #[error("the value of `{name}` has a control character")]
    FieldValue {
        /// The field's name.
        name: String,
    },
    /// The field is one that the generator sets.
    #[error("`{name}` is set by covet-bench: leave it out")]
    ReservedField {
        /// The field's name.
        name: String,
    },
    /// CONNECT makes a tunnel, which has no responses to count.
    #[error("CONNECT cannot be loaded: choose another method")]
    Connect,
}

/// Renders one request: an HTTP/1.1 head with Host first, and the body.
///
/// # Errors
/// When a field cannot be sent as given.
pub fn render(url: &TargetUrl, options: &RequestOptions) -> Result<Bytes, RequestError> {
    if options.method == Method::CONNECT {
        return Err(RequestError::Connect);
    }
    let mut host = url.host_field();
    let mut fields = String::new();
    for (name, value) in &options.fields {
        let parsed = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| RequestError::FieldName { name: name.clone() })?;
        HeaderValue::from_str(value).map_err(|_| RequestError::FieldValue { name: name.clone() })?;
        match parsed.as_str() {
            "host" => host.clone_from(value),
            "content-length" | "transfer-encoding" => {
                return Err(RequestError::ReservedField { name: name.clone() });
            }
            _ => fields.push_str(&format!("{name}: {value}\r\n")),
        }
    }
    let expects_body = [Method::POST, Method::PUT, Method::PATCH].contains(&options.method);
    if expects_body || !options.body.is_empty() {
        fields.push_str(&format!("Content-Length: {}\r\n", options.body.len()));
    }
    let head = format!("{} {} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n", options.method, url.target());
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&options.body);
    Ok(bytes.into())
}

/// Takes a `Name: value` argument apart.
///
/// # Errors
/// A sentence for the terminal when there is no colon.
pub fn parse_field(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once(':').ok_or_else(|| format!("`{text}` has no colon: write 'Name: value'"))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(options: &RequestOptions) -> Result<String, RequestError> {
        let url = TargetUrl::parse("http://h:81/p?q").unwrap();
        render(&url, options).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }

    fn with_field(name: &str, value: &str) -> RequestOptions {
        RequestOptions { fields: vec![(name.to_owned(), value.to_owned())], ..RequestOptions::default() }
    }

    #[test]
    fn a_plain_request_has_a_host_and_nothing_else() {
        assert_eq!(rendered(&RequestOptions::default()).unwrap(), "GET /p?q HTTP/1.1\r\nHost: h:81\r\n\r\n");
    }

    #[test]
    fn fields_and_body_follow() {
        let options = RequestOptions { method: Method::POST, body: b"hi".to_vec(), ..with_field("X-Y", "z") };
        let expected = "POST /p?q HTTP/1.1\r\nHost: h:81\r\nX-Y: z\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(rendered(&options).unwrap(), expected);
        let empty = RequestOptions { method: Method::PUT, ..RequestOptions::default() };
        assert!(rendered(&empty).unwrap().contains("Content-Length: 0\r\n"));
    }

    #[test]
    fn a_host_given_replaces_the_urls() {
        assert_eq!(
            rendered(&with_field("host", "other")).unwrap(),
            "GET /p?q HTTP/1.1\r\nHost: other\r\n\r\n"
        );
    }

    #[test]
    fn what_would_break_the_message_is_refused() {
        assert!(matches!(rendered(&with_field("a b", "c")), Err(RequestError::FieldName { .. })));
        assert!(matches!(rendered(&with_field("a", "c\r\nd: e")), Err(RequestError::FieldValue { .. })));
        assert!(matches!(
            rendered(&with_field("Content-length", "3")),
            Err(RequestError::ReservedField { .. })
        ));
        let connect = RequestOptions { method: Method::CONNECT, ..RequestOptions::default() };
        assert_eq!(rendered(&connect), Err(RequestError::Connect));
    }

    #[test]
    fn arguments_split_at_the_first_colon() {
        assert_eq!(parse_field("A: b: c"), Ok(("A".to_owned(), "b: c".to_owned())));
        assert!(parse_field("nothing").unwrap_err().contains("no colon"));
    }
}
