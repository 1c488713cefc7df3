//! The way to the server, and what carries the bytes.
//!
//! Everything above works on a [`Transport`] and does not know what it is: a socket, or a TLS session over one. What is
//! spoken over it is a [`Protocol`](super::protocol::Protocol).

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::path::PathBuf;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use covet_http::tls::{ClientSession, ConnectionInfo};
use covet_runtime::buf::PoolBuf;
use covet_runtime::net::{ConnectOptions, RecvBuf, StreamSocket, TcpStream, UnixStream};

use super::tls::{Security, SessionError};
use crate::record::ErrorClass;

/// Where connections lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    Tcp {
        address: SocketAddr,
        /// The addresses to connect from, in turn.
        local: Vec<IpAddr>,
    },
    Unix(PathBuf),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { address, .. } => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Transport {
    socket: StreamSocket,
    secure: Option<Box<RefCell<Secure>>>,
}

/// The TLS session over a socket.
#[derive(Debug)]
struct Secure {
    session: ClientSession,
    /// Made by the session of itself, and not on its way yet.
    wire: Vec<u8>,
}

/// Bytes that came; none are the end.
#[derive(Debug)]
pub(super) enum Received {
    Plain(RecvBuf),
    Decrypted(PoolBuf),
}

impl Deref for Received {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Decrypted(bytes) => bytes,
        }
    }
}

impl Transport {
    /// Opens a connection, the `number`th of its core.
    pub(super) async fn connect(endpoint: &Endpoint, number: usize) -> io::Result<Self> {
        let socket = match endpoint {
            Endpoint::Tcp { address, local } if local.is_empty() => {
                TcpStream::connect(*address).await?.into()
            }
            Endpoint::Tcp { address, local } => {
                let from = local[number % local.len()];
                let options =
                    ConnectOptions { local: Some(from), timeout: None, ..ConnectOptions::default() };
                options.connect_any(&[*address]).await?.into()
            }
            Endpoint::Unix(path) => UnixStream::connect(path).await?.into(),
        };
        Ok(Self { socket, secure: None })
    }

    /// Makes a TLS handshake on a connection that was just opened.
    pub(super) async fn secure(mut self, security: &Security) -> io::Result<(Self, ConnectionInfo)> {
        let mut wire = Vec::new();
        let mut session =
            ClientSession::begin(&security.config, &security.name, &mut wire).map_err(broken)?;
        let mut plain = Vec::new();
        loop {
            if !wire.is_empty() {
                self.socket.submit_send(std::mem::take(&mut wire))?;
                self.socket.flush().await?;
            }
            if !session.is_handshaking() {
                break;
            }
            let mut received = self.socket.recv().await?;
            if received.is_empty() {
                let text = "the server closed the connection within the TLS handshake";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
            }
            if let Err(error) = session.receive(&mut received, &mut plain, &mut wire) {
                // The server learns why, if it still listens.
                if !wire.is_empty() && self.socket.submit_send(wire).is_ok() {
                    let _ = self.socket.flush().await;
                }
                return Err(broken(error));
            }
        }
        let info = session.info();
        self.secure = Some(Box::new(RefCell::new(Secure { session, wire })));
        Ok((self, info))
    }

    /// Hands the bytes that come next to `take`, which are none at the end; plain ones are not moved on the way.
    #[inline]
    pub(super) fn poll_take<T>(
        &self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Poll<io::Result<T>> {
        if self.secure.is_some() {
            return self.poll_recv(cx).map_ok(|bytes| take(&bytes));
        }
        match self.socket.poll_recv(cx) {
            Poll::Ready(Ok(bytes)) => Poll::Ready(Ok(take(&bytes))),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    pub(super) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<io::Result<Received>> {
        match &self.secure {
            None => self.socket.poll_recv(cx).map_ok(Received::Plain),
            Some(secure) => self.poll_decrypt(&mut secure.borrow_mut(), cx),
        }
    }

    fn poll_decrypt(&self, secure: &mut Secure, cx: &mut Context<'_>) -> Poll<io::Result<Received>> {
        loop {
            if secure.session.peer_closed() {
                return Poll::Ready(Ok(Received::Decrypted(PoolBuf::take())));
            }
            let mut received = ready!(self.socket.poll_recv(cx))?;
            if received.is_empty() {
                return Poll::Ready(Ok(Received::Plain(received)));
            }
            let mut plain = PoolBuf::take();
            let outcome = secure.session.receive(&mut received, &mut plain, &mut secure.wire);
            if !secure.wire.is_empty() && !self.socket.is_sending() {
                self.socket.submit_send(std::mem::take(&mut secure.wire))?;
            }
            outcome.map_err(broken)?;
            if !plain.is_empty() {
                return Poll::Ready(Ok(Received::Decrypted(plain)));
            }
        }
    }

    /// Whether the end that came is one that somebody on the way could have made: TLS announces an end.
    pub(super) fn is_truncated(&self) -> bool {
        self.secure.as_ref().is_some_and(|secure| !secure.borrow().session.peer_closed())
    }

    /// Tells the peer that nothing more comes, where there is a way to.
    pub(super) async fn close(&self) {
        let Some(secure) = &self.secure else { return };
        let mut wire = std::mem::take(&mut secure.borrow_mut().wire);
        secure.borrow_mut().session.close(&mut wire);
        if !self.socket.is_sending() && self.socket.submit_send(wire).is_ok() {
            // The peer may be gone; then nobody misses it.
            let _ = self.socket.flush().await;
        }
    }

    /// Waits until the peer has closed, or nothing can be heard of it any more.
    pub(super) async fn closed(&self) {
        while self.socket.recv().await.is_ok_and(|bytes| !bytes.is_empty()) {}
    }

    /// Sends these bytes; the send before must be over.
    #[inline]
    pub(super) fn submit_send(&self, bytes: Bytes) -> io::Result<()> {
        match &self.secure {
            None => self.socket.submit_send(bytes),
            Some(secure) => self.encrypt(&mut secure.borrow_mut(), &bytes),
        }
    }

    fn encrypt(&self, secure: &mut Secure, bytes: &[u8]) -> io::Result<()> {
        let mut wire = PoolBuf::take();
        wire.append(&mut secure.wire);
        secure.session.send(bytes, &mut wire).map_err(broken)?;
        self.socket.submit_send(wire)
    }

    #[inline]
    pub(super) fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_sent(cx)
    }

    #[inline]
    pub(super) fn is_sending(&self) -> bool {
        self.socket.is_sending()
    }
}

fn broken(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, SessionError::new(error))
}

/// Whether it is TLS that failed, and not the network.
pub(super) fn is_of_session(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<SessionError>())
}

/// What a connection that could not be opened counts as.
pub(super) fn class_of_failure(error: &io::Error) -> ErrorClass {
    match error.kind() {
        _ if is_of_session(error) => ErrorClass::Tls,
        io::ErrorKind::AddrNotAvailable => ErrorClass::LocalPorts,
        _ => ErrorClass::Connect,
    }
}
