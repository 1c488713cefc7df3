//! What stands between the driver's slots and the kernel.
//!
//! A backend takes operations ([`Op`]) and gives completions, with io_uring's meaning of both: an operation completes
//! once, or (multishot) until a completion without F_MORE; what it points to is in use until then; cancelling it
//! makes it complete sooner and never un-happens it.

mod uring;

use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;

use uring::Uring;

use super::driver::Wait;
use super::op::{Completion, Op};
use super::provided::ProvidedBuffers;
use super::setup::RingSizes;
use crate::error::StartError;

pub(super) enum Backend {
    Uring(Uring),
}

impl Backend {
    /// Makes the backend on the calling thread, which alone may use it from now on.
    ///
    /// `buffers` are those that [`Op::RecvMulti`] receives into.
    ///
    /// # Safety
    /// The buffers outlive the backend, or are leaked.
    pub(super) unsafe fn new(sizes: RingSizes, buffers: &Rc<ProvidedBuffers>) -> Result<Backend, StartError> {
        // SAFETY: forwarded.
        Ok(Backend::Uring(unsafe { Uring::new(sizes, buffers)? }))
    }

    /// Queues an operation that will complete at least once.
    ///
    /// # Safety
    /// Everything it points to stays alive and in place until its last completion.
    #[inline]
    pub(super) unsafe fn push(&mut self, op: Op, token: u64) {
        match self {
            // SAFETY: forwarded.
            Backend::Uring(ring) => unsafe { ring.push(op, token, false) },
        }
    }

    /// Queues an operation that completes only if it fails.
    ///
    /// # Safety
    /// It points to nothing.
    #[inline]
    pub(super) unsafe fn push_silent(&mut self, op: Op, token: u64) {
        match self {
            // SAFETY: forwarded.
            Backend::Uring(ring) => unsafe { ring.push(op, token, true) },
        }
    }

    /// Hands everything queued to the kernel and waits for completions, in one system call.
    #[inline]
    pub(super) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        match self {
            Backend::Uring(ring) => ring.enter(wait),
        }
    }

    /// Moves up to `limit` completions into `batch`.
    #[inline]
    pub(super) fn drain(&mut self, batch: &mut Vec<Completion>, limit: usize) {
        match self {
            Backend::Uring(ring) => ring.drain(batch, limit),
        }
    }

    /// Hands over what is queued, without a look at completions: the last act of a driver that closes.
    pub(super) fn flush(&mut self) {
        match self {
            Backend::Uring(ring) => ring.flush(),
        }
    }

    /// A descriptor that another loop may watch; readable when there is something to reap.
    #[expect(dead_code, reason = "for a core that is driven by another loop")]
    pub(super) fn descriptor(&self) -> RawFd {
        match self {
            Backend::Uring(ring) => ring.descriptor(),
        }
    }

    /// As if the kernel had refused to take an operation for the present.
    #[cfg(all(test, not(loom), not(miri)))]
    pub(super) fn hold_back(&mut self, op: Op, token: u64) {
        match self {
            Backend::Uring(ring) => ring.hold_back(op, token),
        }
    }
}
