//! What the two sides of a TLS connection have in common in rustls, which has no trait for it.

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::UnbufferedStatus;

/// A connection of rustls over buffers of ours.
pub(crate) trait Side {
    /// What rustls knows of this side only.
    type Data;

    /// Whether names are asked of this side.
    const IS_SERVER: bool;

    /// Goes on by one state.
    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;

    /// Whether rustls has something to be sent.
    fn wants_write(&self) -> bool;
}

impl Side for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    const IS_SERVER: bool = true;

    #[inline]
    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, ServerConnectionData> {
        self.process_tls_records(bytes)
    }

    fn wants_write(&self) -> bool {
        (**self).wants_write()
    }
}

impl Side for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    const IS_SERVER: bool = false;

    #[inline]
    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, ClientConnectionData> {
        self.process_tls_records(bytes)
    }

    fn wants_write(&self) -> bool {
        (**self).wants_write()
    }
}
