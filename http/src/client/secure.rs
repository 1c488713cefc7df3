//! TLS between a socket and the codec, once or twice.

use std::rc::Rc;

use covet_runtime::buf::PoolBuf;

use crate::tls::{ClientConfig, ClientSession, ConnectionInfo};

/// The session with whoever is at the other end, and the one with a proxy that may carry it.
///
/// It has no socket: bytes go in, bytes come out, as with a [`ClientSession`].
pub(super) struct Secure {
    session: ClientSession,
    /// With a proxy that speaks TLS itself, through which the other one passes.
    outer: Option<ClientSession>,
    info: Option<Rc<ConnectionInfo>>,
    /// Made by the sessions, and not on its way yet.
    pub(super) wire: Option<PoolBuf>,
}

impl Secure {
    /// Begins a session with this server, within the one there is if there is one. Its first message waits in `wire`.
    pub(super) fn begin(
        config: &ClientConfig,
        server: &str,
        outer: Option<Secure>,
    ) -> Result<Secure, rustls::Error> {
        let mut first = PoolBuf::take();
        let session = ClientSession::begin(config, server, &mut first)?;
        let Some(outer) = outer else {
            return Ok(Secure { session, outer: None, info: None, wire: Some(first) });
        };
        let mut wire = outer.wire.unwrap_or_else(PoolBuf::take);
        let mut outer = outer.session;
        outer.send(&first, &mut wire)?;
        Ok(Secure { session, outer: Some(outer), info: None, wire: Some(wire) })
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// Keeps what the handshake agreed on, where the session is with a server.
    pub(super) fn keep_info(&mut self) {
        self.info = Some(Rc::new(self.session.info()));
    }

    pub(super) fn info(&self) -> Option<Rc<ConnectionInfo>> {
        self.info.clone()
    }

    /// Whether nothing more comes, and if so whether the server itself has said that.
    pub(super) fn end(&self) -> Option<bool> {
        if self.session.peer_closed() {
            return Some(true);
        }
        self.outer.as_ref().is_some_and(ClientSession::peer_closed).then_some(false)
    }

    /// See [`ClientSession::receive`].
    pub(super) fn receive(
        &mut self,
        bytes: &mut [u8],
        plain: &mut Vec<u8>,
        wire: &mut Vec<u8>,
    ) -> Result<(), rustls::Error> {
        let Some(outer) = &mut self.outer else { return self.session.receive(bytes, plain, wire) };
        let (mut between, mut answer) = (PoolBuf::take(), PoolBuf::take());
        let received = outer.receive(bytes, &mut between, wire);
        // What came whole before an error is good.
        let inner = match between.is_empty() {
            true => Ok(()),
            false => self.session.receive(&mut between, plain, &mut answer),
        };
        if !answer.is_empty() && received.is_ok() {
            outer.send(&answer, wire)?;
        }
        received.and(inner)
    }

    /// See [`ClientSession::send`].
    pub(super) fn send(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), rustls::Error> {
        let Some(outer) = &mut self.outer else { return self.session.send(plain, wire) };
        let mut between = PoolBuf::take();
        self.session.send(plain, &mut between)?;
        outer.send(&between, wire)
    }
}
