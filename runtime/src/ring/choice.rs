//! io_uring or epoll.

use std::fmt;
use std::io::{self, Write as _};
use std::str::FromStr;
use std::sync::Once;

use super::backend::try_ring;
use crate::cores::context;
use crate::error::StartError;

/// What a runtime is to talk to the kernel with; see [`Builder::driver`](crate::Builder::driver).
///
/// ```
/// use covet_runtime::DriverChoice;
///
/// let choice: DriverChoice = "epoll".parse()?;
/// assert_eq!(choice, DriverChoice::Epoll);
/// assert_eq!(DriverChoice::IoUring.to_string(), "io_uring");
/// # Ok::<(), covet_runtime::StartError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DriverChoice {
    /// io_uring where the kernel has it and lets us, else epoll, with a warning that says why and what to do about it:
    /// in the log or, without a `tracing` subscriber, on standard error. The environment variable `COVET_DRIVER` may be
    /// `io_uring` or `epoll`, and then decides.
    #[default]
    Auto,
    /// io_uring, or an error.
    IoUring,
    /// epoll(7), at a higher cost per request.
    Epoll,
}

impl FromStr for DriverChoice {
    type Err = StartError;

    /// Reads `auto`, `io_uring` or `epoll`, as the environment variable has them.
    fn from_str(text: &str) -> Result<DriverChoice, StartError> {
        named(text).ok_or_else(|| StartError::NoSuchDriver { setting: "the driver", value: text.to_owned() })
    }
}

impl fmt::Display for DriverChoice {
    /// Writes `auto`, `io_uring` or `epoll`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            DriverChoice::Auto => "auto",
            DriverChoice::IoUring => "io_uring",
            DriverChoice::Epoll => "epoll",
        })
    }
}

fn named(text: &str) -> Option<DriverChoice> {
    [DriverChoice::Auto, DriverChoice::IoUring, DriverChoice::Epoll]
        .into_iter()
        .find(|choice| choice.to_string() == text)
}

/// What a core talks to the kernel with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverKind {
    /// io_uring: one system call per turn of the loop.
    IoUring,
    /// epoll(7), and one system call per operation; files on blocking threads.
    Epoll,
}

impl DriverKind {
    /// That of the core of this thread; `None` outside a core, and when it has shut down.
    ///
    /// ```
    /// use covet_runtime::{Builder, DriverChoice, DriverKind};
    ///
    /// let kind = Builder::default().driver(DriverChoice::Epoll).block_on(async { DriverKind::current() })?;
    /// assert_eq!(kind, Some(DriverKind::Epoll));
    /// # Ok::<(), covet_runtime::StartError>(())
    /// ```
    pub fn current() -> Option<DriverKind> {
        context::with(|core| core.driver.borrow().kind()).flatten()
    }
}

impl DriverKind {
    /// What a core would run on if it were started now and the builder left the choice open, with the reason if it is
    /// not io_uring. Makes a small ring and closes it.
    ///
    /// # Errors
    /// When `COVET_DRIVER` has no valid value, or a limit stands in the way of both.
    pub fn expected() -> Result<(DriverKind, Option<String>), StartError> {
        match resolve(DriverChoice::Auto)? {
            DriverChoice::Epoll => Ok((DriverKind::Epoll, Some(format!("{VARIABLE} asks for it")))),
            DriverChoice::IoUring => Ok((DriverKind::IoUring, None)),
            DriverChoice::Auto => match try_ring() {
                Ok(()) => Ok((DriverKind::IoUring, None)),
                Err(error) if error.is_refusal() => Ok((DriverKind::Epoll, Some(error.to_string()))),
                Err(error) => Err(error),
            },
        }
    }
}

impl fmt::Display for DriverKind {
    /// Writes `io_uring` or `epoll`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            DriverKind::IoUring => "io_uring",
            DriverKind::Epoll => "epoll",
        })
    }
}

const VARIABLE: &str = "COVET_DRIVER";

/// The choice after a look at the environment.
pub(super) fn resolve(choice: DriverChoice) -> Result<DriverChoice, StartError> {
    if choice != DriverChoice::Auto {
        return Ok(choice);
    }
    let Some(value) = std::env::var_os(VARIABLE) else { return Ok(choice) };
    if value.is_empty() {
        return Ok(choice);
    }
    value.to_str().and_then(named).ok_or_else(|| StartError::NoSuchDriver {
        setting: VARIABLE,
        value: value.to_string_lossy().into_owned(),
    })
}

/// Says once per process that the slower driver is used, why, and what to do.
pub(super) fn log_fallback(why: &StartError) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        let line = format!(
            "running on epoll, which costs more per request: {why}. Set {VARIABLE}=epoll to choose this silently"
        );
        // Whoever has set up no log would wonder why it is slow.
        if tracing::dispatcher::has_been_set() {
            tracing::warn!("{line}");
        } else {
            // Where standard error has been closed, `eprintln` would panic.
            let _ = writeln!(io::stderr(), "covet: {line}");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read_as_they_are_written() {
        for (choice, text) in [
            (DriverChoice::Auto, "auto"),
            (DriverChoice::IoUring, "io_uring"),
            (DriverChoice::Epoll, "epoll"),
        ] {
            assert_eq!(choice.to_string(), text);
            assert_eq!(text.parse::<DriverChoice>().unwrap(), choice);
        }
        for wrong in ["", "Epoll", " epoll", "io-uring", "kqueue"] {
            let error = wrong.parse::<DriverChoice>().unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("the driver is {wrong:?}: write `auto`, `io_uring` or `epoll`")
            );
            assert_eq!(format!("{error:?}"), error.to_string());
        }
    }
}
