//! The request type.

mod builder;
mod convert;
mod params;
mod peer;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::rc::Rc;

use http::uri::Scheme;
use http::{Extensions, HeaderMap, HeaderValue, Method, Version};

pub use builder::{RequestBuilder, RequestError};
pub use params::PathParams;
pub(crate) use peer::Peer;

use crate::forwarded::{self, ClientInfo};
use crate::h1::{Fields, Head};
use crate::proxy_protocol;
use crate::{Body, Upgrade};

/// A request: a head as received, and a body.
///
/// The head is shared with the connection that received it, so a request is cheap to make and to move, and
/// stays on its core. Drop it when it is no longer needed: the connection then reuses the head's memory.
#[derive(Debug)]
pub struct Request {
    head: Rc<Head>,
    body: Body,
    params: PathParams,
    peer: Option<Rc<Peer>>,
    #[cfg(feature = "tls")]
    tls: Option<Rc<crate::tls::ConnectionInfo>>,
    extra: Option<Box<Extra>>,
}

/// What few requests have, kept out of line so that the others stay small.
#[derive(Debug, Default)]
struct Extra {
    /// The fields as changed by middleware; they hide those of the head.
    headers: Option<HeaderMap>,
    extensions: Extensions,
    upgrade: Option<Upgrade>,
}

impl Request {
    /// A request of a decoded head and a body.
    #[inline]
    pub fn new(head: Rc<Head>, body: Body) -> Self {
        Self {
            head,
            body,
            params: PathParams::default(),
            peer: None,
            #[cfg(feature = "tls")]
            tls: None,
            extra: None,
        }
    }

    /// Starts building a request from its method and its request-target, such as `/users/7?full`.
    pub fn builder<M>(method: M, target: impl Into<String>) -> RequestBuilder
    where
        Method: TryFrom<M>,
    {
        RequestBuilder::new(method, target.into())
    }

    /// The method.
    #[inline]
    pub fn method(&self) -> &Method {
        self.head.method()
    }

    /// The protocol version.
    pub fn version(&self) -> Version {
        self.head.version()
    }

    /// The request-target as received (RFC 9112 section 3.2).
    pub fn target(&self) -> &str {
        self.head.target()
    }

    /// The path of the target URI, percent-encoded as received; never empty.
    ///
    /// It is `*` for the asterisk-form, and `/` for the authority-form of CONNECT.
    #[inline]
    pub fn path(&self) -> &str {
        self.head.path()
    }

    /// What follows the `?` of the target, if it has one.
    #[inline]
    pub fn query(&self) -> Option<&str> {
        self.head.query()
    }

    /// The authority of the target URI: that of the target if it has one, otherwise the Host field's value.
    pub fn authority(&self) -> Option<&str> {
        self.head.authority()
    }

    /// The value of the first field of this name, in any case.
    ///
    /// Looks into the received bytes: no header map is built.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        match self.changed_headers() {
            Some(map) => map.get(name).map(HeaderValue::as_bytes),
            None => self.head.field(name),
        }
    }

    /// All fields as (name, value), in the order received, names in the case received.
    ///
    /// After [`Request::headers_mut`], in the order of that map and in lower case.
    pub fn fields(&self) -> Fields<'_> {
        match self.changed_headers() {
            Some(map) => Fields::of_map(map),
            None => self.head.fields(),
        }
    }

    /// The fields as a header map, built on the first call.
    pub fn headers(&self) -> &HeaderMap {
        match self.changed_headers() {
            Some(map) => map,
            None => self.head.headers(),
        }
    }

    /// The fields as a header map to be changed; the request owns a copy from then on.
    ///
    /// Changes are seen by all readers of the fields. They do not change how the body is framed.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        let head = &self.head;
        self.extra.get_or_insert_default().headers.get_or_insert_with(|| head.headers().clone())
    }

    /// The head that the request was made with.
    pub fn head(&self) -> &Rc<Head> {
        &self.head
    }

    /// The body.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The body, to be read from.
    pub fn body_mut(&mut self) -> &mut Body {
        &mut self.body
    }

    /// Takes the body, leaving [`Body::taken`].
    pub fn take_body(&mut self) -> Body {
        self.body.take()
    }

    /// Replaces the body.
    pub fn set_body(&mut self, body: impl Into<Body>) {
        self.body = body.into();
    }

    /// The parameters that a router found in the path.
    pub fn params(&self) -> &PathParams {
        &self.params
    }

    /// Sets the parameters that a router found in the path.
    #[inline]
    pub fn set_params(&mut self, params: PathParams) {
        self.params = params;
    }

    /// The value of one path parameter, percent-encoded as received.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.get(self.path(), name)
    }

    /// The address of the peer, where the request came over a socket.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer.as_ref()?.address
    }

    /// Sets the address of the peer.
    pub fn set_peer_addr(&mut self, peer: SocketAddr) {
        self.set_peer(Rc::new(Peer::new(Some(peer), None, None)));
    }

    /// Sets who is at the other end; a connection passes the same `Rc` to all its requests.
    #[inline]
    pub(crate) fn set_peer(&mut self, peer: Rc<Peer>) {
        self.peer = Some(peer);
    }

    /// What a proxy has said of the connection by the PROXY protocol, if one has.
    pub fn proxied(&self) -> Option<&proxy_protocol::Header> {
        self.peer.as_ref()?.proxied.as_deref()
    }

    /// Who has sent this request: the peer, or, where that is a proxy whose word
    /// [`Config::forwarded`](crate::server::Config::forwarded) says to take, whom it names.
    ///
    /// It is worked out anew at each call.
    pub fn client(&self) -> ClientInfo<'_> {
        let peer = self.peer_addr();
        let own = ClientInfo {
            address: peer.map(|peer| peer.ip().to_canonical()),
            port: peer.map(|peer| peer.port()),
            scheme: if self.is_https() { Scheme::HTTPS } else { Scheme::HTTP },
            host: self.authority().map(Cow::Borrowed),
        };
        match self.peer.as_ref().and_then(|peer| peer.trusted.as_ref()) {
            Some(forwarding) => forwarded::follow(forwarding, self, own),
            None => own,
        }
    }

    /// Whether the client speaks TLS to us, or to a proxy that says so.
    fn is_https(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return true;
        }
        self.proxied().and_then(proxy_protocol::Header::is_tls).unwrap_or(false)
    }

    /// Takes over from another request what is known of its connection: the peer, what a proxy has said of it, and TLS.
    pub fn set_connection_of(&mut self, other: &Request) {
        self.peer = other.peer.clone();
        #[cfg(feature = "tls")]
        {
            self.tls = other.tls.clone();
        }
    }

    /// Takes the connection over for another protocol, if the client offers that: with an Upgrade field of HTTP/1.1
    /// that goes with its connection option, or by CONNECT. `None` otherwise, and the second time.
    ///
    /// What is offered is the list in the Upgrade field; answer 101 with an Upgrade field that names one of them
    /// (RFC 9110 section 7.8). Nothing is switched by any other answer, and an answer of 101 without this call is sent
    /// as 500.
    pub fn upgrade(&mut self) -> Option<Upgrade> {
        self.extra.as_mut()?.upgrade.take()
    }

    #[cold]
    pub(crate) fn set_upgrade(&mut self, upgrade: Upgrade) {
        self.extra.get_or_insert_default().upgrade = Some(upgrade);
    }

    /// What the connection's TLS handshake agreed on; `None` where the request came without TLS.
    #[cfg(feature = "tls")]
    pub fn tls(&self) -> Option<&crate::tls::ConnectionInfo> {
        self.tls.as_deref()
    }

    /// Sets what was agreed on; a connection passes the same `Rc` to all its requests.
    #[cfg(feature = "tls")]
    #[inline]
    pub(crate) fn set_tls(&mut self, tls: Rc<crate::tls::ConnectionInfo>) {
        self.tls = Some(tls);
    }

    /// Values attached by layers for each other, if there ever were any.
    pub fn extensions(&self) -> Option<&Extensions> {
        self.extra.as_ref().map(|extra| &extra.extensions)
    }

    /// Values attached by layers for each other, to be changed.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extra.get_or_insert_default().extensions
    }

    fn changed_headers(&self) -> Option<&HeaderMap> {
        self.extra.as_ref()?.headers.as_ref()
    }
}
