//! TLS between a socket and the codec.

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use covet_runtime::buf::{PoolBuf, SendBuf};
use covet_runtime::net::StreamSocket;

use super::input::Input;
use crate::tls::{ConnectionInfo, Session};

/// The answer to a client that speaks HTTP without TLS: that much it understands.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 46\r\n\r\n\
    This port speaks HTTPS: use an https:// URL.\r\n";

/// The TLS session of one connection, and what it wants sent.
pub(super) struct Secure {
    session: RefCell<Session>,
    /// Ciphertext that waits for the end of the send under way.
    wire: RefCell<Option<PoolBuf>>,
    info: OnceCell<Rc<ConnectionInfo>>,
    /// The end of the handshake has been told.
    established: Cell<bool>,
}

impl Secure {
    pub(super) fn new(config: Arc<rustls::ServerConfig>) -> Secure {
        let session = Session::new(config).expect("a session was made when the configuration was built");
        Secure {
            session: RefCell::new(session),
            wire: RefCell::default(),
            info: OnceCell::new(),
            established: Cell::new(false),
        }
    }

    /// Whether the handshake has ended since the last call.
    pub(super) fn take_established(&self) -> bool {
        !self.established.get() && {
            self.established.set(!self.session.borrow().is_handshaking());
            self.established.get()
        }
    }

    /// What the handshake agreed on, made when it is first asked for.
    pub(super) fn info(&self) -> &Rc<ConnectionInfo> {
        self.info.get_or_init(|| Rc::new(self.session.borrow().info()))
    }

    pub(super) fn poll_receive(
        &self,
        socket: &StreamSocket,
        input: &RefCell<Input>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.wire.borrow().is_some()
            && let Poll::Ready(Err(error)) = self.poll_sent(socket, cx)
        {
            return Poll::Ready(Err(error));
        }
        loop {
            let received = ready!(socket.poll_recv(cx))?;
            if received.is_empty() {
                return Poll::Ready(Err(self.truncated()));
            }
            let mut plain = PoolBuf::take();
            let outcome = self.receive(&received, &mut plain);
            if !socket.is_sending()
                && let Some(wire) = self.wire.take()
            {
                socket.submit_send(wire)?;
            }
            outcome?;
            // The first request may come with the end of the handshake, and then its time has begun already.
            let peer_closed = self.session.borrow().peer_closed();
            let mut input = input.borrow_mut();
            if peer_closed {
                input.end();
            }
            if !plain.is_empty() {
                self.established.set(true);
                input.add_decrypted(plain);
            } else if !peer_closed {
                continue;
            }
            return Poll::Ready(Ok(()));
        }
    }

    fn receive(&self, received: &[u8], plain: &mut Vec<u8>) -> io::Result<()> {
        let mut wire = self.wire.take().unwrap_or_else(PoolBuf::take);
        let mut session = self.session.borrow_mut();
        let handshaking = session.is_handshaking();
        let outcome = session.receive(received, plain, &mut wire);
        if let Err(error) = &outcome {
            if handshaking && is_plain_http(received) {
                wire.clear();
                wire.extend_from_slice(PLAIN_HTTP);
            }
            tracing::debug!(%error, handshaking, "a client's TLS failed; its connection is closed");
        }
        if !wire.is_empty() {
            *self.wire.borrow_mut() = Some(wire);
        }
        outcome.map_err(invalid)
    }

    #[cold]
    fn truncated(&self) -> io::Error {
        let text = match self.session.borrow().is_handshaking() {
            true => "the connection ended within the TLS handshake",
            false => "the connection ended without a TLS close_notify",
        };
        tracing::debug!("{text}");
        io::Error::new(io::ErrorKind::UnexpectedEof, text)
    }

    /// Encrypts a buffer behind what waits already, and sends all of it.
    pub(super) fn submit_send(&self, socket: &StreamSocket, buffer: &SendBuf) -> io::Result<()> {
        let mut wire = self.wire.take().unwrap_or_else(PoolBuf::take);
        self.session.borrow_mut().send(buffer.as_ref(), &mut wire).map_err(invalid)?;
        socket.submit_send(wire)
    }

    /// Ready when nothing waits and nothing is on its way.
    pub(super) fn poll_sent(&self, socket: &StreamSocket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(socket.poll_sent(cx))?;
            match self.wire.take() {
                Some(wire) => socket.submit_send(wire)?,
                None => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Puts the announcement of the end behind everything else.
    pub(super) fn close(&self) {
        let mut wire = self.wire.take().unwrap_or_else(PoolBuf::take);
        self.session.borrow_mut().close(&mut wire);
        if !wire.is_empty() {
            *self.wire.borrow_mut() = Some(wire);
        }
    }
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Whether the first bytes of a connection are those of an HTTP request: a method in capitals, then a space.
fn is_plain_http(bytes: &[u8]) -> bool {
    let method = bytes.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    (3..=7).contains(&method) && bytes.get(method) == Some(&b' ')
}
