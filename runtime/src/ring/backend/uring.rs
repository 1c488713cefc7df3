//! io_uring itself: entries, one system call per turn, completions.

use std::collections::VecDeque;
use std::io;
#[cfg(feature = "tokio-rt")]
use std::os::fd::OwnedFd;
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;

use io_uring::{EnterFlags, IoUring, opcode, squeue, types};

use super::probe;
use crate::error::StartError;
use crate::ring::driver::Wait;
use crate::ring::op::{Completion, Op};
use crate::ring::provided::{GROUP, MESSAGES, ProvidedBuffers};
use crate::ring::setup::{self, RingSizes, Rung};

pub(in crate::ring) struct Uring {
    ring: IoUring,
    #[cfg_attr(not(test), expect(dead_code, reason = "for tests and debuggers"))]
    rung: Rung,
    /// Entries that found the submission queue full while the kernel could take no more.
    overflow: VecDeque<squeue::Entry>,
    /// What every wait asks for.
    waits: EnterFlags,
}

impl Uring {
    /// # Safety
    /// The buffers outlive the ring, or are leaked.
    pub(super) unsafe fn new(sizes: RingSizes, buffers: &Rc<ProvidedBuffers>) -> Result<Uring, StartError> {
        let (mut ring, rung) = setup::make_ring(sizes)?;
        let too_old = |feature| StartError::KernelTooOld { release: setup::release(), feature };
        // SAFETY: the mapping is page-aligned, has `count` entries, and outlives the ring, as the caller promises.
        let registered = unsafe { register(&ring, buffers) };
        registered.map_err(|error| match error.raw_os_error() {
            Some(libc::EINVAL) => too_old("provided-buffer rings"),
            _ => setup::explain(error),
        })?;
        // It also shows whether a filter that allows the ring refuses its use.
        if !probe::multishot_recv(&mut ring, buffers).map_err(setup::explain)? {
            return Err(too_old("multishot receive"));
        }
        tracing::debug!(?rung, entries = ring.params().sq_entries(), "ring ready");
        if rung == Rung::Coop {
            tracing::info!("io_uring without DEFER_TASKRUN, which Linux 6.1 has: requests cost a third more");
        }
        // An accept or a receive is always in flight, so that the kernel would count all of a core's sleep as time in
        // which a processor waits for a disk.
        let waits = match setup::waits_without_iowait(&ring) {
            true => EnterFlags::GETEVENTS | EnterFlags::NO_IOWAIT,
            false => EnterFlags::GETEVENTS,
        };
        Ok(Uring { ring, rung, overflow: VecDeque::new(), waits })
    }

    /// # Safety
    /// The buffers outlive the ring, or are leaked.
    pub(super) unsafe fn add_buffers(&mut self, buffers: &Rc<ProvidedBuffers>) -> io::Result<()> {
        // SAFETY: forwarded.
        unsafe { register(&self.ring, buffers) }
    }

    /// # Safety
    /// Everything the operation points to stays alive and in place until its last completion.
    // Where the kind of the operation is known, which is nearly everywhere, inlining leaves a few stores of `entry`.
    #[inline(always)]
    pub(super) unsafe fn push(&mut self, op: Op, token: u64, silent: bool) {
        #[cfg(all(test, not(loom), not(miri)))]
        let op = crate::ring::tests::old_kernel::as_then(op);
        let entry = entry(op).user_data(token);
        let entry = if silent { entry.flags(squeue::Flags::SKIP_SUCCESS) } else { entry };
        // SAFETY: forwarded.
        if !self.overflow.is_empty() || unsafe { self.ring.submission().push(&entry) }.is_err() {
            // SAFETY: forwarded.
            unsafe { self.push_to_full_queue(entry) }
        }
    }

    /// A full queue is handed over early; should the kernel refuse, entries wait in `overflow` in order.
    ///
    /// # Safety
    /// As [`Uring::push`].
    #[cold]
    unsafe fn push_to_full_queue(&mut self, entry: squeue::Entry) {
        if self.overflow.is_empty() {
            let _ = self.ring.submitter().submit();
            // SAFETY: forwarded.
            if unsafe { self.ring.submission().push(&entry) }.is_ok() {
                return;
            }
        }
        self.overflow.push_back(entry);
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

    pub(super) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        // What is still left behind must not be slept upon: the completion waited for may be its own.
        let wait = if self.overflow.is_empty() || self.hand_over_overflow() { wait } else { Wait::No };
        let outcome = match wait {
            Wait::No => {
                // SAFETY: no queue handle is alive on this thread, the only one that uses the ring.
                let queue = unsafe { self.ring.submission_shared() };
                if queue.is_empty() && !queue.taskrun() && !queue.cq_overflow() {
                    return Ok(());
                }
                drop(queue);
                self.ring.submitter().submit()
            }
            Wait::Forever => self.wait(self.waits, None::<&libc::sigset_t>),
            Wait::AtMost(limit) => {
                let limit = types::Timespec::from(limit);
                self.wait(self.waits | EnterFlags::EXT_ARG, Some(&types::SubmitArgs::new().timespec(&limit)))
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

    /// Hands over what is queued and waits for one completion. `extended` is for EXT_ARG, and nothing without it.
    fn wait<T>(&self, flags: EnterFlags, extended: Option<&T>) -> io::Result<usize> {
        // SAFETY: no queue handle is alive on this thread, the only one that uses the ring.
        let queued = unsafe { self.ring.submission_shared() }.len();
        // SAFETY: so many entries are queued, and `push` was promised that what they point to lives on; the flags and
        // the argument belong together, as this file's two callers have them.
        unsafe { self.ring.submitter().enter(queued as u32, 1, flags.bits(), extended) }
    }

    #[inline]
    pub(super) fn drain(&mut self, batch: &mut Vec<Completion>, limit: usize) {
        batch.extend(self.ring.completion().take(limit).map(|entry| Completion {
            token: entry.user_data(),
            result: entry.result(),
            flags: entry.flags(),
        }));
    }

    pub(super) fn hand_over(&mut self) {
        if self.overflow.is_empty() {
            let _ = self.ring.submitter().submit();
        }
    }

    pub(super) fn flush(&mut self) {
        let _ = self.enter(Wait::No);
        let _ = self.ring.submitter().submit();
    }

    /// The ring's own descriptor will not do: with DEFER_TASKRUN a completion is made only when this thread enters the
    /// kernel for it, so that the ring looks idle to a poll. A registered eventfd is signalled when there is work.
    #[cfg(feature = "tokio-rt")]
    pub(super) fn poll_fd(&self) -> io::Result<OwnedFd> {
        use rustix::event::{EventfdFlags, eventfd};

        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        self.ring.submitter().register_eventfd(event.as_raw_fd())?;
        Ok(event)
    }

    pub(in crate::ring) fn descriptor(&self) -> RawFd {
        self.ring.as_raw_fd()
    }

    #[cfg(all(test, not(loom), not(miri)))]
    pub(super) fn describe(&self) -> String {
        // SAFETY: no queue handle is alive on this thread, the only one that uses the ring.
        let (queued, completed) =
            unsafe { (self.ring.submission_shared().len(), self.ring.completion_shared().len()) };
        format!(
            "io_uring ({:?}): {queued} queued, {completed} completed, {} held back",
            self.rung,
            self.overflow.len()
        )
    }

    #[cfg(all(test, not(loom), not(miri)))]
    pub(super) fn hold_back(&mut self, op: Op, token: u64) {
        self.overflow.push_back(entry(op).user_data(token));
    }
}

/// # Safety
/// The buffers outlive the ring, or are leaked.
unsafe fn register(ring: &IoUring, buffers: &ProvidedBuffers) -> io::Result<()> {
    #[cfg(all(test, not(loom), not(miri)))]
    if crate::ring::tests::old_kernel::lacks(crate::ring::tests::old_kernel::Feature::BufferRings) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: the mapping is page-aligned, has `count` entries, and outlives the ring, as the caller promises.
    unsafe {
        let (address, count) = (buffers.ring_address(), buffers.count());
        ring.submitter().register_buf_ring_with_flags(address, count, buffers.group(), 0)
    }
}

/// Makes the notification say whether the bytes were copied after all (IORING_SEND_ZC_REPORT_USAGE, Linux 6.2).
#[inline(always)]
fn report_usage() -> u16 {
    #[cfg(all(test, not(loom), not(miri)))]
    if crate::ring::tests::old_kernel::lacks(crate::ring::tests::old_kernel::Feature::SendZeroCopy) {
        // A flag that no kernel knows yet.
        return 1 << 15;
    }
    1 << 3
}

#[inline(always)]
fn entry(op: Op) -> squeue::Entry {
    match op {
        Op::Recv { socket, into, len } => opcode::Recv::new(types::Fd(socket), into, len).build(),
        Op::RecvMulti { socket } => opcode::RecvMulti::new(types::Fd(socket), GROUP).build(),
        Op::RecvMsg { socket, message, flags } => {
            opcode::RecvMsg::new(types::Fd(socket), message).flags(flags as u32).build()
        }
        Op::RecvMsgMulti { socket, message, flags } => {
            opcode::RecvMsgMulti::new(types::Fd(socket), message, MESSAGES).flags(flags as u32).build()
        }
        Op::Send { socket, from, len, flags } => {
            opcode::Send::new(types::Fd(socket), from, len).flags(flags).build()
        }
        Op::SendZeroCopy { socket, from, len, flags } => {
            opcode::SendZc::new(types::Fd(socket), from, len).flags(flags).zc_flags(report_usage()).build()
        }
        Op::SendMsg { socket, message, flags } => {
            opcode::SendMsg::new(types::Fd(socket), message).flags(flags as u32).build()
        }
        Op::AcceptMulti { socket } => {
            opcode::AcceptMulti::new(types::Fd(socket)).flags(libc::SOCK_CLOEXEC).build()
        }
        Op::Connect { socket, address, len } => opcode::Connect::new(types::Fd(socket), address, len).build(),
        Op::Read { descriptor, into, len } => opcode::Read::new(types::Fd(descriptor), into, len).build(),
        Op::Poll { descriptor, events } => opcode::PollAdd::new(types::Fd(descriptor), events).build(),
        Op::Splice { from, offset, into, len } => {
            opcode::Splice::new(types::Fd(from), offset as i64, types::Fd(into), -1, len).build()
        }
        Op::Shutdown { socket, how } => opcode::Shutdown::new(types::Fd(socket), how).build(),
        Op::Close { descriptor } => opcode::Close::new(types::Fd(descriptor)).build(),
        Op::File(op) => op.entry(),
        Op::Message { ring, token } => opcode::MsgRingData::new(types::Fd(ring), 0, token, None).build(),
        Op::Cancel { target } => opcode::AsyncCancel::new(target).build(),
        Op::CancelAll => opcode::AsyncCancel2::new(types::CancelBuilder::any()).build(),
        #[cfg(all(test, not(loom), not(miri)))]
        Op::Idle => {
            static HOUR: types::Timespec = types::Timespec::new().sec(3600);
            opcode::Timeout::new(&HOUR).build()
        }
    }
}
