use std::io;

/// Why a name has no addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("can't look up {host:?}: {reason}")]
pub struct LookupError {
    host: String,
    kind: LookupErrorKind,
    reason: String,
}

/// Kinds of [`LookupError`], by what can be done about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LookupErrorKind {
    /// The text is not `host:port`: correct it.
    Invalid,
    /// There is no such name, or it has no address.
    NotFound,
    /// No name server answered in time: try again later.
    Temporary,
    /// The system could not do it: out of memory or descriptors, or a name server refused.
    Failed,
}

impl LookupError {
    pub(super) fn new(host: &str, kind: LookupErrorKind, reason: impl Into<String>) -> LookupError {
        LookupError { host: host.to_owned(), kind, reason: reason.into() }
    }

    /// What was looked up.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What sort of failure it is.
    pub fn kind(&self) -> LookupErrorKind {
        self.kind
    }
}

impl From<LookupError> for io::Error {
    fn from(error: LookupError) -> io::Error {
        let kind = match error.kind {
            LookupErrorKind::Invalid => io::ErrorKind::InvalidInput,
            LookupErrorKind::NotFound => io::ErrorKind::NotFound,
            LookupErrorKind::Temporary | LookupErrorKind::Failed => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}
