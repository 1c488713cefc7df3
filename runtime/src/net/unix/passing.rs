//! Descriptors that travel beside bytes (SCM_RIGHTS, unix(7)).

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::ring::Details;

/// The most descriptors that one message carries (SCM_MAX_FD of the kernel).
pub(super) const MAX_DESCRIPTORS: usize = 253;

/// Descriptors of our own for what is to be passed: what the caller does with theirs meanwhile changes nothing.
pub(super) fn own(descriptors: &[impl AsFd]) -> io::Result<Vec<OwnedFd>> {
    if descriptors.len() > MAX_DESCRIPTORS {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} descriptors in one message; it carries {MAX_DESCRIPTORS} at most", descriptors.len()),
        ));
    }
    descriptors.iter().map(|descriptor| descriptor.as_fd().try_clone_to_owned()).collect()
}

/// The descriptors that came, if all did. Those that came in part are closed.
pub(super) fn all(details: Details) -> io::Result<Vec<OwnedFd>> {
    if details.control_cut {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "descriptors were sent that could not be received (too many in one message, or RLIMIT_NOFILE is \
             reached); those that came are closed",
        ));
    }
    Ok(details.descriptors)
}
