//! From a file to a socket without passing through our memory.
//!
//! The bytes go by a pipe (splice(2)). Filling it may wait for the disk, so the ring does that; emptying it into the
//! socket only moves references to pages, and is done at once, for as much as the socket takes: were the ring asked,
//! each slow peer would hold a kernel worker.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use super::StreamSocket;
use super::splice::{MAX_PIPE, Pipe};
use crate::error::core_is_gone;
use crate::ring::{Op, Operation, Payload};

/// Why a file was not sent to its end, and how much of it was.
///
/// It turns into the [`io::Error`] inside with `?`.
#[derive(Debug, thiserror::Error)]
#[error("sent {sent} bytes of the file, then could not {step}: {source}")]
pub struct SendFileError {
    /// Bytes that the socket has taken.
    pub sent: u64,
    step: &'static str,
    #[source]
    source: io::Error,
}

impl From<SendFileError> for io::Error {
    fn from(error: SendFileError) -> io::Error {
        io::Error::new(error.source.kind(), error)
    }
}

impl StreamSocket {
    /// Sends `len` bytes of a file, from `offset` on, without copying them through the process, and returns how many
    /// there were: fewer than `len` if the file ends before.
    ///
    /// A submitted send is waited for first. The file's own position is neither used nor moved, and the descriptor
    /// may be closed meanwhile. Bytes of the file that are overwritten while they are sent may arrive as before or
    /// as after. It pays from some hundred KiB on; for less, reading and [`StreamSocket::write_all`] is as good.
    ///
    /// Not cancel-safe: when the future is dropped, how much went out is unknown. No descriptor stays open, and bytes
    /// that were on their way to the socket are dropped.
    ///
    /// # Errors
    /// Those of splice(2) for the file (EINVAL for one that can't be spliced, EIO), those of send(2) for the socket,
    /// and out of descriptors for the pipe; the error says how many bytes were sent. After a failure of the socket
    /// nothing more can be sent; after one of the file the stream is as good as before.
    pub async fn send_file(&self, file: impl AsFd, offset: u64, len: u64) -> Result<u64, SendFileError> {
        let mut transfer = Transfer { stream: self, sent: 0 };
        if i64::try_from(offset).is_err() {
            let beyond = io::Error::new(io::ErrorKind::InvalidInput, "no file is that long");
            return Err(transfer.failed("read it", beyond));
        }
        let file = file.as_fd();
        // The ring needs a descriptor that stays open even if this future is dropped.
        let file = file
            .try_clone_to_owned()
            .map_err(|source| transfer.failed("duplicate its descriptor", source))?;
        self.flush().await.map_err(|source| transfer.failed("send what was before it", source))?;
        transfer.run(file, offset, len).await
    }
}

struct Transfer<'a> {
    stream: &'a StreamSocket,
    sent: u64,
}

impl Transfer<'_> {
    fn failed(&self, step: &'static str, source: io::Error) -> SendFileError {
        SendFileError { sent: self.sent, step, source }
    }

    async fn run(&mut self, file: OwnedFd, offset: u64, len: u64) -> Result<u64, SendFileError> {
        if len == 0 {
            return Ok(0);
        }
        // A large pipe saves hand-overs to the kernel's workers, which are what this costs.
        let size = usize::try_from(len).unwrap_or(MAX_PIPE);
        let pipe = Pipe::new(size).map_err(|source| self.failed("make a pipe", source))?;
        let mut route = Route { file, pipe };
        while self.sent < len {
            let want = (len - self.sent).min(MAX_PIPE as u64) as u32;
            let (filled, same) = self.fill(route, offset + self.sent, want).await;
            let again = |error: &io::Error| {
                matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
            };
            let filled = match (filled, same) {
                (Ok(0), _) => break,
                (Ok(filled), Some(same)) => {
                    route = same;
                    filled
                }
                (Err(error), Some(same)) if again(&error) => {
                    route = same;
                    continue;
                }
                (Err(source), _) => return Err(self.failed("read it", source)),
                (Ok(_), None) => return Err(self.failed("read it", core_is_gone())),
            };
            self.empty(&route, filled).await?;
        }
        Ok(self.sent)
    }

    /// Fills the pipe. The descriptors go with the operation, which keeps them open until it has ended.
    async fn fill(&self, route: Route, offset: u64, len: u32) -> (io::Result<u32>, Option<Route>) {
        let payload = Payload::Route(Box::new(route));
        let started = Operation::start(self.stream.core(), payload, |payload| {
            let Payload::Route(route) = payload else { unreachable!("the payload made above") };
            Op::Splice { from: route.file.as_raw_fd(), offset, into: route.pipe.fill.as_raw_fd(), len }
        });
        let (result, payload) = match started {
            Ok(operation) => operation.await,
            Err((error, payload)) => (Err(error), payload),
        };
        match payload {
            Payload::Route(route) => (result, Some(*route)),
            _ => (result, None),
        }
    }

    /// Empties the pipe into the socket.
    async fn empty(&mut self, route: &Route, filled: u32) -> Result<(), SendFileError> {
        let mut left = filled as usize;
        while left > 0 {
            let socket = self.stream.descriptor().map_err(|source| self.failed("send it", source))?;
            match route.pipe.empty_into(socket, left) {
                Ok(0) => return Err(self.failed("send it", io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    left -= count;
                    self.sent += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stream.writable().await.map_err(|source| self.failed("send it", source))?;
                }
                Err(error) => return Err(self.failed("send it", error)),
            }
        }
        Ok(())
    }
}

/// The file, and the pipe that its bytes go by.
pub(crate) struct Route {
    file: OwnedFd,
    pipe: Pipe,
}
