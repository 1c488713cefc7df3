//! What a connection is carried by.

use std::cell::RefCell;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use covet_runtime::buf::SendBuf;
use covet_runtime::net::{StreamSocket, TcpStream, UnixStream};

use super::input::Input;
#[cfg(feature = "tls")]
use super::secure::Secure;

/// The bytes of one connection: a stream socket of either kind, and what may lie between it and the codec.
///
/// The codec's side of it is what was received, in an [`Input`], and buffers to be sent, one at a time. Everything that
/// depends on the kind of socket is in here.
pub(super) struct Transport {
    socket: StreamSocket,
    is_ip: bool,
    /// Boxed, as it is large, and plain connections have none.
    #[cfg(feature = "tls")]
    secure: Option<Box<Secure>>,
}

impl From<TcpStream> for Transport {
    fn from(stream: TcpStream) -> Transport {
        Transport::of(stream.into(), true)
    }
}

impl From<UnixStream> for Transport {
    fn from(stream: UnixStream) -> Transport {
        Transport::of(stream.into(), false)
    }
}

impl Transport {
    fn of(socket: StreamSocket, is_ip: bool) -> Transport {
        Transport {
            socket,
            is_ip,
            #[cfg(feature = "tls")]
            secure: None,
        }
    }

    /// Speaks TLS from here on.
    #[cfg(feature = "tls")]
    pub(super) fn begin_tls(&mut self, config: &crate::tls::ForCore) {
        self.secure = Some(Box::new(Secure::new(config, self.is_ip)));
    }

    /// The socket and what is between it and the codec, if the kernel may take that over once a handshake is done.
    #[cfg(feature = "tls")]
    #[inline]
    pub(super) fn may_leave_to_kernel(&self) -> Option<(&StreamSocket, &Secure)> {
        self.secure.as_deref().filter(|secure| secure.wants_kernel()).map(|secure| (&self.socket, secure))
    }

    /// What the TLS handshake agreed on, once it is done; `None` on a plain connection.
    #[cfg(feature = "tls")]
    #[inline]
    pub(super) fn tls(&self) -> Option<&std::rc::Rc<crate::tls::ConnectionInfo>> {
        self.secure.as_deref().map(Secure::info)
    }

    /// Whether nobody between the client and us can read or change what is sent.
    #[inline]
    pub(super) fn is_secure(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.secure.is_some();
        #[cfg(not(feature = "tls"))]
        false
    }

    /// Whether a handshake has ended since the last call, so that the time of the first request begins.
    #[inline]
    pub(super) fn take_established(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.secure.as_ref().is_some_and(|secure| secure.take_established());
        #[cfg(not(feature = "tls"))]
        false
    }

    /// Adds what has been received to the input, or the end. Through TLS, an end that the client has not announced is
    /// an error (`UnexpectedEof`): somebody on the way may have cut the connection.
    #[inline]
    pub(super) fn poll_receive(&self, input: &RefCell<Input>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        #[cfg(feature = "tls")]
        if let Some(secure) = &self.secure {
            return secure.poll_receive(&self.socket, input, cx);
        }
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
        #[cfg(feature = "tls")]
        if let Some(secure) = &self.secure {
            return secure.submit_send(&self.socket, buffer.into());
        }
        self.socket.submit_send(buffer)
    }

    /// Whether buffers go out as they are, on a socket that tells how much of them the client has.
    pub(super) fn takes_large_pieces(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.secure.as_ref().is_some_and(|secure| !secure.is_left_to_kernel()) {
            return false;
        }
        self.is_ip
    }

    /// Bytes that the client has acknowledged, where the kernel counts them.
    pub(super) fn bytes_acked(&self) -> u64 {
        self.socket.options().bytes_acked().unwrap_or(0)
    }

    /// Whether the last buffer is still on its way into the kernel.
    #[inline]
    pub(super) fn is_sending(&self) -> bool {
        self.socket.is_sending()
    }

    /// Ready when the kernel has taken the last buffer.
    #[inline]
    pub(super) fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        #[cfg(feature = "tls")]
        if let Some(secure) = &self.secure {
            return secure.poll_sent(&self.socket, cx);
        }
        self.socket.poll_sent(cx)
    }

    /// Tells the client that nothing more comes, behind what is being sent.
    pub(super) async fn end_sending(&self) -> io::Result<()> {
        #[cfg(feature = "tls")]
        if let Some(secure) = &self.secure {
            secure.close();
            std::future::poll_fn(|cx| secure.poll_sent(&self.socket, cx)).await?;
            secure.closed(&self.socket);
        }
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
