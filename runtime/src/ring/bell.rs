//! Ringing for another core from a core: a message from ring to ring.
//!
//! It goes out with what the turn submits anyway, so that it costs no system call of its own, and the core that is rung
//! for has nothing to read and to arm again. From threads that are no core, and to or from a core without io_uring, the
//! eventfd does it. MSG_RING is older (Linux 5.18) than what else the ring driver needs, so there is nothing to probe.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use super::backend::Backend;
use super::driver::Driver;
use super::op::Op;
use super::token::{Key, Kind, UNWATCHED};

/// The bells of a runtime's cores. Each core holds this until its driver is closed, so every ring's descriptor stays open
/// for as long as anybody may have a message to it in a queue.
pub(crate) struct Bells {
    bells: Vec<Bell>,
}

struct Bell {
    event: Arc<OwnedFd>,
    /// A duplicate, there once the core has made its ring.
    ring: OnceLock<OwnedFd>,
}

impl Bells {
    pub(crate) fn new(events: impl Iterator<Item = Arc<OwnedFd>>) -> Arc<Bells> {
        Arc::new(Bells { bells: events.map(|event| Bell { event, ring: OnceLock::new() }).collect() })
    }
}

/// Rings through an eventfd, from any thread.
pub(crate) fn ring_event(event: &OwnedFd) {
    // Only a counter at its maximum could refuse, and then the core is about to wake anyway.
    let _ = rustix::io::write(event.as_fd(), &1u64.to_ne_bytes());
}

impl Driver {
    /// Makes this driver the one of the core in place `index`.
    pub(crate) fn hang_up(&mut self, bells: Arc<Bells>, index: usize) {
        if let Backend::Uring(ring) = &self.backend {
            // SAFETY: the ring is open for as long as the backend lives.
            let ring = unsafe { BorrowedFd::borrow_raw(ring.descriptor()) };
            // Without a descriptor to spare, the others ring by eventfd.
            if let Ok(ring) = ring.try_clone_to_owned() {
                let _made_once = bells.bells[index].ring.set(ring);
            }
            self.bells = Some(bells);
        }
    }

    /// Queues a message to a core's ring, if that is possible and the core is one of `bells`.
    pub(crate) fn ring_bell(&mut self, bells: *const Bells, index: usize) -> bool {
        let Some(ours) = self.bells.as_ref().filter(|ours| std::ptr::eq(Arc::as_ptr(ours), bells)) else {
            return false;
        };
        let Some(ring) = ours.bells[index].ring.get() else { return false };
        let op = Op::Message { ring: ring.as_raw_fd(), token: UNWATCHED };
        let token = Key { index: index as u32, generation: 0 }.token(Kind::Bell);
        // SAFETY: it points to nothing.
        unsafe { self.backend.push_silent(op, token) };
        true
    }

    /// The message did not arrive: out of memory, or the ring is about to go.
    pub(super) fn on_bell_failed(&self, key: Key) {
        if let Some(bell) = self.bells.as_ref().and_then(|bells| bells.bells.get(key.index as usize)) {
            ring_event(&bell.event);
        }
    }
}
