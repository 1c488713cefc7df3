//! The request that is sent over and over.

use std::path::PathBuf;

use bytes::Bytes;
use covet_http::{HeaderName, HeaderValue, Method};
use thiserror::Error;

use super::TargetUrl;
use super::template::{BODY_LENGTH, Template, TemplateError};
use super::traffic::body_template;

/// What a request is made of, beside its URL.
#[derive(Debug, Clone)]
pub struct RequestOptions {
    /// The method; CONNECT cannot be loaded.
    pub method: Method,
    /// Fields in order, as name and value; one named Host replaces the URL's.
    pub fields: Vec<(String, String)>,
    /// The body, sent with a Content-Length where it is not empty or the method expects one.
    pub body: Body,
    /// Whether `{{seq}}`, `{{random:1..9}}`, `{{hex:16}}`, `{{uuid}}` and `{{line:FILE}}` in the URL, the fields and the
    /// body are filled in anew for each request.
    pub template: bool,
}

/// The body of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// These bytes.
    Bytes(Bytes),
    /// A line of this file, one after another.
    Lines(PathBuf),
}

impl Body {
    /// The method of a request that is given none: POST with a body, GET without.
    ///
    /// What a GET with content means is nobody's to say (RFC 9110, section 9.3.1), and most servers refuse it.
    pub fn usual_method(&self) -> Method {
        match self {
            Self::Bytes(bytes) if bytes.is_empty() => Method::GET,
            Self::Bytes(_) | Self::Lines(_) => Method::POST,
        }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl Default for RequestOptions {
    fn default() -> Self {
        Self { method: Method::GET, fields: Vec::new(), body: Vec::new().into(), template: false }
    }
}

/// Why a request cannot be sent as asked.
#[derive(Debug, Error)]
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
    /// A field of a template is wrong.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A response to HEAD ends where one to another method has a body.
    #[error("HEAD cannot be mixed with other methods: load them in runs of their own")]
    MixedHead,
    /// A mix goes to one server.
    #[error("{url} is on another server than the rest: load each server in a run of its own")]
    OtherServer {
        /// The stranger.
        url: String,
    },
    /// A mix has a place for each kind.
    #[error("{0} kinds of requests are too many: there is room for 65,536")]
    Kinds(usize),
    /// A weight must say how often.
    #[error("the weight of {url} is not above zero")]
    Weight {
        /// Whose weight.
        url: String,
    },
}

/// Makes the head, with Host first, and the body of an HTTP/1.1 request.
///
/// # Errors
/// When a field cannot be sent as given.
pub(super) fn render_template(
    url: &TargetUrl,
    options: &RequestOptions,
    values: &[String],
) -> Result<(Template, Template), RequestError> {
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
    let (method, target) = (&options.method, url.target());
    let expects_body = [Method::POST, Method::PUT, Method::PATCH].contains(method);
    let length = match &options.body {
        Body::Bytes(bytes) if bytes.is_empty() && !expects_body => String::new(),
        Body::Bytes(bytes) if !options.template => format!("Content-Length: {}\r\n", bytes.len()),
        _ => format!("Content-Length: {BODY_LENGTH}\r\n"),
    };
    let rest = |length: &str| format!(" HTTP/1.1\r\nHost: {host}\r\n{fields}{length}\r\n");
    let head = |length: &str| format!("{method} {target}{}", rest(length));
    let body = body_template(&options.body, options.template, values)?;
    let head = match (options.template, &options.body) {
        (true, _) => Template::literal(format!("{method} ").into_bytes())
            .then(Template::parse(target.as_bytes(), values)?.in_target())
            .then(Template::parse(rest(&length).as_bytes(), values)?),
        // Braces that are not a template's stay as they are.
        (false, Body::Lines(_)) => Template::literal(head("").into_bytes()).with_length(),
        (false, Body::Bytes(_)) => Template::literal(head(&length).into_bytes()),
    };
    Ok((head, body))
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
        let (head, body) = render_template(&url, options, &[])?;
        let (mut bytes, mut random) = (Vec::new(), crate::clock::Random::new(0, 0));
        head.render(&mut bytes, 0, 0, &mut random, &[]);
        body.render(&mut bytes, 0, 0, &mut random, &[]);
        Ok(String::from_utf8(bytes).unwrap())
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
        let options =
            RequestOptions { method: Method::POST, body: b"hi".to_vec().into(), ..with_field("X-Y", "z") };
        let expected = "POST /p?q HTTP/1.1\r\nHost: h:81\r\nX-Y: z\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(rendered(&options).unwrap(), expected);
        let empty = RequestOptions { method: Method::PUT, ..RequestOptions::default() };
        assert!(rendered(&empty).unwrap().contains("Content-Length: 0\r\n"));
    }

    #[test]
    fn braces_are_sent_as_they_are_unless_a_template_is_asked_for() {
        let options = RequestOptions {
            method: Method::POST,
            body: b"{{x}}".to_vec().into(),
            ..with_field("X", "{{y}}")
        };
        let text = rendered(&options).unwrap();
        assert!(text.contains("X: {{y}}\r\nContent-Length: 5\r\n\r\n{{x}}"), "{text}");
        let template = RequestOptions { template: true, ..options };
        assert!(matches!(rendered(&template), Err(RequestError::Template(_))));
    }

    #[test]
    fn what_is_filled_into_a_target_cannot_end_it() {
        let path = std::env::temp_dir().join(format!("covet-target-{}", std::process::id()));
        std::fs::write(&path, "a b#\u{fc}%20\n").unwrap();
        let field = format!("{{{{line:{}}}}}", path.display());
        let url = TargetUrl::parse(&format!("http://h/p?q={field}&v={{{{value:v}}}}")).unwrap();
        let options =
            RequestOptions { template: true, ..with_field("X", &format!("{field} {{{{value:v}}}}")) };
        let made = render_template(&url, &options, &["v".to_owned()]);
        std::fs::remove_file(&path).unwrap();
        let (mut bytes, mut random) = (Vec::new(), crate::clock::Random::new(0, 0));
        made.unwrap().0.render(&mut bytes, 0, 0, &mut random, &[b"x y HTTP/1.0".to_vec()]);
        let text = String::from_utf8(bytes).unwrap();
        let (line, fields) = text.split_once("\r\n").unwrap();
        assert_eq!(line, "GET /p?q=a%20b%23%C3%BC%20&v=x%20y%20HTTP/1.0 HTTP/1.1");
        assert!(fields.contains("X: a b#\u{fc}%20 x y HTTP/1.0\r\n"), "{fields}");
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
        assert!(matches!(rendered(&connect), Err(RequestError::Connect)));
    }

    #[test]
    fn arguments_split_at_the_first_colon() {
        assert_eq!(parse_field("A: b: c"), Ok(("A".to_owned(), "b: c".to_owned())));
        assert!(parse_field("nothing").unwrap_err().contains("no colon"));
    }
}
