use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use io_uring::{IoUring, cqueue, opcode, squeue, types};
use slab::Slab;

use super::after::After;
use super::listener::ListenerSlot;
use super::operation::OperationSlot;
use super::provided::{GROUP, ProvidedBuffers};
use super::setup::{self, RingSizes};
use super::stream::StreamSlot;
use super::token::{self, GENERATION_MASK, Key, Kind};
use crate::error::StartError;

/// How long [`Driver::close`] waits for the kernel to give back what it was lent.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);
/// Completions handled in one turn.
const BATCH: usize = 128;

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

/// A ring and the slots of everything that was given to it.
pub(crate) struct Driver {
    ring: IoUring,
    pub(super) buffers: Rc<ProvidedBuffers>,
    pub(super) streams: Slab<StreamSlot>,
    pub(super) listeners: Slab<ListenerSlot>,
    pub(super) operations: Slab<OperationSlot>,
    /// Streams that found no free buffer and wait for one to come back.
    pub(super) starved: Vec<Key>,
    /// Entries that found the submission queue full while the kernel could take no more.
    pub(super) overflow: VecDeque<squeue::Entry>,
    /// Things whose destructors may run foreign code, dropped when nothing is borrowed.
    pub(super) after: After,
    completions: Vec<(u64, i32, u32)>,
    more_completed: bool,
    generation: u32,
    /// Submitted entries whose last completion has not come.
    in_flight: usize,
    wake: WakeRead,
    closed: bool,
}

/// Whether a cancellation missed its target, which may live on: an operation that is just being tried again is in
/// none of the lists that the kernel searches, and one that a kernel worker runs is interrupted but may go on. The
/// answer is to ask again, turn by turn, until the operation has completed. Asking by descriptor would find whatever
/// else is under way there.
pub(super) fn missed(result: i32) -> bool {
    matches!(-result, libc::ENOENT | libc::EALREADY)
}

/// A read of the wake-up eventfd that is always under way.
struct WakeRead {
    event: OwnedFd,
    /// Where the kernel writes the count; boxed, so that it stays put when the driver moves.
    count: Box<[u8; 8]>,
    armed: bool,
}

impl Driver {
    /// Makes the ring on the calling thread, which alone may use it from now on.
    pub(crate) fn new(sizes: RingSizes, event: OwnedFd) -> Result<Driver, StartError> {
        let (ring, rung) = setup::make_ring(sizes)?;
        let buffers = ProvidedBuffers::new(sizes.recv_buffers, sizes.recv_buffer_size)
            .map_err(StartError::io("map the receive buffers"))?;
        // SAFETY: the mapping is page-aligned, has `count` entries, and outlives the ring: `close` drops the
        // ring first, or leaks both.
        let registered = unsafe {
            ring.submitter().register_buf_ring_with_flags(buffers.ring_address(), buffers.count(), GROUP, 0)
        };
        registered.map_err(|error| match error.raw_os_error() {
            Some(libc::EINVAL) => {
                StartError::KernelTooOld { release: setup::release(), feature: "provided-buffer rings" }
            }
            _ => setup::explain(error),
        })?;
        tracing::debug!(?rung, entries = ring.params().sq_entries(), "ring ready");
        let mut driver = Driver {
            ring,
            buffers,
            streams: Slab::new(),
            listeners: Slab::new(),
            operations: Slab::new(),
            starved: Vec::new(),
            overflow: VecDeque::new(),
            after: After::default(),
            completions: Vec::with_capacity(BATCH),
            more_completed: false,
            generation: 0,
            in_flight: 0,
            wake: WakeRead { event, count: Box::new([0; 8]), armed: false },
            closed: false,
        };
        driver.arm_wake();
        Ok(driver)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn next_generation(&mut self) -> u32 {
        self.generation = (self.generation + 1) & GENERATION_MASK;
        self.generation
    }

    /// Queues an entry that will complete at least once.
    ///
    /// # Safety
    /// Everything the entry points to stays alive and in place until its last completion.
    #[inline]
    pub(super) unsafe fn push(&mut self, entry: squeue::Entry) {
        self.in_flight += 1;
        // SAFETY: forwarded.
        unsafe { self.push_silent(entry) }
    }

    /// Queues an entry that completes only if it fails (CQE_SKIP_SUCCESS).
    ///
    /// # Safety
    /// As for [`Driver::push`], and the entry points to nothing that could go before it is submitted.
    #[inline]
    pub(super) unsafe fn push_silent(&mut self, entry: squeue::Entry) {
        if !self.overflow.is_empty() {
            self.overflow.push_back(entry);
            return;
        }
        // SAFETY: forwarded.
        if unsafe { self.ring.submission().push(&entry) }.is_ok() {
            return;
        }
        // A full queue is handed over early; should the kernel refuse, entries wait here in order.
        let _ = self.ring.submitter().submit();
        // SAFETY: forwarded.
        if unsafe { self.ring.submission().push(&entry) }.is_err() {
            self.overflow.push_back(entry);
        }
    }

    fn arm_wake(&mut self) {
        let target = self.wake.count.as_mut_ptr();
        let entry = opcode::Read::new(types::Fd(self.wake.event.as_raw_fd()), target, 8).build();
        self.wake.armed = true;
        // SAFETY: `wake` lives until `close` has reaped this read, or is leaked.
        unsafe { self.push(entry.user_data(token::WAKE)) };
    }

    /// Moves what found no room into the queue, which is handed over whenever it is full. `false` if the kernel
    /// takes no more at present.
    #[cold]
    fn hand_over_overflow(&mut self) -> bool {
        while let Some(entry) = self.overflow.pop_front() {
            // SAFETY: `push` was promised that what the entry points to lives until its completion.
            if unsafe { self.ring.submission().push(&entry) }.is_err() {
                self.overflow.push_front(entry);
                if !matches!(self.ring.submitter().submit(), Ok(1..)) {
                    return false;
                }
            }
        }
        true
    }

    /// Hands everything queued to the kernel and waits for completions, in one system call.
    pub(crate) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        // What is still left behind must not be slept upon: the completion waited for may be its own.
        let wait = if self.overflow.is_empty() || self.hand_over_overflow() { wait } else { Wait::No };
        let submitter = self.ring.submitter();
        let outcome = match wait {
            Wait::No => {
                // SAFETY: no queue handle is alive on this thread, the only one that uses the ring.
                let queue = unsafe { self.ring.submission_shared() };
                if queue.is_empty() && !queue.taskrun() && !queue.cq_overflow() {
                    return Ok(());
                }
                drop(queue);
                submitter.submit()
            }
            Wait::Forever => submitter.submit_and_wait(1),
            Wait::AtMost(limit) => {
                let limit = types::Timespec::from(limit);
                submitter.submit_with_args(1, &types::SubmitArgs::new().timespec(&limit))
            }
        };
        match outcome {
            Ok(_) => Ok(()),
            // A signal, the time limit, or a completion queue to be emptied first: all mean "look again".
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::EINTR | libc::ETIME | libc::EBUSY | libc::EAGAIN)
                ) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Handles completions, at most a batch of them, so that what they brought is still in the caches, and few buffers
    /// are taken, when the tasks run. `true` if another thread has something for this core.
    pub(crate) fn complete(&mut self) -> bool {
        let mut woken = false;
        let mut batch = std::mem::take(&mut self.completions);
        batch.extend(
            self.ring
                .completion()
                .take(BATCH)
                .map(|entry| (entry.user_data(), entry.result(), entry.flags())),
        );
        self.more_completed = batch.len() == BATCH;
        for (token, result, flags) in batch.drain(..) {
            let more = cqueue::more(flags);
            let (kind, key) = token::split(token);
            if !more && kind != Some(Kind::Unwatched) {
                self.in_flight -= 1;
            }
            match kind {
                Some(Kind::Recv) => self.on_recv(key, result, flags),
                Some(Kind::Send) => self.on_send(key, result),
                Some(Kind::CancelRecv) => self.on_recv_cancelled(key, result),
                Some(Kind::Accept) => self.on_accept(key, result, more),
                Some(Kind::CancelAccept) => self.on_accept_cancelled(key, result),
                Some(Kind::CancelSend) => self.on_send_cancelled(key, result),
                Some(Kind::CancelOperation) => self.on_operation_cancelled(key, result),
                Some(Kind::Operation) => self.on_operation(key, result),
                Some(Kind::Wake) => {
                    woken = true;
                    self.wake.armed = false;
                    if !self.closed {
                        self.arm_wake();
                    }
                }
                Some(Kind::Unwatched) | None => {}
            }
        }
        self.completions = batch;
        if !self.starved.is_empty() {
            self.feed_starved();
        }
        woken
    }

    /// Whether the next turn has completions or starved streams to see to, without waiting for anything new.
    pub(crate) fn has_more(&self) -> bool {
        self.more_completed || !self.starved.is_empty() && self.buffers.free() > 0
    }

    pub(crate) fn take_after(&mut self) -> After {
        std::mem::take(&mut self.after)
    }

    /// Asks the kernel to end an operation; the answer comes back as `answer`.
    pub(super) fn cancel(&mut self, key: Key, target: Kind, answer: Kind) {
        let entry = opcode::AsyncCancel::new(key.token(target)).build();
        // SAFETY: the entry points to nothing.
        unsafe { self.push(entry.user_data(key.token(answer))) };
    }

    /// Closes a descriptor that no operation refers to any more.
    pub(super) fn close_descriptor(&mut self, descriptor: RawFd) {
        let entry = opcode::Close::new(types::Fd(descriptor))
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(token::UNWATCHED);
        // SAFETY: the entry points to nothing.
        unsafe { self.push_silent(entry) };
    }

    /// Cancels all that is under way and waits until the kernel has let go of it.
    ///
    /// What the kernel still holds after two seconds (a stuck device, say) is leaked on purpose: lost memory is
    /// better than memory that is written to after it was freed.
    pub(crate) fn close(&mut self) {
        if self.closed {
            return;
        }
        self.closed = true;
        let end = Instant::now() + CLOSE_PATIENCE;
        self.drop_listeners();
        self.drop_streams();
        while self.in_flight > 0 && Instant::now() < end {
            // Each time anew, as one cancellation can miss what is just being tried again.
            let cancel =
                opcode::AsyncCancel2::new(types::CancelBuilder::any()).build().user_data(token::UNWATCHED);
            // SAFETY: the entry points to nothing.
            unsafe { self.push_silent(cancel.flags(squeue::Flags::SKIP_SUCCESS)) };
            if let Err(error) = self.enter(Wait::AtMost(Duration::from_millis(20))) {
                tracing::error!(%error, "a ring failed while it was closed");
                break;
            }
            self.complete();
        }
        // One more turn hands over the descriptors closed meanwhile.
        let _ = self.enter(Wait::No);
        let _ = self.ring.submitter().submit();
        if self.in_flight > 0 {
            tracing::error!(
                operations = self.in_flight,
                "the kernel did not give all operations back; leaking them"
            );
            self.leak();
        }
    }

    fn leak(&mut self) {
        std::mem::forget(self.buffers.clone());
        std::mem::forget(std::mem::take(&mut self.streams));
        std::mem::forget(std::mem::take(&mut self.listeners));
        std::mem::forget(std::mem::take(&mut self.operations));
        std::mem::forget(std::mem::replace(&mut self.wake.count, Box::new([0; 8])));
    }

    /// Submitted entries whose last completion has not come, the standing wake read left out.
    #[cfg(all(test, not(loom), not(miri)))]
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight - usize::from(self.wake.armed)
    }

    /// Free receive buffers, and how many there are.
    #[cfg(all(test, not(loom), not(miri)))]
    pub(crate) fn recv_buffers(&self) -> (u16, u16) {
        (self.buffers.free(), self.buffers.count())
    }

    /// Bytes that wait for their readers.
    #[cfg(all(test, not(loom), not(miri)))]
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.streams.iter().map(|(_, slot)| slot.waiting_bytes as usize).sum()
    }

    /// Slots in use: streams, listeners, operations.
    #[cfg(all(test, not(loom), not(miri)))]
    pub(crate) fn slots(&self) -> (usize, usize, usize) {
        (self.streams.len(), self.listeners.len(), self.operations.len())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.close();
    }
}
