//! Covet's HTTP: the request and response types, and a sans-IO HTTP/1.1 codec.
//!
//! The types are single-core by design: a [`Request`] shares its parsed head through an `Rc`, so it never
//! leaves the core that received it. The vocabulary is that of the [`http`], [`bytes`] and [`http_body`]
//! crates, and every type converts to and from theirs.
//!
//! A request holds the field block as it was received. [`Request::field`] looks into it directly; a
//! [`HeaderMap`] is built when [`Request::headers`] is first called, and not before.

/// The guide's examples are tests.
#[cfg(all(doctest, feature = "client", feature = "tls"))]
#[doc = include_str!("../../docs/http-client.md")]
struct ClientGuide;

pub mod body;
#[cfg(feature = "client")]
pub mod client;
pub mod compress;
pub mod forwarded;
pub mod h1;
mod input;
pub mod multipart;
mod networks;
pub mod proxy_protocol;
pub mod ranges;
pub mod request;
pub mod response;
pub mod server;
pub mod service;
#[cfg(feature = "tls")]
pub mod tls;
pub mod upgrade;

pub use body::{Body, BodyError, BodySource, BoxError, FixedBody};
pub use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
pub use networks::{Networks, NetworksError};
pub use request::{PathParams, Request, RequestBuilder, RequestError};
pub use response::{ContentType, Response};
pub use service::{Service, service_fn};
pub use upgrade::{Upgrade, UpgradeError, Upgraded};
