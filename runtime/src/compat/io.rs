//! The one implementation behind all families of I/O traits.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use crate::buf::PoolBuf;
use crate::net::StreamSocket;
use crate::ring::Destination;

/// The most that one write takes: what a pooled buffer may grow to.
const WRITE_LIMIT: usize = 64 * 1024;

/// Reads into where there is room; 0 bytes mean the end.
pub(super) fn read(
    stream: &StreamSocket,
    room: &mut impl Destination,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    stream.poll_read_into(room, cx)
}

/// Copies bytes into a pooled buffer and submits it, once the send before it has been taken by the kernel.
pub(super) fn write(stream: &StreamSocket, bytes: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    write_all_of(stream, [bytes].into_iter(), cx)
}

/// As [`write`], for several slices that become one send.
pub(super) fn write_vectored(
    stream: &StreamSocket,
    slices: &[IoSlice<'_>],
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    write_all_of(stream, slices.iter().map(|slice| &**slice), cx)
}

fn write_all_of<'a>(
    stream: &StreamSocket,
    slices: impl Iterator<Item = &'a [u8]>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    ready!(stream.poll_sent(cx))?;
    let mut buffer = PoolBuf::take();
    for slice in slices {
        let room = WRITE_LIMIT - buffer.len();
        buffer.extend_from_slice(&slice[..slice.len().min(room)]);
        if buffer.len() == WRITE_LIMIT {
            break;
        }
    }
    let taken = buffer.len();
    if taken > 0 {
        stream.submit_send(buffer)?;
    }
    Poll::Ready(Ok(taken))
}

/// Waits until what was written has been taken by the kernel, so that nothing is cut off by a drop that follows, and
/// an error is told to the one who caused it.
pub(super) fn flush(stream: &StreamSocket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    stream.poll_sent(cx)
}

/// Flushes, then ends the sending direction.
pub(super) fn shutdown(stream: &StreamSocket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    ready!(stream.poll_sent(cx))?;
    Poll::Ready(stream.end_sending())
}

/// Implements a family's traits for all our streams, which are all [`StreamSocket`]s at heart.
macro_rules! for_all_streams {
    ($implement:ident) => {
        $implement!(crate::net::StreamSocket);
        $implement!(crate::net::TcpStream);
        $implement!(crate::net::UnixStream);
    };
}
pub(super) use for_all_streams;
