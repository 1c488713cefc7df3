//! What can go wrong when a runtime starts, with the remedy in the message.

use std::{fmt, io};

/// Why a runtime did not start. The message says what to do about it, and so does `Debug`: it is what a `main` that
/// returns the error prints.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A core was asked for that this process can't use.
    #[error(
        "core {cpu} can't be used: this process may run on {available}; choose among those, or widen its affinity (taskset, cpuset)"
    )]
    NoSuchCore {
        /// The CPU number that was asked for.
        cpu: usize,
        /// The CPUs in the affinity mask, as a list such as `0,2-5`.
        available: String,
    },
    /// More cores were asked for than this process can use.
    #[error("{wanted} cores were asked for, but this process may run on {available} only ({list})")]
    TooFewCores {
        /// How many were asked for.
        wanted: usize,
        /// How many there are.
        available: usize,
        /// Which they are.
        list: String,
    },
    /// The list of cores is empty or does not parse.
    #[error(
        "the core list {list:?} is not valid: {reason}; write `all`, `physical`, `first:4`, or a list such as `0,2-5`"
    )]
    CoreList {
        /// The text as given.
        list: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The driver that was asked for has no such name.
    #[error("{setting} is {value:?}: write `auto`, `io_uring` or `epoll`")]
    NoSuchDriver {
        /// The environment variable that has the value, or `the driver` if it was parsed.
        setting: &'static str,
        /// What was written.
        value: String,
    },
    /// The kernel refused to make an io_uring: a security policy stands in the way.
    #[error("io_uring is refused here ({source}): {hint}")]
    RingRefused {
        /// What the policy seems to be, and how to lift it.
        hint: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel lacks what the runtime is built on.
    #[error(
        "this kernel ({release}) lacks {feature}: Covet needs Linux 6.0, and runs at full speed from 6.1"
    )]
    KernelTooOld {
        /// `uname -r`.
        release: String,
        /// The missing feature.
        feature: &'static str,
    },
    /// A resource limit stopped the ring from being made.
    #[error(
        "no memory for the ring of a core: {limit} is {value}; raise it (`ulimit -l unlimited`, `LimitMEMLOCK=infinity` in the unit), use fewer cores, or ask for smaller rings (`Builder::ring_entries`, `Builder::recv_buffers`)"
    )]
    Memory {
        /// The limit's name.
        limit: &'static str,
        /// Its present value.
        value: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The process or the system is out of descriptors.
    #[error(
        "no descriptor is left for the driver of a core: RLIMIT_NOFILE is {value}; raise it (`ulimit -n 65536`, `LimitNOFILE=65536` in the unit)"
    )]
    Descriptors {
        /// The soft limit.
        value: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Anything else, with the step that failed.
    #[error("could not {step}: {source}")]
    Io {
        /// The step.
        step: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The future that was run to completion was cancelled because the core shut down first.
    #[error("the core was shut down before its future finished")]
    ShutDown,
    /// The main future of a core panicked.
    #[error("the main future panicked: {0}")]
    Panicked(String),
}

impl fmt::Debug for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StartError {
    /// Whether another driver may do where io_uring can't: limits are not lifted by it.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, StartError::RingRefused { .. } | StartError::KernelTooOld { .. })
    }

    pub(crate) fn io(step: &'static str) -> impl FnOnce(io::Error) -> StartError {
        move |source| StartError::Io { step, source }
    }
}

/// A core was used after it had shut down, or from a thread that is not its own.
pub(crate) fn core_is_gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the core that this belongs to has shut down")
}
