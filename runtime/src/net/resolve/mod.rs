//! Names to addresses, by the C library on the blocking pool.

mod cache;
mod error;
mod getaddrinfo;
mod queue;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

pub use error::{LookupError, LookupErrorKind};
pub(crate) use queue::Lookups;

use cache::Cache;

/// The longest name that DNS can carry, with its final dot (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 254;

/// Looks up the addresses of `host:port`, in the order in which they should be tried.
///
/// A literal address (`192.0.2.1:80`, `[2001:db8::1]:80`) is answered at once. A name goes to getaddrinfo(3) on the
/// blocking pool, so `/etc/hosts`, `nsswitch.conf` and `resolv.conf` hold as for every other program, and the order is
/// that of RFC 6724. At most 16 lookups of a runtime run at a time; the others wait their turn.
///
/// Nothing is remembered from one call to the next: see [`Resolver`] for that. Cancel-safe: a lookup that has begun
/// ends on its thread, and its answer is dropped.
///
/// ```
/// use covet_runtime::{block_on, net};
///
/// let addresses = block_on(async { net::lookup("[::1]:80").await })??;
/// assert_eq!(addresses, ["[::1]:80".parse()?]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the text is not `host:port`, the name does not exist or has no address, or no name server answered; the error
/// names the host.
pub async fn lookup(target: &str) -> Result<Vec<SocketAddr>, LookupError> {
    match Target::parse(target)? {
        Target::Literal(address) => Ok(vec![address]),
        Target::Name(host, port) => resolve(host, port).await,
    }
}

/// Looks names up, and remembers the answers if asked to.
///
/// Made once and cloned, its clones share what they remember; it belongs to one core. [`Resolver::default`] remembers
/// nothing.
#[derive(Debug, Clone, Default)]
pub struct Resolver {
    cache: Option<Rc<RefCell<Cache>>>,
}

impl Resolver {
    /// A resolver that remembers the answers of up to `names` names, each for `keep`.
    ///
    /// getaddrinfo(3) does not tell how long an answer is good for, so `keep` is how long a moved service may go
    /// unnoticed: a few seconds take most of the load off a name server. Failures are not remembered. When there are
    /// too many names, the one that would expire first goes.
    pub fn remembering(names: usize, keep: Duration) -> Resolver {
        Resolver { cache: Some(Rc::new(RefCell::new(Cache::new(names, keep)))) }
    }

    /// As [`lookup`], from memory if the answer is there.
    ///
    /// # Errors
    /// As for [`lookup`].
    pub async fn lookup(&self, target: &str) -> Result<Vec<SocketAddr>, LookupError> {
        let (host, port) = match Target::parse(target)? {
            Target::Literal(address) => return Ok(vec![address]),
            Target::Name(host, port) => (host, port),
        };
        let Some(cache) = &self.cache else { return resolve(host, port).await };
        let known = cache.borrow_mut().get(host, Instant::now());
        if let Some(addresses) = known {
            return Ok(with_port(addresses, port));
        }
        let addresses = resolve(host, port).await?;
        cache.borrow_mut().put(host, &addresses, Instant::now());
        Ok(addresses)
    }

    /// Forgets every answer: for when an address has turned out to be wrong.
    pub fn forget(&self) {
        if let Some(cache) = &self.cache {
            cache.borrow_mut().clear();
        }
    }
}

/// What a `host:port` stands for.
#[derive(Debug, PartialEq, Eq)]
enum Target<'a> {
    Literal(SocketAddr),
    Name(&'a str, u16),
}

impl Target<'_> {
    fn parse(text: &str) -> Result<Target<'_>, LookupError> {
        if let Ok(address) = text.parse() {
            return Ok(Target::Literal(address));
        }
        let wrong = |what: &str| LookupError::new(text, LookupErrorKind::Invalid, what);
        let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong("no port: write host:port"))?;
        let port = port.parse().map_err(|_| wrong("the port is not a number from 0 to 65535"))?;
        // An address with a zone by name, as in `[fe80::1%eth0]:80`, is for the C library to read.
        let host = match host.strip_prefix('[') {
            Some(inside) => inside.strip_suffix(']').ok_or_else(|| wrong("a bracket is not closed"))?,
            None if host.contains(':') => return Err(wrong("an IPv6 address is written in brackets")),
            None => host,
        };
        if host.is_empty() || host.len() > MAX_NAME || host.contains('\0') {
            return Err(wrong("a host name has 1 to 254 bytes, none of them zero"));
        }
        Ok(Target::Name(host, port))
    }
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, LookupError> {
    Ok(with_port(queue::resolve(host).await?, port))
}

fn with_port(mut addresses: Vec<SocketAddr>, port: u16) -> Vec<SocketAddr> {
    addresses.iter_mut().for_each(|address| address.set_port(port));
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read() {
        for (text, target) in [
            ("127.0.0.1:80", Target::Literal(([127, 0, 0, 1], 80).into())),
            ("[::1]:443", Target::Literal("[::1]:443".parse().unwrap())),
            ("example.org:443", Target::Name("example.org", 443)),
            ("example.org.:0", Target::Name("example.org.", 0)),
            ("[fe80::1%lo]:80", Target::Name("fe80::1%lo", 80)),
        ] {
            assert_eq!(Target::parse(text).unwrap(), target);
        }
    }

    #[test]
    fn what_is_no_target_is_named() {
        let long = format!("{}:80", "a".repeat(255));
        for text in
            ["example.org", "example.org:", "a:65536", "a:-1", "::1:80:x", "[::1:80", ":80", "a\0b:1", &long]
        {
            let error = Target::parse(text).unwrap_err();
            assert_eq!(error.kind(), LookupErrorKind::Invalid, "{text:?}");
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
        assert!(Target::parse("::1:80").unwrap_err().to_string().contains("brackets"));
    }
}
