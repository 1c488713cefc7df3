//! What a handshake agreed on.

use rustls::pki_types::CertificateDer;
use rustls::{CommonState, HandshakeKind, ProtocolVersion};

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Version {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// What a connection's handshake agreed on; see [`Request::tls`](crate::Request::tls).
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    version: Version,
    cipher_suite: Option<&'static str>,
    resumed: bool,
    server_name: Option<Box<str>>,
    alpn: Option<Box<[u8]>>,
    peer_certificates: Box<[CertificateDer<'static>]>,
}

impl ConnectionInfo {
    /// Of a connection whose handshake is done.
    pub(super) fn of(connection: &CommonState, server_name: Option<&str>) -> ConnectionInfo {
        ConnectionInfo {
            version: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => Version::Tls13,
                _ => Version::Tls12,
            },
            cipher_suite: connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            server_name: server_name.map(Into::into),
            alpn: connection.alpn_protocol().map(Into::into),
            peer_certificates: connection.peer_certificates().unwrap_or_default().into(),
        }
    }

    /// The version that is spoken.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The cipher suite that was agreed on, by the name that rustls has for it, such as `TLS13_AES_256_GCM_SHA384`.
    pub fn cipher_suite(&self) -> Option<&'static str> {
        self.cipher_suite
    }

    /// Whether an earlier session was resumed, which saved the certificates and their signatures.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// The server name that the client asked for (SNI, RFC 6066 section 3), in lower case on the server's side.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The protocol that was agreed on by ALPN (RFC 7301), such as `http/1.1`.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.alpn.as_deref()
    }

    /// The peer's certificate and the intermediates that it sent, verified; empty if a client has shown none.
    pub fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        &self.peer_certificates
    }
}
