use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::RawDir;

use super::{Error, FileType, Metadata, OpenOptions, Result};
use crate::{BlockingHandle, spawn_blocking};

/// Bytes of entries that one call to the kernel fetches: some 500 names of usual length.
const BATCH: usize = 32 * 1024;

/// The entries of a directory, in the order of the file system. `.` and `..` are left out.
///
/// The ring has no operation for this: the runtime's pool of blocking threads fetches the entries, a batch at a time, so
/// that a directory of any size takes bounded memory. What is added or removed meanwhile may be seen or not (readdir(3)).
///
/// ```
/// use covet_runtime::{block_on, fs};
///
/// block_on(async {
///     let mut entries = fs::read_dir("/proc/self").await?;
///     while let Some(entry) = entries.next().await? {
///         println!("{:?} {}", entry.file_type(), entry.path().display());
///     }
///     Ok::<(), fs::Error>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ReadDir {
    path: Box<Path>,
    state: State,
    ready: VecDeque<DirEntry>,
}

enum State {
    /// Between batches.
    Open(OwnedFd),
    /// A thread fetches a batch; it owns the descriptor meanwhile.
    Fetching(BlockingHandle<(OwnedFd, io::Result<Batch>)>),
    /// After the last, or after an error.
    Ended,
}

type Batch = Vec<(OsString, FileType, u64)>;

/// An entry of a directory.
#[derive(Clone, PartialEq, Eq)]
pub struct DirEntry {
    path: PathBuf,
    file_type: FileType,
    inode: u64,
}

/// Opens a directory to list it.
///
/// # Errors
/// Those of open(2): NotADirectory, among others.
///
/// # Panics
/// Outside a core.
pub async fn read_dir(path: impl AsRef<Path>) -> Result<ReadDir> {
    let path: Box<Path> = path.as_ref().into();
    let directory = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(&path).await?;
    let state = State::Open(directory.into_descriptor().await);
    Ok(ReadDir { path, state, ready: VecDeque::new() })
}

impl ReadDir {
    /// The next entry, or `None` after the last. Cancel-safe: no entry is lost.
    ///
    /// # Errors
    /// Those of getdents(2). After an error there are no more entries.
    pub async fn next(&mut self) -> Result<Option<DirEntry>> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Ok(Some(entry));
            }
            match &mut self.state {
                State::Ended => return Ok(None),
                State::Open(_) => {
                    let State::Open(directory) = std::mem::replace(&mut self.state, State::Ended) else {
                        unreachable!("matched just now");
                    };
                    self.state = State::Fetching(spawn_blocking(move || {
                        let batch = fetch(&directory);
                        (directory, batch)
                    }));
                }
                // It stays in place while it is waited for, should this future be dropped.
                State::Fetching(handle) => {
                    let outcome = handle.await;
                    self.state = State::Ended;
                    let failed = |error| Error::new("list", &self.path, error);
                    let (directory, batch) =
                        outcome.map_err(|error| failed(io::Error::other(error.to_string())))?;
                    let batch = batch.map_err(failed)?;
                    if !batch.is_empty() {
                        self.state = State::Open(directory);
                    }
                    let whole = batch.into_iter().map(|(name, file_type, inode)| DirEntry {
                        path: self.path.join(name),
                        file_type,
                        inode,
                    });
                    self.ready.extend(whole);
                }
            }
        }
    }
}

/// One batch of entries; empty at the end.
fn fetch(directory: &OwnedFd) -> io::Result<Batch> {
    let mut memory = vec![MaybeUninit::uninit(); BATCH];
    let mut entries = RawDir::new(directory, &mut memory);
    let mut batch = Batch::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            let file_type = match entry.file_type() {
                rustix::fs::FileType::Unknown => FileType::Unknown,
                known => FileType::of_mode(known.as_raw_mode()),
            };
            batch.push((OsString::from_vec(name.to_vec()), file_type, entry.ino()));
        }
        // The rest of the memory would be filled by another call.
        if entries.is_buffer_empty() && !batch.is_empty() {
            break;
        }
    }
    Ok(batch)
}

impl DirEntry {
    /// The directory's path with the entry's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The entry's name.
    pub fn file_name(&self) -> &std::ffi::OsStr {
        self.path.file_name().unwrap_or_default()
    }

    /// What it is, as the directory says: [`FileType::Unknown`] on file systems that leave it to the metadata.
    pub fn file_type(&self) -> FileType {
        self.file_type
    }

    /// The number of the file within its file system.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// What is known of it; symbolic links are not followed.
    ///
    /// # Errors
    /// Those of lstat(2).
    pub async fn metadata(&self) -> Result<Metadata> {
        super::symlink_metadata(&self.path).await
    }
}

impl fmt::Debug for DirEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DirEntry({} {:?})", self.path.display(), self.file_type)
    }
}

impl fmt::Debug for ReadDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadDir").field("path", &self.path).finish_non_exhaustive()
    }
}
