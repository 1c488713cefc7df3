//! A kernel in a bad mood: in front of a real backend, it delays completions, gives them out of order, all at once or
//! not at all for a while (so that the real completion queue overflows), lets operations fail, reads and writes fall
//! short and cancellations miss.
//!
//! Everything it does, a kernel may do. All choices come from one seed.

mod errors;

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::rc::Rc;

use errors::errors_of;

use super::{Backend, DriverKind};
use crate::ring::driver::Wait;
use crate::ring::file_op::FileOp;
use crate::ring::op::{Completion, Op};
use crate::ring::provided::ProvidedBuffers;

thread_local! {
    static SEED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Runs `f` with faults in every driver that is made on this thread meanwhile.
pub(in crate::ring) fn with_faults<T>(seed: u64, f: impl FnOnce() -> T) -> T {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            SEED.set(None);
        }
    }
    SEED.set(Some(seed));
    let _reset = Reset;
    f()
}

/// How often things go wrong: one in so many.
const FAILURE: u64 = 24;
const MISSED_CANCEL: u64 = 6;
const SHORT: u64 = 6;
const ENDED_MULTISHOT: u64 = 24;
const STALL: u64 = 64;
/// Turns by which a completion is delayed, at most.
const DELAY: u64 = 4;
/// Turns for which nothing completes.
const STALL_TURNS: u64 = 24;

/// The token of what is asked for by the faults themselves.
const OURS: u64 = u64::MAX;

pub(in crate::ring) struct Fault {
    inner: Backend,
    random: u64,
    turn: u64,
    stalled_until: u64,
    held: VecDeque<Held>,
    /// What multishot operations that were ended by us are to complete with.
    endings: HashMap<u64, i32>,
    multishot: HashMap<u64, Op>,
}

struct Held {
    due: u64,
    completion: Completion,
}

impl Fault {
    /// The backend itself, or the backend behind faults.
    pub(super) fn before(inner: Backend) -> Backend {
        match SEED.get() {
            None => inner,
            Some(seed) => Backend::Fault(Box::new(Fault {
                inner,
                random: seed | 1,
                turn: 0,
                stalled_until: 0,
                held: VecDeque::new(),
                endings: HashMap::new(),
                multishot: HashMap::new(),
            })),
        }
    }

    /// Marsaglia's xorshift.
    fn below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % limit
    }

    fn happens(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    fn one_of(&mut self, errors: &[i32]) -> i32 {
        -errors[self.below(errors.len() as u64) as usize]
    }

    /// # Safety
    /// As for [`Backend::push`].
    pub(super) unsafe fn push(&mut self, op: Op, token: u64) {
        if let Op::Cancel { .. } = op
            && self.happens(MISSED_CANCEL)
        {
            let result = self.one_of(&[libc::ENOENT, libc::EALREADY]);
            return self.hold(Completion { token, result, flags: 0 });
        }
        let errors = errors_of(op);
        if !errors.is_empty() && self.happens(FAILURE) {
            let result = self.one_of(errors);
            return self.hold(Completion { token, result, flags: 0 });
        }
        if matches!(op, Op::RecvMulti { .. } | Op::RecvMsgMulti { .. } | Op::AcceptMulti { .. }) {
            self.multishot.insert(token, op);
        }
        let op = self.shortened(op);
        // SAFETY: forwarded: a shorter send points to less.
        unsafe { self.inner.push(op, token) }
    }

    fn shortened(&mut self, op: Op) -> Op {
        match op {
            // Of datagrams, which go without this flag, nothing is cut off.
            Op::Send { socket, from, len, flags }
                if len > 1 && flags & libc::MSG_WAITALL != 0 && self.happens(SHORT) =>
            {
                let len = 1 + self.below(u64::from(len) - 1) as u32;
                Op::Send { socket, from, len, flags }
            }
            Op::SendZeroCopy { socket, from, len, flags } if len > 1 && self.happens(SHORT) => {
                let len = 1 + self.below(u64::from(len) - 1) as u32;
                Op::SendZeroCopy { socket, from, len, flags }
            }
            Op::SendMsg { socket, message, flags } if self.happens(SHORT) => {
                Op::SendMsg { socket, message, flags: flags & !libc::MSG_WAITALL }
            }
            Op::File(FileOp::Write { file, from, len, offset }) if len > 1 && self.happens(SHORT) => {
                let len = 1 + self.below(u64::from(len) - 1) as u32;
                Op::File(FileOp::Write { file, from, len, offset })
            }
            Op::File(FileOp::Read { file, into, len, offset }) if len > 1 && self.happens(SHORT) => {
                let len = 1 + self.below(u64::from(len) - 1) as u32;
                Op::File(FileOp::Read { file, into, len, offset })
            }
            _ => op,
        }
    }

    /// # Safety
    /// As for [`Backend::push_silent`].
    pub(super) unsafe fn push_silent(&mut self, op: Op, token: u64) {
        // SAFETY: forwarded.
        unsafe { self.inner.push_silent(op, token) }
    }

    fn hold(&mut self, completion: Completion) {
        let mut due = self.turn + self.below(DELAY);
        // Those of one operation keep their order.
        if let Some(last) = self.held.iter().rev().find(|held| held.completion.token == completion.token) {
            due = due.max(last.due);
        }
        self.held.push_back(Held { due, completion });
    }

    pub(super) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        self.turn += 1;
        self.end_a_multishot();
        let stalled = self.stalled_until > self.turn;
        let wait = if self.held.is_empty() && !stalled { wait } else { Wait::No };
        self.inner.enter(wait)?;
        if stalled {
            // Nobody takes what completes meanwhile: on a small ring it is more than the kernel's queue holds.
            return Ok(());
        }
        let mut fresh = Vec::new();
        self.inner.drain(&mut fresh, usize::MAX);
        for mut completion in fresh {
            if completion.token == OURS {
                continue;
            }
            if !completion.more() {
                self.multishot.remove(&completion.token);
                if let Some(error) = self.endings.remove(&completion.token)
                    && completion.result == -libc::ECANCELED
                {
                    completion.result = error;
                }
            }
            self.hold(completion);
        }
        if self.stalled_until < self.turn && self.happens(STALL) {
            self.stalled_until = self.turn + self.below(STALL_TURNS);
        }
        Ok(())
    }

    /// Lets a multishot operation that is under way fail, as if it had just been tried again.
    fn end_a_multishot(&mut self) {
        if self.multishot.is_empty() || !self.happens(ENDED_MULTISHOT) {
            return;
        }
        let which = self.below(self.multishot.len() as u64) as usize;
        // The order of a map is not the seed's, but any order will do.
        let Some((&token, &op)) = self.multishot.iter().nth(which) else { return };
        let error = self.one_of(errors_of(op));
        self.endings.insert(token, error);
        // SAFETY: it points to nothing.
        unsafe { self.inner.push(Op::Cancel { target: token }, OURS) };
    }

    pub(super) fn drain(&mut self, batch: &mut Vec<Completion>, limit: usize) {
        if self.stalled_until > self.turn {
            return;
        }
        let mut at = 0;
        while at < self.held.len() && batch.len() < limit {
            if self.held[at].due > self.turn {
                at += 1;
            } else if let Some(held) = self.held.remove(at) {
                batch.push(held.completion);
            }
        }
    }

    pub(super) fn has_work(&self) -> bool {
        !self.held.is_empty() || self.stalled_until > self.turn || self.inner.has_work()
    }

    /// # Safety
    /// As for [`Backend::add_message_buffers`].
    pub(super) unsafe fn add_message_buffers(&mut self, buffers: &Rc<ProvidedBuffers>) -> io::Result<()> {
        // SAFETY: forwarded.
        unsafe { self.inner.add_message_buffers(buffers) }
    }

    pub(super) fn hand_over(&mut self) {
        self.inner.hand_over();
    }

    pub(super) fn flush(&mut self) {
        self.inner.flush();
    }

    pub(super) fn kind(&self) -> Option<DriverKind> {
        self.inner.kind()
    }

    pub(super) fn hold_back(&mut self, op: Op, token: u64) {
        self.inner.hold_back(op, token);
    }

    pub(super) fn describe(&self) -> String {
        let held: Vec<_> = self.held.iter().map(|held| (held.due, held.completion)).collect();
        format!(
            "faults in turn {}, stalled until {}, holding {held:?}, before {}",
            self.turn,
            self.stalled_until,
            self.inner.describe()
        )
    }
}
