//! Operations that complete once: connect, shutdown, vectored send, poll and the like.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use socket2::SockAddr;

use super::after::Caller;
use super::driver::{Driver, missed};
use super::file::FilePayload;
use super::message::{Incoming, Outgoing, push_rights};
use super::op::Op;
use super::token::{Key, Kind};
use crate::buf::SendBuf;
use crate::cores::context::CoreState;
use crate::error::core_is_gone;
use crate::net::Route;

/// What an operation lends to the kernel; it comes back with the result.
pub(crate) enum Payload {
    /// Nothing.
    None,
    /// The address to connect to.
    Address(Box<SockAddr>),
    /// A vector whose spare capacity is being filled.
    Fill(Vec<u8>),
    /// A file and the pipe that it is spliced into.
    Route(Box<Route>),
    /// Buffers to send in one go.
    Message(Box<Message>),
    /// What a file operation lends.
    File(FilePayload),
    /// A datagram to send.
    Outgoing(Box<Outgoing>),
    /// Room for bytes and descriptors that are received together.
    Incoming(Box<Incoming>),
}

/// A message header and all it points to.
pub(crate) struct Message {
    buffers: Vec<SendBuf>,
    vectors: Vec<libc::iovec>,
    /// Goes with the first bytes.
    control: Vec<u8>,
    /// Those named in the control data.
    descriptors: Vec<OwnedFd>,
    header: libc::msghdr,
}

/// The most vectors that one call takes (IOV_MAX).
const MAX_VECTORS: usize = 1024;

impl Message {
    pub(crate) fn new(buffers: Vec<SendBuf>) -> Message {
        // SAFETY: msghdr is plain C data, and all zeroes mean no address, no vectors, no control data.
        let header = unsafe { std::mem::zeroed() };
        Message { buffers, vectors: Vec::new(), control: Vec::new(), descriptors: Vec::new(), header }
    }

    /// Sends descriptors along, which stay open until they have gone.
    pub(crate) fn attach(&mut self, descriptors: Vec<OwnedFd>) {
        self.control.clear();
        push_rights(&mut self.control, &descriptors);
        self.descriptors = descriptors;
    }

    /// The first bytes have gone, and with them what is sent only once.
    pub(crate) fn detach(&mut self) {
        self.control = Vec::new();
        self.descriptors = Vec::new();
    }

    pub(crate) fn has_attachment(&self) -> bool {
        !self.control.is_empty()
    }

    /// Points the vectors at what follows the first `sent` bytes.
    pub(crate) fn point_past(&mut self, sent: usize) {
        let mut skip = sent;
        self.vectors.clear();
        for buffer in &self.buffers {
            let bytes = buffer.as_ref();
            let skipped = skip.min(bytes.len());
            skip -= skipped;
            let rest = &bytes[skipped..];
            if !rest.is_empty() && self.vectors.len() < MAX_VECTORS {
                self.vectors
                    .push(libc::iovec { iov_base: rest.as_ptr().cast_mut().cast(), iov_len: rest.len() });
            }
        }
    }

    /// The header, with its vectors at their present address. Call it once the message is where it will stay.
    pub(crate) fn header(&mut self) -> *const libc::msghdr {
        self.header.msg_iov = self.vectors.as_mut_ptr();
        self.header.msg_iovlen = self.vectors.len();
        self.header.msg_control = self.control.as_mut_ptr().cast();
        self.header.msg_controllen = self.control.len() as _;
        &raw const self.header
    }

    pub(crate) fn into_buffers(self) -> Vec<SendBuf> {
        self.buffers
    }
}

pub(super) struct OperationSlot {
    generation: u32,
    state: State,
    payload: Payload,
}

impl OperationSlot {
    /// Who waits for it, and what it is.
    pub(super) fn waiter(&self) -> Option<(&Waker, &'static str)> {
        let State::Waiting(Some(waker)) = &self.state else { return None };
        let what = match &self.payload {
            Payload::None => "an operation without buffers",
            Payload::Address(_) => "connect",
            Payload::Fill(_) => "a read into a buffer",
            Payload::Message(_) => "a vectored send",
            Payload::File(_) => "a file operation",
            #[allow(unreachable_patterns, reason = "kinds that this list does not tell apart")]
            _ => "an operation",
        };
        Some((waker, what))
    }
}

enum State {
    Waiting(Option<Waker>),
    Done(i32),
    /// The future is gone; the driver waits for the kernel alone. So many cancellations have missed.
    Abandoned(u8),
    /// There never was a future: a slot elsewhere is told.
    Unattended,
}

/// How often a file operation is asked to end. The disk answers in any case, and until then asking again and again
/// would only keep the core busy; what could wait for ever (a pipe) is found at the first or second try.
const FILE_CANCELLATIONS: u8 = 8;

impl Driver {
    /// Starts the operation that `make` makes, which may point into the payload.
    fn start(&mut self, payload: Payload, make: impl FnOnce(&mut Payload) -> Op) -> Key {
        self.start_as(State::Waiting(None), payload, make)
    }

    /// As [`Driver::start`], for an operation that no future waits for.
    pub(super) fn start_unattended(&mut self, payload: Payload, make: impl FnOnce(&mut Payload) -> Op) {
        self.start_as(State::Unattended, payload, make);
    }

    #[inline]
    fn start_as(&mut self, state: State, mut payload: Payload, make: impl FnOnce(&mut Payload) -> Op) -> Key {
        let op = make(&mut payload);
        let generation = self.next_generation();
        let index = self.operations.insert(OperationSlot { generation, state, payload }) as u32;
        let key = Key { index, generation };
        // SAFETY: the operation points into the payload, whose parts are all on the heap, so that moving it into the
        // slot moved none of them; the slot keeps it until the completion.
        unsafe { self.push(op, key.token(Kind::Operation)) };
        key
    }

    pub(super) fn on_operation(&mut self, key: Key, result: i32) {
        let Some(slot) = self.operations.get_mut(key.index as usize) else { return };
        if slot.generation != key.generation {
            return;
        }
        if let Payload::Incoming(incoming) = &mut slot.payload {
            // Descriptors that came have an owner from now on, whatever becomes of the future.
            incoming.arrived(result);
        }
        match std::mem::replace(&mut slot.state, State::Done(result)) {
            State::Waiting(mut waker) => self.after.wake(&mut waker),
            State::Done(_) => {}
            State::Abandoned(_) => {
                let slot = self.operations.remove(key.index as usize);
                self.discard_payload(slot.payload, result);
            }
            State::Unattended => {
                let slot = self.operations.remove(key.index as usize);
                if let Payload::Outgoing(outgoing) = slot.payload {
                    self.on_submitted(outgoing, result);
                }
            }
        }
    }

    /// Operations whose payload is such.
    pub(super) fn operations_with(&self, is_such: impl Fn(&Payload) -> bool) -> Vec<Key> {
        self.operations
            .iter()
            .filter(|(_, slot)| is_such(&slot.payload))
            .map(|(index, slot)| Key { index: index as u32, generation: slot.generation })
            .collect()
    }

    pub(super) fn on_operation_cancelled(&mut self, key: Key, result: i32) {
        let Some(slot) = self.operations.get_mut(key.index as usize) else { return };
        if slot.generation != key.generation || !missed(result) {
            return;
        }
        let misses = match &mut slot.state {
            State::Abandoned(misses) => misses,
            State::Unattended => return self.cancel(key, Kind::Operation, Kind::CancelOperation),
            State::Waiting(_) | State::Done(_) => return,
        };
        *misses = misses.saturating_add(1);
        if *misses < FILE_CANCELLATIONS || !matches!(slot.payload, Payload::File(_)) {
            self.cancel(key, Kind::Operation, Kind::CancelOperation);
        }
    }

    fn discard_payload(&mut self, payload: Payload, result: i32) {
        match payload {
            Payload::Message(message) => self.after.drop.extend(message.buffers),
            Payload::File(payload) => {
                if let Some(descriptor) = payload.left_open(result) {
                    self.close_won(descriptor);
                }
                self.after.files.push(payload);
            }
            Payload::Outgoing(mut outgoing) => {
                self.after.drop.push(outgoing.take_buffer());
                self.reuse_outgoing(outgoing);
            }
            // The descriptors of a route are closed here: no foreign code.
            Payload::None
            | Payload::Address(_)
            | Payload::Fill(_)
            | Payload::Incoming(_)
            | Payload::Route(_) => {}
        }
    }
}

/// The future of a one-shot operation: the kernel's result and the payload.
///
/// Dropped before it is ready, it asks the kernel to cancel; the payload stays with the driver until it has.
#[must_use = "futures do nothing unless awaited"]
pub(crate) struct Operation {
    core: Rc<CoreState>,
    key: Option<Key>,
}

impl Operation {
    pub(crate) fn start(
        core: &Rc<CoreState>,
        payload: Payload,
        make: impl FnOnce(&mut Payload) -> Op,
    ) -> Result<Operation, (io::Error, Payload)> {
        let mut driver = core.driver.borrow_mut();
        if driver.is_closed() {
            return Err((core_is_gone(), payload));
        }
        let key = driver.start(payload, make);
        drop(driver);
        Ok(Operation { core: core.clone(), key: Some(key) })
    }
}

impl Future for Operation {
    type Output = (io::Result<u32>, Payload);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let key = this.key.expect("an operation is not polled again after it was ready");
        let mut caller = Caller::new(cx);
        let mut guard = this.core.driver.borrow_mut();
        let driver = &mut *guard;
        let Some(slot) = driver.operations.get_mut(key.index as usize) else {
            // Only a closed driver loses slots: it leaked them rather than free what the kernel held.
            this.key = None;
            return Poll::Ready((Err(core_is_gone()), Payload::None));
        };
        match &mut slot.state {
            State::Done(result) => {
                let result = *result;
                let slot = driver.operations.remove(key.index as usize);
                this.key = None;
                let result =
                    u32::try_from(result).map_err(|_| io::Error::from_raw_os_error(result.wrapping_neg()));
                Poll::Ready((result, slot.payload))
            }
            State::Waiting(waker) => {
                driver.after.park(waker, &mut caller);
                Poll::Pending
            }
            State::Abandoned(_) | State::Unattended => unreachable!("only a slot without a future is so"),
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        let mut guard = self.core.driver.borrow_mut();
        let driver = &mut *guard;
        let Some(slot) = driver.operations.get_mut(key.index as usize) else { return };
        let state = std::mem::replace(&mut slot.state, State::Abandoned(0));
        let payload = match state {
            State::Done(result) => {
                let payload = driver.operations.remove(key.index as usize).payload;
                if let Payload::File(payload) = &payload
                    && let Some(descriptor) = payload.left_open(result)
                {
                    driver.close_won(descriptor);
                }
                Some(payload)
            }
            State::Waiting(_) | State::Abandoned(_) | State::Unattended => {
                if !matches!(&slot.payload, Payload::File(payload) if !payload.may_be_cancelled()) {
                    driver.cancel(key, Kind::Operation, Kind::CancelOperation);
                }
                None
            }
        };
        drop(guard);
        // The old waker and the payload may run foreign code when dropped: not inside the borrow.
        drop((state_waker(state), payload));
    }
}

fn state_waker(state: State) -> Option<Waker> {
    match state {
        State::Waiting(waker) => waker,
        State::Done(_) | State::Abandoned(_) | State::Unattended => None,
    }
}
