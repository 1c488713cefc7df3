//! What can be wrong with a TLS configuration.

use std::io;
use std::path::PathBuf;

/// Why a configuration could not be made, or reloaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("can't read {what} {}: {source}", path.display())]
    Read {
        /// What the file is for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file, or bytes given in its place, do not hold what they should.
    #[error("{place}: {problem}")]
    Content {
        /// The file, or `the PEM given for ...`.
        place: String,
        /// What is wrong, and what should be there.
        problem: String,
    },
    /// The private key is not that of the certificate.
    #[error(
        "the key in {key} does not belong to the certificate in {certificate}: give the pair that was issued together"
    )]
    KeyMismatch {
        /// Where the certificate is from.
        certificate: String,
        /// Where the key is from.
        key: String,
    },
    /// The certificate's time is over.
    #[error("the certificate in {certificate} expired on {expired}: renew it")]
    Expired {
        /// Where the certificate is from.
        certificate: String,
        /// The last second of its validity, as an HTTP date.
        expired: String,
    },
    /// The certificate's time has not begun.
    #[error("the certificate in {certificate} is not valid before {begins}: check this machine's clock")]
    NotYetValid {
        /// Where the certificate is from.
        certificate: String,
        /// The first second of its validity, as an HTTP date.
        begins: String,
    },
    /// No certificate was given.
    #[error("no certificate was given: a server needs one and its key")]
    NoCertificate,
    /// There is nobody to trust.
    #[error(
        "there are no root certificates to trust ({reason}): install the package ca-certificates, point SSL_CERT_FILE at a PEM file of roots, or give roots of your own"
    )]
    NoRoots {
        /// What was found instead.
        reason: String,
    },
    /// The oldest version that may be spoken is newer than the newest.
    #[error("no version of TLS is allowed: the oldest is newer than the newest")]
    NoVersion,
    /// rustls refused the configuration.
    #[error("{what}: {source}")]
    Refused {
        /// What was asked of it.
        what: &'static str,
        /// Its reason.
        source: rustls::Error,
    },
}
