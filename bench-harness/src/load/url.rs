//! The URL under load.

use std::fmt;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};

use thiserror::Error;

/// An `http`, `https`, `ws` or `wss` URL, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetUrl {
    secure: bool,
    web_socket: bool,
    host: String,
    port: u16,
    target: String,
    bracketed: bool,
}

/// Why a text is not a URL that can be loaded.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum UrlError {
    /// There is no `scheme://` at the start.
    #[error("`{url}` has no scheme: write http://{url}")]
    NoScheme {
        /// The text given.
        url: String,
    },
    /// The scheme is none of those.
    #[error(
        "scheme `{scheme}` is not supported: write an http:// or https:// URL, or ws:// or wss:// for WebSocket"
    )]
    Scheme {
        /// The scheme given.
        scheme: String,
    },
    /// The URL carries a user name or password.
    #[error("a user name in the URL is not supported: send it with --header 'Authorization: ...'")]
    UserInfo,
    /// The host is empty or has a character that no host name has.
    #[error("`{host}` is not a host name or an address")]
    Host {
        /// The host given.
        host: String,
    },
    /// The port is not a number from 1 to 65535.
    #[error("port `{port}` is not a number from 1 to 65535")]
    Port {
        /// The port given.
        port: String,
    },
    /// The path or query has a character that must be percent-encoded.
    #[error("the path has {character:?} at byte {at}, which must be percent-encoded")]
    Path {
        /// The offending character.
        character: char,
        /// Its offset in the path.
        at: usize,
    },
}

impl TargetUrl {
    /// Parses an absolute `http`, `https`, `ws` or `wss` URL; a fragment is left out, as it is never sent.
    ///
    /// # Errors
    /// What is wrong with the text, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(UrlError::NoScheme { url: text.to_owned() });
        };
        let (secure, web_socket) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (false, false),
            "https" => (true, false),
            "ws" => (false, true),
            "wss" => (true, true),
            _ => return Err(UrlError::Scheme { scheme: scheme.to_owned() }),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            return Err(UrlError::UserInfo);
        }
        let (host, port, bracketed) = parse_authority(authority)?;
        let port = port.unwrap_or(default_port(secure));
        Ok(Self { secure, web_socket, host: host.to_owned(), port, target: parse_target(target)?, bracketed })
    }

    /// Whether the scheme is `https` or `wss`.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether the scheme is `ws` or `wss`.
    pub fn is_web_socket(&self) -> bool {
        self.web_socket
    }

    /// The host name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 80 or, over TLS, 443 where the URL has none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether another URL leads to the same host and port, by the same scheme.
    pub fn same_server(&self, other: &Self) -> bool {
        let server = |url: &Self| (url.secure, url.web_socket, url.host.clone(), url.port);
        server(self) == server(other)
    }

    /// Another path and query on the same server, or the field of a template that is filled in with one, such as a
    /// Location.
    ///
    /// # Errors
    /// When it begins neither with a slash nor with a field, or has a character that must be percent-encoded.
    pub fn at(&self, target: &str) -> Result<Self, UrlError> {
        match target.chars().next() {
            Some('/') => Ok(Self { target: parse_target(target)?, ..self.clone() }),
            Some('{') if target.starts_with("{{value:") => {
                // The path is the value's own, or the whole URL in absolute form (RFC 9112, section 3.2.2).
                parse_target(target)?;
                Ok(Self { target: target.to_owned(), ..self.clone() })
            }
            other => Err(UrlError::Path { character: other.unwrap_or(' '), at: 0 }),
        }
    }

    /// Path and query, as they are sent.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The value of the Host field: the port is left out where it is that of the scheme.
    pub fn host_field(&self) -> String {
        let host = if self.bracketed { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == default_port(self.secure) { host } else { format!("{host}:{}", self.port) }
    }

    /// The addresses of the host, in the resolver's order, without doubles.
    ///
    /// # Errors
    /// When the resolver fails or knows no address. Blocks on the resolver.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        resolve(&self.host, self.port)
    }
}

/// The addresses of a host with a port, in the resolver's order, without doubles.
pub(super) fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in (host, port).to_socket_addrs()? {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(addresses)
}

impl fmt::Display for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (self.web_socket, self.secure) {
            (false, false) => "http",
            (false, true) => "https",
            (true, false) => "ws",
            (true, true) => "wss",
        };
        write!(f, "{scheme}://{}{}", self.host_field(), self.target)
    }
}

fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

fn parse_authority(authority: &str) -> Result<(&str, Option<u16>, bool), UrlError> {
    let bad_host = || UrlError::Host { host: authority.to_owned() };
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or_else(bad_host)?;
        host.parse::<Ipv6Addr>().map_err(|_| bad_host())?;
        let port = match after {
            "" => None,
            _ => parse_port(after.strip_prefix(':').ok_or_else(bad_host)?)?,
        };
        return Ok((host, port, true));
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, parse_port(port)?),
        None => (authority, None),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if host.is_empty() || !host.bytes().all(plain) {
        return Err(UrlError::Host { host: host.to_owned() });
    }
    Ok((host, port, false))
}

fn parse_port(text: &str) -> Result<Option<u16>, UrlError> {
    // RFC 3986 §3.2.3: an empty port is the default port.
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse::<u16>()
        .ok()
        .filter(|&port| digits && port != 0)
        .map(Some)
        .ok_or_else(|| UrlError::Port { port: text.to_owned() })
}

fn parse_target(text: &str) -> Result<String, UrlError> {
    let text = text.split_once('#').map_or(text, |(before, _fragment)| before);
    if let Some((at, character)) = text.char_indices().find(|(_, character)| !character.is_ascii_graphic()) {
        return Err(UrlError::Path { character, at });
    }
    Ok(if text.starts_with('/') { text.to_owned() } else { format!("/{text}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(text: &str) -> (String, u16, String) {
        let url = TargetUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        (url.host().to_owned(), url.port(), url.target().to_owned())
    }

    #[test]
    fn urls_come_apart() {
        let expect = |host: &str, port, target: &str| (host.to_owned(), port, target.to_owned());
        assert_eq!(parts("http://example.org"), expect("example.org", 80, "/"));
        assert_eq!(parts("HTTP://example.org:/"), expect("example.org", 80, "/"));
        assert_eq!(parts("http://127.0.0.1:8080/a/b?c=d&e"), expect("127.0.0.1", 8080, "/a/b?c=d&e"));
        assert_eq!(parts("http://host:1?q=http://x"), expect("host", 1, "/?q=http://x"));
        assert_eq!(parts("http://[::1]:9/x#frag"), expect("::1", 9, "/x"));
        assert_eq!(parts("http://[2001:db8::1]"), expect("2001:db8::1", 80, "/"));
        assert_eq!(parts("HTTPS://a.b/x"), expect("a.b", 443, "/x"));
        assert_eq!(parts("https://[::1]:"), expect("::1", 443, "/"));
    }

    #[test]
    fn the_scheme_is_part_of_the_server() {
        let url = |text: &str| TargetUrl::parse(text).unwrap();
        assert!(url("https://a/").is_secure() && !url("http://a/").is_secure());
        assert!(!url("https://a:81/").same_server(&url("http://a:81/")));
        assert!(url("https://a/x").same_server(&url("https://a:443/y")));
    }

    #[test]
    fn the_host_field_has_brackets_and_no_default_port() {
        let field = |text: &str| TargetUrl::parse(text).unwrap().host_field();
        assert_eq!(field("http://[::1]:8080/"), "[::1]:8080");
        assert_eq!(field("http://[::1]:80/"), "[::1]");
        assert_eq!(field("http://a.b/"), "a.b");
        assert_eq!(field("https://a.b:443/"), "a.b");
        assert_eq!(field("https://a.b:80/"), "a.b:80");
    }

    #[test]
    fn errors_say_what_to_write() {
        let error = |text: &str| TargetUrl::parse(text).unwrap_err().to_string();
        assert!(error("localhost:8080/x").contains("http://localhost:8080/x"));
        assert!(error("ftp://a/").contains("`ftp`"));
        assert!(error("http://u:p@a/").contains("Authorization"));
        for url in [
            "http://",
            "http:///x",
            "http://a b/",
            "http://[::1/",
            "http://[xyz]/",
            "http://[::1]8/",
            "http://ä/",
        ] {
            assert!(error(url).contains("is not a host name"), "{url}");
        }
        for url in
            ["http://a:0/", "http://a:65536/", "http://a:-1/", "http://a:+1/", "http://a:b:c/", "http://::1/"]
        {
            assert!(error(url).contains("from 1 to 65535"), "{url}: {}", error(url));
        }
        assert!(error("http://a/x y").contains("' ' at byte 2"));
        assert!(error("http://a/\r\nX: y").contains("percent-encoded"));
    }

    #[test]
    fn addresses_resolve_to_themselves() {
        let url = TargetUrl::parse("http://[::1]:81/").unwrap();
        assert_eq!(url.resolve().unwrap(), ["[::1]:81".parse().unwrap()]);
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_what_parses_prints_as_itself(text in "(https?://)?[ -~é]{0,30}") {
            if let Ok(url) = TargetUrl::parse(&text) {
                prop_assert_eq!(TargetUrl::parse(&url.to_string()), Ok(url));
            }
        }
    }
}
