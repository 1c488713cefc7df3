use std::fmt;

use bytes::Bytes;

use super::{AlignedBuf, PoolBuf};

/// Bytes that can be lent to the kernel for a send.
///
/// The bytes of every variant stay at their address when the `SendBuf` itself is moved, which is what lets the
/// driver keep it while the kernel reads.
pub enum SendBuf {
    /// From the core's pool.
    Pool(PoolBuf),
    /// An ordinary vector.
    Vec(Vec<u8>),
    /// Reference-counted bytes, possibly shared.
    Bytes(Bytes),
    /// From aligned memory, for O_DIRECT.
    Aligned(AlignedBuf),
    /// Bytes that live for ever.
    Static(&'static [u8]),
}

impl SendBuf {
    /// The same bytes again, if that takes no copy.
    pub(crate) fn share(&self) -> Option<SendBuf> {
        match self {
            SendBuf::Bytes(buffer) => Some(SendBuf::Bytes(buffer.clone())),
            SendBuf::Static(buffer) => Some(SendBuf::Static(buffer)),
            SendBuf::Pool(_) | SendBuf::Vec(_) | SendBuf::Aligned(_) => None,
        }
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.as_ref().len()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl AsRef<[u8]> for SendBuf {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        match self {
            SendBuf::Pool(buffer) => buffer,
            SendBuf::Vec(buffer) => buffer,
            SendBuf::Bytes(buffer) => buffer,
            SendBuf::Aligned(buffer) => buffer,
            SendBuf::Static(buffer) => buffer,
        }
    }
}

impl fmt::Debug for SendBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SendBuf({} bytes)", self.len())
    }
}

impl From<PoolBuf> for SendBuf {
    fn from(buffer: PoolBuf) -> SendBuf {
        SendBuf::Pool(buffer)
    }
}

impl From<AlignedBuf> for SendBuf {
    fn from(buffer: AlignedBuf) -> SendBuf {
        SendBuf::Aligned(buffer)
    }
}

impl From<Vec<u8>> for SendBuf {
    fn from(buffer: Vec<u8>) -> SendBuf {
        SendBuf::Vec(buffer)
    }
}

impl From<String> for SendBuf {
    fn from(text: String) -> SendBuf {
        SendBuf::Vec(text.into_bytes())
    }
}

impl From<Bytes> for SendBuf {
    fn from(buffer: Bytes) -> SendBuf {
        SendBuf::Bytes(buffer)
    }
}

impl From<&'static [u8]> for SendBuf {
    fn from(buffer: &'static [u8]) -> SendBuf {
        SendBuf::Static(buffer)
    }
}

impl From<&'static str> for SendBuf {
    fn from(text: &'static str) -> SendBuf {
        SendBuf::Static(text.as_bytes())
    }
}

impl<const N: usize> From<&'static [u8; N]> for SendBuf {
    fn from(buffer: &'static [u8; N]) -> SendBuf {
        SendBuf::Static(buffer)
    }
}
