//! What an exchange is carried by.

use std::io;
#[cfg(feature = "tls")]
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

#[cfg(feature = "tls")]
use covet_runtime::buf::PoolBuf;
use covet_runtime::buf::SendBuf;
use covet_runtime::net::StreamSocket;

#[cfg(feature = "tls")]
use super::secure::Secure;
use crate::input::Input;
#[cfg(feature = "tls")]
use crate::tls::ConnectionInfo;

/// The bytes of one connection: a socket, and the TLS that may lie between it and the codec.
pub(super) struct Transport {
    socket: StreamSocket,
    #[cfg(feature = "tls")]
    secure: Option<Box<Secure>>,
}

/// With whom TLS is spoken: a name that a certificate must have.
#[cfg(feature = "tls")]
pub(super) enum TlsPeer<'a> {
    Server(&'a str),
    Proxy(&'a str),
}

/// What a receive brought.
pub(super) enum Incoming {
    Bytes(Input),
    /// Nothing more comes. Through TLS it may be that the server has not said so: then somebody on the way may have
    /// cut the connection.
    End {
        announced: bool,
    },
}

impl Transport {
    pub(super) fn new(socket: StreamSocket) -> Transport {
        Transport {
            socket,
            #[cfg(feature = "tls")]
            secure: None,
        }
    }

    /// Makes a handshake, and speaks TLS from here on, within the TLS that is spoken already if there is any.
    #[cfg(feature = "tls")]
    pub(super) async fn begin_tls(
        mut self,
        config: &crate::tls::ClientConfig,
        with: TlsPeer<'_>,
    ) -> Result<Transport, super::Cause> {
        use super::Cause;
        let (TlsPeer::Server(server) | TlsPeer::Proxy(server)) = with;
        let failed = |source| Cause::Tls { server: server.to_owned(), source };
        let outer = self.secure.take().map(|outer| *outer);
        let mut secure = Box::new(Secure::begin(config, server, outer).map_err(failed)?);
        let mut plain = PoolBuf::take();
        loop {
            if let Some(wire) = secure.wire.take() {
                self.socket.flush().await.map_err(Cause::Io)?;
                self.socket.submit_send(wire).map_err(Cause::Io)?;
                self.socket.flush().await.map_err(Cause::Io)?;
            }
            if !secure.is_handshaking() {
                break;
            }
            let mut received = self.socket.recv().await.map_err(Cause::Io)?;
            if received.is_empty() || secure.end().is_some() {
                let text = "the other side closed it within the TLS handshake";
                return Err(Cause::Io(io::Error::new(io::ErrorKind::UnexpectedEof, text)));
            }
            let mut wire = PoolBuf::take();
            let outcome = secure.receive(&mut received, &mut plain, &mut wire);
            if let Err(error) = outcome {
                // The server learns why, if it still listens.
                if self.socket.submit_send(wire).is_ok() {
                    let _ = self.socket.flush().await;
                }
                return Err(failed(error));
            }
            if !wire.is_empty() {
                secure.wire = Some(wire);
            }
        }
        if !plain.is_empty() {
            return Err(failed(rustls::Error::General("the server spoke before it was asked".into())));
        }
        if let TlsPeer::Server(_) = with {
            secure.keep_info();
        }
        self.secure = Some(secure);
        Ok(self)
    }

    /// What the handshake with the server agreed on.
    #[cfg(feature = "tls")]
    pub(super) fn tls(&self) -> Option<Rc<ConnectionInfo>> {
        self.secure.as_ref().and_then(|secure| secure.info())
    }

    /// What has been received.
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Incoming>> {
        #[cfg(feature = "tls")]
        if self.secure.is_some() {
            return self.poll_decrypt(cx);
        }
        let received = ready!(self.socket.poll_recv(cx))?;
        Poll::Ready(Ok(match received.is_empty() {
            true => Incoming::End { announced: true },
            false => Incoming::Bytes(received.into()),
        }))
    }

    #[cfg(feature = "tls")]
    fn poll_decrypt(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Incoming>> {
        let Some(secure) = &mut self.secure else {
            return Poll::Ready(Ok(Incoming::End { announced: false }));
        };
        loop {
            if let Some(announced) = secure.end() {
                return Poll::Ready(Ok(Incoming::End { announced }));
            }
            let mut received = ready!(self.socket.poll_recv(cx))?;
            if received.is_empty() {
                return Poll::Ready(Ok(Incoming::End { announced: false }));
            }
            let mut plain = PoolBuf::take();
            let mut wire = secure.wire.take().unwrap_or_else(PoolBuf::take);
            let outcome = secure.receive(&mut received, &mut plain, &mut wire);
            if !wire.is_empty() {
                if self.socket.is_sending() {
                    secure.wire = Some(wire);
                } else {
                    self.socket.submit_send(wire)?;
                }
            }
            outcome.map_err(invalid)?;
            if !plain.is_empty() {
                return Poll::Ready(Ok(Incoming::Bytes(plain.into())));
            }
        }
    }

    /// Sends a buffer, without waiting for it; only when [`Transport::poll_sent`] is ready.
    pub(super) fn submit_send(&mut self, buffer: impl Into<SendBuf>) -> io::Result<()> {
        #[cfg(feature = "tls")]
        if let Some(secure) = &mut self.secure {
            let mut wire = secure.wire.take().unwrap_or_else(PoolBuf::take);
            secure.send(buffer.into().as_ref(), &mut wire).map_err(invalid)?;
            return self.socket.submit_send(wire);
        }
        self.socket.submit_send(buffer)
    }

    /// Ready when nothing is on its way.
    pub(super) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.socket.poll_sent(cx))?;
        #[cfg(feature = "tls")]
        if let Some(wire) = self.secure.as_mut().and_then(|secure| secure.wire.take()) {
            self.socket.submit_send(wire)?;
            return self.socket.poll_sent(cx);
        }
        Poll::Ready(Ok(()))
    }

    /// Whether a request could be sent: nothing has come that nobody asked for, and no end.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        matches!(self.poll_sent(&mut cx), Poll::Ready(Ok(()))) && self.poll_receive(&mut cx).is_pending()
    }

    /// The socket, of a connection without TLS.
    pub(super) fn socket(&self) -> &StreamSocket {
        &self.socket
    }
}

#[cfg(feature = "tls")]
fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
