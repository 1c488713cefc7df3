//! Certificates made for a test, in a folder of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use covet_http::tls::{Certificate, CertificateDer};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    pub(crate) root_file: PathBuf,
    folder: Folder,
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A certificate and its key, as PEM files.
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) der: CertificateDer<'static>,
    key_der: Vec<u8>,
}

impl Pair {
    pub(crate) fn files(&self) -> Certificate {
        Certificate::files(&self.certificate, &self.key)
    }

    pub(crate) fn client_auth(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (vec![self.der.clone()], PrivateKeyDer::Pkcs8(self.key_der.clone().into()))
    }
}

impl Authority {
    pub(crate) fn new() -> Authority {
        Authority::called("a test's root")
    }

    pub(crate) fn called(common_name: &str) -> Authority {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("covet-tls-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Folder(std::env::temp_dir().join(name));
        // Of a process with the same number, on another day.
        let _ = std::fs::remove_dir_all(&folder.0);
        std::fs::create_dir_all(&folder.0).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, common_name);
        let root = params.self_signed(&key).unwrap();
        let root_file = folder.0.join("root.pem");
        std::fs::write(&root_file, root.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        Authority { issuer, root: root.der().clone(), root_file, folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder.0
    }

    pub(crate) fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        Arc::new(roots)
    }

    pub(crate) fn issue(&self, file: &str, names: &[&str]) -> Pair {
        self.issue_for_years(file, names, 2020, 4000)
    }

    /// A certificate from the first day of one year to the first of another.
    pub(crate) fn issue_for_years(&self, file: &str, names: &[&str], from: i32, to: i32) -> Pair {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let pair = Pair {
            certificate: self.folder.0.join(format!("{file}.pem")),
            key: self.folder.0.join(format!("{file}.key")),
            der: certificate.der().clone(),
            key_der: key.serialize_der(),
        };
        std::fs::write(&pair.certificate, certificate.pem()).unwrap();
        std::fs::write(&pair.key, key.serialize_pem()).unwrap();
        pair
    }
}
