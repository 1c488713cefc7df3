use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll};

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use crate::buf::SendBuf;
use crate::cores::context::{self, CoreState};
use crate::ring::{Key, Message, Op, Operation, Payload, RecvBuf, shutdown_now};

/// A TCP connection of this core.
///
/// All methods take `&self`, so that one task may read while another writes; two readers (or two writers) at a
/// time take the bytes in no certain order.
///
/// Receiving is one multishot operation into the core's shared buffers: a connection that is idle owns none. When
/// nobody reads, at most 64 KiB are taken from the socket, then receiving stops until somebody does, and TCP's own
/// flow control holds the peer back.
///
/// Dropping it closes the socket, once the kernel has let go of what it was lent; a send that has not gone out yet
/// is cancelled, so await it, or [`TcpStream::flush`], first.
pub struct TcpStream {
    core: Rc<CoreState>,
    key: Key,
}

impl TcpStream {
    pub(super) fn adopt(core: &Rc<CoreState>, socket: OwnedFd) -> io::Result<TcpStream> {
        let key = core.driver.borrow_mut().adopt_stream(socket)?;
        Ok(TcpStream { core: core.clone(), key })
    }

    /// Takes over a connected socket.
    ///
    /// # Errors
    /// When the core is shutting down.
    ///
    /// # Panics
    /// Outside a core.
    #[track_caller]
    pub fn from_socket(socket: OwnedFd) -> io::Result<TcpStream> {
        TcpStream::adopt(&context::expect_current("a TcpStream"), socket)
    }

    /// Connects to an address, with TCP_NODELAY set. Dropping the future gives the attempt up and closes the
    /// socket.
    ///
    /// # Errors
    /// Those of connect(2): refused, unreachable, timed out, and out of descriptors or ports.
    ///
    /// # Panics
    /// Outside a core.
    pub async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
        let core = context::expect_current("TcpStream::connect");
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        // The stream is made first: dropping this future ends the connect, then closes the socket, in this order.
        let stream = TcpStream::adopt(&core, socket.into())?;
        let descriptor = stream.descriptor()?;
        let payload = Payload::Address(Box::new(SockAddr::from(address)));
        let connect = Operation::start(&core, payload, |payload| {
            let Payload::Address(address) = payload else { unreachable!("the payload made above") };
            Op::Connect { socket: descriptor, address: address.as_ptr().cast(), len: address.len() }
        })
        .map_err(|(error, _)| error)?;
        connect.await.0?;
        Ok(stream)
    }

    pub(super) fn descriptor(&self) -> io::Result<RawFd> {
        self.core.driver.borrow_mut().stream_descriptor(self.key)
    }

    fn with_socket<T>(&self, f: impl FnOnce(SockRef<'_>) -> io::Result<T>) -> io::Result<T> {
        let descriptor = self.descriptor()?;
        // SAFETY: the driver keeps the socket open for as long as this handle lives.
        let socket = unsafe { BorrowedFd::borrow_raw(descriptor) };
        f(SockRef::from(&socket.as_fd()))
    }

    /// This end's address.
    ///
    /// # Errors
    /// When the core has shut down.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.with_socket(|socket| as_ip(socket.local_addr()?))
    }

    /// The peer's address.
    ///
    /// # Errors
    /// When the connection is no longer one.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.with_socket(|socket| as_ip(socket.peer_addr()?))
    }

    /// Sets TCP_NODELAY.
    ///
    /// # Errors
    /// When the core has shut down.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.with_socket(|socket| socket.set_tcp_nodelay(on))
    }

    /// Makes the close of this connection a reset (SO_LINGER of zero): the peer sees an error, not an end.
    ///
    /// # Errors
    /// When the core has shut down.
    pub fn set_reset_on_close(&self) -> io::Result<()> {
        self.with_socket(|socket| socket.set_linger(Some(std::time::Duration::ZERO)))
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

    /// The poll form of [`TcpStream::recv`].
    #[inline]
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<io::Result<RecvBuf>> {
        self.core.driver.borrow_mut().poll_recv(self.key, cx)
    }

    /// Receives into the spare capacity of a vector and returns it with the number of bytes appended: 0 at the
    /// end of the stream, or if there is no spare capacity.
    ///
    /// If [`TcpStream::recv`] was used before on this stream, bytes come through the shared buffers and are
    /// copied; if not, the kernel writes into the vector itself. Cancelling may lose the bytes that arrive at that
    /// moment, and the vector: use `recv` where a read is raced against something else.
    ///
    /// # Errors
    /// As for [`TcpStream::recv`]; the vector is returned unchanged.
    pub async fn read(&self, mut buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        let spare = buffer.capacity() - buffer.len();
        if spare == 0 {
            return (Ok(0), buffer);
        }
        let shared = self.core.driver.borrow_mut().stream_receives(self.key);
        if shared {
            let received = match poll_fn(|cx| {
                self.core.driver.borrow_mut().poll_recv_up_to(self.key, spare, cx)
            })
            .await
            {
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
        let (result, mut buffers) = self.write_vectored(vec![buffer]).await;
        (result, buffers.pop().unwrap_or(SendBuf::Static(&[])))
    }

    /// Sends several buffers as if they were one, in one operation where the kernel can, and returns them. Not
    /// cancel-safe.
    ///
    /// # Errors
    /// As for [`TcpStream::write_all`].
    pub async fn write_vectored(&self, buffers: Vec<SendBuf>) -> (io::Result<()>, Vec<SendBuf>) {
        if let Err(error) = self.flush().await {
            return (Err(error), buffers);
        }
        let descriptor = match self.descriptor() {
            Ok(descriptor) => descriptor,
            Err(error) => return (Err(error), buffers),
        };
        let total: usize = buffers.iter().map(SendBuf::len).sum();
        let mut message = Message::new(buffers);
        let mut sent = 0;
        while sent < total {
            message.point_past(sent);
            let started = Operation::start(&self.core, Payload::Message(Box::new(message)), |payload| {
                let Payload::Message(message) = payload else { unreachable!("the payload made above") };
                let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
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
                Ok(count) => sent += count as usize,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (Err(error), message.into_buffers()),
            }
        }
        (Ok(()), message.into_buffers())
    }

    /// Lends a buffer to the driver, which sends all of it, and returns at once.
    ///
    /// One send at a time: wait for [`TcpStream::poll_sent`] before the next. The buffer is dropped when it is
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
        self.core.driver.borrow_mut().poll_sent(self.key, cx)
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

fn as_ip(address: SockAddr) -> io::Result<SocketAddr> {
    address.as_socket().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not an IP socket"))
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        self.core.driver.borrow_mut().drop_stream(self.key);
    }
}

impl std::fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TcpStream").field("socket", &self.descriptor().ok().map(|fd| fd.as_raw_fd())).finish()
    }
}
