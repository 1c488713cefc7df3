//! Operations that only a thread that may block can do.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

use super::OFFLOADED;
use super::attempt::call;
use super::poller::Poller;
use crate::JoinError;
use crate::blocking::{Pool, Work};
use crate::ring::op::{Completion, Op};

/// Operations on their way through other threads.
pub(super) struct Offload {
    pool: Arc<Pool>,
    /// By token, the pool's tickets of those whose completion has not been taken.
    tickets: HashMap<u64, u64>,
    /// Made by the first operation that needs it.
    results: Option<Arc<Results>>,
}

/// Where other threads leave what they have done.
struct Results {
    list: Mutex<Vec<Completion>>,
    event: OwnedFd,
}

impl Results {
    fn lock(&self) -> MutexGuard<'_, Vec<Completion>> {
        // One push or one take: a panic leaves nothing half done.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn post(&self, token: u64, result: i32) {
        self.lock().push(Completion { token, result, flags: 0 });
        // Only a counter at its maximum could refuse, and then the core is about to wake anyway.
        let _ = rustix::io::write(self.event.as_fd(), &1u64.to_ne_bytes());
    }
}

/// An operation on another thread.
struct Job {
    op: Op,
    token: u64,
    results: Arc<Results>,
}

// SAFETY: an operation is plain data. What it points to stays alive, in place and untouched until its completion is
// taken, as whoever queued it has promised, and the completion is posted after the other thread's last access.
unsafe impl Send for Job {}

impl Work for Job {
    fn run(self: Box<Self>) {
        // SAFETY: `push` was promised that what it points to lives until its completion, which follows.
        let result = unsafe { perform(self.op) };
        self.results.post(self.token, result);
    }

    fn drop_unrun(self: Box<Self>, why: JoinError) {
        let result = if matches!(why, JoinError::Cancelled) { -libc::ECANCELED } else { -libc::EAGAIN };
        self.results.post(self.token, result);
    }
}

impl Offload {
    pub(super) fn new(pool: Arc<Pool>) -> Offload {
        Offload { pool, tickets: HashMap::new(), results: None }
    }

    pub(super) fn start(&mut self, op: Op, token: u64, poller: &Poller) -> io::Result<()> {
        let results = match &self.results {
            Some(results) => results.clone(),
            None => {
                let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
                poller.add(event.as_raw_fd(), OFFLOADED)?;
                self.results.insert(Arc::new(Results { list: Mutex::default(), event })).clone()
            }
        };
        let ticket = self.pool.ticket();
        self.tickets.insert(token, ticket);
        self.pool.submit(ticket, Box::new(Job { op, token, results }));
        Ok(())
    }

    /// Takes what other threads have done.
    pub(super) fn collect(&mut self, completed: &mut VecDeque<Completion>) {
        // The event is edge-triggered and needs no read: each write is told.
        let Some(results) = &self.results else { return };
        for completion in results.lock().drain(..) {
            self.tickets.remove(&completion.token);
            completed.push_back(completion);
        }
    }

    /// As io_uring does with what its worker threads have taken: what runs goes on.
    pub(super) fn cancel(&mut self, target: u64) -> i32 {
        let Some(&ticket) = self.tickets.get(&target) else { return -libc::ENOENT };
        match self.pool.withdraw(ticket) {
            Some(job) => {
                job.drop_unrun(JoinError::Cancelled);
                0
            }
            None => -libc::EALREADY,
        }
    }

    pub(super) fn cancel_all(&mut self) {
        for &ticket in self.tickets.values() {
            if let Some(job) = self.pool.withdraw(ticket) {
                job.drop_unrun(JoinError::Cancelled);
            }
        }
    }
}

/// Does an operation on the calling thread, however long it takes.
///
/// # Safety
/// What the operation points to is alive and in place.
unsafe fn perform(op: Op) -> i32 {
    // SAFETY: forwarded.
    unsafe {
        match op {
            Op::Read { descriptor, into, len } => call(|| libc::read(descriptor, into.cast(), len as usize)),
            Op::Connect { socket, address, len } => call(|| libc::connect(socket, address, len) as isize),
            Op::File(op) => op.attempt(),
            Op::Splice { from, offset, into, len } => call(|| {
                let mut offset = offset as i64;
                libc::splice(from, &raw mut offset, into, ptr::null_mut(), len as usize, 0)
            }),
            _ => -libc::EOPNOTSUPP,
        }
    }
}
