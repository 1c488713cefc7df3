//! The limit of this process on open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit as far as `needed` descriptors ask for, where the hard limit lets it.
///
/// # Errors
/// The limit that is in the way, where it is lower.
pub(crate) fn allow_open_files(needed: u64) -> Result<(), u64> {
    let limit = getrlimit(Resource::Nofile);
    // No limit at all is `None`.
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    match limit.maximum {
        Some(maximum) if maximum < needed => Err(maximum),
        maximum => setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum })
            .map_err(|_| limit.current.unwrap_or(u64::MAX)),
    }
}

/// The soft limit as it is; `u64::MAX` for none.
pub(crate) fn open_files_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
