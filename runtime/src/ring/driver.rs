use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use slab::Slab;

use super::after::After;
use super::backend::Backend;
use super::bell::Bells;
use super::choice::DriverKind;
use super::listener::ListenerSlot;
use super::message::Messages;
use super::op::{Completion, Op};
use super::operation::OperationSlot;
use super::provided::{GROUP, Populate, ProvidedBuffers};
use super::setup::RingSizes;
use super::stream::{Stamp, StreamSlot};
use super::token::{self, GENERATION_MASK, Key, Kind};
use super::zero_copy::ZeroCopySlot;
use crate::blocking;
use crate::error::StartError;
use crate::stats::DriverCounts;

/// Completions handled in one turn.
const BATCH: usize = 128;
/// File transfers that are handed over together, unless the turn ends before: few enough for the first of a batch to
/// reach the disk soon, many enough for the calls not to count.
const TRANSFERS: u32 = 4;
/// So many bytes more count as one transfer more: the kernel looks up each page of them.
const TRANSFER_UNIT: u32 = 32 * 1024;

/// How long one turn may sleep in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Not at all: there is work to do.
    No,
    /// Until something completes.
    Forever,
    /// Until something completes, but no longer than this.
    AtMost(Duration),
}

/// A backend and the slots of everything that was given to it.
pub(crate) struct Driver {
    pub(super) backend: Backend,
    pub(super) buffers: Rc<ProvidedBuffers>,
    pub(super) streams: Slab<StreamSlot>,
    pub(super) listeners: Slab<ListenerSlot>,
    pub(super) operations: Slab<OperationSlot>,
    /// Message sockets, once there has been one.
    pub(super) messages: Option<Box<Messages>>,
    pub(super) zero_copies: Slab<ZeroCopySlot>,
    /// From how many bytes on new streams send without a copy.
    pub(super) zero_copy_from: u32,
    /// Streams that found no free buffer and wait for one to come back.
    pub(super) starved: VecDeque<Key>,
    /// Things whose destructors may run foreign code, dropped when nothing is borrowed.
    pub(super) after: After,
    /// Where others read how many streams there are; usually none.
    pub(super) gauges: Vec<Arc<AtomicUsize>>,
    completions: Vec<Completion>,
    more_completed: bool,
    completed: usize,
    /// When the present turn of the loop began.
    pub(super) now: Instant,
    pub(super) started: Instant,
    /// The same as `now`, for those who keep it.
    pub(super) turn_stamp: Stamp,
    pub(super) counts: DriverCounts,
    generation: u32,
    /// Operations whose last completion has not come.
    pub(super) in_flight: usize,
    /// What file transfers queued since the last [`Driver::enter`] weigh.
    transfers: u32,
    pub(super) wake: WakeRead,
    pub(super) bells: Option<Arc<Bells>>,
    pub(super) closed: bool,
}

/// Whether a cancellation missed its target, which may live on: an operation that is just being tried again is in
/// none of the lists that the kernel searches, and one that a kernel worker runs is interrupted but may go on. The
/// answer is to ask again, turn by turn, until the operation has completed. Asking by descriptor would find whatever
/// else is under way there.
pub(super) fn missed(result: i32) -> bool {
    matches!(-result, libc::ENOENT | libc::EALREADY)
}

/// A read of the wake-up eventfd that is always under way.
pub(super) struct WakeRead {
    /// Until the driver is closed.
    pub(super) event: Option<Arc<OwnedFd>>,
    /// Where the kernel writes the count; boxed, so that it stays put when the driver moves.
    pub(super) count: Box<[u8; 8]>,
    armed: bool,
    /// Another loop watches the event instead.
    elsewhere: bool,
}

impl Driver {
    /// Makes the ring on the calling thread, which alone may use it from now on.
    pub(crate) fn new(
        sizes: RingSizes,
        event: Arc<OwnedFd>,
        blocking: &Arc<blocking::Pool>,
    ) -> Result<Driver, StartError> {
        let buffers = ProvidedBuffers::new(GROUP, sizes.recv_buffers, sizes.recv_buffer_size, Populate::Now)
            .map_err(StartError::io("map the receive buffers"))?;
        // SAFETY: `backend` is dropped before `buffers`, which is the field after it; or `close` leaks both.
        let backend = unsafe { Backend::new(sizes, &buffers, blocking)? };
        let started = Instant::now();
        let mut driver = Driver {
            backend,
            buffers,
            streams: Slab::new(),
            listeners: Slab::new(),
            operations: Slab::new(),
            messages: None,
            zero_copies: Slab::new(),
            zero_copy_from: sizes.zero_copy_from,
            starved: VecDeque::new(),
            after: After::default(),
            gauges: Vec::new(),
            completions: Vec::with_capacity(BATCH),
            more_completed: false,
            completed: 0,
            now: started,
            started,
            turn_stamp: Stamp::default(),
            counts: DriverCounts::default(),
            generation: 0,
            in_flight: 0,
            transfers: 0,
            wake: WakeRead { event: Some(event), count: Box::new([0; 8]), armed: false, elsewhere: false },
            bells: None,
            closed: false,
        };
        driver.arm_wake();
        Ok(driver)
    }

    /// What it runs on; nothing once it is closed.
    pub(crate) fn kind(&self) -> Option<DriverKind> {
        self.backend.kind()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Tells the time of the turn that begins, which is when what completes in it is said to have come.
    #[inline]
    pub(crate) fn begin_turn(&mut self, now: Instant) {
        self.now = now;
        self.turn_stamp = Stamp::new(now.saturating_duration_since(self.started));
    }

    /// Gives back room for more connections and operations than there are.
    pub(crate) fn release(&mut self) {
        self.streams.shrink_to_fit();
        self.operations.shrink_to_fit();
        self.zero_copies.shrink_to_fit();
        self.starved.shrink_to_fit();
    }

    pub(super) fn next_generation(&mut self) -> u32 {
        self.generation = (self.generation + 1) & GENERATION_MASK;
        self.generation
    }

    /// Queues an operation that will complete at least once.
    ///
    /// # Safety
    /// Everything it points to stays alive and in place until its last completion.
    #[inline]
    pub(super) unsafe fn push(&mut self, op: Op, token: u64) {
        self.in_flight += 1;
        self.counts.operations += 1;
        // SAFETY: forwarded.
        unsafe { self.backend.push(op, token) }
    }

    /// Queues an operation that completes only if it fails, and then to nobody's interest.
    ///
    /// # Safety
    /// It points to nothing.
    #[inline]
    pub(super) unsafe fn push_silent(&mut self, op: Op) {
        // SAFETY: forwarded.
        unsafe { self.backend.push_silent(op, token::UNWATCHED) }
    }

    fn arm_wake(&mut self) {
        let into = self.wake.count.as_mut_ptr();
        let Some(event) = &self.wake.event else { return };
        let descriptor = event.as_raw_fd();
        self.wake.armed = true;
        // SAFETY: `wake` lives until `close` has reaped this read, or is leaked.
        unsafe { self.push(Op::Read { descriptor, into, len: 8 }, token::WAKE) };
    }

    /// Hands everything queued to the kernel and waits for completions, in one system call.
    #[inline]
    pub(crate) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        self.transfers = 0;
        self.backend.enter(wait)
    }

    /// Told of each read and write of a file that was queued. Some of them are handed over before the turn ends: a disk
    /// that waits for the whole of a large batch stands idle while it is being made, and so does one whose reader works
    /// on the blocks that have come before it lets the turn end.
    pub(crate) fn transfer_queued(&mut self, bytes: u32) {
        self.transfers += 1 + bytes / TRANSFER_UNIT;
        if self.transfers >= TRANSFERS {
            self.transfers = 0;
            self.backend.hand_over();
        }
    }

    /// Leaves the waiting to another loop, which watches these descriptors for edges and never reads them: whenever
    /// there may be something that was not there at the last [`Driver::enter`], one of them has become readable.
    ///
    /// The second is the wake-up eventfd itself. Were it still read through the ring, that read's completion would be
    /// announced by one eventfd from inside the wake-up of another: on Linux 6.18 a guest was seen to sleep through it.
    #[cfg(feature = "tokio-rt")]
    pub(crate) fn wait_elsewhere(&mut self) -> io::Result<[OwnedFd; 2]> {
        let event = self.wake.event.as_ref().ok_or_else(crate::error::core_is_gone)?;
        let watched = [self.backend.poll_fd()?, event.try_clone()?];
        self.wake.elsewhere = true;
        // SAFETY: the operation points to nothing.
        unsafe { self.push_silent(Op::Cancel { target: token::WAKE }) };
        Ok(watched)
    }

    /// Handles completions, at most a batch of them, so that what they brought is still in the caches, and few buffers
    /// are taken, when the tasks run.
    pub(crate) fn complete(&mut self) {
        let mut batch = std::mem::take(&mut self.completions);
        self.backend.drain(&mut batch, BATCH);
        self.completed = batch.len();
        self.more_completed = batch.len() == BATCH;
        for completion in batch.drain(..) {
            let (result, more) = (completion.result, completion.more());
            let (kind, key) = token::split(completion.token);
            if !more && !matches!(kind, Some(Kind::Unwatched | Kind::Bell)) {
                self.in_flight -= 1;
            }
            match kind {
                Some(Kind::Recv) => self.on_recv(key, completion),
                Some(Kind::Send) => self.on_send(key, result),
                Some(Kind::CancelRecv) => self.on_recv_cancelled(key, result),
                Some(Kind::Accept) => self.on_accept(key, result, more),
                Some(Kind::CancelAccept) => self.on_accept_cancelled(key, result),
                Some(Kind::CancelSend) => self.on_send_cancelled(key, result),
                Some(Kind::CancelOperation) => self.on_operation_cancelled(key, result),
                Some(Kind::Operation) => self.on_operation(key, result),
                Some(Kind::Message) => self.on_message(key, completion),
                Some(Kind::CancelMessage) => self.on_message_cancelled(key, result),
                Some(Kind::Wake) => {
                    self.wake.armed = false;
                    if !self.closed && !self.wake.elsewhere {
                        self.arm_wake();
                    }
                }
                Some(Kind::ZeroCopy) => self.on_zero_copy(key, completion),
                Some(Kind::CancelZeroCopy) => self.on_zero_copy_cancelled(key, result),
                Some(Kind::Bell) => self.on_bell_failed(key),
                Some(Kind::Unwatched) | None => {}
            }
        }
        self.completions = batch;
        if !self.starved.is_empty() {
            self.feed_starved();
        }
        if self.can_feed_messages() {
            self.feed_starved_messages();
        }
    }

    /// Whether the next turn has completions or starved streams to see to, without waiting for anything new.
    pub(crate) fn has_more(&self) -> bool {
        self.more_completed
            || self.backend.has_work()
            || !self.starved.is_empty() && self.buffers.free() > 0
            || self.can_feed_messages()
    }

    /// Completions of the last turn.
    pub(crate) fn completed(&self) -> usize {
        self.completed
    }

    /// Receive buffers that the kernel may still take.
    pub(crate) fn free_buffers(&self) -> u16 {
        self.buffers.free()
    }

    pub(crate) fn counts(&self) -> DriverCounts {
        self.counts
    }

    pub(crate) fn has_after(&self) -> bool {
        !self.after.is_empty()
    }

    pub(crate) fn take_after(&mut self) -> After {
        std::mem::take(&mut self.after)
    }

    /// Asks the kernel to end an operation; the answer comes back as `answer`.
    pub(super) fn cancel(&mut self, key: Key, target: Kind, answer: Kind) {
        // SAFETY: it points to nothing.
        unsafe { self.push(Op::Cancel { target: key.token(target) }, key.token(answer)) };
    }

    /// Closes a descriptor that no operation refers to any more.
    pub(super) fn close_descriptor(&mut self, descriptor: RawFd) {
        // SAFETY: it points to nothing.
        unsafe { self.push_silent(Op::Close { descriptor }) };
    }

    /// Operations whose last completion has not come, the standing wake read left out.
    #[cfg(all(test, not(loom), not(miri)))]
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight - usize::from(self.wake.armed)
    }

    /// Free receive buffers, and how many there are.
    #[cfg(all(test, not(loom), not(miri)))]
    pub(crate) fn recv_buffers(&self) -> (u16, u16) {
        let messages = self.messages.as_ref().map(|messages| &messages.buffers);
        let (free, count) = messages.map_or((0, 0), |buffers| (buffers.free(), buffers.count()));
        (self.buffers.free() + free, self.buffers.count() + count)
    }

    /// Bytes that wait for their readers.
    #[cfg(all(test, not(loom), not(miri)))]
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.streams.iter().map(|(_, slot)| slot.waiting_bytes as usize).sum()
    }

    /// Slots in use: streams and message sockets, listeners, operations.
    #[cfg(all(test, not(loom), not(miri)))]
    pub(crate) fn slots(&self) -> (usize, usize, usize) {
        let messages = self.messages.as_ref().map_or(0, |messages| messages.slots.len());
        (self.streams.len() + messages, self.listeners.len(), self.operations.len())
    }
}
