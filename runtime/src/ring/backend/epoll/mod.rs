//! The same operations and completions without io_uring: system calls that do not wait, and epoll(7) to know when to
//! try again.
//!
//! - `attempt`: one operation, tried
//! - `watch`: who waits for which descriptor
//! - `multishot`: accept and receive, again and again
//! - `offload`: what only a thread that may block can do
//! - `poller`: the epoll instance; `tokens`: where to find what is to be cancelled
//!
//! An operation is tried when it is queued, unless it hardly ever succeeds then; one that would have waited is tried
//! again when its descriptor is ready. Completions are collected and taken by the driver as from a ring.

mod attempt;
mod multishot;
mod offload;
mod poller;
mod tokens;
mod watch;

use std::collections::VecDeque;
use std::io;
#[cfg(feature = "tokio-rt")]
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::Arc;

use attempt::{Manner, Outcome, attempt, manner};
use multishot::Step;
use offload::Offload;
use poller::{EVENTS, Event, Poller};
use tokens::ByToken;
use watch::{Side, Waiting, Watches};

use crate::blocking::Pool;
use crate::error::StartError;
use crate::ring::driver::Wait;
use crate::ring::op::{Completion, Op};
use crate::ring::provided::ProvidedBuffers;
use crate::ring::setup;

/// A busy loop asks epoll for news once in so many turns: what it knows of already is done first, and a system call
/// saved.
const LOOK_EVERY: u32 = 4;
/// With so many completions untaken, nothing more is tried before some of them have been.
const ENOUGH: usize = 512;

/// The key of the descriptor that tells of operations done on other threads.
const OFFLOADED: u64 = u64::MAX;

pub(in crate::ring) struct Epoll {
    poller: Poller,
    watches: Watches,
    /// Where an operation waits, for its cancellation.
    by_token: ByToken,
    /// Sides that may have more to give at once.
    ready: VecDeque<(RawFd, Side)>,
    events: Vec<Event>,
    completed: VecDeque<Completion>,
    turns_without_look: u32,
    /// Another loop waits for us: what is not looked at now may be looked at by nobody.
    watched: bool,
    buffers: Rc<ProvidedBuffers>,
    /// The next buffer to be taken: what the kernel keeps for a ring.
    next_buffer: u16,
    /// The same for messages, if there are sockets for them.
    messages: Option<(Rc<ProvidedBuffers>, u16)>,
    offload: Offload,
}

impl Epoll {
    pub(super) fn new(buffers: &Rc<ProvidedBuffers>, blocking: &Arc<Pool>) -> Result<Epoll, StartError> {
        Ok(Epoll {
            poller: Poller::new().map_err(|error| match error.raw_os_error() {
                Some(libc::EMFILE | libc::ENFILE) => setup::explain(error),
                _ => StartError::Io { step: "make an epoll instance", source: error },
            })?,
            watches: Watches::default(),
            by_token: ByToken::with_capacity_and_hasher(64, Default::default()),
            ready: VecDeque::with_capacity(EVENTS),
            events: Vec::with_capacity(EVENTS),
            completed: VecDeque::with_capacity(EVENTS),
            turns_without_look: 0,
            watched: false,
            buffers: buffers.clone(),
            // A ring that was given up may have used some.
            next_buffer: buffers.first(),
            messages: None,
            offload: Offload::new(blocking.clone()),
        })
    }

    pub(super) fn add_message_buffers(&mut self, buffers: &Rc<ProvidedBuffers>) {
        self.messages = Some((buffers.clone(), 0));
    }

    /// # Safety
    /// Everything the operation points to stays alive and in place until its last completion.
    pub(super) unsafe fn push(&mut self, op: Op, token: u64, silent: bool) {
        match manner(op) {
            Manner::TryFirst(descriptor, side) => {
                let mut waiting = Waiting::new(op, token, Some((descriptor, side)));
                // Those who came first are served first.
                if self.watches.first(descriptor, side).is_none() {
                    // SAFETY: forwarded.
                    match unsafe { attempt(&mut waiting) } {
                        Outcome::Done(result) => return self.post(token, result),
                        Outcome::NotYet => {}
                        Outcome::Blocks => return self.hand_off(op, token),
                    }
                }
                self.park(waiting, descriptor);
            }
            Manner::WaitFirst(descriptor, side) => {
                if let Op::AcceptMulti { socket } = op
                    && let Err(error) = attempt::do_not_wait(socket)
                {
                    return self.post(token, -error);
                }
                self.park(Waiting::new(op, token, Some((descriptor, side))), descriptor);
            }
            Manner::AtOnce => {
                let mut waiting = Waiting::new(op, token, None);
                // SAFETY: forwarded.
                let Outcome::Done(result) = (unsafe { attempt(&mut waiting) }) else {
                    return self.hand_off(op, token);
                };
                if !silent || result < 0 {
                    self.post(token, result);
                }
            }
            Manner::Special => self.do_special(op, token, silent),
        }
    }

    fn do_special(&mut self, op: Op, token: u64, silent: bool) {
        let result = match op {
            Op::Cancel { target } => match self.cancel(target, token) {
                Some(result) => result,
                None => return,
            },
            Op::CancelAll => self.cancel_all(),
            Op::Close { descriptor } => self.close(descriptor),
            // There is no ring to send it from.
            Op::Message { .. } => -libc::EOPNOTSUPP,
            _ => {
                // It waits for its cancellation only.
                let slot = self.watches.append(Waiting::new(op, token, None));
                self.by_token.insert(token, slot);
                return;
            }
        };
        if !silent || result < 0 {
            self.post(token, result);
        }
    }

    #[inline]
    fn post(&mut self, token: u64, result: i32) {
        self.completed.push_back(Completion { token, result, flags: 0 });
    }

    /// Lets an operation wait for its descriptor.
    fn park(&mut self, waiting: Waiting, descriptor: RawFd) {
        let (op, token) = (waiting.op, waiting.token);
        let watched = !self.watches.of(descriptor).is_idle();
        let wait_first = matches!(manner(op), Manner::WaitFirst(..));
        let slot = self.watches.append(waiting);
        self.by_token.insert(token, slot);
        if watched {
            // Of what has happened so far only the attempt tells, as each event is told once.
            if wait_first {
                self.list(descriptor, Side::Read);
            }
            return;
        }
        let Err(error) = self.watch(descriptor) else { return };
        self.watches.take(slot);
        self.by_token.remove(&token);
        match error.raw_os_error() {
            // Plain files are always ready and block all the same.
            Some(libc::EPERM) => self.hand_off(op, token),
            code => self.post(token, -code.unwrap_or(libc::EIO)),
        }
    }

    /// Has epoll tell when the descriptor is ready, also if it is now.
    fn watch(&mut self, descriptor: RawFd) -> io::Result<()> {
        let watch = self.watches.of(descriptor);
        let key = |generation: u32| u64::from(generation) << 32 | u64::from(descriptor as u32);
        watch.special = false;
        if watch.added && self.poller.tell_again(descriptor, key(watch.generation))? {
            return Ok(());
        }
        watch.added = false;
        watch.generation = watch.generation.wrapping_add(1);
        watch.tcp = None;
        self.poller.add(descriptor, key(watch.generation))?;
        watch.added = true;
        Ok(())
    }

    /// Has a side looked at in the next turn.
    fn list(&mut self, descriptor: RawFd, side: Side) {
        let listed = &mut self.watches.of(descriptor).listed[side as usize];
        if !std::mem::replace(listed, true) {
            self.ready.push_back((descriptor, side));
        }
    }

    fn hand_off(&mut self, op: Op, token: u64) {
        if let Err(error) = self.offload.start(op, token, &self.poller) {
            self.post(token, -error.raw_os_error().unwrap_or(libc::EAGAIN));
        }
    }

    pub(super) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        let listed = self.ready.len();
        let busy = wait == Wait::No || self.has_work();
        if busy && !self.watched && self.turns_without_look + 1 < LOOK_EVERY || self.completed.len() >= ENOUGH
        {
            self.turns_without_look += 1;
        } else {
            self.turns_without_look = 0;
            self.look(if busy { Wait::No } else { wait })?;
        }
        for _ in 0..listed {
            if self.completed.len() >= ENOUGH {
                break;
            }
            let Some((descriptor, side)) = self.ready.pop_front() else { break };
            self.watches.of(descriptor).listed[side as usize] = false;
            self.serve(descriptor, side);
        }
        Ok(())
    }

    /// Whether there are completions to take, or operations to try, without waiting for anything.
    #[inline]
    pub(super) fn has_work(&self) -> bool {
        !self.completed.is_empty() || !self.ready.is_empty()
    }

    fn look(&mut self, wait: Wait) -> io::Result<()> {
        let mut events = std::mem::take(&mut self.events);
        let looked = self.poller.wait(&mut events, wait);
        for event in events.drain(..) {
            self.on_event(event);
        }
        self.events = events;
        looked
    }

    fn on_event(&mut self, event: Event) {
        if event.key == OFFLOADED {
            return self.offload.collect(&mut self.completed);
        }
        let descriptor = event.key as u32 as RawFd;
        let generation = (event.key >> 32) as u32;
        let watch = self.watches.of(descriptor);
        if !watch.added || watch.generation != generation {
            return;
        }
        if watch.is_idle() {
            // Nobody is interested any more: no need to be woken for it again.
            watch.added = false;
            return self.poller.remove(descriptor);
        }
        watch.special |= event.is_special();
        for (side, is_ready) in [(Side::Read, event.readable()), (Side::Write, event.writable())] {
            if is_ready && self.completed.len() >= ENOUGH {
                self.list(descriptor, side);
            } else if is_ready {
                self.serve(descriptor, side);
            }
        }
    }

    /// Tries what waits for one side of a descriptor, in order, until one would wait.
    fn serve(&mut self, descriptor: RawFd, side: Side) {
        while let Some(slot) = self.watches.first(descriptor, side) {
            let waiting = &mut self.watches.waiting[slot as usize];
            let (op, token) = (waiting.op, waiting.token);
            let step = match op {
                Op::RecvMulti { socket } => self.recv_again(socket, token),
                Op::AcceptMulti { socket } => self.accept_again(socket, token),
                Op::RecvMsgMulti { socket, message, flags } => {
                    // SAFETY: `push` was promised that the header lives until the last completion.
                    let header = unsafe { &*message };
                    self.recv_messages(socket, header, flags, token)
                }
                // SAFETY: `push` was promised that what it points to lives until its completion.
                _ => match unsafe { attempt(waiting) } {
                    Outcome::Done(result) => Step::Ended(result),
                    Outcome::NotYet => Step::Waits,
                    Outcome::Blocks => {
                        self.finish(slot);
                        self.hand_off(op, token);
                        continue;
                    }
                },
            };
            match step {
                Step::Ended(result) => {
                    self.finish(slot);
                    self.post(token, result);
                }
                Step::HasMore => return self.list(descriptor, side),
                Step::Waits => return,
            }
        }
    }

    fn finish(&mut self, slot: u32) -> Waiting {
        let waiting = self.watches.take(slot);
        self.by_token.remove(&waiting.token);
        waiting
    }

    fn cancel(&mut self, target: u64, answer: u64) -> Option<i32> {
        let Some(&slot) = self.by_token.get(&target) else {
            return self.offload.cancel(target, answer);
        };
        let waiting = self.finish(slot);
        self.post(target, waiting.result_if_cancelled());
        if let Some((descriptor, _)) = waiting.place
            && self.watches.of(descriptor).is_idle()
        {
            // It is likely to be closed next, perhaps not through us.
            self.unwatch(descriptor);
        }
        Some(0)
    }

    fn cancel_all(&mut self) -> i32 {
        while let Some(slot) = self.watches.any() {
            let waiting = self.finish(slot);
            self.post(waiting.token, waiting.result_if_cancelled());
        }
        self.offload.cancel_all();
        0
    }

    fn unwatch(&mut self, descriptor: RawFd) {
        if let Some(watch) = self.watches.get(descriptor)
            && std::mem::replace(&mut watch.added, false)
        {
            self.poller.remove(descriptor);
        }
    }

    fn close(&mut self, descriptor: RawFd) -> i32 {
        // The number will have a new owner, whose bytes are none of theirs.
        for side in [Side::Read, Side::Write] {
            while let Some(slot) = self.watches.first(descriptor, side) {
                let waiting = self.finish(slot);
                self.post(waiting.token, waiting.result_if_cancelled());
            }
        }
        self.unwatch(descriptor);
        // SAFETY: the driver closes what it owns. Not tried again if interrupted: the number is free already (close(2)).
        if unsafe { libc::close(descriptor) } == 0 {
            return 0;
        }
        -io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
    }

    #[inline]
    pub(super) fn drain(&mut self, batch: &mut Vec<Completion>, limit: usize) {
        let count = self.completed.len().min(limit);
        batch.extend(self.completed.drain(..count));
    }

    #[cfg(all(test, not(loom), not(miri)))]
    pub(super) fn describe(&self) -> String {
        let waiting: Vec<_> = self
            .watches
            .waiting
            .iter()
            .map(|(_, waiting)| (waiting.op, waiting.token, waiting.done))
            .collect();
        format!("epoll: waiting {waiting:x?}, ready {:?}, completed {:?}", self.ready, self.completed)
    }

    #[cfg(feature = "tokio-rt")]
    pub(super) fn poll_fd(&mut self) -> io::Result<OwnedFd> {
        self.watched = true;
        self.poller.poll_fd()
    }
}
