//! Putting a request together.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method};
use serde::Serialize;
use url::Url;

use super::payload::Payload;
use super::send::{self, Request};
use super::{Cause, Client, Error, Phase, Response, proxy};
use crate::Body;

/// A request that is being put together. The first mistake is told by [`RequestBuilder::send`].
#[must_use = "a request does nothing until it is sent"]
pub struct RequestBuilder {
    client: Client,
    method: Method,
    /// `Err` holds the URL as well, as far as there is one.
    state: Result<Parts, (Option<Url>, Cause)>,
}

struct Parts {
    url: Url,
    fields: HeaderMap,
    body: Body,
    expects_continue: bool,
    total: Option<Duration>,
    unix_socket: Option<Rc<Path>>,
}

impl RequestBuilder {
    pub(super) fn new(client: Client, method: Method, url: Result<Url, Cause>) -> RequestBuilder {
        let state = url.map_err(|cause| (None, cause)).map(|url| Parts {
            url,
            fields: HeaderMap::new(),
            body: Body::empty(),
            expects_continue: false,
            total: None,
            unix_socket: None,
        });
        RequestBuilder { client, method, state }
    }

    /// Adds a field, beside others of the same name.
    ///
    /// What frames the message is not taken from fields: Content-Length and Transfer-Encoding come from the body, and
    /// Connection says nothing but `close`. A Host replaces that of the URL.
    pub fn header<N, V>(self, name: N, value: V) -> RequestBuilder
    where
        HeaderName: TryFrom<N>,
        HeaderValue: TryFrom<V>,
    {
        self.with(|parts| {
            let name = HeaderName::try_from(name).map_err(|_| Cause::Field { name: "?".to_owned() })?;
            let refused = || Cause::Field { name: name.to_string() };
            let value = HeaderValue::try_from(value).map_err(|_| refused())?;
            parts.fields.try_append(&name, value).map_err(|_| refused())?;
            Ok(())
        })
    }

    /// Sets fields, replacing those of the same names.
    pub fn headers(self, fields: HeaderMap) -> RequestBuilder {
        self.with(|parts| {
            parts.fields.extend(fields);
            Ok(())
        })
    }

    /// Says who asks, with user and password (RFC 7617). They are not sent to another origin after a redirect.
    pub fn basic_auth(self, user: &str, password: &str) -> RequestBuilder {
        self.with(|parts| {
            let value = proxy::basic(user, password).ok_or(Cause::Field { name: "authorization".into() })?;
            parts.fields.insert(AUTHORIZATION, value);
            Ok(())
        })
    }

    /// Says who asks, with a token (RFC 6750). It is not sent to another origin after a redirect.
    pub fn bearer_auth(self, token: &str) -> RequestBuilder {
        self.with(|parts| {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| Cause::Field { name: "authorization".into() })?;
            value.set_sensitive(true);
            parts.fields.insert(AUTHORIZATION, value);
            Ok(())
        })
    }

    /// Adds parameters to the URL's query.
    pub fn query(self, parameters: &(impl Serialize + ?Sized)) -> RequestBuilder {
        self.with(|parts| {
            let text = serde_urlencoded::to_string(parameters)
                .map_err(|error| Cause::Serialise { what: "query", problem: error.to_string() })?;
            let query = match parts.url.query() {
                Some(query) if !query.is_empty() => format!("{query}&{text}"),
                _ => text,
            };
            parts.url.set_query(Some(query.as_str()).filter(|query| !query.is_empty()));
            Ok(())
        })
    }

    /// The body. One of bytes can be sent again after a redirect or on another connection, one that is a stream can't.
    pub fn body(self, body: impl Into<Body>) -> RequestBuilder {
        self.with(|parts| {
            parts.body = body.into();
            Ok(())
        })
    }

    /// A body of JSON, with its Content-Type.
    pub fn json(self, value: &(impl Serialize + ?Sized)) -> RequestBuilder {
        self.with(|parts| {
            let bytes = serde_json::to_vec(value)
                .map_err(|error| Cause::Serialise { what: "JSON", problem: error.to_string() })?;
            parts.fill(bytes, "application/json");
            Ok(())
        })
    }

    /// A body as an HTML form sends it, with its Content-Type.
    pub fn form(self, value: &(impl Serialize + ?Sized)) -> RequestBuilder {
        self.with(|parts| {
            let text = serde_urlencoded::to_string(value)
                .map_err(|error| Cause::Serialise { what: "form", problem: error.to_string() })?;
            parts.fill(text.into_bytes(), "application/x-www-form-urlencoded");
            Ok(())
        })
    }

    /// Sends the body only when the server has said that it wants it, or has said nothing for
    /// [`Timeouts::expect_continue`](super::Timeouts::expect_continue) (RFC 9110 section 10.1.1): for large bodies that
    /// may be refused.
    pub fn expect_continue(self) -> RequestBuilder {
        self.with(|parts| {
            parts.expects_continue = true;
            Ok(())
        })
    }

    /// The time from `send` to the last byte of the answer's body, redirects and all.
    pub fn timeout(self, total: Duration) -> RequestBuilder {
        self.with(|parts| {
            parts.total = Some(total);
            Ok(())
        })
    }

    /// Sends it over a Unix socket. The URL says what is asked for, and not where.
    pub fn unix_socket(self, path: impl AsRef<Path>) -> RequestBuilder {
        self.with(|parts| {
            parts.unix_socket = Some(path.as_ref().into());
            Ok(())
        })
    }

    /// Sends the request, and waits for the answer's head.
    ///
    /// A connection that was kept and turns out to be dead is replaced once, if no byte of an answer has come, the method
    /// is idempotent and the body is one of bytes. Dropping the future closes the connection in use.
    ///
    /// # Errors
    /// [`Error`] says what was asked for, how far that came, and why it ended.
    ///
    /// # Panics
    /// Outside a core.
    pub async fn send(self) -> Result<Response, Error> {
        let parts = match self.state {
            Ok(parts) => parts,
            Err((url, cause)) => {
                let url = url.as_ref().map(super::url::shown);
                return Err(Error::new(self.method, url, Phase::Prepare, cause));
            }
        };
        let request = Request {
            method: self.method,
            url: parts.url,
            fields: parts.fields,
            payload: Payload::of(parts.body),
            expects_continue: parts.expects_continue,
            total: parts.total,
            unix_socket: parts.unix_socket,
        };
        send::send(&self.client.shared, request).await
    }

    fn with(mut self, change: impl FnOnce(&mut Parts) -> Result<(), Cause>) -> RequestBuilder {
        if let Ok(parts) = &mut self.state
            && let Err(cause) = change(parts)
        {
            self.state = Err((Some(parts.url.clone()), cause));
        }
        self
    }
}

impl Parts {
    fn fill(&mut self, bytes: Vec<u8>, content_type: &'static str) {
        self.body = bytes.into();
        self.fields.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
    }
}

impl std::fmt::Debug for RequestBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let url = self.state.as_ref().ok().map(|parts| super::url::shown(&parts.url));
        f.debug_struct("RequestBuilder").field("method", &self.method).field("url", &url).finish()
    }
}
