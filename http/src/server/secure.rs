//! TLS between a socket and the codec.

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use covet_runtime::buf::{PoolBuf, SendBuf};
use covet_runtime::net::StreamSocket;

use crate::input::Input;
use crate::proxy_protocol;
use crate::tls::{
    Alert, ConnectionInfo, Control, ForCore, MOST_RECORDS, Session, Support, Version, attach,
    receive_control, send_alert,
};

/// The answer to a client that speaks HTTP without TLS: that much it understands.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 46\r\n\r\n\
    This port speaks HTTPS: use an https:// URL.\r\n";
/// What a record carries at most (RFC 8446 section 5.1).
const RECORD: usize = 16 * 1024;

/// The TLS session of one connection, and what it wants sent.
pub(super) struct Secure {
    records: RefCell<Records>,
    /// Ciphertext that waits for the end of the send under way.
    wire: RefCell<Option<PoolBuf>>,
    info: OnceCell<Rc<ConnectionInfo>>,
    /// The end of the handshake has been told.
    established: Cell<bool>,
    /// The end came without the alert that announces it.
    is_cut: Cell<bool>,
    /// The handshake has failed over a header of the PROXY protocol.
    is_proxied: Cell<bool>,
    kernel: Support,
}

/// Who makes and reads the records.
enum Records {
    Process(Box<Session>),
    /// The socket takes and gives plaintext. With one key it may send so many records more.
    Kernel {
        left: u64,
    },
}

impl Secure {
    /// The kernel has TLS for TCP only.
    pub(super) fn new(config: &ForCore, is_tcp: bool) -> Secure {
        Secure {
            records: RefCell::new(Records::Process(Box::new(config.session()))),
            wire: RefCell::default(),
            info: OnceCell::new(),
            established: Cell::new(false),
            is_cut: Cell::new(false),
            is_proxied: Cell::new(false),
            kernel: if is_tcp { config.kernel } else { Support::default() },
        }
    }

    /// Whether the kernel can take connections over, and this one may be such.
    #[inline]
    pub(super) fn wants_kernel(&self) -> bool {
        self.kernel.is_any()
    }

    pub(super) fn is_handshaking(&self) -> bool {
        match &*self.records.borrow() {
            Records::Process(session) => session.is_handshaking(),
            Records::Kernel { .. } => false,
        }
    }

    pub(super) fn is_left_to_kernel(&self) -> bool {
        matches!(*self.records.borrow(), Records::Kernel { .. })
    }

    /// Whether the handshake has ended since the last call.
    pub(super) fn take_established(&self) -> bool {
        !self.established.get() && {
            self.established.set(!self.is_handshaking());
            self.established.get()
        }
    }

    /// Whether the end of the handshake has not been seen, be it that it failed.
    pub(super) fn has_no_handshake(&self) -> bool {
        !self.established.get()
    }

    /// Whether there was a header of the PROXY protocol in the place of a handshake.
    pub(super) fn is_proxied(&self) -> bool {
        self.is_proxied.get()
    }

    /// What the handshake agreed on, made when it is first asked for.
    pub(super) fn info(&self) -> &Rc<ConnectionInfo> {
        self.info.get_or_init(|| match &*self.records.borrow() {
            Records::Process(session) => Rc::new(session.info()),
            Records::Kernel { .. } => unreachable!("it is asked for before the session ends"),
        })
    }

    /// Gives the keys to the kernel. Returns whether it is settled who makes the records from here on; it is not while
    /// the rest of a record has to be read.
    pub(super) fn leave_to_kernel(&self, socket: &StreamSocket) -> io::Result<bool> {
        let mut records = self.records.borrow_mut();
        let Records::Process(session) = &*records else { return Ok(true) };
        if session.peer_closed() || !session.suits(self.kernel) {
            return Ok(true);
        }
        if !session.is_between_records() {
            return Ok(false);
        }
        if let Err(error) = socket.with_descriptor(attach) {
            tracing::debug!(%error, "the kernel does not take a connection's TLS over");
            return Ok(true);
        }
        let info = Rc::new(session.info());
        let before = std::mem::replace(&mut *records, Records::Kernel { left: MOST_RECORDS });
        if let Records::Process(session) = before {
            let keys = session.into_keys().map_err(invalid)?;
            socket.with_descriptor(|socket| keys.install(socket))?;
        }
        self.info.get_or_init(|| info);
        Ok(true)
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
            let mut received = match ready!(socket.poll_recv(cx)) {
                Ok(received) => received,
                Err(error) => return Poll::Ready(self.not_received(error, socket, input)),
            };
            if received.is_empty() {
                return Poll::Ready(self.incomplete_close(input));
            }
            if self.is_left_to_kernel() {
                input.borrow_mut().add(received);
                return Poll::Ready(Ok(()));
            }
            if self.take_in(socket, &mut received, input)? {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Decrypts what was received into the input, and sends what the session answers by itself. Returns whether there is
    /// anything new in the input.
    #[inline]
    pub(super) fn take_in(
        &self,
        socket: &StreamSocket,
        received: &mut [u8],
        input: &RefCell<Input>,
    ) -> io::Result<bool> {
        let mut plain = PoolBuf::take();
        let outcome = self.receive(received, &mut plain);
        if !socket.is_sending()
            && let Some(wire) = self.wire.take()
        {
            socket.submit_send(wire)?;
        }
        outcome?;
        Ok(self.deliver(plain, input))
    }

    /// Gives what was decrypted to the codec, and the end if it has come. Returns whether there was any of it.
    #[inline]
    pub(super) fn deliver(&self, plain: PoolBuf, input: &RefCell<Input>) -> bool {
        let peer_closed = match &*self.records.borrow() {
            Records::Process(session) => session.peer_closed(),
            Records::Kernel { .. } => false,
        };
        let mut input = input.borrow_mut();
        if peer_closed {
            input.end();
        }
        if plain.is_empty() {
            return peer_closed;
        }
        // The first request may come with the end of the handshake, and then its time has begun already.
        self.established.set(true);
        input.add_decrypted(plain);
        true
    }

    /// Decrypts received bytes where they are, and appends what they say to `plain`.
    #[inline]
    pub(super) fn receive(&self, received: &mut [u8], plain: &mut Vec<u8>) -> io::Result<()> {
        let mut records = self.records.borrow_mut();
        let Records::Process(session) = &mut *records else { return Ok(()) };
        let handshaking = session.is_handshaking();
        let is_plain_http = handshaking && is_plain_http(received);
        let header_begun = handshaking && proxy_protocol::is_begun(received);
        // Most of the time nothing is to be sent in turn.
        let (mut waiting, mut fresh) = (self.wire.take(), Vec::new());
        let wire = waiting.as_deref_mut().unwrap_or(&mut fresh);
        let outcome = session.receive(received, plain, wire);
        if let Err(error) = &outcome {
            if is_plain_http {
                wire.clear();
                wire.extend_from_slice(PLAIN_HTTP);
            }
            self.is_proxied.set(handshaking && header_begun);
            tracing::debug!(%error, handshaking, "a client's TLS failed; its connection is closed");
        }
        if !fresh.is_empty() {
            let mut buffer = PoolBuf::take();
            buffer.extend_from_slice(&fresh);
            waiting = Some(buffer);
        }
        if let Some(waiting) = waiting.filter(|wire| !wire.is_empty()) {
            *self.wire.borrow_mut() = Some(waiting);
        }
        outcome.map_err(invalid)
    }

    /// A receive fails with EIO where the kernel has a record that is not application data, and with EBADMSG where it
    /// could not decrypt one.
    #[cold]
    fn not_received(
        &self,
        error: io::Error,
        socket: &StreamSocket,
        input: &RefCell<Input>,
    ) -> io::Result<()> {
        if !self.is_left_to_kernel() {
            return Err(error);
        }
        let control = match error.raw_os_error() {
            Some(libc::EIO) => Some(socket.with_descriptor(receive_control)?),
            Some(libc::EBADMSG) => None,
            _ => return Err(error),
        };
        let answer = match control {
            Some(Control::CloseNotify) => {
                input.borrow_mut().end();
                return Ok(());
            }
            Some(Control::Alert(_)) => None,
            Some(Control::Handshake) if self.info().version() == Version::Tls12 => {
                Some(Alert::NO_RENEGOTIATION)
            }
            Some(Control::Handshake | Control::Other(_)) => Some(Alert::UNEXPECTED_MESSAGE),
            None => Some(Alert::BAD_RECORD_MAC),
        };
        tracing::debug!(?control, ?answer, "a client's TLS ended; its connection is closed");
        if let Some(answer) = answer {
            // It tells the client why, if there is room for it.
            let _ = socket.with_descriptor(|socket| send_alert(socket, answer));
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "a TLS record that the connection can't go on after"))
    }

    /// TCP has ended, and the session has not been told to: an incomplete close (RFC 9112 section 9.8). What came before
    /// it is as good as ever, as every record is authenticated, and whether a request is whole is told by its own
    /// framing; so to HTTP it is an end like any other.
    #[cold]
    pub(super) fn incomplete_close(&self, input: &RefCell<Input>) -> io::Result<()> {
        if self.is_handshaking() {
            return Err(unexpected_end("the connection ended within the TLS handshake"));
        }
        tracing::debug!("a client's connection ended without a TLS close_notify");
        self.is_cut.set(true);
        input.borrow_mut().end();
        Ok(())
    }

    /// Where nothing else tells what is whole: an error if the end that has come was not announced.
    pub(super) fn check_end(&self) -> io::Result<()> {
        match self.is_cut.get() {
            true => Err(unexpected_end("the connection ended without a TLS close_notify")),
            false => Ok(()),
        }
    }

    /// Sends all of a buffer, encrypted behind what waits already.
    pub(super) fn submit_send(&self, socket: &StreamSocket, buffer: SendBuf) -> io::Result<()> {
        match &mut *self.records.borrow_mut() {
            Records::Process(session) => {
                let mut wire = self.wire.take().unwrap_or_else(PoolBuf::take);
                session.send(buffer.as_ref(), &mut wire).map_err(invalid)?;
                socket.submit_send(wire)
            }
            Records::Kernel { left } => {
                *left = left
                    .checked_sub(buffer.len().div_ceil(RECORD) as u64)
                    .ok_or_else(|| io::Error::other("the connection's TLS key is used up"))?;
                socket.submit_send(buffer)
            }
        }
    }

    /// What is to be sent and waits.
    pub(super) fn take_wire(&self) -> Option<PoolBuf> {
        self.wire.take()
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
        let Records::Process(session) = &mut *self.records.borrow_mut() else { return };
        let mut wire = self.wire.take().unwrap_or_else(PoolBuf::take);
        session.close(&mut wire);
        if !wire.is_empty() {
            *self.wire.borrow_mut() = Some(wire);
        }
    }

    /// Everything is sent: if the records are the kernel's, so is the announcement of the end.
    pub(super) fn closed(&self, socket: &StreamSocket) {
        if self.is_left_to_kernel() {
            // An end that can't be announced is a truncation to the peer, which is what it then is.
            let _ = socket.with_descriptor(|socket| send_alert(socket, Alert::CLOSE_NOTIFY));
        }
    }
}

fn unexpected_end(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, text)
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Whether the first bytes of a connection are those of an HTTP request: a method in capitals, then a space.
fn is_plain_http(bytes: &[u8]) -> bool {
    let method = bytes.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    (3..=7).contains(&method) && bytes.get(method) == Some(&b' ')
}
