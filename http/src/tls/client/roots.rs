//! Whom a client trusts.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;

use crate::tls::{Error, certificate};

/// Where roots come from.
#[derive(Clone, Debug)]
pub(super) enum Roots {
    File(PathBuf),
    Pem(Arc<[u8]>),
}

/// All roots in one store; there is at least one.
pub(super) fn load(system: bool, others: &[Roots]) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    let mut trouble = None;
    if system {
        let found = rustls_native_certs::load_native_certs();
        // Among those of a system there are always some that are too odd; the rest is what is meant.
        store.add_parsable_certificates(found.certs);
        trouble = found.errors.into_iter().next();
    }
    for source in others {
        let (text, place) = match source {
            Roots::File(path) => (certificate::read("roots", path)?, path.display().to_string()),
            Roots::Pem(text) => (text.to_vec(), "the PEM given for roots".to_owned()),
        };
        for root in certificate::certificates(&text, &place)? {
            store.add(root).map_err(|error| Error::Content {
                place: place.clone(),
                problem: format!("a certificate can't be a root: {error}"),
            })?;
        }
    }
    if store.is_empty() {
        let reason = trouble.map_or_else(|| "none were found".to_owned(), |error| error.to_string());
        return Err(Error::NoRoots { reason });
    }
    Ok(store)
}
