//! A connection's slot: what the driver keeps for it from adoption to the close of its descriptor.

use std::collections::VecDeque;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::driver::Driver;
use super::token::{Key, Kind};
use crate::buf::SendBuf;
use crate::error::core_is_gone;

pub(super) struct StreamSlot {
    pub(super) generation: u32,
    pub(super) descriptor: RawFd,
    /// The `TcpStream` still exists.
    pub(super) held: bool,
    pub(super) receive: Receive,
    /// A cancellation of the receive is under way.
    pub(super) stopping: bool,
    /// In the driver's list of streams that wait for a free buffer.
    pub(super) starved: bool,
    /// How often the cancellation of the receive has missed since the handle went.
    pub(super) missed: u8,
    pub(super) ended: Option<End>,
    pub(super) send_error: Option<i32>,
    pub(super) sending: Option<SendBuf>,
    pub(super) sent: usize,
    /// The socket takes MSG_WAITALL, which makes the kernel itself go on after a short send.
    pub(super) wait_all: bool,
    pub(super) waiting_bytes: u32,
    /// From how many bytes on a send is made without a copy.
    pub(super) zero_copy_from: u32,
    /// Buffers of sends without a copy that the kernel may still read from.
    pub(super) lent: u32,
    /// The handle is gone, and the socket waits for those buffers.
    pub(super) parting: bool,
    pub(super) first: Option<Chunk>,
    /// The turn in which `first` came.
    pub(super) first_came: Stamp,
    #[expect(clippy::box_collection, reason = "8 bytes instead of 32 in every idle connection")]
    pub(super) rest: Option<Box<VecDeque<(Chunk, Stamp)>>>,
    pub(super) recv_waker: Option<Waker>,
    pub(super) send_waker: Option<Waker>,
}

/// A time in milliseconds since the driver was made: a quarter of an `Instant`, as every idle connection has one.
#[derive(Clone, Copy, Default)]
pub(super) struct Stamp(u32);

impl Stamp {
    pub(super) fn new(since_start: Duration) -> Stamp {
        Stamp((since_start.as_secs() as u32).wrapping_mul(1000).wrapping_add(since_start.subsec_millis()))
    }

    /// How many milliseconds it is until a later time, at most 49 days of them.
    fn until(self, later: Stamp) -> u64 {
        later.0.wrapping_sub(self.0).into()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Receive {
    Idle,
    Armed,
}

#[derive(Clone, Copy)]
pub(super) enum End {
    Eof,
    Error(i32),
}

pub(super) enum Chunk {
    Provided {
        id: u16,
        len: u32,
    },
    /// `read` bytes of it have been taken.
    Heap {
        bytes: Box<[u8]>,
        read: u32,
    },
}

impl Chunk {
    pub(super) fn heap(bytes: Box<[u8]>) -> Chunk {
        Chunk::Heap { bytes, read: 0 }
    }

    fn len(&self) -> usize {
        match self {
            Chunk::Provided { len, .. } => *len as usize,
            Chunk::Heap { bytes, read } => bytes.len() - *read as usize,
        }
    }
}

impl StreamSlot {
    #[inline]
    pub(super) fn enqueue(&mut self, chunk: Chunk, came: Stamp) {
        self.waiting_bytes += chunk.len() as u32;
        if self.first.is_none() {
            self.first = Some(chunk);
            self.first_came = came;
        } else {
            self.rest.get_or_insert_default().push_back((chunk, came));
        }
    }

    /// Somebody waits, and in vain so far. A reader who has bytes to take arms the receive again when it has
    /// taken them; arming it for one who takes none would fill the memory with what the peer sends.
    pub(super) fn wants_bytes(&self) -> bool {
        self.held && self.first.is_none() && self.recv_waker.is_some()
    }

    #[inline]
    pub(super) fn dequeue(&mut self) -> Option<Chunk> {
        let chunk = self.first.take()?;
        self.waiting_bytes -= chunk.len() as u32;
        if let Some(rest) = &mut self.rest {
            if let Some((next, came)) = rest.pop_front() {
                self.first = Some(next);
                self.first_came = came;
            }
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
            missed: 0,
            ended: None,
            send_error: None,
            sending: None,
            sent: 0,
            wait_all: true,
            waiting_bytes: 0,
            zero_copy_from: self.zero_copy_from,
            lent: 0,
            parting: false,
            first: None,
            first_came: self.turn_stamp,
            rest: None,
            recv_waker: None,
            send_waker: None,
        }) as u32;
        self.tell_gauges();
        Ok(Key { index, generation })
    }

    /// Keeps a count of this core's streams in `gauge`, for other cores to read.
    pub(crate) fn add_gauge(&mut self, gauge: Arc<AtomicUsize>) {
        self.gauges.push(gauge);
        self.tell_gauges();
    }

    pub(crate) fn remove_gauge(&mut self, gauge: &Arc<AtomicUsize>) {
        self.gauges.retain(|known| !Arc::ptr_eq(known, gauge));
    }

    #[inline]
    fn tell_gauges(&self) {
        for gauge in &self.gauges {
            gauge.store(self.streams.len(), Ordering::Relaxed);
        }
    }

    #[inline]
    pub(super) fn stream(&mut self, key: Key) -> Option<&mut StreamSlot> {
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

    /// When the first of the bytes that nobody has taken came.
    pub(crate) fn stream_waiting_since(&mut self, key: Key) -> Option<Instant> {
        let slot = self.stream(key)?;
        slot.first.as_ref()?;
        let came = slot.first_came;
        // From the start on, so that it stays the same however often one asks.
        let turn = self.now.saturating_duration_since(self.started).as_millis() as u64;
        Some(self.started + Duration::from_millis(turn.saturating_sub(came.until(self.turn_stamp))))
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
        if sending && !self.cancel_zero_copy(key) {
            self.cancel(key, Kind::Send, Kind::CancelSend);
        }
        self.stop_recv(key);
        self.free_if_done(key);
    }

    pub(super) fn free_if_done(&mut self, key: Key) {
        let Some(slot) = self.stream(key) else { return };
        if slot.held || slot.receive == Receive::Armed || slot.sending.is_some() {
            return;
        }
        if slot.lent > 0 && !self.part(key) {
            return;
        }
        let slot = self.streams.remove(key.index as usize);
        self.tell_gauges();
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Every idle connection has one.
    #[test]
    fn a_slot_is_small() {
        assert!(size_of::<StreamSlot>() <= 160, "it has {} bytes", size_of::<StreamSlot>());
    }
}
