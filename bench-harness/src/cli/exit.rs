//! Exit statuses, and the one line that an error becomes.

use std::fmt;
use std::process::ExitCode;

/// The exit status of a command.
///
/// The numbers from 95 up tell a script apart from a crash what a measurement came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The command did what it was asked.
    Success = 0,
    /// Something failed while running.
    Runtime = 1,
    /// The arguments or a claim file make no sense.
    Usage = 2,
    /// The claim lies above what this hardware can do.
    NotReproducibleHere = 95,
    /// The claim was taken in another layer than it is read in.
    MisSpecified = 96,
    /// A guard failed, so the measurement proves nothing.
    Invalid = 97,
    /// The interval does not decide the question.
    Inconclusive = 98,
    /// The claim is refuted, or a threshold failed.
    Refuted = 99,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// A failure in one phrase, what the user can do about it, and the exit status that it leads to.
#[derive(Debug)]
pub struct Advice {
    what: String,
    remedy: String,
    exit: Exit,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Advice {}

impl Advice {
    /// An error without a deeper cause: `what` failed, and `remedy` says what to do.
    pub fn error(exit: Exit, what: impl Into<String>, remedy: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Advice { what: what.into(), remedy: remedy.into(), exit })
    }
}

/// Attaches to an error what failed and what to do about it.
pub trait Advise<T> {
    /// Wraps the error as a runtime error: `what` is a phrase without a full stop, `remedy` a sentence without
    /// its full stop.
    fn advise(self, what: impl Into<String>, remedy: impl Into<String>) -> anyhow::Result<T>;

    /// Wraps the error as a usage error, which exits with 2.
    fn advise_usage(self, what: impl Into<String>, remedy: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> Advise<T> for Result<T, E> {
    fn advise(self, what: impl Into<String>, remedy: impl Into<String>) -> anyhow::Result<T> {
        wrap(self, Exit::Runtime, what, remedy)
    }

    fn advise_usage(self, what: impl Into<String>, remedy: impl Into<String>) -> anyhow::Result<T> {
        wrap(self, Exit::Usage, what, remedy)
    }
}

fn wrap<T, E: Into<anyhow::Error>>(
    result: Result<T, E>,
    exit: Exit,
    what: impl Into<String>,
    remedy: impl Into<String>,
) -> anyhow::Result<T> {
    result.map_err(|error| error.into().context(Advice { what: what.into(), remedy: remedy.into(), exit }))
}

/// The exit status that an error leads to: that of its outermost [`Advice`], else [`Exit::Runtime`].
pub fn status_of(error: &anyhow::Error) -> Exit {
    error.downcast_ref::<Advice>().map_or(Exit::Runtime, |advice| advice.exit)
}

/// What failed, and its causes, on one line.
pub fn causes(error: &anyhow::Error) -> String {
    let mut causes: Vec<String> = Vec::new();
    for cause in error.chain().map(|cause| single_line(&cause.to_string())) {
        // Some errors name their cause in their own text as well.
        if !causes.iter().any(|said| said.contains(&cause)) {
            causes.push(cause);
        }
    }
    causes.join(": ")
}

/// One line: `covet-bench: what failed: cause. what to do`.
pub fn error_line(error: &anyhow::Error) -> String {
    let mut line = format!("covet-bench: {}", causes(error));
    if let Some(advice) = error.downcast_ref::<Advice>() {
        line.push_str(". ");
        line.push_str(&single_line(&advice.remedy));
    }
    line
}

fn single_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn a_line_has_what_failed_the_cause_and_the_remedy() {
        let refused: io::Result<()> = Err(io::Error::from_raw_os_error(98));
        let error = refused
            .advise("cannot listen on 127.0.0.1:8080", "Stop the other server or choose another --listen")
            .unwrap_err();
        assert_eq!(
            error_line(&error),
            "covet-bench: cannot listen on 127.0.0.1:8080: Address already in use (os error 98). \
             Stop the other server or choose another --listen"
        );
        assert_eq!(status_of(&error), Exit::Runtime);
    }

    #[test]
    fn an_advice_without_a_cause_fits_on_one_line() {
        let error = Advice::error(Exit::Usage, "bad\nrate", "Write 50k");
        assert_eq!(error_line(&error), "covet-bench: bad rate. Write 50k");
    }

    #[test]
    fn a_cause_that_was_said_already_is_not_repeated() {
        let cause = io::Error::from_raw_os_error(24);
        let error = anyhow::Error::new(cause).context("no ring: Too many open files (os error 24)");
        assert_eq!(error_line(&error), "covet-bench: no ring: Too many open files (os error 24)");
        let cause = io::Error::from_raw_os_error(1);
        let error =
            anyhow::Error::new(cause).context("refused (Operation not permitted (os error 1)): allow it");
        assert_eq!(
            error_line(&error),
            "covet-bench: refused (Operation not permitted (os error 1)): allow it"
        );
    }

    #[test]
    fn usage_errors_exit_with_two() {
        let parsed: Result<u32, _> = "x".parse::<u32>();
        assert_eq!(status_of(&parsed.advise_usage("bad count", "Write a number").unwrap_err()), Exit::Usage);
        assert_eq!(status_of(&anyhow::anyhow!("plain")), Exit::Runtime);
    }
}
