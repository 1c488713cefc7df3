//! What can go wrong with a request.

use std::fmt;
use std::io;
use std::time::Duration;

use covet_runtime::net::ConnectError;
use http::Method;

use super::{ProxyError, RedirectError};
use crate::BodyError;
use crate::h1::{RequestHeadError, ResponseError};

/// Why a request has no answer, or not all of it.
///
/// It says what was asked for, how far that had come ([`Error::phase`]) and why it ended ([`Error::cause`]).
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    method: Method,
    /// Without a password.
    url: Option<String>,
    phase: Phase,
    cause: Cause,
}

/// How far an exchange had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// The request was being put together; nothing was sent.
    Prepare,
    /// The connection was being made; nothing of the request was sent.
    Connect,
    /// The request was being sent, or the answer's head waited for.
    Head,
    /// The answer's head had come, and its body was being read.
    Body,
    /// The answer was a redirect that could not be followed.
    Redirect,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Prepare => "the request can't be sent",
            Phase::Connect => "no connection",
            Phase::Head => "no answer",
            Phase::Body => "the answer's body was not received",
            Phase::Redirect => "the redirect was not followed",
        })
    }
}

/// Why an exchange ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The URL can't be used.
    #[error("`{text}` can't be used: {problem}")]
    Url {
        /// What was given.
        text: String,
        /// What is wrong with it, and what to write instead.
        problem: String,
    },
    /// A field's name or value is malformed.
    #[error(
        "the field `{name}` is malformed: a name is a token, a value has no line ends or other control characters"
    )]
    Field {
        /// The name, as far as it is known.
        name: String,
    },
    /// A value could not be made into a body or query.
    #[error("the {what} could not be serialised: {problem}")]
    Serialise {
        /// What was to be made of it.
        what: &'static str,
        /// The serialiser's words.
        problem: String,
    },
    /// The head of the request can't be encoded.
    #[error(transparent)]
    Head(#[from] RequestHeadError),
    /// The server can't be reached.
    #[error(transparent)]
    Connect(ConnectError),
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Io(#[source] io::Error),
    /// The proxy refused, or could not be understood.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The TLS handshake failed.
    #[cfg(feature = "tls")]
    #[error("the TLS handshake with {server} failed: {source}{}", tls_hint(source))]
    Tls {
        /// Whom the certificate should be of.
        server: String,
        /// Why.
        source: rustls::Error,
    },
    /// TLS is not set up.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    TlsConfig(#[from] crate::tls::Error),
    /// The time was up.
    #[error("{what} took longer than {limit:?}: see client::Timeouts")]
    Timeout {
        /// What took so long.
        what: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// What came is no response.
    #[error(transparent)]
    Response(#[from] ResponseError),
    /// A body failed: the request's own, in the phase `Head`, or the answer's.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The redirect can't be followed, or must not be.
    #[error(transparent)]
    Redirect(#[from] RedirectError),
    /// The body is no JSON of the type that was asked for.
    #[error("the body is not the JSON that was expected: {0}")]
    Json(#[source] serde_json::Error),
    /// The body is text in a charset that is not decoded here, or not in the one it says.
    #[error("the body is not text in {charset}: read it with `bytes`")]
    Text {
        /// The charset.
        charset: String,
    },
    /// The status is an error, and [`Response::error_for_status`](super::Response::error_for_status) was asked.
    #[error("the server answered {0}")]
    Status(http::StatusCode),
}

#[cfg(feature = "tls")]
fn tls_hint(error: &rustls::Error) -> &'static str {
    use rustls::{CertificateError, Error as Tls};
    match error {
        Tls::InvalidCertificate(CertificateError::UnknownIssuer) => {
            ". If the issuer is your own, trust it with tls::ClientConfig::builder().roots_file(..)"
        }
        Tls::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => ". Use a name that the certificate has",
        Tls::InvalidMessage(_) => ". Does this port speak TLS?",
        _ => "",
    }
}

impl Error {
    pub(super) fn new(method: Method, url: Option<String>, phase: Phase, cause: impl Into<Cause>) -> Error {
        Error(Box::new(Inner { method, url, phase, cause: cause.into() }))
    }

    /// The method of the request that failed; after a redirect, that of the last one.
    pub fn method(&self) -> &Method {
        &self.0.method
    }

    /// The URL of the request that failed, without a password; after a redirect, that of the last one. `None` if none
    /// was given that is one.
    pub fn url(&self) -> Option<&str> {
        self.0.url.as_deref()
    }

    /// How far the exchange had come.
    pub fn phase(&self) -> Phase {
        self.0.phase
    }

    /// Why it ended.
    pub fn cause(&self) -> &Cause {
        &self.0.cause
    }

    /// Whether it was time that ended it.
    pub fn is_timeout(&self) -> bool {
        match &self.0.cause {
            Cause::Timeout { .. } | Cause::Body(BodyError::TimedOut) => true,
            Cause::Connect(error) => error.kind() == io::ErrorKind::TimedOut,
            Cause::Io(error) => error.kind() == io::ErrorKind::TimedOut,
            _ => false,
        }
    }

    /// Whether the server can't have seen anything of the request.
    pub fn is_unsent(&self) -> bool {
        matches!(self.0.phase, Phase::Prepare | Phase::Connect)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        match &inner.url {
            Some(url) => write!(f, "{} {url}: {}: {}", inner.method, inner.phase, inner.cause),
            None => write!(f, "{}: {}: {}", inner.method, inner.phase, inner.cause),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0.cause)
    }
}
