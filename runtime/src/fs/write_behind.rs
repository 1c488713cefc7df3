use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::transfer::{start_write, write_outcome};
use super::{DirectAlignment, Error, File, Result};
use crate::buf::{AlignedBuf, SendBuf};
use crate::ring::Operation;

/// How much to write behind: 8 blocks of 256 KiB, unless told otherwise.
///
/// ```
/// use covet_runtime::{block_on, fs::{self, Durability, File, WriteBehind}};
///
/// # let path = std::env::temp_dir().join(format!("covet-behind-{}", std::process::id()));
/// block_on(async {
///     let mut writer = WriteBehind::new().start(File::create(&path).await?);
///     for number in 0..1000 {
///         writer.write(format!("{number}\n")).await?;
///     }
///     assert_eq!(writer.finish(Durability::Data).await?, 3890);
///     fs::remove_file(&path).await
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct WriteBehind {
    block: usize,
    depth: usize,
    start: u64,
}

/// What [`SequentialWriter::finish`] waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// That the kernel has taken everything: it survives the process.
    Cached,
    /// That the data are on the disk (fdatasync(2)): they survive a crash of the machine.
    Data,
    /// That data and metadata are on the disk (fsync(2)).
    All,
}

impl Default for WriteBehind {
    fn default() -> WriteBehind {
        WriteBehind::new()
    }
}

impl WriteBehind {
    /// 8 blocks of 256 KiB, from the beginning of the file.
    pub fn new() -> WriteBehind {
        WriteBehind { block: 256 * 1024, depth: 8, start: 0 }
    }

    /// Bytes that small writes are gathered into (512 to 1 GiB), rounded up to what O_DIRECT asks for.
    pub fn block_size(mut self, bytes: usize) -> WriteBehind {
        self.block = bytes.clamp(512, 1 << 30);
        self
    }

    /// Writes that are under way at the same time (1 to 1,024).
    pub fn depth(mut self, blocks: usize) -> WriteBehind {
        self.depth = blocks.clamp(1, 1024);
        self
    }

    /// The offset to begin at; aligned, with O_DIRECT.
    pub fn offset(mut self, offset: u64) -> WriteBehind {
        self.start = offset;
        self
    }

    /// Makes the writer.
    pub fn start(self, file: File) -> SequentialWriter {
        let alignment = file.direct_alignment();
        let unit = alignment.map_or(1, |DirectAlignment { offset, .. }| offset);
        SequentialWriter {
            block: self.block.next_multiple_of(unit),
            depth: self.depth,
            alignment,
            position: self.start,
            gathered: None,
            behind: VecDeque::new(),
            failed: None,
            file,
        }
    }
}

/// Writes a file from front to back without waiting for the disk: while a bounded number of writes are under way, more
/// is accepted.
///
/// An error is returned by the next call after it is known; nothing more is written then, and every later call fails.
/// Only [`SequentialWriter::finish`] says that all has been written: dropped without it, the writer cancels what is
/// under way and loses what it has gathered.
#[must_use = "call `finish` to write everything and learn of errors"]
pub struct SequentialWriter {
    file: File,
    block: usize,
    depth: usize,
    /// With O_DIRECT only.
    alignment: Option<DirectAlignment>,
    /// Where the next byte to be accepted goes.
    position: u64,
    /// Bytes that end at `position` and wait for more.
    gathered: Option<AlignedBuf>,
    /// Writes under way, in the order of their offsets.
    behind: VecDeque<Piece>,
    /// The error number of the first failure.
    failed: Option<i32>,
}

struct Piece {
    operation: Operation,
    /// Where its first byte goes.
    offset: u64,
    done: usize,
}

impl SequentialWriter {
    /// Accepts bytes, and waits only while as many writes are under way as may be. Small writes are gathered into
    /// blocks; a buffer of a block or more is lent to the kernel as it is, unless O_DIRECT asks for other memory.
    ///
    /// If the future is dropped, [`SequentialWriter::position`] tells how much was accepted.
    ///
    /// # Errors
    /// Those of pwrite(2), of this or an earlier write.
    pub async fn write(&mut self, bytes: impl Into<SendBuf>) -> Result<()> {
        let bytes = bytes.into();
        self.room().await?;
        if bytes.len() >= self.block && self.may_lend(&bytes) {
            self.hand_over_gathered()?;
            self.room().await?;
            return self.hand_over(bytes);
        }
        let mut rest = bytes.as_ref();
        while !rest.is_empty() {
            let (block, memory) = (self.block, self.alignment.map_or(PAGE, |known| known.memory.max(PAGE)));
            let gathered = self.gathered.get_or_insert_with(|| AlignedBuf::new(block, memory));
            let (now, later) = rest.split_at(rest.len().min(block - gathered.len()));
            gathered.extend_from_slice(now);
            self.position += now.len() as u64;
            rest = later;
            if gathered.len() == block {
                self.room().await?;
                self.hand_over_gathered()?;
            }
        }
        Ok(())
    }

    /// Leaves a hole: the next bytes go `len` bytes further on, and what is between reads as zeroes, unless the file
    /// had something there. With O_DIRECT, both ends of the hole are aligned.
    ///
    /// # Errors
    /// Those of an earlier write.
    pub async fn skip(&mut self, len: u64) -> Result<()> {
        self.room().await?;
        self.hand_over_gathered()?;
        self.position += len;
        Ok(())
    }

    /// Waits until the kernel has taken all that was accepted; with O_DIRECT, all but what does not fill a block.
    ///
    /// # Errors
    /// Those of pwrite(2).
    pub async fn flush(&mut self) -> Result<()> {
        if self.alignment.is_none() {
            self.room().await?;
            self.hand_over_gathered()?;
        }
        self.under_way_at_most(0).await
    }

    /// Writes all that is left, waits for it as long as `durability` asks, closes the file, and returns the offset of
    /// its last byte plus one. A hole at the end becomes part of the file.
    ///
    /// # Errors
    /// Those of pwrite(2), fsync(2) and close(2). The file may then have any part of what was written.
    pub async fn finish(mut self, durability: Durability) -> Result<u64> {
        self.flush().await?;
        if let Some(rest) = self.gathered.take() {
            self.write_tail(rest).await?;
        }
        if self.file.metadata().await?.len() < self.position {
            self.file.set_len(self.position).await?;
        }
        match durability {
            Durability::Cached => {}
            Durability::Data => self.file.sync_data().await?,
            Durability::All => self.file.sync_all().await?,
        }
        self.file.close().await?;
        Ok(self.position)
    }

    /// The offset that the next byte will have: the number of bytes accepted so far, for one that began at 0.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The file that is written.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Writes what O_DIRECT would refuse for its length, through the page cache.
    async fn write_tail(&mut self, rest: AlignedBuf) -> Result<()> {
        let offset = self.position - rest.len() as u64;
        let failed = |error: rustix::io::Errno| self.file.error("write", error.into());
        let flags = rustix::fs::fcntl_getfl(&self.file).map_err(failed)?;
        rustix::fs::fcntl_setfl(&self.file, flags - rustix::fs::OFlags::DIRECT).map_err(failed)?;
        self.file.forget_direct();
        self.file.write_all_at(rest, offset).await.0
    }

    fn may_lend(&self, bytes: &SendBuf) -> bool {
        let Some(DirectAlignment { memory, offset }) = self.alignment else { return true };
        self.gathered.is_none()
            && bytes.as_ref().as_ptr().addr().is_multiple_of(memory)
            && bytes.len().is_multiple_of(offset)
    }

    /// Waits until one more write may be under way, and returns the first failure of those that have ended.
    async fn room(&mut self) -> Result<()> {
        self.under_way_at_most(self.depth - 1).await
    }

    async fn under_way_at_most(&mut self, count: usize) -> Result<()> {
        poll_fn(|cx| self.poll_behind(cx, count)).await
    }

    /// Takes the outcome of every write that has ended, up to the first that has not.
    fn poll_behind(&mut self, cx: &mut Context<'_>, count: usize) -> Poll<Result<()>> {
        if let Some(code) = self.failed {
            let error = self.file.error("write", io::Error::from_raw_os_error(code));
            return Poll::Ready(Err(error.advise("an earlier write failed, and nothing was written since")));
        }
        while let Some(front) = self.behind.front_mut() {
            let Poll::Ready((result, payload)) = Pin::new(&mut front.operation).poll(cx) else {
                return if self.behind.len() <= count { Poll::Ready(Ok(())) } else { Poll::Pending };
            };
            let Piece { offset, mut done, .. } = self.behind.pop_front().expect("looked at just now");
            let (result, buffer) = write_outcome(result, payload);
            let Some(buffer) = buffer else {
                return Poll::Ready(Err(self.fail(offset, crate::error::core_is_gone())));
            };
            match result {
                Ok(0) if !buffer.is_empty() => {
                    return Poll::Ready(Err(self.fail(offset, io::Error::from_raw_os_error(libc::EIO))));
                }
                Ok(more) => done += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(self.fail(offset + done as u64, error))),
            }
            if done < buffer.len() {
                let piece = self.start(buffer, offset, done)?;
                self.behind.push_front(piece);
            }
        }
        Poll::Ready(Ok(()))
    }

    #[cold]
    fn fail(&mut self, offset: u64, error: io::Error) -> Error {
        self.failed = Some(error.raw_os_error().unwrap_or(libc::EIO));
        self.behind.clear();
        self.gathered = None;
        self.file.error("write", error).at(offset, 0)
    }

    fn start(&mut self, buffer: SendBuf, offset: u64, done: usize) -> Result<Piece> {
        let rest = &buffer.as_ref()[done..];
        let (at, len) = (offset.saturating_add(done as u64), rest.len());
        if let Err(error) = self.file.check("write", rest.as_ptr(), len, at) {
            self.failed = error.raw_os_error();
            return Err(error);
        }
        match start_write(self.file.open_file(), buffer, done, at) {
            Ok(operation) => Ok(Piece { operation, offset, done }),
            Err((error, _)) => Err(self.fail(at, error)),
        }
    }

    /// Starts the write of a buffer that begins at `position`.
    fn hand_over(&mut self, buffer: SendBuf) -> Result<()> {
        let (offset, len) = (self.position, buffer.len() as u64);
        let piece = self.start(buffer, offset, 0)?;
        self.behind.push_back(piece);
        self.position += len;
        Ok(())
    }

    fn hand_over_gathered(&mut self) -> Result<()> {
        let Some(gathered) = self.gathered.take() else { return Ok(()) };
        self.position -= gathered.len() as u64;
        self.hand_over(gathered.into())
    }
}

/// The alignment of gathered blocks.
const PAGE: usize = 4096;

impl fmt::Debug for SequentialWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SequentialWriter")
            .field("file", &self.file)
            .field("position", &self.position)
            .field("under_way", &self.behind.len())
            .finish_non_exhaustive()
    }
}
