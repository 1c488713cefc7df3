//! One TLS connection as a value: bytes go in, bytes come out.

use std::sync::Arc;

use covet_runtime::buf::PoolBuf;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus, WriteTraffic,
};

use super::kernel::{Keys, Support};
use super::side::Side;
use super::{ConnectionInfo, resolver};

/// A record carries up to this much (RFC 8446 section 5.1).
const RECORD: usize = 16 * 1024;
/// What the longest form of record adds: header, explicit nonce, inner type and tag.
const RECORD_OVERHEAD: usize = 5 + 8 + 1 + 16;
/// Room for an alert in its record.
const ALERT: usize = 2 + RECORD_OVERHEAD;
/// The most ciphertext that can wait for the rest of a record or of a handshake message (64 KiB, rustls' own limit, in
/// records).
const MOST_PENDING: usize = 96 * 1024;

/// One side of one connection: the server's, or the client's.
///
/// Between calls it holds no buffer, unless the end of a record has not come yet.
pub(crate) struct Session<S: Side = UnbufferedServerConnection> {
    connection: S,
    /// Ciphertext whose record is not complete.
    pending: Option<PoolBuf>,
    server_name: Option<Box<str>>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Handshake,
    Open,
    /// The peer has said that nothing more comes.
    PeerClosed,
    /// An error was reported, or the end announced: nothing more is sent.
    Finished,
}

/// What a session is advanced for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Read,
    Write,
}

impl Session {
    pub(crate) fn new(config: Arc<rustls::ServerConfig>) -> Result<Session, rustls::Error> {
        UnbufferedServerConnection::new(config).map(Session::of)
    }

    /// Whether the kernel can make and read the records of this connection, whose handshake is done.
    pub(crate) fn suits(&self, kernel: Support) -> bool {
        let suite = self.connection.negotiated_cipher_suite();
        suite.is_some_and(|suite| kernel.has_suite(self.info().version(), suite.suite()))
    }

    /// Whether everything received so far is decrypted: no part of a record waits for its rest.
    pub(crate) fn is_between_records(&self) -> bool {
        self.state == State::Open && self.pending.is_none()
    }

    /// The keys for records from here on, which somebody else makes.
    pub(crate) fn into_keys(self) -> Result<Keys, rustls::Error> {
        let version = self.info().version();
        let (secrets, _) = self.connection.dangerous_into_kernel_connection()?;
        Ok(Keys { version, secrets })
    }

    pub(crate) fn info(&self) -> ConnectionInfo {
        ConnectionInfo::of(&self.connection, self.server_name.as_deref())
    }
}

impl<S: Side> Session<S> {
    pub(super) fn of(connection: S) -> Session<S> {
        Session { connection, pending: None, server_name: None, state: State::Handshake }
    }

    pub(super) fn connection(&self) -> &S {
        &self.connection
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.state == State::Handshake
    }

    /// Whether the peer has ended its side in order; an end without that is a truncation.
    pub(crate) fn peer_closed(&self) -> bool {
        self.state == State::PeerClosed
    }

    /// Takes received bytes, and overwrites them. What they decrypt to is appended to `plain`, and what must be sent in
    /// turn to `wire`, also with an error: then it is the alert that tells the peer.
    pub(crate) fn receive(
        &mut self,
        bytes: &mut [u8],
        plain: &mut Vec<u8>,
        wire: &mut Vec<u8>,
    ) -> Result<(), rustls::Error> {
        if matches!(self.state, State::PeerClosed | State::Finished) {
            return Ok(());
        }
        let Some(mut pending) = self.pending.take() else {
            // As a rule records come whole, and are decrypted where they are.
            let used = self.take_in(bytes, plain, wire)?;
            if used < bytes.len() {
                let mut pending = PoolBuf::take();
                pending.extend_from_slice(&bytes[used..]);
                return self.keep(pending);
            }
            return Ok(());
        };
        pending.extend_from_slice(bytes);
        let used = self.take_in(&mut pending, plain, wire)?;
        pending.drain(..used);
        self.keep(pending)
    }

    /// Returns how many of the bytes are used up.
    fn take_in(
        &mut self,
        bytes: &mut [u8],
        plain: &mut Vec<u8>,
        wire: &mut Vec<u8>,
    ) -> Result<usize, rustls::Error> {
        let handshaking = self.is_handshaking();
        let (used, outcome) = self.advance(bytes, plain, wire, Purpose::Read, |_, _| Ok(()));
        if S::IS_SERVER
            && handshaking
            && let Some(name) = resolver::take_server_name()
        {
            self.server_name = Some(name);
        }
        if let Err(error) = outcome {
            self.report(&mut bytes[used..], wire);
            return Err(error);
        }
        Ok(used)
    }

    /// Keeps the beginning of a record.
    fn keep(&mut self, pending: PoolBuf) -> Result<(), rustls::Error> {
        if pending.len() > MOST_PENDING {
            self.state = State::Finished;
            return Err(rustls::Error::General("a handshake message is too long".into()));
        }
        self.pending = (!pending.is_empty()).then_some(pending);
        Ok(())
    }

    /// Appends what `plain` encrypts to, in records as full as can be.
    pub(crate) fn send(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), rustls::Error> {
        self.write(wire, |traffic, wire| {
            let records = plain.len().div_ceil(RECORD);
            let room = plain.len() + records * RECORD_OVERHEAD;
            append(wire, room, |wire| traffic.encrypt(plain, wire))
        })
    }

    /// Appends the alert that announces the end (RFC 8446 section 6.1), unless there is nobody to read it.
    pub(crate) fn close(&mut self, wire: &mut Vec<u8>) {
        // An end that can't be announced is a truncation to the peer, which is what it then is.
        let _ =
            self.write(wire, |traffic, wire| append(wire, ALERT, |wire| traffic.queue_close_notify(wire)));
        self.state = State::Finished;
    }

    fn write(
        &mut self,
        wire: &mut Vec<u8>,
        mut write: impl FnMut(&mut WriteTraffic<'_, S::Data>, &mut Vec<u8>) -> Result<(), rustls::Error>,
    ) -> Result<(), rustls::Error> {
        if matches!(self.state, State::Handshake | State::Finished) {
            return Err(rustls::Error::HandshakeNotComplete);
        }
        // rustls keeps offsets into what is pending, so it must see it again.
        let mut pending = self.pending.take();
        let incoming = pending.as_deref_mut().map_or(&mut [][..], |pending| pending.as_mut_slice());
        let (used, outcome) = self.advance(incoming, &mut Vec::new(), wire, Purpose::Write, &mut write);
        if let Some(pending) = &mut pending {
            pending.drain(..used);
        }
        self.pending = pending;
        outcome
    }

    /// Goes on until more bytes are needed, and lets `write` append application data where that is possible. Returns
    /// how many of the bytes are used up.
    fn advance(
        &mut self,
        bytes: &mut [u8],
        plain: &mut Vec<u8>,
        wire: &mut Vec<u8>,
        purpose: Purpose,
        mut write: impl FnMut(&mut WriteTraffic<'_, S::Data>, &mut Vec<u8>) -> Result<(), rustls::Error>,
    ) -> (usize, Result<(), rustls::Error>) {
        let mut used = 0;
        loop {
            let UnbufferedStatus { mut discard, state } = self.connection.process(&mut bytes[used..]);
            let outcome = match state {
                Err(error) => Err(error),
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    let mut outcome = Ok(());
                    while let Some(record) = traffic.next_record() {
                        match record {
                            Ok(record) => {
                                discard += record.discard;
                                plain.extend_from_slice(record.payload);
                            }
                            Err(error) => outcome = Err(error),
                        }
                    }
                    // Asked once more, it would only say that there is nothing left.
                    let is_last = purpose == Purpose::Read
                        && self.state == State::Open
                        && used + discard == bytes.len();
                    outcome.map(|()| is_last)
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(wire, ALERT, |wire| data.encode(wire)).map(|()| false)
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    // `wire` goes out before anything that is appended to it.
                    data.done();
                    Ok(false)
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.state = State::PeerClosed;
                    Ok(false)
                }
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    if self.state == State::Handshake {
                        self.state = State::Open;
                    }
                    write(&mut traffic, wire).map(|()| true)
                }
                // Blocked or closed; early data is not accepted, so there is none.
                Ok(_) => Ok(true),
            };
            used += discard;
            match outcome {
                Ok(false) => {}
                Ok(true) => return (used, Ok(())),
                Err(error) => return (used, Err(error)),
            }
        }
    }

    /// Appends the alert about an error that rustls has queued.
    fn report(&mut self, rest: &mut [u8], wire: &mut Vec<u8>) {
        self.state = State::Finished;
        // What is queued comes before the bytes that are wrong, which must not be looked at again.
        while self.connection.wants_write() {
            let status = self.connection.process(rest);
            let Ok(ConnectionState::EncodeTlsData(mut data)) = status.state else { return };
            if append(wire, ALERT, |wire| data.encode(wire)).is_err() {
                return;
            }
        }
    }
}

/// Why something could not be appended: there was too little room, or something else.
trait Encoding {
    fn required(&self) -> Option<usize>;
}

impl Encoding for EncryptError {
    fn required(&self) -> Option<usize> {
        match self {
            EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            EncryptError::EncryptExhausted => None,
        }
    }
}

impl Encoding for EncodeError {
    fn required(&self) -> Option<usize> {
        match self {
            EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            EncodeError::AlreadyEncoded => None,
        }
    }
}

/// Runs `encode` on `room` bytes behind those of `wire`, or on as many as it then asks for.
fn append<E: Encoding>(
    wire: &mut Vec<u8>,
    room: usize,
    mut encode: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> Result<(), rustls::Error> {
    let start = wire.len();
    let mut room = room;
    loop {
        wire.resize(start + room, 0);
        match encode(&mut wire[start..]) {
            Ok(written) => {
                wire.truncate(start + written);
                return Ok(());
            }
            Err(error) => {
                wire.truncate(start);
                match error.required() {
                    Some(required) if required > room => room = required,
                    _ => return Err(rustls::Error::EncryptError),
                }
            }
        }
    }
}
