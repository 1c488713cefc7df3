//! Receiving datagrams: one multishot operation per socket, into buffers that the kernel picks.

use std::cell::RefCell;
use std::io;
use std::os::fd::RawFd;
use std::task::{Context, Poll};

use super::arrival::{Arrival, Details, Sender};
use super::slot::{Room, slot_of};
use crate::error::core_is_gone;
use crate::ring::after::Caller;
use crate::ring::driver::{Driver, missed};
use crate::ring::op::{Completion, Op};
use crate::ring::provided::ProvidedBuffers;
use crate::ring::recv_buf::RecvBuf;
use crate::ring::token::{Key, Kind};

/// Datagrams that may wait for a slow reader before its receive is stopped, and their bytes. What comes then waits in
/// the socket's own buffer, and is dropped by the kernel when that is full.
const QUEUE_LIMIT: usize = 1024;
const QUEUE_BYTES: usize = 1 << 20;
/// Below this share of free buffers, waiting datagrams are copied out so that one reader can't starve the others.
const SPILL_BELOW: u16 = 4;
/// How often the cancellation of a receive may miss before its socket is shut down, and again before it is left alone.
const MISSES: u8 = 16;
/// What the kernel puts first into a buffer: struct io_uring_recvmsg_out, four integers.
const HEADER: usize = 16;

impl Room {
    /// Takes a filled buffer apart: header, name, control messages, payload.
    ///
    /// # Safety
    /// The kernel has just handed over buffer `id` with `len` bytes of a recvmsg with this room in it, and this is the
    /// only time that it is read.
    unsafe fn take_apart(
        self,
        buffers: &std::rc::Rc<ProvidedBuffers>,
        id: u16,
        len: u32,
        spill: bool,
    ) -> Arrival {
        // SAFETY: forwarded.
        let bytes = unsafe { buffers.slice(id, 0, len) };
        let word = |at: usize| {
            let word = bytes.get(at * 4..at * 4 + 4).and_then(|word| word.try_into().ok());
            word.map_or(0, u32::from_ne_bytes) as usize
        };
        // In all of them the kernel may name more than it had room for.
        let (name_len, control_len, payload_len, flags) = (word(0), word(1), word(2), word(3) as i32);
        let part = |start: usize, len: usize| {
            let start = start.min(bytes.len());
            &bytes[start..(start + len).min(bytes.len())]
        };
        let name = part(HEADER, name_len.min(self.name));
        let control = part(HEADER + self.name, control_len.min(self.control));
        let start = HEADER + self.name + self.control;
        let payload = part(start, payload_len);
        // SAFETY: the caller vouches for where they come from and that this is their only reading.
        let details = unsafe { Details::read(flags, control) };
        let from = Sender::read(name).unwrap_or(Sender::Unnamed);
        let payload = if spill {
            let copy: Box<[u8]> = payload.into();
            buffers.give(id);
            RecvBuf::heap(copy)
        } else {
            // SAFETY: the buffer is handed to this one owner.
            unsafe { RecvBuf::provided(buffers.clone(), id, start as u32, payload.len() as u32) }
        };
        Arrival { payload, from, details }
    }
}

impl Driver {
    /// Takes a datagram that waits.
    pub(crate) fn take_arrival(&mut self, key: Key) -> Option<Arrival> {
        let slot = self.message_socket(key)?;
        let arrival = slot.waiting.pop_front()?;
        slot.waiting_bytes -= arrival.payload.len();
        Some(arrival)
    }

    pub(crate) fn poll_arrival(
        driver: &RefCell<Driver>,
        key: Key,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Arrival>> {
        let mut caller = Caller::new(cx);
        driver.borrow_mut().arrival_or_park(key, &mut caller)
    }

    fn arrival_or_park(&mut self, key: Key, caller: &mut Caller<'_>) -> Poll<io::Result<Arrival>> {
        if let Some(arrival) = self.take_arrival(key) {
            return Poll::Ready(Ok(arrival));
        }
        let Some(slot) = slot_of(&mut self.messages, key) else { return Poll::Ready(Err(core_is_gone())) };
        if let Some(code) = slot.error.take() {
            return Poll::Ready(Err(io::Error::from_raw_os_error(code)));
        }
        self.after.park(&mut slot.recv_waker, caller);
        self.arm_messages(key);
        Poll::Pending
    }

    /// Ready when a datagram or an error waits; takes neither.
    pub(crate) fn poll_has_arrival(
        driver: &RefCell<Driver>,
        key: Key,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut caller = Caller::new(cx);
        let mut driver = driver.borrow_mut();
        match driver.message_socket(key) {
            Some(slot) if !slot.waiting.is_empty() || slot.error.is_some() => Poll::Ready(Ok(())),
            // Nothing waits, so nothing is taken.
            _ => driver.arrival_or_park(key, &mut caller).map_ok(drop),
        }
    }

    /// Starts the multishot receive unless it runs, or no buffer is free for it.
    fn arm_messages(&mut self, key: Key) {
        let Some(messages) = &mut self.messages else { return };
        let Some(slot) = messages.slots.get_mut(key.index as usize) else { return };
        if slot.armed || slot.starved {
            return;
        }
        if messages.buffers.free() == 0 {
            // Armed now, it would answer ENOBUFS at once, even with nothing to receive.
            slot.starved = true;
            messages.starved.push_back(key);
            return;
        }
        slot.armed = true;
        let (socket, message): (RawFd, _) = (slot.descriptor, &raw const *slot.header);
        let op = Op::RecvMsgMulti { socket, message, flags: libc::MSG_CMSG_CLOEXEC };
        // SAFETY: the header is boxed and stays in the slot, which is not freed while the receive is armed; the buffers
        // belong to the backend.
        unsafe { self.push(op, key.token(Kind::Message)) };
    }

    /// Arms as many of the receives that waited for buffers as are free again: more would ask in vain, turn by turn.
    #[cold]
    pub(in crate::ring) fn feed_starved_messages(&mut self) {
        let Some(messages) = &mut self.messages else { return };
        let fed = messages.starved.len().min(messages.buffers.free().into());
        for _ in 0..fed {
            let Some(key) = self.messages.as_mut().and_then(|messages| messages.starved.pop_front()) else {
                return;
            };
            if let Some(slot) = self.message_socket(key) {
                slot.starved = false;
                if slot.held && slot.waiting.is_empty() && slot.recv_waker.is_some() {
                    self.arm_messages(key);
                }
            }
        }
    }

    /// Whether sockets wait for buffers, of which some are free.
    #[inline]
    pub(in crate::ring) fn can_feed_messages(&self) -> bool {
        let starved =
            |messages: &super::Messages| !messages.starved.is_empty() && messages.buffers.free() > 0;
        self.messages.as_deref().is_some_and(starved)
    }

    pub(in crate::ring) fn on_message(&mut self, key: Key, completion: Completion) {
        let Some(messages) = &mut self.messages else { return };
        let buffers = &messages.buffers;
        let buffer = completion.buffer().map(|id| (id, u32::try_from(completion.result)));
        if buffer.is_some() {
            buffers.taken();
        }
        let slot = messages.slots.get_mut(key.index as usize);
        let Some(slot) = slot.filter(|slot| slot.generation == key.generation) else {
            if let Some((id, _)) = buffer {
                buffers.give(id);
            }
            return;
        };
        let arrival = match buffer {
            Some((id, Ok(len))) => {
                let low = buffers.free() < buffers.count() / SPILL_BELOW;
                // SAFETY: this completion has just handed the buffer over, and the slot's room is what the receive was
                // armed with.
                Some(unsafe { slot.room.take_apart(buffers, id, len, low) })
            }
            Some((id, Err(_))) => {
                buffers.give(id);
                None
            }
            None => None,
        };
        if !completion.more() {
            slot.armed = false;
            slot.stopping = false;
        }
        if !slot.held {
            // Its buffer goes back, and descriptors that came with it are closed.
            drop(arrival);
            return self.free_message_socket_if_done(key);
        }
        if let Some(arrival) = arrival {
            slot.waiting_bytes += arrival.payload.len();
            slot.waiting.push_back(arrival);
            let full = slot.waiting.len() >= QUEUE_LIMIT || slot.waiting_bytes >= QUEUE_BYTES;
            self.after.wake(&mut slot.recv_waker);
            if full {
                self.stop_messages(key);
            }
            return;
        }
        match -completion.result {
            libc::ENOBUFS => {
                self.counts.no_buffers += 1;
                if slot.waiting.is_empty() && slot.recv_waker.is_some() && !slot.starved {
                    slot.starved = true;
                    messages.starved.push_back(key);
                }
                return;
            }
            // The receive ended without an error of the socket: it is armed again when somebody asks.
            libc::ECANCELED | libc::EINTR | libc::EAGAIN | 0 => {}
            error => slot.error = Some(error),
        }
        self.after.wake(&mut slot.recv_waker);
    }

    /// Asks the kernel to end the multishot receive.
    pub(super) fn stop_messages(&mut self, key: Key) {
        let Some(slot) = self.message_socket(key) else { return };
        if !slot.armed || slot.stopping {
            return;
        }
        slot.stopping = true;
        self.cancel(key, Kind::Message, Kind::CancelMessage);
    }

    /// As if the cancellation of the only socket's receive had missed this often before, after its handle went.
    #[cfg(all(test, not(loom), not(miri)))]
    pub(in crate::ring) fn miss_message_cancellation(&mut self, missed: u8) {
        let slots = &mut self.messages.as_mut().expect("there is a message socket").slots;
        let (index, slot) = slots.iter_mut().next().expect("there is a message socket");
        (slot.held, slot.stopping, slot.missed) = (false, true, missed);
        let key = Key { index: index as u32, generation: slot.generation };
        self.on_message_cancelled(key, -libc::ENOENT);
    }

    pub(in crate::ring) fn on_message_cancelled(&mut self, key: Key, result: i32) {
        let Some(slot) = self.message_socket(key) else { return };
        if !slot.armed || !slot.stopping || !missed(result) {
            return;
        }
        if slot.held {
            // A slow reader can wait: the next datagram that comes starts another try.
            slot.stopping = false;
            return;
        }
        slot.missed += 1;
        let (socket, missed) = (slot.descriptor, slot.missed);
        if missed == MISSES {
            // As for streams, but this does not end it: it wakes the receive, which is then found where it waits again.
            // SAFETY: it points to nothing.
            unsafe { self.push_silent(Op::Shutdown { socket, how: libc::SHUT_RDWR }) };
        }
        if missed < 2 * MISSES {
            self.cancel(key, Kind::Message, Kind::CancelMessage);
        } else {
            tracing::warn!(
                socket,
                "the receive of a dropped socket can't be cancelled; it ends with its core"
            );
        }
    }
}
