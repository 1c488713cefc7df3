//! Receiving: one multishot operation per connection, into buffers that the kernel picks.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::after::Caller;
use super::driver::{Driver, missed};
use super::op::{Completion, Op};
use super::provided::ProvidedBuffers;
use super::recv_buf::RecvBuf;
use super::stream::{Chunk, End, Receive};
use super::token::{Key, Kind};
use crate::error::core_is_gone;

/// Bytes that may wait for a slow reader before its receive is stopped.
const QUEUE_LIMIT: usize = 64 * 1024;
/// Below this share of free buffers, waiting bytes are copied out so that one reader can't starve the others.
const SPILL_BELOW: u16 = 4;

/// How often the cancellation of a receive may miss before its socket is shut down.
const MISSES: u8 = 16;

/// A chunk, as its reader gets it.
fn received(buffers: &Rc<ProvidedBuffers>, chunk: Chunk) -> RecvBuf {
    match chunk {
        // SAFETY: the completion handed this buffer to the slot, which gave its only record of it away.
        Chunk::Provided { id, len } => unsafe { RecvBuf::provided(buffers.clone(), id, 0, len) },
        Chunk::Heap { bytes, read: 0 } => RecvBuf::heap(bytes),
        Chunk::Heap { bytes, read } => RecvBuf::heap(bytes[read as usize..].into()),
    }
}

impl Driver {
    /// The usual cases are inlined in each reader: bytes wait, or the reader has waited before and waits on.
    #[inline(always)]
    pub(crate) fn poll_recv(
        driver: &RefCell<Driver>,
        key: Key,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<RecvBuf>> {
        {
            let driver = &mut *driver.borrow_mut();
            if let Some(slot) =
                driver.streams.get_mut(key.index as usize).filter(|slot| slot.generation == key.generation)
            {
                match slot.first {
                    Some(Chunk::Provided { id, len }) if slot.rest.is_none() => {
                        slot.first = None;
                        slot.waiting_bytes -= len;
                        // SAFETY: as in `received`.
                        return Poll::Ready(Ok(unsafe {
                            RecvBuf::provided(driver.buffers.clone(), id, 0, len)
                        }));
                    }
                    None if slot.receive == Receive::Armed && slot.ended.is_none() => {
                        let known = slot.recv_waker.as_ref();
                        if known.is_some_and(|known| known.will_wake(cx.waker())) {
                            return Poll::Pending;
                        }
                    }
                    _ => {}
                }
            }
        }
        Driver::poll_recv_or_park(driver, key, cx)
    }

    #[inline(never)]
    fn poll_recv_or_park(
        driver: &RefCell<Driver>,
        key: Key,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<RecvBuf>> {
        let mut caller = Caller::new(cx);
        driver.borrow_mut().recv_or_park(key, &mut caller)
    }

    pub(super) fn recv_or_park(&mut self, key: Key, caller: &mut Caller<'_>) -> Poll<io::Result<RecvBuf>> {
        let Some(slot) =
            self.streams.get_mut(key.index as usize).filter(|slot| slot.generation == key.generation)
        else {
            return Poll::Ready(Err(core_is_gone()));
        };
        if let Some(chunk) = slot.dequeue() {
            return Poll::Ready(Ok(received(&self.buffers, chunk)));
        }
        match slot.ended {
            Some(End::Eof) => return Poll::Ready(Ok(RecvBuf::empty())),
            Some(End::Error(code)) => return Poll::Ready(Err(io::Error::from_raw_os_error(code))),
            None => {}
        }
        self.after.park(&mut slot.recv_waker, caller);
        self.arm_recv(key);
        Poll::Pending
    }

    /// As [`Driver::poll_recv`], but no more than `limit` bytes: the rest stays at the head of the queue.
    pub(crate) fn poll_recv_up_to(
        driver: &RefCell<Driver>,
        key: Key,
        limit: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<RecvBuf>> {
        let mut caller = Caller::new(cx);
        driver.borrow_mut().recv_up_to_or_park(key, limit, &mut caller)
    }

    fn recv_up_to_or_park(
        &mut self,
        key: Key,
        limit: usize,
        caller: &mut Caller<'_>,
    ) -> Poll<io::Result<RecvBuf>> {
        match self.recv_or_park(key, caller) {
            Poll::Ready(Ok(received)) if received.len() > limit => {
                let (now, later) = received.split_at(limit);
                let (now, later): (Box<[u8]>, Box<[u8]>) = (now.into(), later.into());
                if let Some(slot) = self.stream(key) {
                    slot.waiting_bytes += later.len() as u32;
                    if let Some(second) = slot.first.replace(Chunk::heap(later)) {
                        slot.rest.get_or_insert_default().push_front((second, slot.first_came));
                    }
                }
                Poll::Ready(Ok(RecvBuf::heap(now)))
            }
            other => other,
        }
    }

    /// A copy of the first bytes that wait, at most `limit`; they stay. Empty at the end of the stream.
    pub(crate) fn poll_peek(
        driver: &RefCell<Driver>,
        key: Key,
        limit: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Vec<u8>>> {
        let mut caller = Caller::new(cx);
        driver.borrow_mut().peek_or_park(key, limit, &mut caller)
    }

    fn peek_or_park(&mut self, key: Key, limit: usize, caller: &mut Caller<'_>) -> Poll<io::Result<Vec<u8>>> {
        let Some(slot) =
            self.streams.get(key.index as usize).filter(|slot| slot.generation == key.generation)
        else {
            return Poll::Ready(Err(core_is_gone()));
        };
        if slot.first.is_none() {
            // Nothing waits, so nothing is taken: this is the end, or the wish to be woken.
            return self.recv_or_park(key, caller).map_ok(|_end| Vec::new());
        }
        let mut bytes = Vec::new();
        for chunk in
            slot.first.iter().chain(slot.rest.iter().flat_map(|rest| rest.iter().map(|(chunk, _)| chunk)))
        {
            let chunk = match chunk {
                // SAFETY: the slot owns this buffer, and keeps it for as long as it is borrowed.
                Chunk::Provided { id, len } => unsafe { self.buffers.slice(*id, 0, *len) },
                Chunk::Heap { bytes, read } => &bytes[*read as usize..],
            };
            bytes.extend_from_slice(&chunk[..chunk.len().min(limit - bytes.len())]);
        }
        Poll::Ready(Ok(bytes))
    }

    /// Starts the multishot receive unless it runs, or no buffer is free for it.
    #[inline]
    fn arm_recv(&mut self, key: Key) {
        let free = self.buffers.free();
        let Some(slot) = self.stream(key) else { return };
        if slot.receive == Receive::Armed || slot.starved {
            return;
        }
        if free == 0 {
            // Armed now, it would answer ENOBUFS at once, even with no data waiting.
            slot.starved = true;
            self.starved.push_back(key);
            return;
        }
        slot.receive = Receive::Armed;
        let op = Op::RecvMulti { socket: slot.descriptor };
        // SAFETY: it points to nothing of ours; the buffers it will use belong to the backend.
        unsafe { self.push(op, key.token(Kind::Recv)) };
    }

    /// Arms as many of the receives that waited for buffers as are free again: more would ask in vain, turn by turn.
    pub(super) fn feed_starved(&mut self) {
        let fed = self.starved.len().min(self.buffers.free().into());
        for _ in 0..fed {
            let Some(key) = self.starved.pop_front() else { return };
            if let Some(slot) = self.stream(key) {
                slot.starved = false;
                if slot.wants_bytes() {
                    self.arm_recv(key);
                }
            }
        }
    }

    /// Gives buffers that came back after a turn's completions to those who wait for them.
    #[inline]
    pub(crate) fn feed(&mut self) {
        if !self.starved.is_empty() {
            self.feed_starved();
        }
    }

    pub(super) fn on_recv(&mut self, key: Key, completion: Completion) {
        let result = completion.result;
        let chunk = match (completion.buffer(), u32::try_from(result)) {
            (Some(id), Ok(len)) => {
                self.buffers.taken();
                if len == 0 {
                    self.buffers.give(id);
                }
                (len > 0).then_some((id, len))
            }
            _ => None,
        };
        let low = self.buffers.free() < self.buffers.count() / SPILL_BELOW;
        let Some(slot) =
            self.streams.get_mut(key.index as usize).filter(|slot| slot.generation == key.generation)
        else {
            if let Some((id, _)) = chunk {
                self.buffers.give(id);
            }
            return;
        };
        if !completion.more() {
            slot.receive = Receive::Idle;
            slot.stopping = false;
        }
        if !slot.held {
            if let Some((id, _)) = chunk {
                self.buffers.give(id);
            }
            return self.free_if_done(key);
        }
        if let Some((id, len)) = chunk {
            // A buffer that a task will read in this very turn is lent as it is; what piles up is copied out.
            let spill = low || slot.first.is_some();
            let chunk = if spill {
                // SAFETY: the completion has just handed this buffer over; it is given back after the copy.
                let copy = unsafe { self.buffers.slice(id, 0, len) }.into();
                self.buffers.give(id);
                Chunk::heap(copy)
            } else {
                Chunk::Provided { id, len }
            };
            slot.enqueue(chunk, self.turn_stamp);
            self.after.wake(&mut slot.recv_waker);
            if slot.waiting_bytes as usize >= QUEUE_LIMIT {
                self.stop_recv(key);
            }
            return;
        }
        match result {
            0 => slot.ended = Some(End::Eof),
            code => match -code {
                libc::ENOBUFS => {
                    self.counts.no_buffers += 1;
                    if slot.wants_bytes() && !slot.starved {
                        slot.starved = true;
                        self.starved.push_back(key);
                    }
                    return;
                }
                // The receive ended without the stream ending: it is armed again when somebody asks.
                libc::ECANCELED | libc::EINTR | libc::EAGAIN => {}
                error => slot.ended = Some(End::Error(error)),
            },
        }
        self.after.wake(&mut slot.recv_waker);
    }

    /// Asks the kernel to end the multishot receive.
    pub(super) fn stop_recv(&mut self, key: Key) {
        let Some(slot) = self.stream(key) else { return };
        if slot.receive == Receive::Idle || slot.stopping {
            return;
        }
        slot.stopping = true;
        self.cancel(key, Kind::Recv, Kind::CancelRecv);
    }

    pub(super) fn on_recv_cancelled(&mut self, key: Key, result: i32) {
        let Some(slot) = self.stream(key) else { return };
        if slot.receive == Receive::Idle || !slot.stopping || !missed(result) {
            return;
        }
        if slot.held {
            // A slow reader can wait: the next bytes that come start another try.
            slot.stopping = false;
            return;
        }
        slot.missed += 1;
        if slot.missed < MISSES {
            self.cancel(key, Kind::Recv, Kind::CancelRecv);
            return;
        }
        // Linux 6.11 has been seen to deny an armed receive for ever: the end of the socket ends it for certain.
        let op = Op::Shutdown { socket: slot.descriptor, how: libc::SHUT_RDWR };
        // SAFETY: it points to nothing.
        unsafe { self.push_silent(op) };
    }
}
