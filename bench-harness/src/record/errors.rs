//! What went wrong during a run, by class.

use std::fmt;

use serde::Serialize;

/// Why a request or a connection failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// A connection could not be opened.
    Connect,
    /// Nothing was asked of the server: this machine had no local port left for a connection.
    LocalPorts,
    /// A connection was opened and no TLS session made on it, or the session broke.
    Tls,
    /// The peer reset the connection, or sending failed.
    Reset,
    /// The peer closed the connection before the answer was whole.
    EarlyClose,
    /// No whole answer within the timeout.
    Timeout,
    /// The bytes received are not an HTTP/1 response, or answer nothing.
    Malformed,
    /// A valid answer with a status that was not expected.
    UnexpectedStatus,
    /// A valid answer whose body differs in length from the first one's.
    UnexpectedLength,
    /// An answer that is not what was sent, in a protocol of echoes.
    UnexpectedContent,
    /// A valid answer without a value that the session was to take out of it.
    MissingValue,
}

impl ErrorClass {
    /// All classes, in the order in which they are reported.
    pub const ALL: [Self; 11] = [
        Self::Connect,
        Self::LocalPorts,
        Self::Tls,
        Self::Reset,
        Self::EarlyClose,
        Self::Timeout,
        Self::Malformed,
        Self::UnexpectedStatus,
        Self::UnexpectedLength,
        Self::UnexpectedContent,
        Self::MissingValue,
    ];
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::LocalPorts => "no local port",
            Self::Tls => "TLS",
            Self::Reset => "reset",
            Self::EarlyClose => "early close",
            Self::Timeout => "timeout",
            Self::Malformed => "malformed",
            Self::UnexpectedStatus => "unexpected status",
            Self::UnexpectedLength => "unexpected length",
            Self::UnexpectedContent => "unexpected content",
            Self::MissingValue => "missing value",
        })
    }
}

/// How often each class of error occurred in the measured window.
///
/// `connect`, `local_ports` and `tls` count attempts; the other classes count requests, except that a connection that breaks with
/// nothing in flight counts once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Errors {
    /// See [`ErrorClass::Connect`].
    pub connect: u64,
    /// See [`ErrorClass::LocalPorts`].
    pub local_ports: u64,
    /// See [`ErrorClass::Tls`]; of a session that broke it counts the requests.
    pub tls: u64,
    /// See [`ErrorClass::Reset`].
    pub reset: u64,
    /// See [`ErrorClass::EarlyClose`].
    pub early_close: u64,
    /// See [`ErrorClass::Timeout`].
    pub timeout: u64,
    /// See [`ErrorClass::Malformed`].
    pub malformed: u64,
    /// See [`ErrorClass::UnexpectedStatus`].
    pub unexpected_status: u64,
    /// See [`ErrorClass::UnexpectedLength`].
    pub unexpected_length: u64,
    /// See [`ErrorClass::UnexpectedContent`].
    pub unexpected_content: u64,
    /// See [`ErrorClass::MissingValue`].
    pub missing_value: u64,
    /// The first error seen, in words.
    pub first: Option<String>,
}

impl Errors {
    /// The number of errors of one class.
    pub fn count(&self, class: ErrorClass) -> u64 {
        match class {
            ErrorClass::Connect => self.connect,
            ErrorClass::LocalPorts => self.local_ports,
            ErrorClass::Tls => self.tls,
            ErrorClass::Reset => self.reset,
            ErrorClass::EarlyClose => self.early_close,
            ErrorClass::Timeout => self.timeout,
            ErrorClass::Malformed => self.malformed,
            ErrorClass::UnexpectedStatus => self.unexpected_status,
            ErrorClass::UnexpectedLength => self.unexpected_length,
            ErrorClass::UnexpectedContent => self.unexpected_content,
            ErrorClass::MissingValue => self.missing_value,
        }
    }

    fn slot(&mut self, class: ErrorClass) -> &mut u64 {
        match class {
            ErrorClass::Connect => &mut self.connect,
            ErrorClass::LocalPorts => &mut self.local_ports,
            ErrorClass::Tls => &mut self.tls,
            ErrorClass::Reset => &mut self.reset,
            ErrorClass::EarlyClose => &mut self.early_close,
            ErrorClass::Timeout => &mut self.timeout,
            ErrorClass::Malformed => &mut self.malformed,
            ErrorClass::UnexpectedStatus => &mut self.unexpected_status,
            ErrorClass::UnexpectedLength => &mut self.unexpected_length,
            ErrorClass::UnexpectedContent => &mut self.unexpected_content,
            ErrorClass::MissingValue => &mut self.missing_value,
        }
    }

    /// Counts `count` errors of a class; `detail` is asked for only when it is the first error of all.
    pub fn add(&mut self, class: ErrorClass, count: u64, detail: impl FnOnce() -> String) {
        *self.slot(class) += count;
        if self.first.is_none() {
            self.first = Some(format!("{class}: {}", detail()));
        }
    }

    /// Adds the counts of `other`; the first error in words stays this one's where it has one.
    pub fn merge(&mut self, other: &Self) {
        for class in ErrorClass::ALL {
            *self.slot(class) += other.count(class);
        }
        if self.first.is_none() {
            self.first.clone_from(&other.first);
        }
    }

    /// The errors since these were counted, which are `before`.
    pub fn since(&self, before: &Self) -> Self {
        let mut since = Self { first: self.first.clone(), ..Self::default() };
        for class in ErrorClass::ALL {
            *since.slot(class) = self.count(class).saturating_sub(before.count(class));
        }
        since
    }

    /// The number of errors of all classes.
    pub fn total(&self) -> u64 {
        ErrorClass::ALL.iter().map(|&class| self.count(class)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_counted_once_and_the_first_detail_is_kept() {
        let mut errors = Errors::default();
        for (index, class) in ErrorClass::ALL.into_iter().enumerate() {
            errors.add(class, index as u64 + 1, || format!("number {index}"));
            assert_eq!(errors.count(class), index as u64 + 1);
        }
        assert_eq!(errors.total(), 66);
        assert_eq!(errors.first.as_deref(), Some("connect: number 0"));

        let mut sum = Errors::default();
        sum.merge(&errors);
        sum.merge(&errors);
        assert_eq!(sum.total(), 132);
        assert_eq!(sum.first, errors.first);
    }
}
