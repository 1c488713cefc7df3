//! The length of a file, the space it takes up, and what is on the disk for good.

use std::io;
use std::os::fd::AsFd;

use super::{File, Result};
use crate::ring::FileOp;
use crate::spawn_blocking;

/// What [`File::allocate`] does with a range (fallocate(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Allocation {
    /// Takes up the space, and makes the file longer if the range reaches beyond its end.
    Extend,
    /// Takes up the space, the length stays.
    KeepSize,
    /// Gives the space back: the range reads as zeroes, the length stays.
    PunchHole,
    /// Makes the range zeroes, and the file longer if it reaches beyond its end.
    ZeroRange,
    /// Makes the range zeroes, the length stays.
    ZeroKeepSize,
    /// Takes the range out, so that what follows it moves down.
    Collapse,
    /// Puts a hole in, so that what follows moves up.
    Insert,
}

impl Allocation {
    fn mode(self) -> i32 {
        match self {
            Allocation::Extend => 0,
            Allocation::KeepSize => libc::FALLOC_FL_KEEP_SIZE,
            Allocation::PunchHole => libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE,
            Allocation::ZeroRange => libc::FALLOC_FL_ZERO_RANGE,
            Allocation::ZeroKeepSize => libc::FALLOC_FL_ZERO_RANGE | libc::FALLOC_FL_KEEP_SIZE,
            Allocation::Collapse => libc::FALLOC_FL_COLLAPSE_RANGE,
            Allocation::Insert => libc::FALLOC_FL_INSERT_RANGE,
        }
    }
}

/// How a file is going to be used (posix_fadvise(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// Nothing is known.
    Normal,
    /// From front to back: the kernel reads further ahead.
    Sequential,
    /// Here and there: the kernel does not read ahead.
    Random,
    /// Soon: the kernel reads it into the page cache.
    WillNeed,
    /// Not soon: the kernel may drop it from the page cache, as far as it is on the disk.
    DontNeed,
    /// Once only.
    NoReuse,
}

impl Advice {
    fn number(self) -> i32 {
        match self {
            Advice::Normal => libc::POSIX_FADV_NORMAL,
            Advice::Sequential => libc::POSIX_FADV_SEQUENTIAL,
            Advice::Random => libc::POSIX_FADV_RANDOM,
            Advice::WillNeed => libc::POSIX_FADV_WILLNEED,
            Advice::DontNeed => libc::POSIX_FADV_DONTNEED,
            Advice::NoReuse => libc::POSIX_FADV_NOREUSE,
        }
    }
}

impl File {
    /// Waits until data and metadata are on the disk (fsync(2)). The name is in the directory, which has to be
    /// synced itself: see [`write_atomic`](super::write_atomic).
    ///
    /// # Errors
    /// Those of fsync(2). After an error the kernel may have dropped what it could not write: trying again proves
    /// nothing.
    pub async fn sync_all(&self) -> Result<()> {
        self.plain("sync", |file| FileOp::Sync { file, data_only: false }).await
    }

    /// As [`File::sync_all`], without metadata that is not needed to find the data (fdatasync(2)).
    ///
    /// # Errors
    /// Those of [`File::sync_all`].
    pub async fn sync_data(&self) -> Result<()> {
        self.plain("sync", |file| FileOp::Sync { file, data_only: true }).await
    }

    /// Cuts the file off, or lengthens it with zeroes (ftruncate(2)). On the ring from Linux 6.9, on
    /// the pool of blocking threads before.
    ///
    /// # Errors
    /// Those of ftruncate(2).
    pub async fn set_len(&self, len: u64) -> Result<()> {
        match self.plain("set length of", |file| FileOp::Truncate { file, len }).await {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) && len <= i64::MAX as u64 => {
                self.set_len_blocking(len).await.map_err(|error| self.error("set length of", error))
            }
            result => result,
        }
    }

    #[cold]
    async fn set_len_blocking(&self, len: u64) -> io::Result<()> {
        let file = self.as_fd().try_clone_to_owned()?;
        let cut = spawn_blocking(move || rustix::fs::ftruncate(file, len));
        Ok(cut.await.map_err(|error| io::Error::other(error.to_string()))??)
    }

    /// Takes up, gives back or clears space.
    ///
    /// # Errors
    /// Those of fallocate(2): OPNOTSUPP where the file system can't, StorageFull, InvalidInput for an empty range.
    pub async fn allocate(&self, how: Allocation, offset: u64, len: u64) -> Result<()> {
        let mode = how.mode();
        let result = self.plain("allocate", |file| FileOp::Allocate { file, mode, offset, len }).await;
        result.map_err(|error| error.at(offset, len))
    }

    /// Tells the kernel how a range is going to be used; `len` 0 means to the end.
    ///
    /// # Errors
    /// Those of posix_fadvise(2).
    pub async fn advise(&self, advice: Advice, offset: u64, len: u64) -> Result<()> {
        /// The ring's length has 32 bits; pieces are whole pages of any size.
        const PIECE: u64 = 1 << 30;
        let advice = advice.number();
        let mut done = 0;
        loop {
            let piece = (len - done).min(PIECE) as u32;
            let at = offset.saturating_add(done);
            let result =
                self.plain("advise", |file| FileOp::Advise { file, offset: at, len: piece, advice }).await;
            result.map_err(|error| error.at(at, u64::from(piece)))?;
            done += u64::from(piece);
            if done == len {
                return Ok(());
            }
        }
    }
}

#[cfg(all(test, not(loom), not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_the_operation_cuts_all_the_same() {
        let path = std::env::temp_dir().join(format!("covet-set-len-{}", std::process::id()));
        crate::block_on(async {
            let file = File::create(&path).await.unwrap();
            file.set_len_blocking(7).await.unwrap();
            assert_eq!(file.metadata().await.unwrap().len(), 7);
            let unwritable = File::open(&path).await.unwrap();
            assert!(unwritable.set_len_blocking(1).await.is_err());
            super::super::remove_file(&path).await.unwrap();
        })
        .unwrap();
    }
}
