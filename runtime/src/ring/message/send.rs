//! Sending datagrams: many at a time, each with a buffer that the driver keeps until it has gone.

use std::cell::RefCell;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::task::{Context, Poll};

use socket2::SockAddr;

use super::slot::slot_of;
use crate::buf::SendBuf;
use crate::error::core_is_gone;
use crate::ring::after::Caller;
use crate::ring::driver::Driver;
use crate::ring::op::Op;
use crate::ring::operation::Payload;
use crate::ring::token::Key;

/// Datagrams of one socket that may be on their way at a time.
const SENDING_LIMIT: u32 = 1024;
/// Headers kept for the next datagrams.
const SPARE: usize = 256;

/// A datagram to be sent, and all that the kernel is pointed to for it.
pub(crate) struct Outgoing {
    /// Whose slot counts it; nobody's if a future waits for it.
    pub(super) socket: Option<Key>,
    pub(super) buffer: SendBuf,
    name: Option<SockAddr>,
    control: Vec<u8>,
    /// Those named in the control data: they stay open until it has gone.
    descriptors: Vec<OwnedFd>,
    vector: libc::iovec,
    header: libc::msghdr,
}

/// What is to be sent.
pub(crate) struct Submission<'a> {
    pub(crate) buffer: SendBuf,
    /// To whom, unless the socket is connected.
    pub(crate) name: Option<SockAddr>,
    /// Control messages, copied.
    pub(crate) control: &'a [u8],
    pub(crate) descriptors: Vec<OwnedFd>,
}

impl Outgoing {
    fn new() -> Box<Outgoing> {
        Box::new(Outgoing {
            socket: None,
            buffer: SendBuf::Static(&[]),
            name: None,
            control: Vec::new(),
            descriptors: Vec::new(),
            vector: libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 },
            // SAFETY: msghdr is plain C data, and all zeroes mean no address, no vectors, no control data.
            header: unsafe { std::mem::zeroed() },
        })
    }

    /// The operation that sends it. Call it once the datagram is in its box.
    pub(crate) fn op(&mut self, socket: RawFd) -> Op {
        let bytes = self.buffer.as_ref();
        if self.name.is_none() && self.control.is_empty() {
            let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            return Op::Send { socket, from: bytes.as_ptr(), len, flags: libc::MSG_NOSIGNAL };
        }
        self.vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        self.header.msg_iov = &raw mut self.vector;
        self.header.msg_iovlen = 1;
        self.header.msg_name =
            self.name.as_ref().map_or(std::ptr::null_mut(), |name| name.as_ptr() as *mut _);
        self.header.msg_namelen = self.name.as_ref().map_or(0, SockAddr::len);
        self.header.msg_control = self.control.as_mut_ptr().cast();
        self.header.msg_controllen = self.control.len() as _;
        Op::SendMsg { socket, message: &raw const self.header, flags: libc::MSG_NOSIGNAL }
    }

    /// What is left when it has gone: its buffer. The descriptors are closed.
    pub(crate) fn take_buffer(&mut self) -> SendBuf {
        self.descriptors.clear();
        std::mem::replace(&mut self.buffer, SendBuf::Static(&[]))
    }
}

impl Driver {
    /// Makes a datagram ready to be sent, in the box of an earlier one if there is one.
    pub(crate) fn outgoing(&mut self, submission: Submission<'_>) -> Box<Outgoing> {
        let spare = self.messages.as_mut().and_then(|messages| messages.spare.pop());
        let mut outgoing = spare.unwrap_or_else(Outgoing::new);
        outgoing.buffer = submission.buffer;
        outgoing.name = submission.name;
        outgoing.control.clear();
        outgoing.control.extend_from_slice(submission.control);
        outgoing.descriptors = submission.descriptors;
        outgoing
    }

    /// Keeps the box of a datagram that has gone.
    pub(crate) fn reuse_outgoing(&mut self, mut outgoing: Box<Outgoing>) {
        outgoing.socket = None;
        if let Some(messages) = &mut self.messages
            && messages.spare.len() < SPARE
        {
            messages.spare.push(outgoing);
        }
    }

    /// Lends a datagram to the kernel until it has gone, and tells nobody but the slot.
    pub(crate) fn submit_message(
        &mut self,
        key: Key,
        submission: Submission<'_>,
    ) -> Result<(), (io::Error, SendBuf)> {
        let Some(slot) = self.message_socket(key) else { return Err((core_is_gone(), submission.buffer)) };
        if slot.sending >= SENDING_LIMIT {
            let busy = io::Error::new(
                io::ErrorKind::ResourceBusy,
                format!("{SENDING_LIMIT} datagrams are under way; wait until some have gone"),
            );
            return Err((busy, submission.buffer));
        }
        slot.sending += 1;
        let descriptor = slot.descriptor;
        let mut outgoing = self.outgoing(submission);
        outgoing.socket = Some(key);
        self.start_unattended(Payload::Outgoing(outgoing), |payload| {
            let Payload::Outgoing(outgoing) = payload else { unreachable!("the payload made above") };
            outgoing.op(descriptor)
        });
        Ok(())
    }

    /// A submitted datagram has gone, or failed.
    pub(in crate::ring) fn on_submitted(&mut self, mut outgoing: Box<Outgoing>, result: i32) {
        let buffer = outgoing.take_buffer();
        self.after.release(buffer);
        let key = outgoing.socket;
        self.reuse_outgoing(outgoing);
        let (Some(key), Some(messages)) = (key, &mut self.messages) else { return };
        let slot = messages.slots.get_mut(key.index as usize);
        let Some(slot) = slot.filter(|slot| slot.generation == key.generation) else { return };
        slot.sending -= 1;
        if result < 0 {
            slot.send_error.get_or_insert(-result);
        }
        self.after.wake(&mut slot.send_waker);
        if !slot.held {
            self.free_message_socket_if_done(key);
        }
    }

    /// Ready when [`Driver::submit_message`] would take a datagram.
    pub(crate) fn poll_submittable(
        driver: &RefCell<Driver>,
        key: Key,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut caller = Caller::new(cx);
        let driver = &mut *driver.borrow_mut();
        let Some(slot) = slot_of(&mut driver.messages, key) else { return Poll::Ready(Err(core_is_gone())) };
        if slot.sending < SENDING_LIMIT {
            return Poll::Ready(Ok(()));
        }
        driver.after.park(&mut slot.send_waker, &mut caller);
        Poll::Pending
    }

    /// Ready when no submitted datagram is under way, with the first failure since the last answer.
    pub(crate) fn poll_all_sent(
        driver: &RefCell<Driver>,
        key: Key,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut caller = Caller::new(cx);
        let driver = &mut *driver.borrow_mut();
        let Some(slot) = slot_of(&mut driver.messages, key) else { return Poll::Ready(Err(core_is_gone())) };
        if slot.sending == 0 {
            return Poll::Ready(match slot.send_error.take() {
                Some(code) => Err(io::Error::from_raw_os_error(code)),
                None => Ok(()),
            });
        }
        driver.after.park(&mut slot.send_waker, &mut caller);
        Poll::Pending
    }
}
