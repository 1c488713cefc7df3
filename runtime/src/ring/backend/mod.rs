//! What stands between the driver's slots and the kernel.
//!
//! A backend takes operations ([`Op`]) and gives completions, with io_uring's meaning of both: an operation completes
//! once, or (multishot) until a completion without F_MORE; what it points to is in use until then; cancelling it
//! makes it complete sooner and never un-happens it.

mod epoll;
#[cfg(all(test, not(loom), not(miri)))]
pub(super) mod fault;
mod probe;
mod uring;

use std::io;
#[cfg(feature = "tokio-rt")]
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use epoll::Epoll;
use uring::Uring;

use super::choice::{self, DriverChoice, DriverKind};

use super::driver::Wait;
use super::op::{Completion, Op};
use super::provided::{GROUP, Populate, ProvidedBuffers};
use super::setup::RingSizes;
use super::zero_copy::NEVER;
use crate::blocking;
use crate::error::StartError;

#[expect(clippy::large_enum_variant, reason = "one per core, and no pointer between the driver and its ring")]
pub(super) enum Backend {
    Uring(Uring),
    Epoll(Box<Epoll>),
    #[cfg(all(test, not(loom), not(miri)))]
    Fault(Box<fault::Fault>),
    /// The driver is closed: no descriptor is kept, and nothing is queued any more.
    Closed,
}

/// Makes a ring and closes it.
pub(super) fn try_ring() -> Result<(), StartError> {
    let sizes = RingSizes {
        driver: DriverChoice::IoUring,
        entries: 8,
        recv_buffers: 8,
        recv_buffer_size: 256,
        zero_copy_from: NEVER,
    };
    let buffers = ProvidedBuffers::new(GROUP, sizes.recv_buffers, sizes.recv_buffer_size, Populate::Now)
        .map_err(StartError::io("map the receive buffers"))?;
    // SAFETY: the ring is dropped here, before the buffers.
    unsafe { Uring::new(sizes, &buffers) }.map(drop)
}

impl Backend {
    /// Makes the backend on the calling thread, which alone may use it from now on.
    /// Where io_uring is refused or too old and the choice is left to us, that is epoll.
    ///
    /// `buffers` are those that [`Op::RecvMulti`] receives into; `blocking` does what has no readiness.
    ///
    /// # Safety
    /// The buffers outlive the backend, or are leaked.
    pub(super) unsafe fn new(
        sizes: RingSizes,
        buffers: &Rc<ProvidedBuffers>,
        blocking: &Arc<blocking::Pool>,
    ) -> Result<Backend, StartError> {
        // SAFETY: forwarded.
        let backend = unsafe { Backend::chosen(sizes, buffers, blocking)? };
        #[cfg(all(test, not(loom), not(miri)))]
        let backend = fault::Fault::before(backend);
        Ok(backend)
    }

    /// # Safety
    /// As for [`Backend::new`].
    unsafe fn chosen(
        sizes: RingSizes,
        buffers: &Rc<ProvidedBuffers>,
        blocking: &Arc<blocking::Pool>,
    ) -> Result<Backend, StartError> {
        let chosen = choice::resolve(sizes.driver)?;
        if chosen != DriverChoice::Epoll {
            // SAFETY: forwarded.
            match unsafe { Uring::new(sizes, buffers) } {
                Ok(ring) => return Ok(Backend::Uring(ring)),
                Err(error) if chosen == DriverChoice::Auto && error.is_refusal() => {
                    choice::log_fallback(&error)
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Backend::Epoll(Box::new(Epoll::new(buffers, blocking)?)))
    }

    pub(super) fn kind(&self) -> Option<DriverKind> {
        match self {
            Backend::Uring(_) => Some(DriverKind::IoUring),
            Backend::Epoll(_) => Some(DriverKind::Epoll),
            #[cfg(all(test, not(loom), not(miri)))]
            Backend::Fault(fault) => fault.kind(),
            Backend::Closed => None,
        }
    }

    /// Takes the buffers that [`Op::RecvMsgMulti`] receives into.
    ///
    /// # Safety
    /// They outlive the backend, or are leaked.
    pub(super) unsafe fn add_message_buffers(&mut self, buffers: &Rc<ProvidedBuffers>) -> io::Result<()> {
        match self {
            // SAFETY: forwarded.
            Backend::Uring(ring) => unsafe { ring.add_buffers(buffers) },
            Backend::Epoll(epoll) => {
                epoll.add_message_buffers(buffers);
                Ok(())
            }
            #[cfg(all(test, not(loom), not(miri)))]
            // SAFETY: forwarded.
            Backend::Fault(fault) => unsafe { fault.add_message_buffers(buffers) },
            Backend::Closed => Ok(()),
        }
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
            // SAFETY: forwarded.
            Backend::Epoll(epoll) => unsafe { epoll.push(op, token, false) },
            #[cfg(all(test, not(loom), not(miri)))]
            // SAFETY: forwarded.
            Backend::Fault(fault) => unsafe { fault.push(op, token) },
            Backend::Closed => debug_assert!(false, "nothing is queued on a closed driver"),
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
            // SAFETY: forwarded.
            Backend::Epoll(epoll) => unsafe { epoll.push(op, token, true) },
            #[cfg(all(test, not(loom), not(miri)))]
            // SAFETY: forwarded.
            Backend::Fault(fault) => unsafe { fault.push_silent(op, token) },
            Backend::Closed => debug_assert!(false, "nothing is queued on a closed driver"),
        }
    }

    /// Hands everything queued to the kernel and waits for completions, in one system call.
    #[inline]
    pub(super) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        match self {
            Backend::Uring(ring) => ring.enter(wait),
            Backend::Epoll(epoll) => epoll.enter(wait),
            #[cfg(all(test, not(loom), not(miri)))]
            Backend::Fault(fault) => fault.enter(wait),
            Backend::Closed => Ok(()),
        }
    }

    /// Moves up to `limit` completions into `batch`.
    #[inline]
    pub(super) fn drain(&mut self, batch: &mut Vec<Completion>, limit: usize) {
        match self {
            Backend::Uring(ring) => ring.drain(batch, limit),
            Backend::Epoll(epoll) => epoll.drain(batch, limit),
            #[cfg(all(test, not(loom), not(miri)))]
            Backend::Fault(fault) => fault.drain(batch, limit),
            Backend::Closed => {}
        }
    }

    /// Whether the next turn finds something to do without waiting, besides completions that are known already.
    #[inline]
    pub(super) fn has_work(&self) -> bool {
        match self {
            // The kernel says so when it is asked to wait.
            Backend::Uring(_) | Backend::Closed => false,
            Backend::Epoll(epoll) => epoll.has_work(),
            #[cfg(all(test, not(loom), not(miri)))]
            Backend::Fault(fault) => fault.has_work(),
        }
    }

    /// Hands over what is queued before the turn ends; what the kernel does not take stays queued.
    pub(super) fn hand_over(&mut self) {
        match self {
            Backend::Uring(ring) => ring.hand_over(),
            // Everything was done, or given to the pool, when it was queued.
            Backend::Epoll(_) | Backend::Closed => {}
            #[cfg(all(test, not(loom), not(miri)))]
            Backend::Fault(fault) => fault.hand_over(),
        }
    }

    /// Hands over what is queued, without a look at completions: the last act of a driver that closes.
    pub(super) fn flush(&mut self) {
        match self {
            Backend::Uring(ring) => ring.flush(),
            // Everything was done when it was queued.
            Backend::Epoll(_) | Backend::Closed => {}
            #[cfg(all(test, not(loom), not(miri)))]
            Backend::Fault(fault) => fault.flush(),
        }
    }

    /// A descriptor that becomes readable when there may be completions to drain.
    #[cfg(feature = "tokio-rt")]
    pub(super) fn poll_fd(&mut self) -> io::Result<OwnedFd> {
        match self {
            Backend::Uring(ring) => ring.poll_fd(),
            Backend::Epoll(epoll) => epoll.poll_fd(),
            #[cfg(all(test, not(loom), not(miri)))]
            Backend::Fault(_) => Err(io::ErrorKind::Unsupported.into()),
            Backend::Closed => Err(crate::error::core_is_gone()),
        }
    }

    /// What is under way, for the report of a test that hangs.
    #[cfg(all(test, not(loom), not(miri)))]
    pub(super) fn describe(&self) -> String {
        match self {
            Backend::Uring(ring) => ring.describe(),
            Backend::Epoll(epoll) => epoll.describe(),
            Backend::Fault(fault) => fault.describe(),
            Backend::Closed => "closed".into(),
        }
    }

    /// As if the kernel had refused to take an operation for the present.
    #[cfg(all(test, not(loom), not(miri)))]
    pub(super) fn hold_back(&mut self, op: Op, token: u64) {
        match self {
            Backend::Uring(ring) => ring.hold_back(op, token),
            // It is never refused anything for want of room.
            // SAFETY: tests hold back what points to nothing.
            Backend::Epoll(epoll) => unsafe { epoll.push(op, token, false) },
            Backend::Fault(fault) => fault.hold_back(op, token),
            Backend::Closed => {}
        }
    }
}
