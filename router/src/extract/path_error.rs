//! Why the parameters of a path could not be turned into a type.

use std::fmt;

use serde::de;

use crate::error::Error;

/// The client's fault (a value of the wrong form) or the program's (a type that does not fit the
/// route's parameters).
#[derive(Debug, thiserror::Error)]
pub(crate) enum PathError {
    #[error("{0}")]
    Value(String),
    #[error("{0}")]
    Program(String),
}

impl PathError {
    pub(crate) fn count(got: usize, wanted: usize) -> Self {
        Self::Program(format!("the route has {got} path parameters, the extractor takes {wanted}"))
    }

    pub(crate) fn unsupported(what: &str) -> Self {
        Self::Program(format!("a path parameter cannot be deserialised as {what}"))
    }

    /// Adds the name of the parameter to an error that does not know it.
    pub(crate) fn of(self, name: &str) -> Self {
        match self {
            Self::Value(text) => Self::Value(format!("the path parameter `{name}` {text}")),
            program => program,
        }
    }
}

impl de::Error for PathError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Value(format!("is not valid: {message}"))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Program(format!("the route has no path parameter `{field}`, which the extractor needs"))
    }
}

impl From<PathError> for Error {
    fn from(error: PathError) -> Self {
        match error {
            PathError::Value(text) => Error::bad_request(text),
            program => Error::internal(program),
        }
    }
}
