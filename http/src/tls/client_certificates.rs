//! Certificates that clients show.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use super::config::provider;
use super::{Error, certificate};

/// Whether clients show certificates, and who must have issued them.
///
/// ```
/// use covet_http::tls::ClientCertificates;
///
/// let clients = ClientCertificates::required("/etc/ssl/clients-ca.pem");
/// ```
#[derive(Clone, Debug, Default)]
pub struct ClientCertificates {
    roots: Option<PathBuf>,
    optional: bool,
}

impl ClientCertificates {
    /// Every client must show a certificate that leads to one of the roots in a PEM file; the handshake fails
    /// otherwise.
    pub fn required(roots: impl Into<PathBuf>) -> ClientCertificates {
        ClientCertificates { roots: Some(roots.into()), optional: false }
    }

    /// Clients may show one, which must then be good; see
    /// [`ConnectionInfo::peer_certificates`](super::ConnectionInfo::peer_certificates).
    pub fn optional(roots: impl Into<PathBuf>) -> ClientCertificates {
        ClientCertificates { roots: Some(roots.into()), optional: true }
    }

    /// Reads the roots; none if no certificate is asked for.
    pub(super) fn load(&self) -> Result<Vec<CertificateDer<'static>>, Error> {
        match &self.roots {
            None => Ok(Vec::new()),
            Some(path) => {
                let text = certificate::read("roots of client certificates", path)?;
                certificate::certificates(&text, &path.display().to_string())
            }
        }
    }

    /// What judges certificates by these roots.
    pub(super) fn verifier(
        &self,
        roots: &[CertificateDer<'static>],
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, Error> {
        let Some(path) = &self.roots else { return Ok(None) };
        let problem = |problem: String| Error::Content { place: path.display().to_string(), problem };
        let mut store = RootCertStore::empty();
        for root in roots {
            store
                .add(root.clone())
                .map_err(|error| problem(format!("a certificate can't be a root: {error}")))?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider());
        let builder = if self.optional { builder.allow_unauthenticated() } else { builder };
        builder.build().map(Some).map_err(|error| problem(error.to_string()))
    }
}
