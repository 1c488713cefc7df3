//! An HTTP/1.1 client for a core: pooled connections, TLS, redirects, proxies, bodies that stream both ways
//! (feature `client`; https with the feature `tls`).
//!
//! ```no_run
//! use covet_http::client::Client;
//!
//! # async fn example() -> Result<(), covet_http::client::Error> {
//! let client = Client::new();
//! let response = client.get("https://example.org/").send().await?;
//! println!("{}: {}", response.status(), response.text().await?);
//! # Ok(())
//! # }
//! ```
//!
//! `docs/http-client.md` in the repository is the guide.
//!
//! # One per core
//! A [`Client`] belongs to the core that made it, and so do its connections: nothing is shared and nothing locked. Clone it
//! for the tasks of the core.
//!
//! # Cancellation
//! Dropping the future of [`RequestBuilder::send`] closes the connection that it used; nothing of it is left behind.
//! Dropping a [`Response`] whose body was not read to its end does the same, unless the rest has arrived already:
//! then the connection is kept. The connection can't be kept otherwise, as what comes next on it is the rest of that body.

mod body;
mod builder;
mod config;
mod connect;
mod decode;
mod error;
mod exchange;
mod origin;
mod payload;
mod pool;
mod proxy;
mod redirect;
mod request;
mod response;
#[cfg(feature = "tls")]
mod secure;
mod send;
mod socks;
mod transport;
mod tunnel;
mod url;

use std::rc::Rc;

use http::Method;

pub use builder::ClientBuilder;
pub use config::{Limits, PoolSettings, Redirects, Timeouts};
pub use decode::{BuiltInCodings, ContentDecoder};
pub use error::{Cause, Error, Phase};
pub use proxy::{Proxies, Proxy, ProxyError};
pub use redirect::RedirectError;
pub use request::RequestBuilder;
pub use response::Response;
pub use url::IntoUrl;

use config::Config;
use pool::Pool;

/// Sends requests and keeps connections for the next ones.
///
/// A clone is the same client. See [the module](self) for what it does.
#[derive(Clone)]
pub struct Client {
    shared: Rc<Shared>,
}

/// What all clones of a client have in common.
struct Shared {
    config: Config,
    pool: Rc<Pool>,
    #[cfg(feature = "tls")]
    tls: connect::TlsForCore,
    #[cfg(feature = "tls")]
    proxy_tls: connect::TlsForCore,
}

impl Client {
    /// A client with default [`Timeouts`], [`Limits`] and [`PoolSettings`], that follows up to ten redirects and
    /// uses no proxy.
    pub fn new() -> Client {
        Client::builder().build()
    }

    /// Starts with what [`Client::new`] has.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    /// Begins a GET request.
    pub fn get(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::GET, url)
    }

    /// Begins a HEAD request.
    pub fn head(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::HEAD, url)
    }

    /// Begins a POST request.
    pub fn post(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::POST, url)
    }

    /// Begins a PUT request.
    pub fn put(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::PUT, url)
    }

    /// Begins a PATCH request.
    pub fn patch(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::PATCH, url)
    }

    /// Begins a DELETE request.
    pub fn delete(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::DELETE, url)
    }

    /// Begins a request. What is wrong with the URL is told by [`RequestBuilder::send`].
    ///
    /// CONNECT is for proxies, and is refused here.
    pub fn request(&self, method: Method, url: impl IntoUrl) -> RequestBuilder {
        RequestBuilder::new(self.clone(), method, url.into_url())
    }

    /// Sends a request of the `http` crate, whose URI must be absolute.
    ///
    /// # Errors
    /// As for [`RequestBuilder::send`].
    pub async fn execute<B>(&self, request: http::Request<B>) -> Result<Response, Error>
    where
        B: Into<crate::Body>,
    {
        let (parts, body) = request.into_parts();
        let builder = self.request(parts.method, parts.uri);
        builder.headers(parts.headers).body(body).send().await
    }

    /// Connections that are open and idle, of all origins together.
    pub fn idle_connections(&self) -> usize {
        self.shared.pool.len()
    }

    /// Closes all idle connections.
    pub fn close_idle(&self) {
        self.shared.pool.clear();
    }
}

impl Default for Client {
    fn default() -> Client {
        Client::new()
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("idle_connections", &self.idle_connections()).finish()
    }
}
