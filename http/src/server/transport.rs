//! What a connection is carried by.

use std::cell::RefCell;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use covet_runtime::buf::SendBuf;
use covet_runtime::net::{StreamSocket, TcpStream, UnixStream};

use super::input::Input;

/// The bytes of one connection: a stream socket of either kind, and what may lie between it and the codec.
///
/// The codec's side of it is what was received, in an [`Input`], and buffers to be sent, one at a time. Everything that
/// depends on the kind of socket is in here.
pub(super) struct Transport {
    socket: StreamSocket,
    is_ip: bool,
}

impl From<TcpStream> for Transport {
    fn from(stream: TcpStream) -> Transport {
        Transport { socket: stream.into(), is_ip: true }
    }
}

impl From<UnixStream> for Transport {
    fn from(stream: UnixStream) -> Transport {
        Transport { socket: stream.into(), is_ip: false }
    }
}

impl Transport {
    /// Adds what has been received to the input, or the end.
    #[inline]
    pub(super) fn poll_receive(&self, input: &RefCell<Input>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let received = ready!(self.socket.poll_recv(cx))?;
        input.borrow_mut().add(received);
        Poll::Ready(Ok(()))
    }

    /// Throws away what has been received. Returns how much it was, as it came over the wire; 0 is the end.
    pub(super) fn poll_discard(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.socket.poll_recv(cx).map_ok(|received| received.len())
    }

    /// Sends a buffer, without waiting for it. One at a time: see [`StreamSocket::submit_send`].
    #[inline]
    pub(super) fn submit_send(&self, buffer: impl Into<SendBuf>) -> io::Result<()> {
        self.socket.submit_send(buffer)
    }

    /// Whether the last buffer is still on its way into the kernel.
    #[inline]
    pub(super) fn is_sending(&self) -> bool {
        self.socket.is_sending()
    }

    /// Ready when the kernel has taken the last buffer.
    #[inline]
    pub(super) fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_sent(cx)
    }

    /// Tells the client that nothing more comes, behind what is being sent.
    pub(super) async fn end_sending(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write).await
    }

    /// Makes the close a reset, where the protocol has one: the client must not take what it has for complete.
    pub(super) fn reset_on_close(&self) {
        if self.is_ip {
            // It fails only if the connection is gone already.
            let _ = self.socket.options().set_linger(Some(Duration::ZERO));
        }
    }

    /// The client's address, where it has one; asks the kernel.
    pub(super) fn peer_addr(&self) -> Option<SocketAddr> {
        if self.is_ip { self.socket.peer_ip_addr().ok() } else { None }
    }
}
