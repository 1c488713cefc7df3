use std::future::poll_fn;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll};

use socket2::SockRef;

use super::socket_options::Descriptor;
use super::stream::ready;
use crate::buf::SendBuf;
use crate::cores::context::CoreState;
use crate::ring::{Arrival, Driver, Key, Operation, Payload, Room, Submission};

/// A socket that carries datagrams, of any family: what `UdpSocket` and `UnixDatagram` have in common.
pub(super) struct MessageSocket {
    core: Rc<CoreState>,
    key: Key,
}

impl MessageSocket {
    pub(super) fn adopt(core: Rc<CoreState>, socket: OwnedFd, room: Room) -> io::Result<MessageSocket> {
        let key = core.driver.borrow_mut().adopt_message_socket(socket, room)?;
        Ok(MessageSocket { core, key })
    }

    pub(super) fn with_socket<T>(&self, f: impl FnOnce(SockRef<'_>) -> io::Result<T>) -> io::Result<T> {
        let descriptor = self.descriptor()?;
        // SAFETY: the driver keeps the socket open for as long as this handle lives.
        let socket = unsafe { BorrowedFd::borrow_raw(descriptor) };
        f(SockRef::from(&socket))
    }

    pub(super) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<io::Result<Arrival>> {
        Driver::poll_arrival(&self.core.driver, self.key, cx)
    }

    pub(super) async fn recv(&self) -> io::Result<Arrival> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// What waits already.
    pub(super) fn take(&self) -> Option<Arrival> {
        self.core.driver.borrow_mut().take_arrival(self.key)
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| Driver::poll_has_arrival(&self.core.driver, self.key, cx)).await
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        ready(&self.core, self.descriptor()?, libc::POLLOUT).await
    }

    /// Sends a datagram and returns its buffer.
    pub(super) async fn send(&self, submission: Submission<'_>) -> (io::Result<()>, SendBuf) {
        let descriptor = match self.descriptor() {
            Ok(descriptor) => descriptor,
            Err(error) => return (Err(error), submission.buffer),
        };
        let outgoing = self.core.driver.borrow_mut().outgoing(submission);
        let started = Operation::start(&self.core, Payload::Outgoing(outgoing), |payload| {
            let Payload::Outgoing(outgoing) = payload else { unreachable!("the payload made above") };
            outgoing.op(descriptor)
        });
        let (result, payload) = match started {
            Ok(operation) => operation.await,
            Err((error, payload)) => (Err(error), payload),
        };
        let Payload::Outgoing(mut outgoing) = payload else {
            return (result.map(drop), SendBuf::Static(&[]));
        };
        let buffer = outgoing.take_buffer();
        self.core.driver.borrow_mut().reuse_outgoing(outgoing);
        (result.map(drop), buffer)
    }

    pub(super) fn submit(&self, submission: Submission<'_>) -> io::Result<()> {
        let refused = self.core.driver.borrow_mut().submit_message(self.key, submission);
        // The buffer is dropped here, outside the borrow.
        refused.map_err(|(error, _buffer)| error)
    }

    pub(super) fn poll_submittable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Driver::poll_submittable(&self.core.driver, self.key, cx)
    }

    pub(super) async fn flush(&self) -> io::Result<()> {
        poll_fn(|cx| Driver::poll_all_sent(&self.core.driver, self.key, cx)).await
    }
}

impl Descriptor for MessageSocket {
    fn descriptor(&self) -> io::Result<RawFd> {
        self.core.driver.borrow_mut().message_descriptor(self.key)
    }
}

impl Drop for MessageSocket {
    fn drop(&mut self) {
        self.core.driver.borrow_mut().drop_message_socket(self.key);
    }
}
