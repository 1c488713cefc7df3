//! From one socket to another, as a proxy does.

use std::io;

use super::StreamSocket;
use super::splice::Pipe;
use crate::buf::PoolBuf;
use crate::yield_now;

/// What is moved at a time.
const PIECE: usize = 64 * 1024;
/// Bytes that are moved before other tasks have their turn, when neither side ever makes us wait.
const TURN: usize = 1 << 20;

impl StreamSocket {
    /// Sends everything that arrives here to another stream until this one ends, and returns how many bytes there were.
    /// The other stream's sending is not ended: do so with [`StreamSocket::shutdown`].
    ///
    /// The bytes stay in the kernel (splice(2)). If this stream has been received from before, they are copied instead,
    /// as some may have been taken out of the socket already. Compare both on your load: short messages gain nothing.
    ///
    /// Not cancel-safe: bytes on their way when the future is dropped are lost.
    ///
    /// # Errors
    /// Those of receiving here, and of sending there.
    pub async fn forward(&self, to: &StreamSocket) -> io::Result<u64> {
        to.flush().await?;
        if self.is_received() {
            return self.forward_copies(to).await;
        }
        let pipe = Pipe::new(PIECE)?;
        let (mut total, mut turn) = (0, 0);
        loop {
            match pipe.fill_from(self.descriptor()?, PIECE) {
                Ok(0) => return Ok(total),
                Ok(count) => {
                    to.take_from(&pipe, count).await?;
                    total += count as u64;
                    turn += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readable().await?;
                    turn = 0;
                }
                Err(error) => return Err(error),
            }
            if turn >= TURN {
                yield_now().await;
                turn = 0;
            }
        }
    }

    async fn forward_copies(&self, to: &StreamSocket) -> io::Result<u64> {
        let mut total = 0;
        loop {
            let bytes = self.recv().await?;
            // The last send is under way while the next bytes are waited for.
            to.flush().await?;
            if bytes.is_empty() {
                return Ok(total);
            }
            total += bytes.len() as u64;
            let mut buffer = PoolBuf::take();
            buffer.extend_from_slice(&bytes);
            to.submit_send(buffer)?;
        }
    }

    /// Sends so many bytes out of a pipe.
    async fn take_from(&self, pipe: &Pipe, count: usize) -> io::Result<()> {
        let mut left = count;
        while left > 0 {
            match pipe.empty_into(self.descriptor()?, left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => left -= count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
