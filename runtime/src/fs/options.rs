use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::Path;

use super::paths::{c_path, run};
use super::{Error, File, Result};
use crate::cores::context;
use crate::ring::{FileOp, FilePayload};

/// How to open a file.
///
/// ```
/// use covet_runtime::{block_on, fs::OpenOptions};
///
/// # let directory = std::env::temp_dir().join(format!("covet-options-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// let path = directory.join("log");
/// block_on(async {
///     let log = OpenOptions::new().append(true).create(true).mode(0o600).open(&path).await?;
///     log.write_all_at("started\n", 0).await.0?;
///     log.close().await
/// })??;
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct OpenOptions {
    read: bool,
    write: bool,
    append: bool,
    truncate: bool,
    create: bool,
    create_new: bool,
    direct: bool,
    flags: i32,
    mode: u32,
}

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions::new()
    }
}

impl OpenOptions {
    /// Nothing is allowed yet, and files are made with mode 0666 less the umask.
    pub fn new() -> OpenOptions {
        OpenOptions {
            read: false,
            write: false,
            append: false,
            truncate: false,
            create: false,
            create_new: false,
            direct: false,
            flags: 0,
            mode: 0o666,
        }
    }

    /// For reading.
    pub fn read(mut self, on: bool) -> OpenOptions {
        self.read = on;
        self
    }

    /// For writing.
    pub fn write(mut self, on: bool) -> OpenOptions {
        self.write = on;
        self
    }

    /// For writing at the end, whatever offset a write names (pwrite(2), BUGS).
    pub fn append(mut self, on: bool) -> OpenOptions {
        self.append = on;
        self
    }

    /// Cuts it to nothing; needs `write`.
    pub fn truncate(mut self, on: bool) -> OpenOptions {
        self.truncate = on;
        self
    }

    /// Makes it if it is not there; needs `write` or `append`.
    pub fn create(mut self, on: bool) -> OpenOptions {
        self.create = on;
        self
    }

    /// Makes it, and fails if it is there already; needs `write` or `append`.
    pub fn create_new(mut self, on: bool) -> OpenOptions {
        self.create_new = on;
        self
    }

    /// Past the page cache (O_DIRECT): offsets, lengths and memory must be aligned, for which see
    /// [`File::direct_alignment`] and [`AlignedBuf`](crate::buf::AlignedBuf).
    pub fn direct(mut self, on: bool) -> OpenOptions {
        self.direct = on;
        self
    }

    /// More flags for open(2), such as `libc::O_NOFOLLOW`. The access mode in them is ignored.
    pub fn custom_flags(mut self, flags: i32) -> OpenOptions {
        self.flags = flags;
        self
    }

    /// The permissions of a file that is made, less the umask.
    pub fn mode(mut self, mode: u32) -> OpenOptions {
        self.mode = mode;
        self
    }

    fn open_flags(&self) -> io::Result<i32> {
        let writes = self.write || self.append;
        let access = match (self.read, writes) {
            (true, false) => libc::O_RDONLY,
            (true, true) => libc::O_RDWR,
            (false, true) => libc::O_WRONLY,
            (false, false) => return Err(io::Error::from_raw_os_error(libc::EINVAL)),
        };
        let makes = self.create || self.create_new;
        if (makes || self.truncate) && !writes || self.truncate && self.append {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let flag = |on: bool, flag: i32| if on { flag } else { 0 };
        Ok(access
            | libc::O_CLOEXEC
            | libc::O_LARGEFILE
            | flag(self.append, libc::O_APPEND)
            | flag(self.truncate && !self.create_new, libc::O_TRUNC)
            | flag(makes, libc::O_CREAT)
            | flag(self.create_new, libc::O_EXCL)
            | flag(self.direct, libc::O_DIRECT)
            | self.flags & !libc::O_ACCMODE)
    }

    /// Opens it. Dropping the future closes what was opened; a file that was to be made may have been.
    ///
    /// A named pipe is opened as with O_NONBLOCK by the ring, unless `create` is set: for reading at once, for writing
    /// with ENXIO if nobody reads. On epoll the open occupies a thread of the blocking pool until there is a peer.
    ///
    /// # Errors
    /// Those of open(2); InvalidInput for options that exclude each other, and where O_DIRECT is not possible.
    ///
    /// # Panics
    /// Outside a core.
    pub async fn open(&self, path: impl AsRef<Path>) -> Result<File> {
        let path = path.as_ref();
        let core = context::expect_current("opening a file");
        let flags = self.open_flags().map_err(|error| {
            Error::new("open", path, error)
                .advise("ask for read, write or append; creating and truncating need write, and append excludes truncate")
        })?;
        let mode = self.mode;
        let payload = FilePayload::Open(c_path("open", path)?);
        let (result, _) =
            run(&core, payload, |payload| FileOp::Open { path: payload.path().as_ptr(), flags, mode }).await;
        let descriptor = result.map_err(|error| {
            let refused = error.raw_os_error() == Some(libc::EINVAL) && flags & libc::O_DIRECT != 0;
            let error = Error::new("open", path, error);
            if refused {
                error.advise("this file system may not know O_DIRECT: open without it")
            } else {
                error
            }
        })?;
        // SAFETY: the kernel has just made it, for us alone.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor as i32) };
        let mut file = File::adopt(&core, descriptor, path);
        if flags & libc::O_DIRECT != 0 {
            file.learn_alignment().await?;
        }
        Ok(file)
    }
}
