//! From HTTP to HTTPS.

use http::header::LOCATION;
use http::{HeaderValue, StatusCode};

use super::problem::problem;
use crate::{Request, Response, Service};

/// A service that sends every client to the same place on HTTPS, by a 308 answer (RFC 9110 section 15.4.9): the client
/// repeats the request there, method and body included.
///
/// Serve it on port 80 beside a server with TLS. The host is the one that the client asked for, unless it is set;
/// requests that name none, or are not for a place on a host (`OPTIONS *`, CONNECT), are answered 400.
///
/// ```
/// use covet_http::{Request, Service, server::RedirectToHttps};
///
/// # covet_runtime::block_on(async {
/// let redirect = RedirectToHttps::new().port(8443);
/// let request = Request::builder("GET", "/a?b").header("Host", "example.com:8080").body("").unwrap();
/// let response = redirect.call(request).await;
/// assert_eq!(response.status(), 308);
/// assert_eq!(response.header("location"), Some(&b"https://example.com:8443/a?b"[..]));
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct RedirectToHttps {
    host: Option<String>,
    port: u16,
}

impl Default for RedirectToHttps {
    fn default() -> RedirectToHttps {
        RedirectToHttps::new()
    }
}

impl RedirectToHttps {
    /// To the host that the client asked for, port 443.
    pub fn new() -> RedirectToHttps {
        RedirectToHttps { host: None, port: 443 }
    }

    /// To this host in any case.
    pub fn host(mut self, host: impl Into<String>) -> RedirectToHttps {
        self.host = Some(host.into());
        self
    }

    /// To this port; 443 is not written out.
    pub fn port(mut self, port: u16) -> RedirectToHttps {
        self.port = port;
        self
    }

    fn location(&self, request: &Request) -> Option<HeaderValue> {
        let path = request.path();
        if !path.starts_with('/') || request.method() == http::Method::CONNECT {
            return None;
        }
        let host = match &self.host {
            Some(host) => host,
            None => without_port(request.authority()?),
        };
        if host.is_empty() {
            return None;
        }
        let mut location = format!("https://{host}");
        if self.port != 443 {
            location.push_str(&format!(":{}", self.port));
        }
        location.push_str(path);
        if let Some(query) = request.query() {
            location.push('?');
            location.push_str(query);
        }
        HeaderValue::from_str(&location).ok()
    }
}

/// The host of an authority, which may be an IPv6 address in brackets.
fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

impl Service for RedirectToHttps {
    async fn call(&self, request: Request) -> Response {
        let Some(location) = self.location(&request) else {
            return problem(
                StatusCode::BAD_REQUEST,
                "this server speaks HTTPS, and the request names no place there",
            );
        };
        Response::with_status(StatusCode::PERMANENT_REDIRECT).with_header(LOCATION, location)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(redirect: &RedirectToHttps, target: &str, host: &str) -> Option<String> {
        let request = Request::builder("GET", target).header("Host", host).body("").unwrap();
        redirect.location(&request).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_place_stays_the_same() {
        let redirect = RedirectToHttps::new();
        let there = |target, host| location(&redirect, target, host).unwrap();
        assert_eq!(there("/", "a.test"), "https://a.test/");
        assert_eq!(there("/x/../y?q=1&r", "a.test:80"), "https://a.test/x/../y?q=1&r");
        assert_eq!(there("/", "[::1]:8080"), "https://[::1]/");
        assert_eq!(there("/", "[::1]"), "https://[::1]/");
        assert_eq!(there("http://b.test:81/z", "b.test:81"), "https://b.test/z");
        let fixed = RedirectToHttps::new().host("c.test").port(8443);
        assert_eq!(location(&fixed, "//evil.test", "a.test").unwrap(), "https://c.test:8443//evil.test");
    }

    #[test]
    fn what_names_no_place_is_not_redirected() {
        assert_eq!(location(&RedirectToHttps::new(), "/", ""), None);
    }
}
