//! Which requests go through which proxy.

use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode};
use url::{Host, Url};

use super::Cause;

/// A proxy: an HTTP one, which forwards plain requests and tunnels https with CONNECT, spoken to in the clear or through
/// TLS, or a SOCKS5 one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Proxy {
    pub(super) kind: Kind,
    /// An IPv6 address in brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: Option<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Http,
    /// The same, through TLS.
    #[cfg(feature = "tls")]
    Https,
    /// Names are looked up by the proxy if `remote_names`.
    Socks5 {
        remote_names: bool,
    },
}

impl Kind {
    /// Whether it takes requests for any host, and answers them itself (RFC 9110 section 3.7).
    pub(super) fn forwards(self) -> bool {
        !matches!(self, Kind::Socks5 { .. })
    }
}

impl fmt::Debug for Proxy {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("kind", &self.kind)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user", &self.user.as_ref().map(|(user, _)| user))
            .finish()
    }
}

/// What is wrong with a proxy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// It refused the tunnel.
    #[error("the proxy {proxy} refused the tunnel to {target}: {status}{}", proxy_hint(*status))]
    Refused {
        /// Host and port of the proxy.
        proxy: String,
        /// Where the tunnel should lead.
        target: String,
        /// Its answer.
        status: StatusCode,
    },
    /// It is a SOCKS5 proxy, and refused.
    #[error("the SOCKS5 proxy {proxy} refused the connection to {target}: {problem}")]
    Socks {
        /// Host and port of the proxy.
        proxy: String,
        /// Where the connection should lead.
        target: String,
        /// What it said.
        problem: String,
    },
    /// It sent something behind its answer, before anything was asked of the server.
    #[error("the proxy {proxy} sent data into the tunnel before anything was asked for")]
    Unasked {
        /// Host and port of the proxy.
        proxy: String,
    },
}

fn proxy_hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            ". Give it a user and a password: http://user:password@proxy:port"
        }
        _ => "",
    }
}

impl Proxy {
    /// A proxy by its URL: `http://[user:password@]host[:port]`, `https://` (TLS to the proxy; what it takes is
    /// [`ClientBuilder::proxy_tls`](super::ClientBuilder::proxy_tls)'s), `socks5://` (this machine looks names up) or
    /// `socks5h://` (the proxy does).
    ///
    /// # Errors
    /// [`Cause::Url`] when it is no such URL, and for https without the feature `tls`.
    ///
    /// ```
    /// use covet_http::client::Proxy;
    ///
    /// let proxy = Proxy::new("http://user:secret@proxy.example:3128")?;
    /// # Ok::<(), covet_http::client::Cause>(())
    /// ```
    pub fn new(url: &str) -> Result<Proxy, Cause> {
        let refused = |problem: &str| Cause::Url { text: hide_password(url), problem: problem.to_owned() };
        // `host:port` alone would be read as a scheme and a path.
        let parsed = match url.contains("://") {
            true => Url::parse(url),
            false => Url::parse(&format!("http://{url}")),
        };
        let parsed = parsed.map_err(|error| refused(&error.to_string()))?;
        let (kind, default_port) = match parsed.scheme() {
            "http" => (Kind::Http, 80),
            "socks5" => (Kind::Socks5 { remote_names: false }, 1080),
            "socks5h" => (Kind::Socks5 { remote_names: true }, 1080),
            #[cfg(feature = "tls")]
            "https" => (Kind::Https, 443),
            #[cfg(not(feature = "tls"))]
            "https" => return Err(refused("TLS to the proxy needs the feature `tls` of covet-http")),
            _ => return Err(refused("a proxy is http://, https://, socks5:// or socks5h://")),
        };
        let host =
            parsed.host_str().filter(|host| !host.is_empty()).ok_or_else(|| refused("it has no host"))?;
        let user = match (parsed.username(), parsed.password()) {
            ("", None) => None,
            (user, password) => Some((decode(user), decode(password.unwrap_or_default()))),
        };
        Ok(Proxy { kind, host: host.to_owned(), port: parsed.port().unwrap_or(default_port), user })
    }

    /// Host and port.
    pub(super) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The value of Proxy-Authorization (RFC 7617).
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let (user, password) = self.user.as_ref().filter(|_| self.kind.forwards())?;
        basic(user, password)
    }
}

/// The credentials of the Basic scheme (RFC 7617).
pub(super) fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    let mut value =
        HeaderValue::try_from(format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Undoes percent-encoding of user and password.
pub(super) fn decode(text: &str) -> String {
    let pair = format!("x={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map_or_else(String::new, |(_, value)| value.into_owned())
}

fn hide_password(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, rest)) => format!("***@{rest}"),
        None => url.to_owned(),
    }
}

/// Which requests go through which proxy, and which through none.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    http: Option<Rc<Proxy>>,
    https: Option<Rc<Proxy>>,
    exceptions: Vec<Exception>,
}

impl Proxies {
    /// No proxy.
    pub fn none() -> Proxies {
        Proxies::default()
    }

    /// This one for everything.
    pub fn all(proxy: Proxy) -> Proxies {
        let proxy = Rc::new(proxy);
        Proxies { http: Some(proxy.clone()), https: Some(proxy), exceptions: Vec::new() }
    }

    /// This one for http URLs.
    pub fn with_http(mut self, proxy: Proxy) -> Proxies {
        self.http = Some(Rc::new(proxy));
        self
    }

    /// This one for https URLs.
    pub fn with_https(mut self, proxy: Proxy) -> Proxies {
        self.https = Some(Rc::new(proxy));
        self
    }

    /// Hosts that are reached without a proxy, as NO_PROXY lists them: names, which stand for their subdomains as
    /// well, with or without a dot or `*.` in front; addresses and networks (`10.0.0.0/8`); each with an optional
    /// port; `*` for all.
    pub fn except(mut self, list: &str) -> Proxies {
        self.exceptions.extend(list.split([',', ' ']).filter_map(Exception::parse));
        self
    }

    /// What the environment says, as curl reads it: `http_proxy` (in lower case only, as in a CGI script a client can
    /// set HTTP_PROXY), `https_proxy`, `all_proxy` and `no_proxy`, the last three also in capitals.
    ///
    /// # Errors
    /// [`Cause::Url`] when one of them is no URL of a proxy.
    pub fn from_env() -> Result<Proxies, Cause> {
        Proxies::from_variables(|name| std::env::var(name).ok())
    }

    /// As [`Proxies::from_env`], with these variables.
    ///
    /// # Errors
    /// As for [`Proxies::from_env`].
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Proxies, Cause> {
        let find =
            |names: &[&str]| names.iter().find_map(|name| variable(name)).filter(|value| !value.is_empty());
        let proxy = |names: &[&str]| match find(names).or_else(|| find(&["all_proxy", "ALL_PROXY"])) {
            Some(url) => Proxy::new(&url).map(|proxy| Some(Rc::new(proxy))),
            None => Ok(None),
        };
        let proxies = Proxies {
            http: proxy(&["http_proxy"])?,
            https: proxy(&["https_proxy", "HTTPS_PROXY"])?,
            exceptions: Vec::new(),
        };
        Ok(proxies.except(&find(&["no_proxy", "NO_PROXY"]).unwrap_or_default()))
    }

    /// The proxy for a URL.
    pub(super) fn proxy_for(&self, url: &Url) -> Option<&Rc<Proxy>> {
        let proxy = if url.scheme() == "https" { self.https.as_ref() } else { self.http.as_ref() }?;
        let port = url.port_or_known_default().unwrap_or(0);
        let host = url.host()?;
        (!self.exceptions.iter().any(|exception| exception.covers(&host, port))).then_some(proxy)
    }
}

#[derive(Clone, Debug)]
struct Exception {
    what: Excepted,
    port: Option<u16>,
}

#[derive(Clone, Debug)]
enum Excepted {
    All,
    Name(String),
    Network { address: IpAddr, bits: u32 },
}

impl Exception {
    fn parse(text: &str) -> Option<Exception> {
        let text = text.trim().to_ascii_lowercase();
        if text.is_empty() {
            return None;
        }
        if text == "*" {
            return Some(Exception { what: Excepted::All, port: None });
        }
        if let Some(network) = network(&text) {
            return Some(Exception { what: network, port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (text.as_str(), None),
        };
        if let Some(network) = network(host) {
            return Some(Exception { what: network, port });
        }
        let name = host.trim_start_matches('*').trim_start_matches('.').trim_end_matches('.');
        (!name.is_empty()).then(|| Exception { what: Excepted::Name(name.to_owned()), port })
    }

    fn covers(&self, host: &Host<&str>, port: u16) -> bool {
        if self.port.is_some_and(|only| only != port) {
            return false;
        }
        let address = match host {
            Host::Domain(name) => match &self.what {
                Excepted::All => return true,
                Excepted::Name(except) => {
                    let name = name.trim_end_matches('.');
                    return name
                        .strip_suffix(except.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
                }
                Excepted::Network { .. } => return false,
            },
            Host::Ipv4(address) => IpAddr::V4(*address),
            Host::Ipv6(address) => IpAddr::V6(*address),
        };
        match self.what {
            Excepted::All => true,
            Excepted::Name(_) => false,
            Excepted::Network { address: network, bits } => shares_prefix(network, address, bits),
        }
    }
}

/// An address, or one with the length of a prefix.
fn network(text: &str) -> Option<Excepted> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse().ok()?)),
        None => (text, None),
    };
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    let address: IpAddr = bare.parse().ok()?;
    Some(Excepted::Network { address, bits: bits.unwrap_or(128) })
}

fn shares_prefix(one: IpAddr, other: IpAddr, bits: u32) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            let differing = u32::from(one) ^ u32::from(other);
            differing.leading_zeros() >= bits.min(32)
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            let differing = u128::from(one) ^ u128::from(other);
            differing.leading_zeros() >= bits.min(128)
        }
        _ => false,
    }
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
