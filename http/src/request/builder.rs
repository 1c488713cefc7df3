//! Building requests by hand, for tests and clients.

use std::net::SocketAddr;
use std::rc::Rc;

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Version};

use super::{PathParams, Request};
use crate::Body;
use crate::h1::{Head, HeadError};

/// Why a request could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The method is not a token (RFC 9110 section 9.1).
    #[error("method is not a token")]
    Method,
    /// The request-target has no legal form for the method (RFC 9112 section 3.2).
    #[error("request-target {target:?} is invalid: {source}")]
    Target {
        /// The target.
        target: String,
        /// What is wrong with it.
        source: HeadError,
    },
    /// A field name is not a token (RFC 9110 section 5.1).
    #[error("field name is not a token")]
    FieldName,
    /// A field value has a forbidden byte (RFC 9110 section 5.5).
    #[error("value of field {name} has a forbidden byte")]
    FieldValue {
        /// The field's name.
        name: HeaderName,
    },
    /// The fields are longer than 4 GiB or more than a header map can hold.
    #[error("too many fields")]
    TooManyFields,
}

/// Builds a [`Request`]; the first mistake is reported at the end, by [`RequestBuilder::body`].
#[derive(Debug)]
pub struct RequestBuilder {
    target: String,
    parts: Result<Parts, RequestError>,
}

#[derive(Debug)]
struct Parts {
    method: Method,
    version: Version,
    headers: HeaderMap,
    extensions: Extensions,
    params: PathParams,
    peer: Option<SocketAddr>,
}

impl RequestBuilder {
    pub(super) fn new<M>(method: M, target: String) -> Self
    where
        Method: TryFrom<M>,
    {
        let parts = Method::try_from(method).map_err(|_| RequestError::Method).map(|method| Parts {
            method,
            version: Version::HTTP_11,
            headers: HeaderMap::new(),
            extensions: Extensions::new(),
            params: PathParams::default(),
            peer: None,
        });
        Self { target, parts }
    }

    /// Adds a field, beside others of the same name.
    pub fn header<N, V>(self, name: N, value: V) -> Self
    where
        HeaderName: TryFrom<N>,
        HeaderValue: TryFrom<V>,
    {
        self.and_then(|parts| {
            let name = HeaderName::try_from(name).map_err(|_| RequestError::FieldName)?;
            match HeaderValue::try_from(value) {
                Ok(value) => {
                    parts.headers.try_append(name, value).map_err(|_| RequestError::TooManyFields)?;
                    Ok(())
                }
                Err(_) => Err(RequestError::FieldValue { name }),
            }
        })
    }

    /// Sets the protocol version; HTTP/1.1 unless set.
    pub fn version(self, version: Version) -> Self {
        self.and_then(|parts| {
            parts.version = version;
            Ok(())
        })
    }

    /// Attaches a value for the layers that the request passes.
    pub fn extension<T: Clone + Send + Sync + 'static>(self, value: T) -> Self {
        self.and_then(|parts| {
            parts.extensions.insert(value);
            Ok(())
        })
    }

    /// Sets the path parameters, as a router would.
    pub fn params(self, params: PathParams) -> Self {
        self.and_then(|parts| {
            parts.params = params;
            Ok(())
        })
    }

    /// Sets the address of the peer.
    pub fn peer_addr(self, peer: SocketAddr) -> Self {
        self.and_then(|parts| {
            parts.peer = Some(peer);
            Ok(())
        })
    }

    /// Finishes the request with a body, or reports the first mistake made.
    pub fn body(self, body: impl Into<Body>) -> Result<Request, RequestError> {
        let parts = self.parts?;
        let head = Head::build(parts.method, parts.version, self.target, &parts.headers)?;
        let mut request = Request::new(Rc::new(head), body.into());
        request.params = parts.params;
        if let Some(peer) = parts.peer {
            request.set_peer_addr(peer);
        }
        if !parts.extensions.is_empty() {
            *request.extensions_mut() = parts.extensions;
        }
        Ok(request)
    }

    fn and_then(mut self, change: impl FnOnce(&mut Parts) -> Result<(), RequestError>) -> Self {
        if let Ok(parts) = &mut self.parts
            && let Err(error) = change(parts)
        {
            self.parts = Err(error);
        }
        self
    }
}
