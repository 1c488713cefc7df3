//! A message socket's slot: what the driver keeps for it from adoption to the close of its descriptor.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{IntoRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::Waker;

use slab::Slab;

use super::arrival::Arrival;
use super::send::Outgoing;
use crate::error::core_is_gone;
use crate::ring::driver::Driver;
use crate::ring::operation::Payload;
use crate::ring::provided::{MESSAGES, Populate, ProvidedBuffers};
use crate::ring::token::{Key, Kind};

/// Room for any name of a socket: a path of 108 bytes after the family.
const LONGEST_NAME: usize = size_of::<libc::sockaddr_un>();
/// The longest control data: 253 descriptors, credentials, and a pidfd (unix(7)).
const LONGEST_CONTROL: usize = 1200;
/// A buffer holds what a datagram may at most hold, 65,535 bytes, whatever else comes with it. An odd number of cache
/// lines, so that the beginnings of buffers do not all fall into the same few sets of the cache.
const BUFFER: usize = (65_535 + 16 + LONGEST_NAME + LONGEST_CONTROL).next_multiple_of(64) | 64;

/// What of a buffer is set aside before the payload.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// For the sender's name.
    pub(crate) name: usize,
    /// For control messages.
    pub(crate) control: usize,
}

impl Room {
    /// For an IP socket: its name, and what UDP tells about a datagram.
    pub(crate) const UDP: Room = Room { name: size_of::<libc::sockaddr_in6>(), control: 128 };
    /// For a Unix socket.
    pub(crate) const UNIX: Room = Room { name: LONGEST_NAME, control: LONGEST_CONTROL };

    /// A header that says so, as multishot recvmsg wants it.
    fn header(self) -> Box<libc::msghdr> {
        // SAFETY: msghdr is plain C data, and all zeroes mean no address, no vectors, no control data.
        let mut header: Box<libc::msghdr> = Box::new(unsafe { std::mem::zeroed() });
        header.msg_namelen = self.name as libc::socklen_t;
        header.msg_controllen = self.control as _;
        header
    }
}

/// All message sockets of a core; made with the first.
pub(in crate::ring) struct Messages {
    pub(in crate::ring) buffers: Rc<ProvidedBuffers>,
    pub(in crate::ring) slots: Slab<MessageSlot>,
    /// Sockets that found no free buffer and wait for one to come back.
    pub(super) starved: VecDeque<Key>,
    /// For the next datagrams to be sent.
    #[expect(
        clippy::vec_box,
        reason = "the kernel is pointed into them, and they go from here into operations"
    )]
    pub(super) spare: Vec<Box<Outgoing>>,
}

pub(in crate::ring) struct MessageSlot {
    pub(super) generation: u32,
    pub(super) descriptor: RawFd,
    /// The handle still exists.
    pub(super) held: bool,
    /// The multishot receive is under way.
    pub(super) armed: bool,
    /// A cancellation of it is under way.
    pub(super) stopping: bool,
    /// In the list of sockets that wait for a free buffer.
    pub(super) starved: bool,
    /// How often that cancellation has missed since the handle went.
    pub(super) missed: u8,
    pub(super) room: Room,
    /// What the multishot receive points to.
    pub(super) header: Box<libc::msghdr>,
    pub(super) waiting: VecDeque<Arrival>,
    pub(super) waiting_bytes: usize,
    /// An error of the receive that nobody has been told of yet.
    pub(super) error: Option<i32>,
    pub(super) recv_waker: Option<Waker>,
    /// Submitted datagrams that are on their way.
    pub(super) sending: u32,
    /// The first failure of those that nobody has been told of yet.
    pub(super) send_error: Option<i32>,
    pub(super) send_waker: Option<Waker>,
}

#[inline]
pub(super) fn slot_of(messages: &mut Option<Box<Messages>>, key: Key) -> Option<&mut MessageSlot> {
    let slot = messages.as_mut()?.slots.get_mut(key.index as usize)?;
    (slot.generation == key.generation).then_some(slot)
}

impl Driver {
    /// Takes a message socket over.
    pub(crate) fn adopt_message_socket(&mut self, socket: OwnedFd, room: Room) -> io::Result<Key> {
        if self.is_closed() {
            return Err(core_is_gone());
        }
        if self.messages.is_none() {
            // As many as half of the streams' buffers, which is what the core was sized for.
            let count = (self.buffers.count() / 2).clamp(8, 256);
            let buffers = ProvidedBuffers::new(MESSAGES, count, BUFFER as u32, Populate::AsNeeded)?;
            // SAFETY: `messages` is dropped after `backend`, which is a field before it; or `close` leaks both.
            unsafe { self.backend.add_message_buffers(&buffers)? };
            self.messages = Some(Box::new(Messages {
                buffers,
                slots: Slab::new(),
                starved: VecDeque::new(),
                spare: Vec::new(),
            }));
        }
        let generation = self.next_generation();
        let messages = self.messages.as_mut().expect("made above");
        let index = messages.slots.insert(MessageSlot {
            generation,
            descriptor: socket.into_raw_fd(),
            held: true,
            armed: false,
            stopping: false,
            starved: false,
            missed: 0,
            room,
            header: room.header(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            error: None,
            recv_waker: None,
            sending: 0,
            send_error: None,
            send_waker: None,
        }) as u32;
        Ok(Key { index, generation })
    }

    #[inline]
    pub(super) fn message_socket(&mut self, key: Key) -> Option<&mut MessageSlot> {
        slot_of(&mut self.messages, key)
    }

    /// The socket, for calls that need no ring. Valid until [`Driver::drop_message_socket`].
    pub(crate) fn message_descriptor(&mut self, key: Key) -> io::Result<RawFd> {
        self.message_socket(key).map(|slot| slot.descriptor).ok_or_else(core_is_gone)
    }

    /// The handle is gone: cancels what is under way and frees the slot when the kernel is done with it.
    pub(crate) fn drop_message_socket(&mut self, key: Key) {
        let Some(slot) = self.message_socket(key) else { return };
        slot.held = false;
        let (mut recv_waker, mut send_waker) = (slot.recv_waker.take(), slot.send_waker.take());
        let sending = slot.sending > 0;
        // Gives buffers back and closes descriptors that nobody took.
        slot.waiting.clear();
        self.after.discard(&mut recv_waker);
        self.after.discard(&mut send_waker);
        if sending {
            // Those that the kernel can take at once go out: they are ahead in the queue.
            let of_this = |payload: &Payload| match payload {
                Payload::Outgoing(outgoing) => outgoing.socket == Some(key),
                _ => false,
            };
            for target in self.operations_with(of_this) {
                self.cancel(target, Kind::Operation, Kind::CancelOperation);
            }
        }
        self.stop_messages(key);
        self.free_message_socket_if_done(key);
    }

    pub(super) fn free_message_socket_if_done(&mut self, key: Key) {
        let Some(slot) = self.message_socket(key) else { return };
        if slot.held || slot.armed || slot.sending > 0 {
            return;
        }
        let descriptor = slot.descriptor;
        if let Some(messages) = &mut self.messages {
            messages.slots.remove(key.index as usize);
        }
        self.close_descriptor(descriptor);
    }

    pub(in crate::ring) fn drop_message_sockets(&mut self) {
        let Some(messages) = &self.messages else { return };
        let keys: Vec<Key> = messages
            .slots
            .iter()
            .map(|(index, slot)| Key { index: index as u32, generation: slot.generation })
            .collect();
        for key in keys {
            self.drop_message_socket(key);
        }
    }
}
