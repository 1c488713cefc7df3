use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use socket2::{SockAddr, SockRef};

use super::SocketOptions;
use super::socket_options::Descriptor;
use super::zero_copy::threshold;
use crate::buf::SendBuf;
use crate::cores::context::CoreState;
use crate::ring::{Driver, Key, Message, Op, Operation, Payload, RecvBuf, shutdown_now};

/// A connected stream socket of this core: what a [`TcpStream`](super::TcpStream) and a
/// [`UnixStream`](super::UnixStream) have in common.
///
/// Both dereference to it and can be turned into it, so code that moves bytes need not know which of the two it
/// serves.
///
/// All methods take `&self`, so that one task may read while another writes; two readers (or two writers) at a
/// time take the bytes in no certain order.
///
/// Receiving is one multishot operation into the core's shared buffers: a connection that is idle owns none. When
/// nobody reads, at most 64 KiB are taken from the socket, then receiving stops until somebody does, and the
/// protocol's own flow control holds the peer back.
///
/// Dropping it closes the socket, once the kernel has let go of what it was lent; a send that has not gone out yet
/// is cancelled, so await it, or [`StreamSocket::flush`], first.
pub struct StreamSocket {
    core: Rc<CoreState>,
    key: Key,
}

impl StreamSocket {
    pub(super) fn adopt(core: &Rc<CoreState>, socket: OwnedFd) -> io::Result<StreamSocket> {
        let key = core.driver.borrow_mut().adopt_stream(socket)?;
        Ok(StreamSocket { core: core.clone(), key })
    }

    /// Connects the socket. When this future is dropped the caller drops the socket after it, which ends the
    /// connect, then closes the socket, in this order.
    pub(super) async fn connect(&self, address: SockAddr) -> io::Result<()> {
        let descriptor = self.descriptor()?;
        let payload = Payload::Address(Box::new(address));
        let connect = Operation::start(&self.core, payload, |payload| {
            let Payload::Address(address) = payload else { unreachable!("the payload made above") };
            Op::Connect { socket: descriptor, address: address.as_ptr().cast(), len: address.len() }
        })
        .map_err(|(error, _)| error)?;
        connect.await.0?;
        Ok(())
    }

    /// What can be set about it, and asked.
    pub fn options(&self) -> SocketOptions<'_> {
        SocketOptions::of(self)
    }

    /// The peer's address, if this is a TCP connection.
    ///
    /// # Errors
    /// When the connection is no longer one, and for a Unix socket (`InvalidInput`).
    pub fn peer_ip_addr(&self) -> io::Result<SocketAddr> {
        self.with_socket(|socket| as_ip(socket.peer_addr()?))
    }

    /// Whether bytes may have been taken out of the socket.
    pub(super) fn is_received(&self) -> bool {
        self.core.driver.borrow_mut().stream_receives(self.key)
    }

    pub(super) fn core(&self) -> &Rc<CoreState> {
        &self.core
    }

    #[cfg(all(test, not(loom), not(miri)))]
    pub(crate) fn key(&self) -> Key {
        self.key
    }

    pub(super) fn descriptor(&self) -> io::Result<RawFd> {
        self.core.driver.borrow_mut().stream_descriptor(self.key)
    }

    pub(super) fn with_socket<T>(&self, f: impl FnOnce(SockRef<'_>) -> io::Result<T>) -> io::Result<T> {
        let descriptor = self.descriptor()?;
        // SAFETY: the driver keeps the socket open for as long as this handle lives.
        let socket = unsafe { BorrowedFd::borrow_raw(descriptor) };
        f(SockRef::from(&socket))
    }

    /// Runs a system call on the descriptor for which there is no method here. It must not wait, and not close the
    /// descriptor; mind that the ring may be sending and receiving on it.
    ///
    /// # Errors
    /// Those of the call, and when the core has shut down.
    pub fn with_descriptor<T>(&self, call: impl FnOnce(BorrowedFd<'_>) -> io::Result<T>) -> io::Result<T> {
        let descriptor = self.descriptor()?;
        // SAFETY: the driver keeps the socket open for as long as this handle lives.
        call(unsafe { BorrowedFd::borrow_raw(descriptor) })
    }

    /// Waits for bytes; an empty buffer means that the peer has finished sending. Cancel-safe: nothing is lost,
    /// the bytes are returned by the next call.
    ///
    /// # Errors
    /// Those of recv(2), a reset above all; they are returned by every later call as well.
    #[inline]
    pub async fn recv(&self) -> io::Result<RecvBuf> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// The poll form of [`StreamSocket::recv`].
    #[inline(always)]
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<io::Result<RecvBuf>> {
        Driver::poll_recv(&self.core.driver, self.key, cx)
    }

    /// When the first of the bytes came that the next [`StreamSocket::recv`] will return; `None` if there are none.
    ///
    /// The time is that of the turn of the loop in which the core heard of them, to the millisecond. So what has passed
    /// since then is how long they have waited for a task to take them, which is what a server that is overloaded wants to
    /// know.
    pub fn waiting_since(&self) -> Option<Instant> {
        self.core.driver.borrow_mut().stream_waiting_since(self.key)
    }

    /// Copies what has arrived to where the caller has room for it; 0 bytes mean the end of the stream.
    #[cfg(any(feature = "futures-io", feature = "hyper", feature = "tokio"))]
    pub(crate) fn poll_read_into(
        &self,
        room: &mut impl crate::ring::Destination,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        Driver::poll_read(&self.core.driver, self.key, room, cx)
    }

    /// Waits for bytes and returns a copy of the first of them, at most `limit` (and at most what has arrived), which
    /// stay to be received; empty at the end of the stream. Cancel-safe.
    ///
    /// # Errors
    /// As for [`StreamSocket::recv`].
    pub async fn peek(&self, limit: usize) -> io::Result<Vec<u8>> {
        poll_fn(|cx| Driver::poll_peek(&self.core.driver, self.key, limit, cx)).await
    }

    /// Waits until a receive would return at once: with bytes, the end of the stream, or an error. Cancel-safe.
    ///
    /// For code that receives from the descriptor itself: once [`StreamSocket::recv`] or [`StreamSocket::peek`] was
    /// used, bytes are taken from the socket as they arrive, and this speaks of those.
    ///
    /// # Errors
    /// When the core has shut down.
    pub async fn readable(&self) -> io::Result<()> {
        if self.is_received() {
            // A failure of the stream is for the receive to report.
            let _ = self.peek(0).await;
            return self.descriptor().map(drop);
        }
        ready(&self.core, self.descriptor()?, libc::POLLIN | libc::POLLRDHUP).await
    }

    /// Waits until a send would take bytes, or fail, at once. Cancel-safe.
    ///
    /// # Errors
    /// When the core has shut down.
    pub async fn writable(&self) -> io::Result<()> {
        ready(&self.core, self.descriptor()?, libc::POLLOUT).await
    }

    /// Receives into the spare capacity of a vector and returns it with the number of bytes appended: 0 at the
    /// end of the stream, or if there is no spare capacity.
    ///
    /// If [`StreamSocket::recv`] was used before on this stream, bytes come through the shared buffers and are
    /// copied; if not, the kernel writes into the vector itself. Cancelling may lose the bytes that arrive at that
    /// moment, and the vector: use `recv` where a read is raced against something else.
    ///
    /// # Errors
    /// As for [`StreamSocket::recv`]; the vector is returned unchanged.
    pub async fn read(&self, mut buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        let spare = buffer.capacity() - buffer.len();
        if spare == 0 {
            return (Ok(0), buffer);
        }
        if self.is_received() {
            let received =
                match poll_fn(|cx| Driver::poll_recv_up_to(&self.core.driver, self.key, spare, cx)).await {
                    Ok(received) => received,
                    Err(error) => return (Err(error), buffer),
                };
            buffer.extend_from_slice(&received);
            return (Ok(received.len()), buffer);
        }
        let descriptor = match self.descriptor() {
            Ok(descriptor) => descriptor,
            Err(error) => return (Err(error), buffer),
        };
        let started = Operation::start(&self.core, Payload::Fill(buffer), |payload| {
            let Payload::Fill(buffer) = payload else { unreachable!("the payload made above") };
            let spare = buffer.spare_capacity_mut();
            let len = u32::try_from(spare.len()).unwrap_or(i32::MAX as u32);
            Op::Recv { socket: descriptor, into: spare.as_mut_ptr().cast(), len }
        });
        let (result, payload) = match started {
            Ok(operation) => operation.await,
            Err((error, payload)) => (Err(error), payload),
        };
        let Payload::Fill(mut buffer) = payload else { return (result.map(|_| 0), Vec::new()) };
        let result = result.map(|received| {
            let received = (received as usize).min(buffer.capacity() - buffer.len());
            // SAFETY: the kernel wrote this many bytes into the spare capacity, from its start.
            unsafe { buffer.set_len(buffer.len() + received) };
            received
        });
        (result, buffer)
    }

    /// Sends all of a buffer and returns it. Not cancel-safe: how much went out is then unknown.
    ///
    /// # Errors
    /// Those of send(2): a reset, a broken pipe. After an error nothing more can be sent.
    pub async fn write_all(&self, buffer: impl Into<SendBuf>) -> (io::Result<()>, SendBuf) {
        let buffer = buffer.into();
        let without_copy = self.core.driver.borrow_mut().sends_without_copy(self.key, buffer.len());
        if without_copy && let Some(shared) = buffer.share() {
            return (self.send_shared(shared).await, buffer);
        }
        let (result, mut buffers) = self.write_vectored(vec![buffer]).await;
        (result, buffers.pop().unwrap_or(SendBuf::Static(&[])))
    }

    async fn send_shared(&self, buffer: SendBuf) -> io::Result<()> {
        self.flush().await?;
        self.submit_send(buffer)?;
        self.flush().await
    }

    /// Sets from how many bytes on this stream sends without a copy, in the place of
    /// [`Builder::zero_copy`](crate::Builder::zero_copy), which see; `None` for never. A stream that was found to copy
    /// in any case forgets it, and tries again.
    pub fn set_zero_copy(&self, from: Option<usize>) {
        self.core.driver.borrow_mut().set_zero_copy(self.key, threshold(from));
    }

    /// Sends several buffers as if they were one, in one operation where the kernel can, and returns them. Not
    /// cancel-safe.
    ///
    /// # Errors
    /// As for [`StreamSocket::write_all`].
    pub async fn write_vectored(&self, buffers: Vec<SendBuf>) -> (io::Result<()>, Vec<SendBuf>) {
        self.send_with(buffers, Vec::new()).await
    }

    /// As [`StreamSocket::write_vectored`], with descriptors that go with the first byte.
    pub(super) async fn send_with(
        &self,
        buffers: Vec<SendBuf>,
        descriptors: Vec<OwnedFd>,
    ) -> (io::Result<()>, Vec<SendBuf>) {
        if let Err(error) = self.flush().await {
            return (Err(error), buffers);
        }
        let descriptor = match self.descriptor() {
            Ok(descriptor) => descriptor,
            Err(error) => return (Err(error), buffers),
        };
        let total: usize = buffers.iter().map(SendBuf::len).sum();
        let mut message = Message::new(buffers);
        if !descriptors.is_empty() {
            message.attach(descriptors);
        }
        let mut sent = 0;
        while sent < total {
            message.point_past(sent);
            let started = Operation::start(&self.core, Payload::Message(Box::new(message)), |payload| {
                let Payload::Message(message) = payload else { unreachable!("the payload made above") };
                // Going on by itself after a short send, the kernel might send descriptors a second time.
                let go_on = if message.has_attachment() { 0 } else { libc::MSG_WAITALL };
                let flags = libc::MSG_NOSIGNAL | go_on;
                Op::SendMsg { socket: descriptor, message: message.header(), flags }
            });
            let (result, payload) = match started {
                Ok(operation) => operation.await,
                Err((error, payload)) => (Err(error), payload),
            };
            let Payload::Message(returned) = payload else { return (result.map(drop), Vec::new()) };
            message = *returned;
            match result {
                Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), message.into_buffers()),
                Ok(count) => {
                    sent += count as usize;
                    message.detach();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (Err(error), message.into_buffers()),
            }
        }
        (Ok(()), message.into_buffers())
    }

    /// Lends a buffer to the driver, which sends all of it, and returns at once.
    ///
    /// One send at a time: wait for [`StreamSocket::poll_sent`] before the next. The buffer is dropped when it is
    /// sent; a failure is reported by `poll_sent` and by the next send.
    ///
    /// # Errors
    /// When a send is under way (`ResourceBusy`), when an earlier one failed, or when the core has shut down. The
    /// buffer is lost then.
    #[inline]
    pub fn submit_send(&self, buffer: impl Into<SendBuf>) -> io::Result<()> {
        let refused = self.core.driver.borrow_mut().submit_send(self.key, buffer.into());
        // The buffer is dropped here, outside the borrow.
        refused.map_err(|(error, _buffer)| error)
    }

    /// Ready when no submitted send is under way, with the failure if the last one failed.
    #[inline]
    pub fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Driver::poll_sent(&self.core.driver, self.key, cx)
    }

    /// Whether a submitted send is under way.
    #[inline]
    pub fn is_sending(&self) -> bool {
        self.core.driver.borrow_mut().is_sending(self.key)
    }

    /// Waits until the submitted send has been taken by the kernel. Cancel-safe.
    ///
    /// # Errors
    /// When it failed.
    pub async fn flush(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_sent(cx)).await
    }

    /// Ends sending, receiving, or both. A submitted send is waited for first when sending is to end.
    ///
    /// # Errors
    /// Those of shutdown(2), and of the send.
    pub async fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Read {
            self.flush().await?;
        }
        shutdown_now(self.descriptor()?, how)
    }
}

pub(super) fn as_ip(address: SockAddr) -> io::Result<SocketAddr> {
    address.as_socket().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not an IP socket"))
}

/// Waits for one of these events of poll(2), or an error of the descriptor.
pub(super) async fn ready(core: &Rc<CoreState>, descriptor: RawFd, events: i16) -> io::Result<()> {
    let events = events as u16 as u32;
    Operation::start(core, Payload::None, |_| Op::Poll { descriptor, events })
        .map_err(|(error, _)| error)?
        .await
        .0
        .map(drop)
}

impl Descriptor for StreamSocket {
    fn descriptor(&self) -> io::Result<RawFd> {
        StreamSocket::descriptor(self)
    }
}

#[cfg(any(feature = "futures-io", feature = "hyper", feature = "tokio"))]
impl StreamSocket {
    /// Ends sending at once. An end that the peer has forestalled is one, too.
    pub(crate) fn end_sending(&self) -> io::Result<()> {
        match shutdown_now(self.descriptor()?, Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            outcome => outcome,
        }
    }
}

impl AsRef<StreamSocket> for StreamSocket {
    fn as_ref(&self) -> &StreamSocket {
        self
    }
}

impl Drop for StreamSocket {
    fn drop(&mut self) {
        self.core.driver.borrow_mut().drop_stream(self.key);
    }
}

impl std::fmt::Debug for StreamSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamSocket").field("socket", &self.descriptor().ok()).finish()
    }
}
