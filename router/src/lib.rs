//! Covet's router: typed handlers, extractors, responses and middleware.
//!
//! A [`Router`] maps paths and methods to [handlers](Handler), which are plain async functions of
//! [extractors](extract) that return [responses](IntoResponse). Around them lie
//! [middleware]. Whatever fails becomes an [`Error`], which leaves as problem+json
//! through one hook. The router is a [`covet_http::Service`]; [`test_client`] drives it without
//! sockets.
//!
//! Everything lives on one core: no `Send`, no locks, `Rc` wherever it helps. The future of a
//! request is built in memory that its route keeps, so that routing a request allocates nothing
//! once a route has served as many requests at a time before.
//!
//! ```
//! use covet_router::{Json, Path, Result, Router, test_client::TestClient};
//! use serde::Serialize;
//!
//! #[derive(Serialize)]
//! struct User { id: u64 }
//!
//! async fn show(Path(id): Path<u64>) -> Result<Json<User>> {
//!     Ok(Json(User { id }))
//! }
//!
//! let client = TestClient::new(Router::new().get("/users/{id}", show));
//! assert_eq!(client.get("/users/42").send().text(), r#"{"id":42}"#);
//! assert_eq!(client.get("/users/x").send().header("content-type"), Some("application/problem+json"));
//! ```

/// The guide's examples are tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/router.md")]
struct Guide;

mod draft;
mod endpoint;
mod error;
pub mod extract;
mod handler;
pub mod matching;
mod method_router;
pub mod middleware;
pub mod respond;
mod router;
mod serving;
mod state;
pub mod test_client;

pub use covet_http::multipart::Multipart;
#[doc(no_inline)]
pub use covet_http::{
    Body, HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header,
};
pub use error::{BoxError, Error, Result};
pub use extract::{Extension, Form, FromRequest, Path, Query, State};
pub use handler::Handler;
pub use method_router::{MethodRouter, any, delete, get, head, options, patch, post, put};
pub use middleware::Next;
pub use respond::{Html, IntoResponse, Json, Redirect};
pub use router::Router;
pub use serving::RouteMatch;
pub use state::{DEFAULT_BODY_LIMIT, FromRef, RouteContext};
