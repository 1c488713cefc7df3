use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::net::LookupError;

/// Why no connection was made: what became of every address.
///
/// It turns into an [`io::Error`] with `?`, with its kind: that of [`ConnectError::kind`].
#[derive(Debug)]
pub struct ConnectError {
    pub(super) target: String,
    pub(super) cause: Cause,
}

#[derive(Debug)]
pub(super) enum Cause {
    Lookup(LookupError),
    /// The time was up before the name was known.
    LookupTimedOut(Duration),
    Attempts {
        failures: Vec<AttemptError>,
        /// The limit, if it was time that ended the search.
        timed_out: Option<Duration>,
        untried: usize,
    },
}

/// What became of one address.
#[derive(Debug)]
pub struct AttemptError {
    /// The address.
    pub address: SocketAddr,
    /// The kernel's answer, or that there was none in time.
    pub error: io::Error,
}

impl ConnectError {
    /// What the connection was for: the host and port, or the addresses.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The addresses that were tried, in the order in which they failed; those without an answer come last.
    pub fn attempts(&self) -> &[AttemptError] {
        match &self.cause {
            Cause::Attempts { failures, .. } => failures,
            Cause::Lookup(_) | Cause::LookupTimedOut(_) => &[],
        }
    }

    /// The lookup's failure, if the name was the trouble.
    pub fn lookup(&self) -> Option<&LookupError> {
        match &self.cause {
            Cause::Lookup(error) => Some(error),
            Cause::LookupTimedOut(_) | Cause::Attempts { .. } => None,
        }
    }

    /// `TimedOut` if the time was up; otherwise what the first address that failed answered, as that is the one that
    /// RFC 6724 puts first.
    pub fn kind(&self) -> io::ErrorKind {
        match &self.cause {
            Cause::Lookup(error) => io::Error::from(error.clone()).kind(),
            Cause::LookupTimedOut(_) | Cause::Attempts { timed_out: Some(_), .. } => io::ErrorKind::TimedOut,
            Cause::Attempts { failures, .. } => {
                failures.first().map_or(io::ErrorKind::InvalidInput, |failure| failure.error.kind())
            }
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            // The lookup's own words name the host.
            Cause::Lookup(error) => error.fmt(f),
            Cause::LookupTimedOut(limit) => {
                write!(
                    f,
                    "can't connect to {}: no answer from the name servers within {limit:?}",
                    self.target
                )
            }
            Cause::Attempts { failures, timed_out, untried } => {
                write!(f, "can't connect to {}", self.target)?;
                if let Some(limit) = timed_out {
                    write!(f, " within {limit:?}")?;
                }
                if failures.is_empty() && *untried == 0 {
                    f.write_str(": no address to try")?;
                }
                for (index, failure) in failures.iter().enumerate() {
                    write!(f, "{} {failure}", if index == 0 { ":" } else { ";" })?;
                }
                match untried {
                    0 => Ok(()),
                    _ => write!(f, "; not tried for want of time: {untried} more"),
                }
            }
        }
    }
}

impl fmt::Display for AttemptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.address, self.error)
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::Attempts { failures, .. } => failures.first().map(|failure| &failure.error as _),
            // Its text is this error's text: naming it again would say everything twice.
            Cause::Lookup(_) | Cause::LookupTimedOut(_) => None,
        }
    }
}

impl From<ConnectError> for io::Error {
    fn from(error: ConnectError) -> io::Error {
        io::Error::new(error.kind(), error)
    }
}
