//! What can be asked of a file system, as plain data, and the two ways to do it: an entry of the ring and the plain
//! system call.

use std::ffi::c_char;
use std::os::fd::RawFd;

use io_uring::{opcode, squeue, types};

/// One operation on a file or a path. Paths are absolute or relative to the working directory.
///
/// Whoever queues it keeps what it points to alive and in place, and the descriptor open, until its completion: the
/// kernel may look the descriptor up as late as on a worker thread.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FileOp {
    /// openat(2); completes with the new descriptor.
    Open { path: *const c_char, flags: i32, mode: u32 },
    /// pread(2), or read(2) if the offset is [`HERE`].
    Read { file: RawFd, into: *mut u8, len: u32, offset: u64 },
    /// pwrite(2), or write(2) if the offset is [`HERE`].
    Write { file: RawFd, from: *const u8, len: u32, offset: u64 },
    /// preadv(2), or readv(2).
    ReadVectored { file: RawFd, vectors: *const libc::iovec, count: u32, offset: u64 },
    /// pwritev(2), or writev(2).
    WriteVectored { file: RawFd, vectors: *const libc::iovec, count: u32, offset: u64 },
    /// fsync(2), or fdatasync(2).
    Sync { file: RawFd, data_only: bool },
    /// statx(2).
    Stat { directory: RawFd, path: *const c_char, flags: i32, mask: u32, into: *mut libc::statx },
    /// fallocate(2).
    Allocate { file: RawFd, mode: i32, offset: u64, len: u64 },
    /// posix_fadvise(2).
    Advise { file: RawFd, offset: u64, len: u32, advice: i32 },
    /// ftruncate(2): on the ring since Linux 6.9, EINVAL before.
    Truncate { file: RawFd, len: u64 },
    /// renameat2(2).
    Rename { from: *const c_char, to: *const c_char, flags: u32 },
    /// unlinkat(2).
    Unlink { path: *const c_char, flags: i32 },
    /// mkdirat(2).
    MakeDirectory { path: *const c_char, mode: u32 },
    /// symlinkat(2).
    Symlink { target: *const c_char, link: *const c_char },
    /// linkat(2).
    Link { from: *const c_char, to: *const c_char },
}

/// The offset that stands for the file's own position.
pub(crate) const HERE: u64 = u64::MAX;

/// What a vector of a vectored transfer is taken to have, at least.
const LEAST_VECTOR: u32 = 4096;

const WORKING: types::Fd = types::Fd(libc::AT_FDCWD);

impl FileOp {
    /// How many bytes it moves to or from a disk, at least, if that is what it does.
    pub(crate) fn transfer(&self) -> Option<u32> {
        match *self {
            FileOp::Read { len, offset, .. } | FileOp::Write { len, offset, .. } if offset != HERE => {
                Some(len)
            }
            FileOp::ReadVectored { count, .. } | FileOp::WriteVectored { count, .. } => {
                Some(count * LEAST_VECTOR)
            }
            _ => None,
        }
    }

    pub(super) fn entry(self) -> squeue::Entry {
        match self {
            FileOp::Open { path, flags, mode } => {
                opcode::OpenAt::new(WORKING, path).flags(flags).mode(mode).build()
            }
            FileOp::Read { file, into, len, offset } => {
                opcode::Read::new(types::Fd(file), into, len).offset(offset).build()
            }
            FileOp::Write { file, from, len, offset } => {
                opcode::Write::new(types::Fd(file), from, len).offset(offset).build()
            }
            FileOp::ReadVectored { file, vectors, count, offset } => {
                opcode::Readv::new(types::Fd(file), vectors, count).offset(offset).build()
            }
            FileOp::WriteVectored { file, vectors, count, offset } => {
                opcode::Writev::new(types::Fd(file), vectors, count).offset(offset).build()
            }
            FileOp::Sync { file, data_only } => {
                let flags = if data_only { types::FsyncFlags::DATASYNC } else { types::FsyncFlags::empty() };
                opcode::Fsync::new(types::Fd(file)).flags(flags).build()
            }
            FileOp::Stat { directory, path, flags, mask, into } => {
                opcode::Statx::new(types::Fd(directory), path, into.cast()).flags(flags).mask(mask).build()
            }
            FileOp::Allocate { file, mode, offset, len } => {
                opcode::Fallocate::new(types::Fd(file), len).offset(offset).mode(mode).build()
            }
            FileOp::Advise { file, offset, len, advice } => {
                opcode::Fadvise::new(types::Fd(file), i64::from(len), advice).offset(offset).build()
            }
            FileOp::Truncate { file, len } => opcode::Ftruncate::new(types::Fd(file), len).build(),
            FileOp::Rename { from, to, flags } => {
                opcode::RenameAt::new(WORKING, from, WORKING, to).flags(flags).build()
            }
            FileOp::Unlink { path, flags } => opcode::UnlinkAt::new(WORKING, path).flags(flags).build(),
            FileOp::MakeDirectory { path, mode } => opcode::MkDirAt::new(WORKING, path).mode(mode).build(),
            FileOp::Symlink { target, link } => opcode::SymlinkAt::new(WORKING, target, link).build(),
            FileOp::Link { from, to } => opcode::LinkAt::new(WORKING, from, WORKING, to).build(),
        }
    }

    /// Does it on the calling thread, which may block: the result as the ring would give it, an error number negated.
    /// Tried again if a signal interrupts it.
    ///
    /// # Safety
    /// All that it points to is alive, and writable where it is written to; the descriptor is open.
    pub(crate) unsafe fn attempt(self) -> i32 {
        loop {
            // SAFETY: forwarded.
            let result = unsafe { self.call() };
            if result != -libc::EINTR {
                return result;
            }
        }
    }

    /// # Safety
    /// As for [`FileOp::attempt`].
    unsafe fn call(self) -> i32 {
        const AT: RawFd = libc::AT_FDCWD;
        // SAFETY: each call is handed what the caller vouches for, and touches nothing else.
        let result: isize = unsafe {
            match self {
                FileOp::Open { path, flags, mode } => libc::openat(AT, path, flags, mode) as isize,
                FileOp::Read { file, into, len, offset: HERE } => libc::read(file, into.cast(), len as usize),
                FileOp::Read { file, into, len, offset } => {
                    libc::pread(file, into.cast(), len as usize, offset as i64)
                }
                FileOp::Write { file, from, len, offset: HERE } => {
                    libc::write(file, from.cast(), len as usize)
                }
                FileOp::Write { file, from, len, offset } => {
                    libc::pwrite(file, from.cast(), len as usize, offset as i64)
                }
                FileOp::ReadVectored { file, vectors, count, offset: HERE } => {
                    libc::readv(file, vectors, count as i32)
                }
                FileOp::ReadVectored { file, vectors, count, offset } => {
                    libc::preadv(file, vectors, count as i32, offset as i64)
                }
                FileOp::WriteVectored { file, vectors, count, offset: HERE } => {
                    libc::writev(file, vectors, count as i32)
                }
                FileOp::WriteVectored { file, vectors, count, offset } => {
                    libc::pwritev(file, vectors, count as i32, offset as i64)
                }
                FileOp::Sync { file, data_only: true } => libc::fdatasync(file) as isize,
                FileOp::Sync { file, data_only: false } => libc::fsync(file) as isize,
                FileOp::Stat { directory, path, flags, mask, into } => {
                    libc::statx(directory, path, flags, mask, into) as isize
                }
                FileOp::Allocate { file, mode, offset, len } => {
                    libc::fallocate(file, mode, offset as i64, len as i64) as isize
                }
                FileOp::Advise { file, offset, len, advice } => {
                    // This one returns its error.
                    return -libc::posix_fadvise(file, offset as i64, i64::from(len), advice);
                }
                FileOp::Truncate { file, len } => libc::ftruncate(file, len as i64) as isize,
                FileOp::Rename { from, to, flags } => libc::renameat2(AT, from, AT, to, flags) as isize,
                FileOp::Unlink { path, flags } => libc::unlinkat(AT, path, flags) as isize,
                FileOp::MakeDirectory { path, mode } => libc::mkdirat(AT, path, mode) as isize,
                FileOp::Symlink { target, link } => libc::symlinkat(target, AT, link) as isize,
                FileOp::Link { from, to } => libc::linkat(AT, from, AT, to, 0) as isize,
            }
        };
        if result >= 0 {
            return result as i32;
        }
        -std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
    }
}
