use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::transfer::{read_outcome, start_read};
use super::{DirectAlignment, Error, File, Result};
use crate::buf::{AlignedBuf, Fill};
use crate::ring::Operation;

/// How far to read ahead: 8 blocks of 256 KiB, unless told otherwise.
///
/// ```
/// use covet_runtime::{block_on, fs::{File, ReadAhead}};
///
/// let words = block_on(async {
///     let file = File::open("/etc/services").await?;
///     let mut reader = ReadAhead::new().block_size(4096).depth(4).start(file);
///     let mut lines = 0;
///     while let Some(block) = reader.next().await? {
///         lines += block.iter().filter(|byte| **byte == b'\n').count();
///     }
///     Ok::<usize, covet_runtime::fs::Error>(lines)
/// })??;
/// assert!(words > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ReadAhead {
    block: usize,
    depth: usize,
    range: Range<u64>,
}

impl Default for ReadAhead {
    fn default() -> ReadAhead {
        ReadAhead::new()
    }
}

/// Buffers are as long as whole pages, so that those of all files are alike and serve again.
const PAGE: u64 = 4096;

impl ReadAhead {
    /// 8 blocks of 256 KiB, from the beginning to the end.
    pub fn new() -> ReadAhead {
        ReadAhead { block: 256 * 1024, depth: 8, range: 0..u64::MAX }
    }

    /// Bytes of a block (512 to 1 GiB), rounded up to what O_DIRECT asks for.
    pub fn block_size(mut self, bytes: usize) -> ReadAhead {
        self.block = bytes.clamp(512, 1 << 30);
        self
    }

    /// Blocks that are read at the same time (1 to 1,024).
    pub fn depth(mut self, blocks: usize) -> ReadAhead {
        self.depth = blocks.clamp(1, 1024);
        self
    }

    /// Which bytes to read. They need not be aligned, with O_DIRECT neither.
    pub fn range(mut self, range: Range<u64>) -> ReadAhead {
        self.range = range;
        self
    }

    /// Makes the reader; reading begins with the first [`SequentialReader::next`].
    pub fn start(self, file: File) -> SequentialReader {
        let DirectAlignment { memory, offset } =
            file.direct_alignment().unwrap_or(DirectAlignment { memory: PAGE as usize, offset: 1 });
        SequentialReader {
            block: self.block.next_multiple_of(offset),
            depth: self.depth,
            memory: memory.max(PAGE as usize),
            unit: offset as u64,
            position: self.range.start,
            limit: self.range.end,
            length: 0,
            looking: None,
            ahead: VecDeque::new(),
            file,
        }
    }
}

/// Reads a file from front to back, with blocks under way while others are worked on.
///
/// Blocks come in the order of the file, each as soon as it is there, without a copy. What is read ahead ends at the
/// length that the file has when its end is reached, so that short files cost no reads in vain.
///
/// Dropping it cancels what is under way; the buffers stay with the driver until the kernel has let go of them.
pub struct SequentialReader {
    file: File,
    block: usize,
    depth: usize,
    /// What memory is aligned to.
    memory: usize,
    /// What offsets are aligned to: 1 without O_DIRECT.
    unit: u64,
    /// The offset of the next byte to be returned.
    position: u64,
    limit: u64,
    /// The length of the file when it was last looked at.
    length: u64,
    /// Such a look that is under way.
    looking: Option<Operation>,
    /// Blocks under way, in the order of their offsets and without gaps.
    ahead: VecDeque<Block>,
}

struct Block {
    operation: Operation,
    offset: u64,
    /// Up to where it was asked for.
    end: u64,
}

impl SequentialReader {
    /// The next block: at most as long as was asked for, and shorter only at the end. `None` at the end of the file
    /// or range; if the file grows, a later call goes on from there.
    ///
    /// Cancel-safe: what was under way is returned by the next call.
    ///
    /// # Errors
    /// Those of pread(2); the next call tries again at the same place.
    pub async fn next(&mut self) -> Result<Option<AlignedBuf>> {
        if self.position >= self.limit {
            return Ok(None);
        }
        if self.ahead.is_empty() && self.position >= self.length {
            // One that a dropped call has begun goes on: a caller that never waits for long gets on all the same.
            let looking = match &mut self.looking {
                Some(looking) => looking,
                none => none.insert(self.file.start_metadata()?),
            };
            let (result, payload) = looking.await;
            self.looking = None;
            let metadata = self.file.metadata_outcome(result, payload)?;
            self.length = metadata.len();
            // Files that the kernel makes up (/proc) say that they are empty.
            if metadata.is_file() && self.length > 0 && self.position >= self.length {
                return Ok(None);
            }
        }
        poll_fn(|cx| self.poll_block(cx)).await
    }

    /// The offset of the byte that the next block begins with.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The file that is read.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file back, and cancels what is under way.
    pub fn into_file(self) -> File {
        self.file
    }

    fn poll_block(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<AlignedBuf>>> {
        loop {
            self.read_ahead()?;
            let front = self.ahead.front_mut().expect("read_ahead leaves at least one block under way");
            let (result, payload) = ready!(Pin::new(&mut front.operation).poll(cx));
            let Block { offset, end, .. } = self.ahead.pop_front().expect("looked at just now");
            let (result, fill) = read_outcome(result, payload);
            let Some(Fill::Aligned(mut buffer)) = fill else {
                let error = result.err().unwrap_or_else(crate::error::core_is_gone);
                return Poll::Ready(Err(self.failed(offset, end, error)));
            };
            let reached = offset + buffer.len() as u64;
            match result {
                Ok(0) => {}
                // At a unit's middle only the end of the file can be.
                Ok(_) if reached < end && reached != self.length && reached.is_multiple_of(self.unit) => {
                    self.read_rest(buffer, reached, end)?;
                    continue;
                }
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
                    self.read_rest(buffer, reached, end)?;
                    continue;
                }
                Err(error) => return Poll::Ready(Err(self.failed(offset, end, error))),
            }
            if reached < end {
                // Later blocks would leave a gap, if the file has grown since they were read.
                self.ahead.clear();
            }
            let skipped = (self.position - offset) as usize;
            if buffer.len() <= skipped {
                return Poll::Ready(Ok(None));
            }
            buffer.skip(skipped);
            buffer.truncate(usize::try_from(self.limit - self.position).unwrap_or(usize::MAX));
            self.position += buffer.len() as u64;
            return Poll::Ready(Ok(Some(buffer)));
        }
    }

    #[cold]
    fn failed(&mut self, offset: u64, end: u64, error: std::io::Error) -> Error {
        self.ahead.clear();
        self.file.error("read", error).at(offset, end - offset)
    }

    /// Starts reads until as many are under way as shall be.
    fn read_ahead(&mut self) -> Result<()> {
        while self.ahead.len() < self.depth {
            let offset = match self.ahead.back() {
                Some(block) => block.end,
                None => self.position - self.position % self.unit,
            };
            let stop = self.limit.min(self.length);
            if offset >= stop && !self.ahead.is_empty() {
                break;
            }
            // One read beyond the length that is known finds out whether it still is.
            let known = self.length.saturating_sub(offset).next_multiple_of(PAGE);
            let block = if known > 0 { known.min(self.block as u64) } else { self.block as u64 };
            let wanted = (self.limit - offset).min(block).next_multiple_of(self.unit);
            let buffer = AlignedBuf::new(wanted as usize, self.memory);
            self.file.check("read", buffer.as_ptr(), wanted as usize, offset)?;
            let operation = start_read(self.file.open_file(), Fill::Aligned(buffer), wanted as usize, offset)
                .map_err(|(error, _)| self.file.error("read", error).at(offset, wanted))?;
            self.ahead.push_back(Block { operation, offset, end: offset + wanted });
        }
        Ok(())
    }

    /// Goes on with a block of which a part has come.
    fn read_rest(&mut self, buffer: AlignedBuf, reached: u64, end: u64) -> Result<()> {
        let offset = reached - buffer.len() as u64;
        let left = (end - reached) as usize;
        let operation = start_read(self.file.open_file(), Fill::Aligned(buffer), left, reached)
            .map_err(|(error, _)| self.file.error("read", error).at(reached, left as u64))?;
        self.ahead.push_front(Block { operation, offset, end });
        Ok(())
    }
}

impl fmt::Debug for SequentialReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SequentialReader")
            .field("file", &self.file)
            .field("position", &self.position)
            .field("under_way", &self.ahead.len())
            .finish_non_exhaustive()
    }
}
