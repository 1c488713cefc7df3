//! A connection: one multishot receive, and at most one send.

use std::collections::VecDeque;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::task::{Context, Poll, Waker};

use io_uring::{cqueue, opcode, squeue, types};

use super::driver::Driver;
use super::provided::GROUP;
use super::recv_buf::RecvBuf;
use super::token::{self, Key, Kind};
use crate::buf::SendBuf;
use crate::error::core_is_gone;

/// Bytes that may wait for a slow reader before its receive is stopped.
const QUEUE_LIMIT: usize = 64 * 1024;
/// Below this share of free buffers, waiting bytes are copied out so that one reader can't starve the others.
const SPILL_BELOW: u16 = 4;

pub(crate) struct StreamSlot {
    generation: u32,
    descriptor: RawFd,
    /// The `TcpStream` still exists.
    held: bool,
    receive: Receive,
    /// A cancellation of the receive is under way.
    stopping: bool,
    /// In the driver's list of streams that wait for a free buffer.
    starved: bool,
    ended: Option<End>,
    send_error: Option<i32>,
    sending: Option<SendBuf>,
    sent: u32,
    waiting_bytes: u32,
    first: Option<Chunk>,
    #[expect(clippy::box_collection, reason = "8 bytes instead of 32 in every idle connection")]
    rest: Option<Box<VecDeque<Chunk>>>,
    recv_waker: Option<Waker>,
    send_waker: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Receive {
    Idle,
    Armed,
}

#[derive(Clone, Copy)]
enum End {
    Eof,
    Error(i32),
}

enum Chunk {
    Provided { id: u16, len: u32 },
    Heap(Box<[u8]>),
}

impl Chunk {
    fn len(&self) -> usize {
        match self {
            Chunk::Provided { len, .. } => *len as usize,
            Chunk::Heap(bytes) => bytes.len(),
        }
    }
}

impl StreamSlot {
    #[inline]
    fn enqueue(&mut self, chunk: Chunk) {
        self.waiting_bytes += chunk.len() as u32;
        if self.first.is_none() {
            self.first = Some(chunk);
        } else {
            self.rest.get_or_insert_default().push_back(chunk);
        }
    }

    #[inline]
    fn dequeue(&mut self) -> Option<Chunk> {
        let chunk = self.first.take()?;
        self.waiting_bytes -= chunk.len() as u32;
        if let Some(rest) = &mut self.rest {
            self.first = rest.pop_front();
            if rest.is_empty() {
                self.rest = None;
            }
        }
        Some(chunk)
    }
}

impl Driver {
    /// Takes a connected socket over.
    pub(crate) fn adopt_stream(&mut self, socket: OwnedFd) -> io::Result<Key> {
        if self.is_closed() {
            return Err(core_is_gone());
        }
        let generation = self.next_generation();
        let index = self.streams.insert(StreamSlot {
            generation,
            descriptor: socket.into_raw_fd(),
            held: true,
            receive: Receive::Idle,
            stopping: false,
            starved: false,
            ended: None,
            send_error: None,
            sending: None,
            sent: 0,
            waiting_bytes: 0,
            first: None,
            rest: None,
            recv_waker: None,
            send_waker: None,
        }) as u32;
        Ok(Key { index, generation })
    }

    #[inline]
    fn stream(&mut self, key: Key) -> Option<&mut StreamSlot> {
        self.streams.get_mut(key.index as usize).filter(|slot| slot.generation == key.generation)
    }

    /// The socket, for calls that need no ring. Valid until [`Driver::drop_stream`].
    pub(crate) fn stream_descriptor(&mut self, key: Key) -> io::Result<RawFd> {
        self.stream(key).map(|slot| slot.descriptor).ok_or_else(core_is_gone)
    }

    /// Whether the stream's receive has ever been armed with no end yet, or has bytes waiting: a one-shot
    /// receive beside it would take bytes out of order.
    pub(crate) fn stream_receives(&mut self, key: Key) -> bool {
        self.stream(key).is_some_and(|slot| {
            slot.receive == Receive::Armed || slot.first.is_some() || slot.ended.is_some() || slot.starved
        })
    }

    #[inline]
    pub(crate) fn poll_recv(&mut self, key: Key, cx: &mut Context<'_>) -> Poll<io::Result<RecvBuf>> {
        let Some(slot) = self.stream(key) else { return Poll::Ready(Err(core_is_gone())) };
        if let Some(chunk) = slot.dequeue() {
            return Poll::Ready(Ok(match chunk {
                // SAFETY: the completion handed this buffer to the slot, which gave its only record of it away.
                Chunk::Provided { id, len } => unsafe { RecvBuf::provided(self.buffers.clone(), id, len) },
                Chunk::Heap(bytes) => RecvBuf::heap(bytes),
            }));
        }
        match slot.ended {
            Some(End::Eof) => return Poll::Ready(Ok(RecvBuf::empty())),
            Some(End::Error(code)) => return Poll::Ready(Err(io::Error::from_raw_os_error(code))),
            None => {}
        }
        match &slot.recv_waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => {
                let mut old = slot.recv_waker.replace(cx.waker().clone());
                self.after.discard(&mut old);
            }
        }
        self.arm_recv(key);
        Poll::Pending
    }

    /// As [`Driver::poll_recv`], but no more than `limit` bytes: the rest stays at the head of the queue.
    pub(crate) fn poll_recv_up_to(
        &mut self,
        key: Key,
        limit: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<RecvBuf>> {
        match self.poll_recv(key, cx) {
            Poll::Ready(Ok(received)) if received.len() > limit => {
                let (now, later) = received.split_at(limit);
                let (now, later): (Box<[u8]>, Box<[u8]>) = (now.into(), later.into());
                if let Some(slot) = self.stream(key) {
                    slot.waiting_bytes += later.len() as u32;
                    if let Some(second) = slot.first.replace(Chunk::Heap(later)) {
                        slot.rest.get_or_insert_default().push_front(second);
                    }
                }
                Poll::Ready(Ok(RecvBuf::heap(now)))
            }
            other => other,
        }
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
            self.starved.push(key);
            return;
        }
        slot.receive = Receive::Armed;
        let entry = opcode::RecvMulti::new(types::Fd(slot.descriptor), GROUP).build();
        // SAFETY: the entry points to nothing of ours; the buffers it will use belong to the registered ring.
        unsafe { self.push(entry.user_data(key.token(Kind::Recv))) };
    }

    /// Arms the receives that waited for buffers, now that some are free again.
    pub(super) fn feed_starved(&mut self) {
        if self.buffers.free() == 0 {
            return;
        }
        for key in std::mem::take(&mut self.starved) {
            if let Some(slot) = self.stream(key) {
                slot.starved = false;
                if slot.held && slot.recv_waker.is_some() {
                    self.arm_recv(key);
                }
            }
        }
    }

    /// Gives buffers that came back after a turn's completions to those who wait for them.
    pub(crate) fn feed(&mut self) {
        self.feed_starved();
    }

    pub(super) fn on_recv(&mut self, key: Key, result: i32, flags: u32) {
        let chunk = match (cqueue::buffer_select(flags), u32::try_from(result)) {
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
        if !cqueue::more(flags) {
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
            slot.enqueue(if spill {
                // SAFETY: the completion has just handed this buffer over; it is given back after the copy.
                let copy = unsafe { self.buffers.slice(id, len) }.into();
                self.buffers.give(id);
                Chunk::Heap(copy)
            } else {
                Chunk::Provided { id, len }
            });
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
                    if slot.recv_waker.is_some() && !slot.starved {
                        slot.starved = true;
                        self.starved.push(key);
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
    fn stop_recv(&mut self, key: Key) {
        let Some(slot) = self.stream(key) else { return };
        if slot.receive == Receive::Idle || slot.stopping {
            return;
        }
        slot.stopping = true;
        let entry = opcode::AsyncCancel::new(key.token(Kind::Recv)).build();
        // SAFETY: the entry points to nothing.
        unsafe { self.push(entry.user_data(key.token(Kind::CancelRecv))) };
    }

    pub(super) fn on_recv_cancelled(&mut self, key: Key, result: i32) {
        let Some(slot) = self.stream(key) else { return };
        if slot.receive == Receive::Idle || !slot.stopping || result != -libc::ENOENT {
            return;
        }
        // A receive that was being retried at that moment can be missed by its token. Whoever dropped the stream
        // wants it ended: shutting the socket down ends it for certain. A slow reader can wait for the next try.
        slot.stopping = false;
        if !slot.held {
            let entry = opcode::Shutdown::new(types::Fd(slot.descriptor), libc::SHUT_RDWR).build();
            // SAFETY: the entry points to nothing.
            unsafe {
                self.push_silent(entry.flags(squeue::Flags::SKIP_SUCCESS).user_data(token::UNWATCHED));
            }
        }
    }

    /// Lends a buffer to the kernel until all of it is sent.
    #[inline]
    pub(crate) fn submit_send(&mut self, key: Key, buffer: SendBuf) -> Result<(), (io::Error, SendBuf)> {
        let Some(slot) = self.stream(key) else { return Err((core_is_gone(), buffer)) };
        if slot.sending.is_some() {
            return Err((io::Error::new(io::ErrorKind::ResourceBusy, "a send is already under way"), buffer));
        }
        if let Some(code) = slot.send_error {
            return Err((io::Error::from_raw_os_error(code), buffer));
        }
        slot.sent = 0;
        slot.sending = Some(buffer);
        self.push_send(key);
        Ok(())
    }

    #[inline]
    fn push_send(&mut self, key: Key) {
        let Some(slot) = self.stream(key) else { return };
        let Some(buffer) = &slot.sending else { return };
        let bytes = &buffer.as_ref()[slot.sent as usize..];
        let len = u32::try_from(bytes.len()).unwrap_or(i32::MAX as u32).min(i32::MAX as u32);
        // MSG_WAITALL makes the kernel itself go on after a short send.
        let entry = opcode::Send::new(types::Fd(slot.descriptor), bytes.as_ptr(), len)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build();
        // SAFETY: the bytes are on the heap or static (see SendBuf), and the slot keeps them until the
        // completion: `sending` is emptied in `on_send` only.
        unsafe { self.push(entry.user_data(key.token(Kind::Send))) };
    }

    pub(super) fn on_send(&mut self, key: Key, result: i32) {
        let Some(slot) =
            self.streams.get_mut(key.index as usize).filter(|slot| slot.generation == key.generation)
        else {
            return;
        };
        let Some(buffer) = &slot.sending else { return };
        match u32::try_from(result) {
            Ok(sent) => {
                slot.sent += sent;
                if (slot.sent as usize) < buffer.len() && slot.held && sent > 0 {
                    return self.push_send(key);
                }
            }
            Err(_) if matches!(-result, libc::EINTR | libc::EAGAIN) && slot.held => {
                return self.push_send(key);
            }
            Err(_) => slot.send_error = Some(-result),
        }
        if let Some(buffer) = slot.sending.take() {
            self.after.release(buffer);
        }
        self.after.wake(&mut slot.send_waker);
        if !slot.held {
            self.free_if_done(key);
        }
    }

    #[inline]
    pub(crate) fn poll_sent(&mut self, key: Key, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(slot) = self.stream(key) else { return Poll::Ready(Err(core_is_gone())) };
        if slot.sending.is_none() {
            return Poll::Ready(match slot.send_error {
                Some(code) => Err(io::Error::from_raw_os_error(code)),
                None => Ok(()),
            });
        }
        match &slot.send_waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => {
                let mut old = slot.send_waker.replace(cx.waker().clone());
                self.after.discard(&mut old);
            }
        }
        Poll::Pending
    }

    #[inline]
    pub(crate) fn is_sending(&mut self, key: Key) -> bool {
        self.stream(key).is_some_and(|slot| slot.sending.is_some())
    }

    /// The handle is gone: cancels what is under way and frees the slot when the kernel is done with it.
    pub(crate) fn drop_stream(&mut self, key: Key) {
        let Some(slot) = self.stream(key) else { return };
        slot.held = false;
        let (mut recv_waker, mut send_waker) = (slot.recv_waker.take(), slot.send_waker.take());
        let sending = slot.sending.is_some();
        while let Some(chunk) = self.stream(key).and_then(StreamSlot::dequeue) {
            if let Chunk::Provided { id, .. } = chunk {
                self.buffers.give(id);
            }
        }
        self.after.discard(&mut recv_waker);
        self.after.discard(&mut send_waker);
        if sending {
            let entry = opcode::AsyncCancel::new(key.token(Kind::Send)).build();
            // SAFETY: the entry points to nothing.
            unsafe {
                self.push_silent(entry.flags(squeue::Flags::SKIP_SUCCESS).user_data(token::UNWATCHED));
            }
        }
        self.stop_recv(key);
        self.free_if_done(key);
    }

    fn free_if_done(&mut self, key: Key) {
        let Some(slot) = self.stream(key) else { return };
        if slot.held || slot.receive == Receive::Armed || slot.sending.is_some() {
            return;
        }
        let slot = self.streams.remove(key.index as usize);
        self.close_descriptor(slot.descriptor);
    }

    pub(super) fn drop_streams(&mut self) {
        let keys: Vec<Key> = self
            .streams
            .iter()
            .map(|(index, slot)| Key { index: index as u32, generation: slot.generation })
            .collect();
        for key in keys {
            self.drop_stream(key);
        }
    }
}

/// Shuts a socket down in one or both directions, at once.
pub(crate) fn shutdown_now(descriptor: RawFd, how: Shutdown) -> io::Result<()> {
    // SAFETY: the caller holds the stream whose socket this is, so the descriptor is open.
    let socket = unsafe { std::os::fd::BorrowedFd::borrow_raw(descriptor) };
    let how = match how {
        Shutdown::Read => rustix::net::Shutdown::Read,
        Shutdown::Write => rustix::net::Shutdown::Write,
        Shutdown::Both => rustix::net::Shutdown::Both,
    };
    debug_assert!(socket.as_raw_fd() >= 0);
    Ok(rustix::net::shutdown(socket, how)?)
}
