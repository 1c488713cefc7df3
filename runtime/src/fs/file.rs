use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use super::direct::Direct;
use super::paths::{empty_stat, file_payload, run, start, stat_outcome};
use super::transfer::{read_outcome, start_read, start_write, write_outcome};
use super::{DirectAlignment, Error, Metadata, OpenOptions, Result};
use crate::buf::{Fill, FillBuf, SendBuf};
use crate::cores::context::{self, CoreState};
use crate::ring::{FileOp, FilePayload, HERE, OpenFile, Operation, Payload};

/// An open file of this core.
///
/// Buffers are lent to the kernel and come back with the result, as with
/// [`TcpStream`](crate::net::TcpStream). All methods take `&self`, so that many reads and writes may be under way at
/// once; those that overlap happen in no certain order.
///
/// Dropping a future of a read asks the kernel to cancel it, and the buffer stays with the driver until the kernel
/// has let go of it; of a dropped write, any part may have been written. Dropping the file closes it once no
/// operation uses it; [`File::close`] tells how that went.
///
/// ```
/// use covet_runtime::{block_on, fs::File};
///
/// # let path = std::env::temp_dir().join(format!("covet-file-{}", std::process::id()));
/// block_on(async {
///     let file = File::create(&path).await?;
///     file.write_all_at("hello, file", 0).await.0?;
///     file.sync_all().await?;
///     let (read, text) = file.read_at(Vec::with_capacity(4), 7).await;
///     assert_eq!((read?, &text[..]), (4, &b"file"[..]));
///     file.close().await
/// })??;
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct File {
    open: Rc<OpenFile>,
    path: Box<Path>,
    direct: Option<Direct>,
}

impl File {
    pub(super) fn adopt(core: &Rc<CoreState>, descriptor: OwnedFd, path: &Path) -> File {
        File { open: OpenFile::new(core, descriptor), path: path.into(), direct: None }
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// Those of open(2).
    ///
    /// # Panics
    /// Outside a core.
    pub async fn open(path: impl AsRef<Path>) -> Result<File> {
        OpenOptions::new().read(true).open(path).await
    }

    /// Opens a file for reading and writing, made or cut to nothing.
    ///
    /// # Errors
    /// Those of open(2).
    ///
    /// # Panics
    /// Outside a core.
    pub async fn create(path: impl AsRef<Path>) -> Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path).await
    }

    /// Takes over what is open already: a file, a pipe, a terminal. Errors call it `<fd N>`.
    ///
    /// With O_NONBLOCK set on it, reads and writes fail with WouldBlock instead of waiting, as the ring has it.
    ///
    /// # Panics
    /// Outside a core.
    #[track_caller]
    pub fn from_descriptor(descriptor: OwnedFd) -> File {
        use std::os::fd::AsRawFd;
        let name = format!("<fd {}>", descriptor.as_raw_fd());
        File::adopt(&context::expect_current("a File"), descriptor, Path::new(&name))
    }

    /// The path it was opened with.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What its reads and writes must be aligned to, if it was opened with
    /// [`OpenOptions::direct`]: as the file system says (Linux 6.1), else 4,096 bytes.
    pub fn direct_alignment(&self) -> Option<DirectAlignment> {
        self.direct.map(Direct::alignment)
    }

    pub(super) async fn learn_alignment(&mut self) -> Result<()> {
        self.direct = Some(Direct::from_metadata(&self.metadata().await?));
        Ok(())
    }

    /// After O_DIRECT was switched off.
    pub(super) fn forget_direct(&mut self) {
        self.direct = None;
    }

    pub(crate) fn open_file(&self) -> &Rc<OpenFile> {
        &self.open
    }

    #[cold]
    pub(super) fn error(&self, operation: &'static str, error: io::Error) -> Error {
        Error::new(operation, &self.path, error)
    }

    /// Looks for what the kernel would refuse with no more than EINVAL.
    #[inline]
    pub(super) fn check(
        &self,
        operation: &'static str,
        address: *const u8,
        len: usize,
        offset: u64,
    ) -> Result<()> {
        if offset > i64::MAX as u64 {
            let error =
                self.error(operation, io::Error::from_raw_os_error(libc::EINVAL)).at(offset, len as u64);
            return Err(error.advise("offsets end at 2^63 - 1"));
        }
        let Some(direct) = self.direct else { return Ok(()) };
        match direct.objection(address.addr(), len as u64, offset) {
            None => Ok(()),
            Some(advice) => Err(self
                .error(operation, io::Error::from_raw_os_error(libc::EINVAL))
                .at(offset, len as u64)
                .advise(advice)),
        }
    }

    /// Reads at an offset into the spare capacity of a buffer and returns it with the number of bytes appended: 0 at
    /// the end of the file, or if there is no spare capacity. Fewer bytes than there is room for are no error.
    ///
    /// # Errors
    /// Those of pread(2), and misalignment (InvalidInput) with O_DIRECT; the buffer is returned unchanged.
    pub async fn read_at<B: FillBuf>(&self, buffer: B, offset: u64) -> (Result<usize>, B) {
        let mut fill = buffer.into_fill();
        let (address, spare) = fill.spare();
        if let Err(error) = self.check("read", address, spare, offset) {
            return (Err(error), B::from_fill(Some(fill)));
        }
        let (result, fill) = self.read_once(fill, offset).await;
        (result.map_err(|error| self.error("read", error).at(offset, spare as u64)), B::from_fill(fill))
    }

    /// Reads until the spare capacity of a buffer is full.
    ///
    /// # Errors
    /// Those of [`File::read_at`]; UnexpectedEof if the file ends first. The buffer then has what was read.
    pub async fn read_exact_at<B: FillBuf>(&self, buffer: B, offset: u64) -> (Result<()>, B) {
        let mut fill = buffer.into_fill();
        let mut at = offset;
        loop {
            let (address, spare) = fill.spare();
            if spare == 0 {
                return (Ok(()), B::from_fill(Some(fill)));
            }
            let last = at > offset && self.direct.is_some_and(|direct| direct.ends_at(at));
            if !last && let Err(error) = self.check("read", address, spare, at) {
                return (Err(error), B::from_fill(Some(fill)));
            }
            // With O_DIRECT only the end of the file ends a read within a block.
            let (result, returned) = if last { (Ok(0), Some(fill)) } else { self.read_once(fill, at).await };
            let failed = match result {
                Ok(0) => Some(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    at += count as u64;
                    None
                }
                Err(error) => Some(error),
            };
            match (failed, returned) {
                (None, Some(returned)) => fill = returned,
                (failed, returned) => {
                    let error = failed.unwrap_or_else(crate::error::core_is_gone);
                    return (Err(self.error("read", error).at(at, spare as u64)), B::from_fill(returned));
                }
            }
        }
    }

    async fn read_once(&self, mut fill: Fill, offset: u64) -> (io::Result<usize>, Option<Fill>) {
        loop {
            let (result, payload) = match start_read(&self.open, fill, usize::MAX, offset) {
                Ok(operation) => operation.await,
                Err((error, fill)) => return (Err(error), Some(fill)),
            };
            match read_outcome(result, payload) {
                (Err(error), Some(again)) if error.kind() == io::ErrorKind::Interrupted => fill = again,
                outcome => return outcome,
            }
        }
    }

    /// Writes at an offset and returns the buffer with the number of bytes written, which may be fewer than all.
    ///
    /// # Errors
    /// Those of pwrite(2): no space, above all; misalignment with O_DIRECT.
    pub async fn write_at(&self, buffer: impl Into<SendBuf>, offset: u64) -> (Result<usize>, SendBuf) {
        let buffer = buffer.into();
        let bytes = buffer.as_ref();
        let len = bytes.len();
        if let Err(error) = self.check("write", bytes.as_ptr(), len, offset) {
            return (Err(error), buffer);
        }
        let (result, buffer) = self.write_once(buffer, 0, offset).await;
        (result.map_err(|error| self.error("write", error).at(offset, len as u64)), buffer)
    }

    /// Writes all of a buffer at an offset.
    ///
    /// # Errors
    /// Those of [`File::write_at`]; how much was written is then unknown.
    pub async fn write_all_at(&self, buffer: impl Into<SendBuf>, offset: u64) -> (Result<()>, SendBuf) {
        let mut buffer = buffer.into();
        let mut done = 0;
        while done < buffer.len() {
            let rest = &buffer.as_ref()[done..];
            let (at, len) = (offset.saturating_add(done as u64), rest.len());
            if let Err(error) = self.check("write", rest.as_ptr(), len, at) {
                return (Err(error), buffer);
            }
            let (result, returned) = self.write_once(buffer, done, at).await;
            buffer = returned;
            match result {
                Ok(1..) if buffer.is_empty() => {
                    return (Err(self.error("write", crate::error::core_is_gone())), buffer);
                }
                Ok(count @ 1..) => done += count,
                Ok(0) => {
                    let error = self.error("write", io::ErrorKind::WriteZero.into());
                    return (Err(error.at(at, len as u64)), buffer);
                }
                Err(error) => return (Err(self.error("write", error).at(at, len as u64)), buffer),
            }
        }
        (Ok(()), buffer)
    }

    async fn write_once(
        &self,
        mut buffer: SendBuf,
        skip: usize,
        offset: u64,
    ) -> (io::Result<usize>, SendBuf) {
        loop {
            let (result, payload) = match start_write(&self.open, buffer, skip, offset) {
                Ok(operation) => operation.await,
                Err((error, buffer)) => return (Err(error), buffer),
            };
            match write_outcome(result, payload) {
                (Err(error), Some(again)) if error.kind() == io::ErrorKind::Interrupted => buffer = again,
                (result, buffer) => return (result, buffer.unwrap_or(SendBuf::Static(&[]))),
            }
        }
    }

    /// Reads at the file's own position and moves it: for pipes and terminals, which know no offsets.
    ///
    /// # Errors
    /// Those of read(2).
    pub async fn read<B: FillBuf>(&self, buffer: B) -> (Result<usize>, B) {
        let (result, fill) = self.read_once(buffer.into_fill(), HERE).await;
        (result.map_err(|error| self.error("read", error)), B::from_fill(fill))
    }

    /// Writes at the file's own position and moves it; fewer bytes than all may have been taken.
    ///
    /// # Errors
    /// Those of write(2).
    pub async fn write(&self, buffer: impl Into<SendBuf>) -> (Result<usize>, SendBuf) {
        let (result, buffer) = self.write_once(buffer.into(), 0, HERE).await;
        (result.map_err(|error| self.error("write", error)), buffer)
    }

    /// What is known of the file (statx(2)).
    ///
    /// # Errors
    /// Those of fstat(2).
    pub async fn metadata(&self) -> Result<Metadata> {
        let (result, payload) = self.start_metadata()?.await;
        self.metadata_outcome(result, payload)
    }

    /// Asks for the metadata; `metadata_outcome` makes them of what comes.
    pub(super) fn start_metadata(&self) -> Result<Operation> {
        let payload = FilePayload::Stat(empty_stat(), Err(self.open.in_use()));
        start(self.open.core(), payload, |payload| {
            let FilePayload::Stat(into, Err(file)) = payload else { unreachable!("the payload made above") };
            let directory = file.raw();
            let (path, flags, mask) = (c"".as_ptr(), libc::AT_EMPTY_PATH, Metadata::MASK);
            FileOp::Stat { directory, path, flags, mask, into: &raw mut **into }
        })
        .map_err(|(error, _)| self.error("stat", error))
    }

    pub(super) fn metadata_outcome(&self, result: io::Result<u32>, payload: Payload) -> Result<Metadata> {
        stat_outcome(result, file_payload(payload)).map_err(|error| self.error("stat", error))
    }

    /// An operation that lends the descriptor alone.
    pub(super) async fn plain(
        &self,
        operation: &'static str,
        make: impl FnOnce(i32) -> FileOp,
    ) -> Result<()> {
        let payload = FilePayload::Nothing(self.open.in_use());
        let (result, _) = run(self.open.core(), payload, |payload| {
            let FilePayload::Nothing(file) = payload else { unreachable!("the payload made above") };
            make(file.raw())
        })
        .await;
        result.map_err(|error| self.error(operation, error))?;
        Ok(())
    }

    /// Closes the file and reports what close(2) says: with NFS and quotas, a write that was taken before and failed
    /// since. Waits until dropped reads and writes have let go of the file. The descriptor is closed in any case,
    /// also if this future is dropped.
    ///
    /// # Errors
    /// Those of close(2).
    pub async fn close(self) -> Result<()> {
        poll_fn(|cx| self.open.poll_alone(cx)).await;
        self.open.close().await.map_err(|error| self.error("close", error))
    }
}

impl File {
    /// Gives the descriptor away, once no operation uses it.
    pub async fn into_descriptor(self) -> OwnedFd {
        poll_fn(|cx| self.open.poll_alone(cx)).await;
        self.open.take()
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.open.as_fd()
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("path", &self.path).field("descriptor", &self.open.raw()).finish()
    }
}
