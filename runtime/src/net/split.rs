//! Halves of a stream.

use std::fmt;
use std::io;
use std::net::Shutdown;
use std::ops::Deref;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::StreamSocket;
use crate::buf::SendBuf;
use crate::ring::RecvBuf;

/// The half of a stream that receives.
///
/// `P` is how it holds the stream: a reference after [`StreamSocket::split`], an `Rc` after
/// [`TcpStream::into_split`](super::TcpStream::into_split) or
/// [`UnixStream::into_split`](super::UnixStream::into_split). The stream is closed when both owned halves are gone;
/// dropping one of them ends nothing by itself, so that a send under way is not cut: end the sending direction with
/// [`WriteHalf::shutdown`].
///
/// ```
/// use covet_runtime::{block_on, net::UnixStream, spawn};
///
/// block_on(async {
///     let (ours, theirs) = UnixStream::pair()?;
///     let (read, write) = ours.into_split();
///     let answer = spawn(async move { read.recv().await.map(|bytes| bytes.to_vec()) });
///     write.write_all("question").await.0?;
///     assert_eq!(&theirs.recv().await?[..], b"question");
///     theirs.write_all("answer").await.0?;
///     assert_eq!(answer.await??, b"answer");
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ReadHalf<P>(P);

/// The half of a stream that sends. See [`ReadHalf`].
pub struct WriteHalf<P>(P);

impl<P> ReadHalf<P>
where
    P: Deref,
    P::Target: AsRef<StreamSocket>,
{
    /// As [`StreamSocket::recv`].
    ///
    /// # Errors
    /// As there.
    pub async fn recv(&self) -> io::Result<RecvBuf> {
        self.stream().recv().await
    }

    /// As [`StreamSocket::poll_recv`].
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<io::Result<RecvBuf>> {
        self.stream().poll_recv(cx)
    }

    /// As [`StreamSocket::read`].
    ///
    /// # Errors
    /// As there.
    pub async fn read(&self, buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        self.stream().read(buffer).await
    }

    /// As [`StreamSocket::peek`].
    ///
    /// # Errors
    /// As there.
    pub async fn peek(&self, limit: usize) -> io::Result<Vec<u8>> {
        self.stream().peek(limit).await
    }

    /// The whole stream, for what both halves may do, such as asking for addresses.
    pub fn stream(&self) -> &StreamSocket {
        (*self.0).as_ref()
    }
}

impl<P> WriteHalf<P>
where
    P: Deref,
    P::Target: AsRef<StreamSocket>,
{
    /// As [`StreamSocket::write_all`].
    ///
    /// # Errors
    /// As there.
    pub async fn write_all(&self, buffer: impl Into<SendBuf>) -> (io::Result<()>, SendBuf) {
        self.stream().write_all(buffer).await
    }

    /// As [`StreamSocket::write_vectored`].
    ///
    /// # Errors
    /// As there.
    pub async fn write_vectored(&self, buffers: Vec<SendBuf>) -> (io::Result<()>, Vec<SendBuf>) {
        self.stream().write_vectored(buffers).await
    }

    /// As [`StreamSocket::submit_send`].
    ///
    /// # Errors
    /// As there.
    pub fn submit_send(&self, buffer: impl Into<SendBuf>) -> io::Result<()> {
        self.stream().submit_send(buffer)
    }

    /// As [`StreamSocket::poll_sent`].
    pub fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_sent(cx)
    }

    /// As [`StreamSocket::flush`].
    ///
    /// # Errors
    /// As there.
    pub async fn flush(&self) -> io::Result<()> {
        self.stream().flush().await
    }

    /// Ends sending: the peer sees the end of the stream. What was submitted is sent first.
    ///
    /// # Errors
    /// As for [`StreamSocket::shutdown`].
    pub async fn shutdown(&self) -> io::Result<()> {
        self.stream().shutdown(Shutdown::Write).await
    }

    /// The whole stream, for what both halves may do, such as asking for addresses.
    pub fn stream(&self) -> &StreamSocket {
        (*self.0).as_ref()
    }
}

impl<S> ReadHalf<Rc<S>> {
    /// Puts the stream together again.
    ///
    /// # Errors
    /// When the halves are of different streams; they are returned.
    pub fn reunite(self, write: WriteHalf<Rc<S>>) -> Result<S, ReuniteError<S>> {
        if !Rc::ptr_eq(&self.0, &write.0) {
            return Err(ReuniteError { read: self, write });
        }
        drop(write);
        Ok(Rc::into_inner(self.0).expect("a stream has two halves, and one of them has just gone"))
    }
}

/// Two halves were not of one stream.
pub struct ReuniteError<S> {
    /// The half that receives.
    pub read: ReadHalf<Rc<S>>,
    /// The half that sends.
    pub write: WriteHalf<Rc<S>>,
}

impl<S> fmt::Debug for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReuniteError")
    }
}

impl<S> fmt::Display for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the two halves are of different streams")
    }
}

impl<S> std::error::Error for ReuniteError<S> {}

impl StreamSocket {
    /// Splits it into halves that borrow it. See [`ReadHalf`].
    pub fn split(&self) -> (ReadHalf<&StreamSocket>, WriteHalf<&StreamSocket>) {
        (ReadHalf(self), WriteHalf(self))
    }
}

pub(super) fn own<S>(stream: S) -> (ReadHalf<Rc<S>>, WriteHalf<Rc<S>>) {
    let stream = Rc::new(stream);
    (ReadHalf(stream.clone()), WriteHalf(stream))
}

impl<P> fmt::Debug for ReadHalf<P>
where
    P: Deref,
    P::Target: AsRef<StreamSocket>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadHalf").field(self.stream()).finish()
    }
}

impl<P> fmt::Debug for WriteHalf<P>
where
    P: Deref,
    P::Target: AsRef<StreamSocket>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WriteHalf").field(self.stream()).finish()
    }
}
