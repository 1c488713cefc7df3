//! Operations that only a thread that may block can do.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};

use super::OFFLOADED;
use super::attempt::{Outcome, attempt, call};
use super::poller::Poller;
use super::watch::Waiting;
use crate::JoinError;
use crate::blocking::{Pool, Work};
use crate::ring::op::{Completion, Op};

/// Operations on their way through other threads.
pub(super) struct Offload {
    pool: Arc<Pool>,
    /// By token, those whose completion has not been taken.
    tickets: HashMap<u64, Ticket>,
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

/// What is known here of an operation on another thread.
struct Ticket {
    /// The pool's.
    number: u64,
    stop: Arc<AtomicBool>,
    /// The tokens of cancellations that came too late to stop it.
    answers: Vec<u64>,
}

/// An operation on another thread.
struct Job {
    op: Op,
    token: u64,
    /// Its own, as the number may have a new owner before the thread comes to it.
    socket: Option<OwnedFd>,
    stop: Arc<AtomicBool>,
    results: Arc<Results>,
}

// SAFETY: an operation is plain data. What it points to stays alive, in place and untouched until its completion is
// taken, as whoever queued it has promised, and the completion is posted after the other thread's last access.
unsafe impl Send for Job {}

impl Work for Job {
    fn run(self: Box<Self>) {
        let result = match (&self.socket, self.op) {
            (Some(socket), Op::Connect { address, len, .. }) => {
                // SAFETY: `push` was promised that the address lives until the completion, which follows.
                unsafe { connect(socket, address, len, &self.stop) }
            }
            // SAFETY: as above, for all it points to.
            _ => unsafe { perform(self.op) },
        };
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
        let socket = if let Op::Connect { socket, .. } = op {
            // SAFETY: the descriptor is open, as whoever queued the operation has promised.
            let socket = unsafe { BorrowedFd::borrow_raw(socket) };
            Some(socket.try_clone_to_owned()?)
        } else {
            None
        };
        let (number, stop) = (self.pool.ticket(), Arc::new(AtomicBool::new(false)));
        self.tickets.insert(token, Ticket { number, stop: stop.clone(), answers: Vec::new() });
        self.pool.submit(number, Box::new(Job { op, token, socket, stop, results }));
        Ok(())
    }

    /// Takes what other threads have done.
    pub(super) fn collect(&mut self, completed: &mut VecDeque<Completion>) {
        // The event is edge-triggered and needs no read: each write is told.
        let Some(results) = &self.results else { return };
        for completion in results.lock().drain(..) {
            completed.push_back(completion);
            let Some(ticket) = self.tickets.remove(&completion.token) else { continue };
            completed.extend(ticket.answers.into_iter().map(|token| Completion {
                token,
                result: -libc::EALREADY,
                flags: 0,
            }));
        }
    }

    /// What a cancellation answers. What runs goes on unless it can be stopped, and the answer comes when it has
    /// ended: one that came at once would only be asked for again.
    pub(super) fn cancel(&mut self, target: u64, answer: u64) -> Option<i32> {
        let Some(ticket) = self.tickets.get_mut(&target) else { return Some(-libc::ENOENT) };
        if let Some(job) = self.pool.withdraw(ticket.number) {
            job.drop_unrun(JoinError::Cancelled);
            return Some(0);
        }
        ticket.stop.store(true, Ordering::Relaxed);
        ticket.answers.push(answer);
        None
    }

    pub(super) fn cancel_all(&mut self) {
        for ticket in self.tickets.values() {
            ticket.stop.store(true, Ordering::Relaxed);
            if let Some(job) = self.pool.withdraw(ticket.number) {
                job.drop_unrun(JoinError::Cancelled);
            }
        }
    }
}

/// How often a connect is tried that finds the backlog of its peer full.
const TRY_EVERY: Duration = Duration::from_millis(2);

/// Connects to a Unix socket whose backlog is full: no event tells when it is not, and a thread that waits in the
/// kernel could not be told to stop.
///
/// # Safety
/// The address is alive.
unsafe fn connect(
    socket: &OwnedFd,
    address: *const libc::sockaddr,
    len: libc::socklen_t,
    stop: &AtomicBool,
) -> i32 {
    loop {
        if stop.load(Ordering::Relaxed) {
            return -libc::ECANCELED;
        }
        let (op, token) = (Op::Connect { socket: socket.as_raw_fd(), address, len }, 0);
        // SAFETY: forwarded.
        match unsafe { attempt(&mut Waiting::new(op, token, None)) } {
            Outcome::Blocks => thread::sleep(TRY_EVERY),
            Outcome::Done(result) => return result,
            // Only a socket that is no Unix socket goes on by itself, and such a one does not come here.
            Outcome::NotYet => return -libc::EINPROGRESS,
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
            Op::File(op) => op.attempt(),
            Op::Splice { from, offset, into, len } => call(|| {
                let mut offset = offset as i64;
                libc::splice(from, &raw mut offset, into, ptr::null_mut(), len as usize, 0)
            }),
            _ => -libc::EOPNOTSUPP,
        }
    }
}
