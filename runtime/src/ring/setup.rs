//! Making a ring: the best set of flags that the kernel takes.

use std::io;

use io_uring::IoUring;
use rustix::process::{Resource, getrlimit};

use super::choice::DriverChoice;
use crate::error::StartError;

/// Sizes of one core's ring, and what to use in its place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RingSizes {
    pub(crate) driver: DriverChoice,
    /// Submission queue entries; the completion queue has eight times as many.
    pub(crate) entries: u32,
    pub(crate) recv_buffers: u16,
    pub(crate) recv_buffer_size: u32,
    /// From how many bytes on a stream sends without a copy, unless it is told otherwise.
    pub(crate) zero_copy_from: u32,
}

/// How far down the ladder the kernel made us go, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rung {
    /// DEFER_TASKRUN without the indirection array: Linux 6.6.
    DeferNoArray,
    /// DEFER_TASKRUN: Linux 6.1.
    Defer,
    /// COOP_TASKRUN: Linux 6.0, the first with multishot receive.
    Coop,
}

const LADDER: [Rung; 3] = [Rung::DeferNoArray, Rung::Defer, Rung::Coop];

/// A completion queue larger than the submission queue leaves room for multishot operations, which complete many
/// times for one submission.
const COMPLETIONS_PER_ENTRY: u32 = 8;

pub(crate) fn make_ring(sizes: RingSizes) -> Result<(IoUring, Rung), StartError> {
    for rung in LADDER {
        let mut builder = IoUring::builder();
        builder
            .setup_cqsize(sizes.entries.saturating_mul(COMPLETIONS_PER_ENTRY).clamp(256, 65_536))
            .setup_clamp()
            .setup_submit_all()
            .setup_single_issuer()
            .setup_taskrun_flag()
            .dontfork();
        match rung {
            Rung::DeferNoArray => builder.setup_defer_taskrun().setup_no_sqarray(),
            Rung::Defer => builder.setup_defer_taskrun(),
            Rung::Coop => builder.setup_coop_taskrun(),
        };
        match build(&builder, sizes.entries, rung) {
            Ok(ring) if ring.params().is_feature_nodrop() && ring.params().is_feature_ext_arg() => {
                return Ok((ring, rung));
            }
            Ok(_) => break,
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
            Err(error) => return Err(explain(error)),
        }
    }
    Err(StartError::KernelTooOld { release: release(), feature: "an io_uring with task-run flags" })
}

#[cfg(not(all(test, not(loom), not(miri))))]
fn build(builder: &io_uring::Builder, entries: u32, _rung: Rung) -> io::Result<IoUring> {
    builder.build(entries)
}

/// As a kernel of the tests' choice would.
#[cfg(all(test, not(loom), not(miri)))]
fn build(builder: &io_uring::Builder, entries: u32, rung: Rung) -> io::Result<IoUring> {
    use super::tests::old_kernel::{Feature, lacks};
    let refused = lacks(Feature::SingleIssuer)
        || lacks(Feature::ExtArg)
        || lacks(Feature::DeferTaskrun) && rung != Rung::Coop
        || lacks(Feature::NoSqArray) && rung == Rung::DeferNoArray;
    if refused { Err(io::Error::from_raw_os_error(libc::EINVAL)) } else { builder.build(entries) }
}

/// Whether a wait need not count as waiting for a disk: Linux 6.15.
pub(super) fn waits_without_iowait(ring: &IoUring) -> bool {
    #[cfg(all(test, not(loom), not(miri)))]
    if super::tests::old_kernel::lacks(super::tests::old_kernel::Feature::NoIowait) {
        return false;
    }
    ring.params().is_feature_no_iowait()
}

pub(super) fn release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Puts the kernel's answer into words that lead to a remedy.
pub(crate) fn explain(source: io::Error) -> StartError {
    match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => StartError::RingRefused { hint: refusal_hint(), source },
        Some(libc::ENOSYS) => StartError::RingRefused {
            hint: "the system call does not exist here: a seccomp profile hides it, or the kernel was built \
                   without CONFIG_IO_URING"
                .into(),
            source,
        },
        Some(libc::ENOMEM) => {
            StartError::Memory { limit: "RLIMIT_MEMLOCK", value: limit(Resource::Memlock), source }
        }
        Some(libc::EMFILE | libc::ENFILE) => {
            StartError::Descriptors { value: limit(Resource::Nofile), source }
        }
        _ => StartError::Io { step: "make an io_uring", source },
    }
}

fn limit(resource: Resource) -> String {
    getrlimit(resource).current.map_or_else(|| "unlimited".into(), |value| value.to_string())
}

fn refusal_hint() -> String {
    hint_for(&std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default())
}

fn hint_for(io_uring_disabled: &str) -> String {
    match io_uring_disabled.trim() {
        "1" => "kernel.io_uring_disabled is 1: run `sysctl kernel.io_uring_disabled=0`, or put the user into \
                    the group named by kernel.io_uring_group"
            .into(),
        "2" => "kernel.io_uring_disabled is 2: run `sysctl kernel.io_uring_disabled=0`".into(),
        _ => "a seccomp profile or security module forbids it (Docker's default profile does): run the container \
              with a profile that allows io_uring_setup, io_uring_enter and io_uring_register"
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_that_disables_rings_is_named() {
        for (setting, parts) in [
            ("1\n", ["io_uring_disabled is 1", "kernel.io_uring_group"]),
            ("2\n", ["io_uring_disabled is 2", "io_uring_disabled=0"]),
            ("0\n", ["seccomp", "allows io_uring_setup"]),
            ("", ["seccomp", "allows io_uring_setup"]),
        ] {
            let hint = hint_for(setting);
            assert!(parts.iter().all(|part| hint.contains(part)), "{setting:?}: {hint}");
        }
    }

    #[test]
    fn a_refusal_names_its_remedy() {
        let text = explain(io::Error::from_raw_os_error(libc::EPERM)).to_string();
        assert!(text.contains("seccomp") || text.contains("sysctl"), "{text}");
        let text = explain(io::Error::from_raw_os_error(libc::ENOMEM)).to_string();
        assert!(text.contains("RLIMIT_MEMLOCK") && text.contains("ulimit -l"), "{text}");
        let text = explain(io::Error::from_raw_os_error(libc::EMFILE)).to_string();
        assert!(text.contains("RLIMIT_NOFILE") && text.contains("ulimit -n"), "{text}");
    }
}
