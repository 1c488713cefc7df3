use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{InvalidDnsNameError, ServerName};

use super::ClientConfig;
use crate::tls::{ConnectionInfo, Session};

/// The client's side of one TLS connection, as a value: bytes go in, bytes come out.
///
/// It has no socket. What [`ClientSession::begin`], [`ClientSession::receive`] and the others append to `wire` must be
/// sent in this order; what arrives goes into [`ClientSession::receive`].
pub struct ClientSession {
    session: Session<UnbufferedClientConnection>,
    server_name: Box<str>,
}

impl ClientSession {
    /// Begins a session with the server of this name, whose certificate must be for it; an IP address is a name,
    /// too. Appends the first message to `wire`.
    ///
    /// # Errors
    /// When it is no name, and what rustls has against the configuration.
    pub fn begin(
        config: &ClientConfig,
        server_name: &str,
        wire: &mut Vec<u8>,
    ) -> Result<ClientSession, rustls::Error> {
        // An IPv6 address in a URL has brackets, in a certificate none.
        let bare =
            server_name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(server_name);
        // The final dot of an absolute name is not part of names in certificates.
        let bare = bare.strip_suffix('.').unwrap_or(bare);
        let name = ServerName::try_from(bare)
            .map_err(|_: InvalidDnsNameError| {
                rustls::Error::General(format!("`{bare}` is no name that a certificate can have"))
            })?
            .to_owned();
        let connection = UnbufferedClientConnection::new(config.rustls.clone(), name)?;
        let mut session = Session::of(connection);
        session.receive(&mut [], &mut Vec::new(), wire)?;
        Ok(ClientSession { session, server_name: bare.into() })
    }

    /// Whether the handshake goes on.
    pub fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// Whether the server has ended its side in order; an end without that is a truncation.
    pub fn peer_closed(&self) -> bool {
        self.session.peer_closed()
    }

    /// What was agreed on, once the handshake is done.
    pub fn info(&self) -> ConnectionInfo {
        ConnectionInfo::of(self.session.connection(), Some(&self.server_name))
    }

    /// Takes received bytes, and overwrites them. What they decrypt to is appended to `plain`, and what must be sent in turn to `wire`,
    /// also with an error: then it is the alert that tells the server.
    ///
    /// # Errors
    /// A certificate that is not good, a broken record, an alert of the server's. Nothing more can be done with the
    /// session then.
    pub fn receive(
        &mut self,
        bytes: &mut [u8],
        plain: &mut Vec<u8>,
        wire: &mut Vec<u8>,
    ) -> Result<(), rustls::Error> {
        self.session.receive(bytes, plain, wire)
    }

    /// Appends what `plain` encrypts to, in records as full as can be.
    ///
    /// # Errors
    /// During the handshake, and after the end.
    pub fn send(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), rustls::Error> {
        self.session.send(plain, wire)
    }

    /// Appends the alert that announces the end (RFC 8446 section 6.1), if there can be one.
    pub fn close(&mut self, wire: &mut Vec<u8>) {
        self.session.close(wire);
    }
}

impl std::fmt::Debug for ClientSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientSession")
            .field("server_name", &self.server_name)
            .field("handshaking", &self.is_handshaking())
            .finish()
    }
}
