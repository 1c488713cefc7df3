//! Certificates and their keys, from files or from memory.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error as TlsError, InconsistentKeys};

use super::Error;
use super::validity::Validity;

/// A certificate chain and its private key, and where to read them again.
///
/// The chain begins with the server's own certificate, the intermediates follow, all in PEM; the key is PEM as well,
/// in PKCS #8, SEC1 or PKCS #1 form, not encrypted. The server names that it serves are those of the
/// certificate's subjectAltName.
///
/// ```
/// use covet_http::tls::Certificate;
///
/// let certificate = Certificate::files("/etc/ssl/example.pem", "/etc/ssl/example.key").ocsp_file("/run/example.ocsp");
/// ```
#[derive(Clone, Debug)]
pub struct Certificate {
    chain: Source,
    key: Source,
    ocsp: Option<PathBuf>,
}

#[derive(Clone)]
enum Source {
    File(PathBuf),
    Pem(Arc<[u8]>),
}

impl std::fmt::Debug for Source {
    /// Without the bytes, which may be a key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::File(path) => f.debug_tuple("File").field(path).finish(),
            Source::Pem(_) => f.write_str("Pem"),
        }
    }
}

impl Source {
    fn read(&self, what: &'static str) -> Result<(Vec<u8>, String), Error> {
        match self {
            Source::File(path) => Ok((read(what, path)?, path.display().to_string())),
            Source::Pem(bytes) => Ok((bytes.to_vec(), format!("the PEM given for {what}"))),
        }
    }
}

impl Certificate {
    /// Files in PEM, read when the configuration is built and at each reload.
    pub fn files(chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Certificate {
        Certificate { chain: Source::File(chain.into()), key: Source::File(key.into()), ocsp: None }
    }

    /// PEM in memory.
    pub fn pem(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Certificate {
        Certificate {
            chain: Source::Pem(chain.as_ref().into()),
            key: Source::Pem(key.as_ref().into()),
            ocsp: None,
        }
    }

    /// A DER file with the OCSP response that is stapled to the handshake (RFC 6066 section 8), read with the
    /// certificate; keep it fresh, and reload.
    pub fn ocsp_file(mut self, path: impl Into<PathBuf>) -> Certificate {
        self.ocsp = Some(path.into());
        self
    }

    /// Reads and checks it all.
    pub(super) fn load(&self, provider: &CryptoProvider, now: SystemTime) -> Result<CertifiedKey, Error> {
        let (pem, place) = self.chain.read("certificate")?;
        let chain = certificates(&pem, &place)?;
        check_validity(&chain[0], &place, now)?;
        let (pem, key_place) = self.key.read("private key")?;
        let key = private_key(&pem, &key_place)?;
        let mut certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                Error::KeyMismatch { certificate: place.clone(), key: key_place.clone() }
            }
            error => Error::Content {
                place: key_place.clone(),
                problem: format!("the key can't be used: {error}"),
            },
        })?;
        if let Some(path) = &self.ocsp {
            certified.ocsp = Some(ocsp_response(path)?);
        }
        Ok(certified)
    }
}

/// All certificates of a PEM text; there is at least one.
pub(super) fn certificates(text: &[u8], place: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let problem = |problem: String| Error::Content { place: place.to_owned(), problem };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|error| problem(not_pem(&error)))?;
    if chain.is_empty() {
        return Err(problem(
            "holds no certificate (a section that begins `-----BEGIN CERTIFICATE-----`)".into(),
        ));
    }
    Ok(chain)
}

/// What is wrong with a text, without any of it: where the line breaks of a key were lost, a parser takes the key for a label.
fn not_pem(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => {
            "is not PEM: a section has no end (a line `-----END ...-----`); is the file cut off, or without line breaks?"
                .to_owned()
        }
        pem::Error::IllegalSectionStart { .. } => {
            "is not PEM: a line that begins a section has more in it than `-----BEGIN ...-----`".to_owned()
        }
        error => format!("is not PEM: {error}"),
    }
}

pub(super) fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Read { what, path: path.to_owned(), source })
}

fn check_validity(certificate: &[u8], place: &str, now: SystemTime) -> Result<(), Error> {
    let Some(validity) = Validity::of(certificate) else {
        return Err(Error::Content {
            place: place.to_owned(),
            problem: "its first certificate is not X.509 in DER".into(),
        });
    };
    if now > validity.ends {
        let expired = httpdate::fmt_http_date(validity.ends.max(SystemTime::UNIX_EPOCH));
        return Err(Error::Expired { certificate: place.to_owned(), expired });
    }
    if now < validity.begins {
        let begins = httpdate::fmt_http_date(validity.begins);
        return Err(Error::NotYetValid { certificate: place.to_owned(), begins });
    }
    Ok(())
}

fn private_key(text: &[u8], place: &str) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| {
        let problem = match error {
            pem::Error::NoItemsFound if is_encrypted(text) => {
                "the key is encrypted: decrypt it with `openssl pkey -in KEY -out PLAIN`, readable for this user only"
                    .to_owned()
            }
            pem::Error::NoItemsFound => {
                "holds no private key (a section that begins `-----BEGIN PRIVATE KEY-----`)".to_owned()
            }
            error => not_pem(&error),
        };
        Error::Content { place: place.to_owned(), problem }
    })
}

fn is_encrypted(text: &[u8]) -> bool {
    memchr::memmem::find(text, b"-----BEGIN ENCRYPTED PRIVATE KEY-----").is_some()
}

/// An OCSPResponse whose status is `successful` (RFC 6960 section 4.2.1); anything else would make clients fail.
fn ocsp_response(path: &Path) -> Result<Vec<u8>, Error> {
    let response = read("OCSP response", path)?;
    // A SEQUENCE that begins with the ENUMERATED status.
    let header = match response.as_slice() {
        [0x30, 0..=0x7f, rest @ ..] => rest,
        [0x30, 0x81, _, rest @ ..] | [0x30, 0x82, _, _, rest @ ..] | [0x30, 0x83, _, _, _, rest @ ..] => rest,
        _ => &[],
    };
    let problem = match header {
        [0x0a, 0x01, 0, ..] => return Ok(response),
        [0x0a, 0x01, status, ..] => {
            format!("the responder refused the request with status {status}: ask it again")
        }
        _ => "is not an OCSP response in DER".to_owned(),
    };
    Err(Error::Content { place: path.display().to_string(), problem })
}
