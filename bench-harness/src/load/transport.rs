//! The way to the server, and what carries the bytes.
//!
//! Everything above works on a [`Transport`] and does not know what it is. A transport that ciphers goes here.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::task::{Context, Poll};

use bytes::Bytes;
use covet_runtime::net::{ConnectOptions, RecvBuf, StreamSocket, TcpStream, UnixStream};

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
pub(super) struct Transport(StreamSocket);

impl Transport {
    /// Opens a connection, the `number`th of its core.
    pub(super) async fn connect(endpoint: &Endpoint, number: usize) -> io::Result<Self> {
        let stream = match endpoint {
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
        Ok(Self(stream))
    }

    #[inline]
    pub(super) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<io::Result<RecvBuf>> {
        self.0.poll_recv(cx)
    }

    /// Waits until the peer has closed, or nothing can be heard of it any more.
    pub(super) async fn closed(&self) {
        while self.0.recv().await.is_ok_and(|bytes| !bytes.is_empty()) {}
    }

    /// Sends these bytes; the send before must be over.
    #[inline]
    pub(super) fn submit_send(&self, bytes: Bytes) -> io::Result<()> {
        self.0.submit_send(bytes)
    }

    #[inline]
    pub(super) fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_sent(cx)
    }

    #[inline]
    pub(super) fn is_sending(&self) -> bool {
        self.0.is_sending()
    }
}
