//! What proxies say of their clients in fields: Forwarded (RFC 7239), or X-Forwarded-For, -Proto and -Host.
//!
//! Anybody can write these fields, so a server believes them only from the proxies that it is told of. Each proxy adds
//! what it knows at the right end; so the list is read from there, for as long as the hop that has said so is a trusted
//! one. What is further left was written by the client itself.
//!
//! ```
//! use covet_http::Request;
//! use covet_http::forwarded::{ForwardedFields, Forwarding};
//! use covet_http::server::Config;
//!
//! let proxies = "10.0.0.0/8, 2001:db8:ffff::/48".parse()?;
//! let config = Config {
//!     forwarded: Some(Forwarding::new(proxies, ForwardedFields::XForwarded)),
//!     ..Config::default()
//! };
//!
//! async fn show(request: Request) -> covet_http::Response {
//!     let client = request.client();
//!     covet_http::Response::new(format!("{:?} asks for {:?}", client.address, client.host))
//! }
//! # Ok::<(), covet_http::NetworksError>(())
//! ```

mod element;
mod node;
mod x_forwarded;

use std::borrow::Cow;
use std::net::IpAddr;

use http::uri::Scheme;
use smallvec::SmallVec;

use crate::{Networks, Request};
use node::Node;

/// More proxies than this are not looked through.
const MAX_HOPS: usize = 32;

/// Which proxies are believed, and what they write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarding {
    trusted: Networks,
    fields: ForwardedFields,
}

/// Where proxies write what they know. It is one or the other: a proxy that writes one of them passes on what the client
/// has written into the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardedFields {
    /// Forwarded, as RFC 7239 has it.
    Forwarded,
    /// X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host. The proxy that clients reach must set the latter two or
    /// remove them, or the client's own are taken for its.
    XForwarded,
}

impl Forwarding {
    /// Believes what the proxies in these networks write into these fields. Clients over Unix sockets are believed, too:
    /// the socket's mode says who that can be.
    pub fn new(trusted: Networks, fields: ForwardedFields) -> Forwarding {
        Forwarding { trusted, fields }
    }

    /// Whether a proxy at this address is believed.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.contains(address)
    }
}

/// Who has sent a request, and where to: from [`Request::client`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientInfo<'r> {
    /// The client's address; `None` if it is hidden, or has none.
    pub address: Option<IpAddr>,
    /// The client's port, where it is known.
    pub port: Option<u16>,
    /// `http` or `https`, as the client has it.
    pub scheme: Scheme,
    /// The host that the client has asked for, with the port if it gave one.
    pub host: Option<Cow<'r, str>>,
}

/// What one proxy has said.
#[derive(Debug, Default)]
struct Hop<'r> {
    /// Who has connected to it.
    node: Node,
    scheme: Option<Scheme>,
    host: Option<Cow<'r, str>>,
}

type Hops<'r> = SmallVec<[Hop<'r>; 4]>;

/// Follows the word of trusted proxies from `client`, who has sent the request to us.
pub(crate) fn follow<'r>(
    forwarding: &Forwarding,
    request: &'r Request,
    mut client: ClientInfo<'r>,
) -> ClientInfo<'r> {
    let hops: Hops<'r> = match forwarding.fields {
        ForwardedFields::Forwarded => element::hops(values(request, "forwarded")),
        ForwardedFields::XForwarded => x_forwarded::hops(request),
    };
    for hop in hops.into_iter().rev().take(MAX_HOPS) {
        client.scheme = hop.scheme.unwrap_or(client.scheme);
        client.host = hop.host.or(client.host);
        (client.address, client.port) = match hop.node {
            Node::Address(address, port) => (Some(address), port),
            Node::Unknown => (None, None),
        };
        if !client.address.is_some_and(|address| forwarding.trusts(address)) {
            break;
        }
    }
    client
}

/// The values of all fields of this name, in order.
fn values<'r>(request: &'r Request, name: &'static str) -> impl Iterator<Item = &'r [u8]> {
    let fields = request.fields();
    fields.filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn scheme(text: &[u8]) -> Option<Scheme> {
    if text.eq_ignore_ascii_case(b"https") {
        Some(Scheme::HTTPS)
    } else if text.eq_ignore_ascii_case(b"http") {
        Some(Scheme::HTTP)
    } else {
        None
    }
}

/// A host as in a Host field, if it is one.
fn host(text: Cow<'_, [u8]>) -> Option<Cow<'_, str>> {
    if text.is_empty() || !crate::h1::is_authority(&text) {
        return None;
    }
    match text {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}

#[cfg(test)]
mod tests;
