//! What a pooled connection is good for.

use std::path::Path;
use std::rc::Rc;

use url::Url;

use super::proxy::Proxy;

/// Where a connection leads, and how: two requests with equal ways can share one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Way {
    pub(super) secure: bool,
    /// As it is in the URL: in lower case, an IPv6 address in brackets. Empty if any host is reached this way.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) proxy: Option<Rc<Proxy>>,
    pub(super) unix_socket: Option<Rc<Path>>,
}

impl Way {
    /// The way to a URL, through these if there are any.
    pub(super) fn to(url: &Url, proxy: Option<Rc<Proxy>>, unix_socket: Option<Rc<Path>>) -> Way {
        let secure = url.scheme() == "https";
        // A forward proxy takes requests for any host on one connection.
        let anywhere = !secure && proxy.as_ref().is_some_and(|proxy| proxy.kind.forwards());
        let (host, port) = match anywhere {
            true => (String::new(), 0),
            false => {
                (url.host_str().unwrap_or_default().to_owned(), url.port_or_known_default().unwrap_or(0))
            }
        };
        Way { secure, host, port, proxy, unix_socket }
    }

    /// Whether requests say the whole URL (RFC 9112 section 3.2.2).
    pub(super) fn is_forwarded(&self) -> bool {
        self.host.is_empty()
    }
}
