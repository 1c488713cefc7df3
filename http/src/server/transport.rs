//! What a connection is carried by.

use std::cell::{OnceCell, RefCell};
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use covet_runtime::buf::SendBuf;
use covet_runtime::net::{RecvBuf, StreamSocket, TcpStream, UnixStream};

#[cfg(feature = "tls")]
use super::secure::Secure;
use crate::input::Input;
use crate::proxy_protocol::{Client, Header};

/// The bytes of one connection: a stream socket of either kind, and what may lie between it and the codec.
///
/// The codec's side of it is what was received, in an [`Input`], and buffers to be sent, one at a time. Everything that
/// depends on the kind of socket is in here.
pub(super) struct Transport {
    socket: StreamSocket,
    is_ip: bool,
    /// What a proxy has said of the client, before the first byte of it.
    proxied: OnceCell<Rc<Header>>,
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
            proxied: OnceCell::new(),
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

    /// Whether there is a TLS handshake, and it has not ended.
    #[cfg(feature = "tls")]
    pub(super) fn has_no_handshake(&self) -> bool {
        self.secure.as_ref().is_some_and(|secure| secure.has_no_handshake())
    }

    /// Whether there was a header of the PROXY protocol in the place of a TLS handshake.
    #[cfg(feature = "tls")]
    pub(super) fn is_proxied_below_tls(&self) -> bool {
        self.secure.as_ref().is_some_and(|secure| secure.is_proxied())
    }

    /// Adds what has been received to the input, or the end. Through TLS it may be one that the client has not
    /// announced: see [`Transport::check_end`].
    #[inline(always)]
    pub(super) fn poll_receive(&self, input: &RefCell<Input>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        #[cfg(feature = "tls")]
        if let Some(secure) = &self.secure {
            return secure.poll_receive(&self.socket, input, cx);
        }
        let received = ready!(self.socket.poll_recv(cx))?;
        input.borrow_mut().add(received);
        Poll::Ready(Ok(()))
    }

    /// An error (`UnexpectedEof`) if the end that has come may be none of the client's: TLS below HTTP says when it is,
    /// and anybody on the way can end TCP.
    pub(super) fn check_end(&self) -> io::Result<()> {
        #[cfg(feature = "tls")]
        if let Some(secure) = &self.secure {
            return secure.check_end();
        }
        Ok(())
    }

    /// Throws away what has been received. Returns how much it was, as it came over the wire; 0 is the end.
    pub(super) fn poll_discard(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.socket.poll_recv(cx).map_ok(|received| received.len())
    }

    /// Sends a buffer, without waiting for it. One at a time: see [`StreamSocket::submit_send`].
    #[inline(always)]
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

    /// The client's address, where it has one: what a proxy says it is, or else what the kernel says.
    pub(super) fn peer_addr(&self) -> Option<SocketAddr> {
        match self.proxied.get().map(|header| header.client()) {
            Some(Client::At(address)) => Some(address),
            Some(Client::Elsewhere) => None,
            Some(Client::Sender) | None => self.sender(),
        }
    }

    /// The address at the other end of the socket, where it has one; asks the kernel.
    pub(super) fn sender(&self) -> Option<SocketAddr> {
        if self.is_ip { self.socket.peer_ip_addr().ok() } else { None }
    }

    /// Whether the other end is a process of this machine, on a Unix socket.
    pub(super) fn is_local(&self) -> bool {
        !self.is_ip
    }

    /// What a proxy has said of the client, if one has.
    pub(super) fn proxied(&self) -> Option<&Rc<Header>> {
        self.proxied.get()
    }

    /// Keeps what a proxy has said.
    pub(super) fn set_proxied(&self, header: Header) {
        let _ = self.proxied.set(Rc::new(header));
    }

    /// When the first of the bytes came that wait to be received, if some do.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.socket.waiting_since()
    }

    /// Bytes as they come over the wire, below everything else; none are the end.
    pub(super) fn poll_receive_raw(&self, cx: &mut Context<'_>) -> Poll<io::Result<RecvBuf>> {
        self.socket.poll_recv(cx)
    }

    /// Takes in bytes that were received raw and are not for who received them.
    pub(super) fn receive_again(&self, bytes: &mut [u8], input: &RefCell<Input>) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        #[cfg(feature = "tls")]
        if let Some(secure) = &self.secure {
            return secure.take_in(&self.socket, bytes, input).map(drop);
        }
        input.borrow_mut().add_copy(bytes);
        Ok(())
    }
}
