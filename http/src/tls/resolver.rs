//! Which certificate a client is shown.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The certificates of a server by name. They can be exchanged while handshakes go on: each sees the old set or the
/// new one.
#[derive(Debug)]
pub(super) struct Resolver {
    names: RwLock<Arc<Names>>,
}

#[derive(Debug)]
pub(super) struct Names {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By what follows `*.`, which stands for one label (RFC 6125 section 6.4.3).
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    /// For clients that name no server, or one that no certificate is for: they can tell best what to do about it.
    first: Arc<CertifiedKey>,
}

impl Names {
    /// Sorts certificates by the DNS names in them; where two have the same, the earlier is shown. `None` if there is
    /// no certificate.
    pub(super) fn of(certificates: Vec<CertifiedKey>) -> Option<Names> {
        let certificates: Vec<_> = certificates.into_iter().map(Arc::new).collect();
        let first = certificates.first()?.clone();
        let mut names = Names { exact: HashMap::new(), wildcard: HashMap::new(), first };
        for certified in &certificates {
            let Ok(end_entity) = certified.end_entity_cert() else { continue };
            let Ok(parsed) = webpki::EndEntityCert::try_from(end_entity) else { continue };
            for name in parsed.valid_dns_names() {
                let name = name.to_ascii_lowercase();
                match name.strip_prefix("*.") {
                    Some(parent) => names.wildcard.entry(parent.to_owned()),
                    None => names.exact.entry(name),
                }
                .or_insert_with(|| certified.clone());
            }
        }
        Some(names)
    }

    fn find(&self, server_name: Option<&str>) -> &Arc<CertifiedKey> {
        let Some(name) = server_name else { return &self.first };
        let name = name.to_ascii_lowercase();
        self.exact.get(&name).or_else(|| self.wildcard.get(name.split_once('.')?.1)).unwrap_or(&self.first)
    }
}

impl Resolver {
    pub(super) fn new(names: Names) -> Resolver {
        Resolver { names: RwLock::new(Arc::new(names)) }
    }

    /// Shows these from the next handshake on.
    pub(super) fn replace(&self, names: Names) {
        *self.names.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(names);
    }
}

thread_local! {
    /// The name of the last hello. rustls does not tell it afterwards of an unbuffered connection; a hello is
    /// processed within one call, behind which the session takes the name.
    static SERVER_NAME: Cell<Option<Box<str>>> = const { Cell::new(None) };
}

/// The server name of the hello that this thread has just processed, if there was one with a name.
pub(super) fn take_server_name() -> Option<Box<str>> {
    SERVER_NAME.take()
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        SERVER_NAME.set(hello.server_name().map(str::to_ascii_lowercase).map(Into::into));
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        Some(names.find(hello.server_name()).clone())
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use rustls::crypto::aws_lc_rs;
    use rustls::pki_types::PrivateKeyDer;

    use super::*;

    fn certified(names: &[&str]) -> CertifiedKey {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        CertifiedKey::from_der(vec![certificate.der().clone()], key, &aws_lc_rs::default_provider()).unwrap()
    }

    #[test]
    fn names_are_found_whatever_their_case_and_the_earlier_certificate_has_them() {
        let certificates = [&["default"][..], &["A.example", "*.B.example"], &["a.EXAMPLE", "*.b.example"]];
        let certificates: Vec<CertifiedKey> = certificates.into_iter().map(certified).collect();
        let chains: Vec<_> = certificates.iter().map(|certified| certified.cert.clone()).collect();
        let names = Names::of(certificates).unwrap();
        let shown = |name| chains.iter().position(|chain| *chain == names.find(name).cert);
        for (name, place) in [
            (None, 0),
            (Some("default"), 0),
            (Some("a.example"), 1),
            (Some("A.Example"), 1),
            (Some("x.b.example"), 1),
            (Some("X.B.EXAMPLE"), 1),
            (Some("b.example"), 0),
            (Some("x.y.b.example"), 0),
            (Some("localhost"), 0),
        ] {
            assert_eq!(shown(name), Some(place), "{name:?}");
        }
    }
}
