//! The one error type: every failure of a request passes through it.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::rc::Rc;

use covet_http::{Body, BodyError, ContentType, HeaderName, HeaderValue, Request, Response, StatusCode};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// A result whose error is Covet's [`Error`].
pub type Result<T, E = Error> = core::result::Result<T, E>;

pub use covet_http::BoxError;

/// Turns an [`Error`] into the response that the client gets; see
/// [`Router::on_error`](crate::Router::on_error).
pub(crate) type ErrorHook = Rc<dyn Fn(Error, &Request) -> Response>;

/// A failed request: what the client is told, and what only the log is told.
///
/// An extractor that refuses, a path without a route (404), a method that a path does not answer
/// (405), a body over its limit (413) and whatever a handler or middleware returns as `Err` are
/// values of this type. It leaves as `application/problem+json` (RFC 9457) unless
/// [`Router::on_error`](crate::Router::on_error) says otherwise.
///
/// The type, title, detail, members and fields go to the client. The source never does: an answer
/// of status 500 and above with a source is logged with it, under the target `covet::error`.
///
/// ```
/// use covet_http::StatusCode;
/// use covet_router::{Error, Result};
///
/// async fn withdraw() -> Result<()> {
///     let problem = Error::new(StatusCode::FORBIDDEN)
///         .with_type("https://example.com/problems/out-of-credit")
///         .with_title("You do not have enough credit")
///         .with_detail("Your balance is 30, but that costs 50.")
///         .with_member("balance", 30);
///     Err(problem)
/// }
///
/// async fn read() -> Result<String> {
///     // `?` makes an answer of status 500 of an I/O error, whose text stays in the log.
///     Ok(std::fs::read_to_string("motto.txt")?)
/// }
/// # let _ = (withdraw, read);
/// ```
pub struct Error(Box<Problem>);

struct Problem {
    status: StatusCode,
    kind: Option<Cow<'static, str>>,
    title: Option<Cow<'static, str>>,
    detail: Option<Cow<'static, str>>,
    members: Vec<(Cow<'static, str>, serde_json::Value)>,
    headers: Vec<(HeaderName, HeaderValue)>,
    source: Option<BoxError>,
}

impl Error {
    /// An error that says no more than its status.
    pub fn new(status: StatusCode) -> Self {
        Self(Box::new(Problem {
            status,
            kind: None,
            title: None,
            detail: None,
            members: Vec::new(),
            headers: Vec::new(),
            source: None,
        }))
    }

    /// 400 Bad Request, with a detail for the client.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST).with_detail(detail)
    }

    /// 404 Not Found.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND)
    }

    /// 500 Internal Server Error, caused by `source`, which is logged and not shown.
    ///
    /// ```
    /// # use covet_router::{Error, Result};
    /// fn port(text: &str) -> Result<u16> {
    ///     text.parse().map_err(Error::internal)
    /// }
    /// # assert_eq!(port("x").unwrap_err().status(), 500);
    /// ```
    pub fn internal(source: impl Into<BoxError>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR).with_source(source)
    }

    /// Sets the status.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    /// Sets the problem type, a URI reference that identifies the kind of problem (RFC 9457
    /// §3.1.1); without it the type is `about:blank`.
    pub fn with_type(mut self, uri: impl Into<Cow<'static, str>>) -> Self {
        self.0.kind = Some(uri.into());
        self
    }

    /// Sets the title, the same for every occurrence of the problem type (RFC 9457 §3.1.3);
    /// without it the title is the reason phrase of the status.
    pub fn with_title(mut self, title: impl Into<Cow<'static, str>>) -> Self {
        self.0.title = Some(title.into());
        self
    }

    /// Sets the detail, which explains this occurrence to the client (RFC 9457 §3.1.4).
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds an extension member to the problem document (RFC 9457 §3.2), in place of one of the same name.
    ///
    /// A member named like one of the standard's own (`type`, `title`, `status`, `detail`) is left
    /// out of the document: those have their own setters.
    pub fn with_member(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<serde_json::Value>,
    ) -> Self {
        let (name, value) = (name.into(), value.into());
        self.0.members.retain(|(known, _)| *known != name);
        self.0.members.push((name, value));
        self
    }

    /// Adds a field to the response, such as `Allow`, `Retry-After` or `WWW-Authenticate`.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Sets the cause, which is kept for the log and never sent.
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The problem type, `about:blank` unless one was set.
    pub fn problem_type(&self) -> &str {
        self.0.kind.as_deref().unwrap_or("about:blank")
    }

    /// The title: the one that was set, or the reason phrase of the status.
    pub fn title(&self) -> &str {
        let reason = || self.0.status.canonical_reason().unwrap_or("Unknown status");
        self.0.title.as_deref().unwrap_or_else(reason)
    }

    /// The detail, if one was set.
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// The fields to be added to the response.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0.headers
    }

    /// The response that this error is unless a hook says otherwise: an `application/problem+json`
    /// document with the status and the extra fields.
    pub fn to_response(&self) -> Response {
        let document = serde_json::to_vec(&Document(&self.0)).unwrap_or_default();
        let mut response = Response::new(Body::from(document));
        response.set_status(self.0.status);
        response.set_content_type(ContentType::PROBLEM_JSON);
        for (name, value) in &self.0.headers {
            response.headers_mut().append(name.clone(), value.clone());
        }
        response
    }

    /// The one place where errors become responses.
    pub(crate) fn answer(self, hook: Option<&ErrorHook>, request: &Request) -> Response {
        if self.0.status.is_server_error()
            && let Some(source) = &self.0.source
        {
            tracing::error!(
                target: "covet::error",
                status = self.0.status.as_u16(),
                method = %request.method(),
                path = request.path(),
                error = &**source as &(dyn StdError + 'static),
                "request failed"
            );
        }
        match hook {
            Some(hook) => hook(self, request),
            None => self.to_response(),
        }
    }
}

struct Document<'a>(&'a Problem);

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> core::result::Result<S::Ok, S::Error> {
        let problem = self.0;
        let mut map = serializer.serialize_map(None)?;
        if let Some(kind) = &problem.kind {
            map.serialize_entry("type", kind)?;
        }
        match (&problem.title, problem.status.canonical_reason()) {
            (Some(title), _) => map.serialize_entry("title", title)?,
            (None, Some(reason)) => map.serialize_entry("title", reason)?,
            (None, None) => {}
        }
        map.serialize_entry("status", &problem.status.as_u16())?;
        if let Some(detail) = &problem.detail {
            map.serialize_entry("detail", detail)?;
        }
        for (name, value) in &problem.members {
            if !matches!(name.as_ref(), "type" | "title" | "status" | "detail") {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.status.as_u16(), self.title())?;
        match &self.0.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("status", &self.0.status)
            .field("type", &self.problem_type())
            .field("title", &self.title())
            .field("detail", &self.0.detail)
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<StatusCode> for Error {
    fn from(status: StatusCode) -> Self {
        Self::new(status)
    }
}

impl From<BodyError> for Error {
    /// The status is that of [`BodyError::status`]; the client learns the reason if it is to blame.
    fn from(error: BodyError) -> Self {
        let status = error.status();
        let answer = Self::new(status);
        let answer = if status.is_client_error() { answer.with_detail(error.to_string()) } else { answer };
        answer.with_source(error)
    }
}

/// Errors that are the server's own: 500, with the error as the source.
macro_rules! internal {
    ($($source:ty),+ $(,)?) => {$(
        impl From<$source> for Error {
            /// An internal error (500) with this source.
            fn from(error: $source) -> Self {
                Self::internal(error)
            }
        }
    )+};
}

internal!(
    std::io::Error,
    covet_runtime::fs::Error,
    covet_runtime::JoinError,
    fmt::Error,
    http::Error,
    http::header::InvalidHeaderName,
    http::header::InvalidHeaderValue,
    serde_json::Error,
    std::string::FromUtf8Error,
    std::str::Utf8Error,
    BoxError,
);
