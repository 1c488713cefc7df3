//! The body of a request, and whether it can be sent again.

use bytes::Bytes;
use http::Method;

use crate::h1::RequestFraming;
use crate::{Body, FixedBody};

/// What a request carries.
pub(super) enum Payload {
    Fixed(Bytes),
    /// A stream, until it is sent.
    Stream(Option<Body>),
}

impl Payload {
    pub(super) fn of(body: Body) -> Payload {
        match body.into_fixed() {
            Ok(FixedBody::Static(bytes)) => Payload::Fixed(Bytes::from_static(bytes)),
            Ok(FixedBody::Bytes(bytes)) => Payload::Fixed(bytes),
            Ok(FixedBody::Vec(bytes)) => Payload::Fixed(bytes.into()),
            Err(body) => Payload::Stream(Some(body)),
        }
    }

    pub(super) fn framing(&self, method: &Method) -> RequestFraming {
        match self {
            // Methods that anticipate content say that there is none (RFC 9110 section 8.6).
            Payload::Fixed(bytes) if bytes.is_empty() => {
                match [Method::POST, Method::PUT, Method::PATCH].contains(method) {
                    true => RequestFraming::Length(0),
                    false => RequestFraming::None,
                }
            }
            Payload::Fixed(bytes) => RequestFraming::Length(bytes.len() as u64),
            Payload::Stream(body) => match body.as_ref().and_then(Body::exact_length) {
                Some(length) => RequestFraming::Length(length),
                None => RequestFraming::Chunked,
            },
        }
    }

    /// Whether it can be sent, also if it was sent before.
    pub(super) fn is_there(&self) -> bool {
        !matches!(self, Payload::Stream(None))
    }

    pub(super) fn is_fixed(&self) -> bool {
        matches!(self, Payload::Fixed(_))
    }

    /// The body, to be sent.
    pub(super) fn take(&mut self) -> Body {
        match self {
            Payload::Fixed(bytes) => Body::from(bytes.clone()),
            Payload::Stream(body) => body.take().unwrap_or_else(Body::taken),
        }
    }
}
