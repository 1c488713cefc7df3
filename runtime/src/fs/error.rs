use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What went wrong with a file: which operation, on which path, and the kernel's answer.
///
/// It becomes an [`io::Error`] of the same kind where `?` asks for one; the error number is then found by way of
/// [`io::Error::get_ref`] and a downcast to this type.
///
/// ```
/// use covet_runtime::{block_on, fs};
///
/// let error = block_on(fs::read("/no/such/file")).unwrap().unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
/// assert_eq!(error.to_string(), "could not open /no/such/file: No such file or directory (os error 2)");
/// ```
pub struct Error(Box<Failure>);

struct Failure {
    operation: &'static str,
    path: PathBuf,
    other: Option<PathBuf>,
    /// Offset and length.
    range: Option<(u64, u64)>,
    advice: Option<String>,
    source: io::Error,
}

/// A result of this module.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    #[cold]
    pub(super) fn new(operation: &'static str, path: &Path, source: io::Error) -> Error {
        let path = path.to_owned();
        Error(Box::new(Failure { operation, path, other: None, range: None, advice: None, source }))
    }

    /// Adds the second path of an operation that has two.
    pub(super) fn and(mut self, other: &Path) -> Error {
        self.0.other = Some(other.to_owned());
        self
    }

    /// Adds which part of the file it was about.
    pub(super) fn at(mut self, offset: u64, len: u64) -> Error {
        self.0.range = Some((offset, len));
        self
    }

    /// Adds what to do about it.
    pub(super) fn advise(mut self, advice: impl Into<String>) -> Error {
        self.0.advice = Some(advice.into());
        self
    }

    /// The kind of the error, as the standard library sorts them.
    pub fn kind(&self) -> io::ErrorKind {
        self.0.source.kind()
    }

    /// The kernel's error number (errno(3)), if it was the kernel that refused.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.0.source.raw_os_error()
    }

    /// What was tried: `open`, `read`, `rename` and so on.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// The path that it was tried on; of two, the first.
    pub fn path(&self) -> &Path {
        &self.0.path
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { operation, path, other, range, advice, source } = &*self.0;
        write!(f, "could not {operation} {}", path.display())?;
        if let Some(other) = other {
            write!(f, " to {}", other.display())?;
        }
        if let Some((offset, len)) = range {
            write!(f, " ({len} bytes at offset {offset})")?;
        }
        write!(f, ": {source}")?;
        match advice {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({self})")
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0.source)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        io::Error::new(error.kind(), error)
    }
}
