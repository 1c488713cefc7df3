//! Operations on paths.

use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use super::{Error, Metadata, Result};
use crate::cores::context::{self, CoreState};
use crate::ring::{FileOp, FilePayload, Op, Operation, Payload};

/// The path as the kernel takes it.
pub(super) fn c_path(operation: &'static str, path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "the path has a NUL byte in it");
        Error::new(operation, path, error)
    })
}

/// Runs an operation; the payload is lost if the core shuts down meanwhile.
pub(super) async fn run(
    core: &Rc<CoreState>,
    payload: FilePayload,
    make: impl FnOnce(&mut FilePayload) -> FileOp,
) -> (io::Result<u32>, Option<FilePayload>) {
    let (result, payload) = match start(core, payload, make) {
        Ok(operation) => operation.await,
        Err((error, payload)) => return (Err(error), Some(payload)),
    };
    (result, file_payload(payload))
}

/// Starts an operation, or gives the payload back.
pub(super) fn start(
    core: &Rc<CoreState>,
    payload: FilePayload,
    make: impl FnOnce(&mut FilePayload) -> FileOp,
) -> std::result::Result<Operation, (io::Error, FilePayload)> {
    let mut transfer = None;
    let started = Operation::start(core, Payload::File(payload), |payload| {
        let Payload::File(payload) = payload else { unreachable!("the payload made above") };
        let op = make(payload);
        transfer = op.transfer();
        Op::File(op)
    });
    match started {
        Ok(operation) => {
            if let Some(bytes) = transfer {
                core.driver.borrow_mut().transfer_queued(bytes);
            }
            Ok(operation)
        }
        Err((error, Payload::File(payload))) => Err((error, payload)),
        Err(_) => unreachable!("the payload made above"),
    }
}

pub(super) fn file_payload(payload: Payload) -> Option<FilePayload> {
    match payload {
        Payload::File(payload) => Some(payload),
        _ => None,
    }
}

/// An operation on one path.
async fn on_path(
    operation: &'static str,
    path: &Path,
    make: impl FnOnce(*const libc::c_char) -> FileOp,
) -> Result<()> {
    let core = context::expect_current("a file operation");
    let payload = FilePayload::Paths(c_path(operation, path)?, CString::default());
    let (result, _) = run(&core, payload, |payload| make(payload.path().as_ptr())).await;
    result.map_err(|error| Error::new(operation, path, error))?;
    Ok(())
}

/// An operation on two paths.
async fn on_paths(
    operation: &'static str,
    from: &Path,
    to: &Path,
    make: impl FnOnce(*const libc::c_char, *const libc::c_char) -> FileOp,
) -> Result<()> {
    let core = context::expect_current("a file operation");
    let payload = FilePayload::Paths(c_path(operation, from)?, c_path(operation, to)?);
    let (result, _) = run(&core, payload, |payload| {
        let FilePayload::Paths(from, to) = payload else { unreachable!("the payload made above") };
        make(from.as_ptr(), to.as_ptr())
    })
    .await;
    result.map_err(|error| Error::new(operation, from, error).and(to))?;
    Ok(())
}

/// Gives a file another name, in place of a file that may have it already (renameat2(2)). A dropped future may or
/// may not have done it, here and in all functions on paths.
///
/// # Errors
/// Those of rename(2): no such file, another file system, a directory in the way.
///
/// # Panics
/// Outside a core, as all functions here.
pub async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
    on_paths("rename", from.as_ref(), to.as_ref(), |from, to| FileOp::Rename { from, to, flags: 0 }).await
}

/// As [`rename`], but nothing is replaced.
///
/// # Errors
/// AlreadyExists, and those of [`rename`].
///
/// # Panics
/// Outside a core.
pub async fn rename_new(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
    let flags = libc::RENAME_NOREPLACE;
    on_paths("rename", from.as_ref(), to.as_ref(), |from, to| FileOp::Rename { from, to, flags }).await
}

/// Exchanges the names of two files, in one step.
///
/// # Errors
/// Those of [`rename`]; both must exist.
///
/// # Panics
/// Outside a core.
pub async fn exchange(one: impl AsRef<Path>, other: impl AsRef<Path>) -> Result<()> {
    let flags = libc::RENAME_EXCHANGE;
    on_paths("exchange", one.as_ref(), other.as_ref(), |from, to| FileOp::Rename { from, to, flags }).await
}

/// Removes a file's name, and the file with its last name.
///
/// # Errors
/// Those of unlink(2).
///
/// # Panics
/// Outside a core.
pub async fn remove_file(path: impl AsRef<Path>) -> Result<()> {
    on_path("remove", path.as_ref(), |path| FileOp::Unlink { path, flags: 0 }).await
}

/// Removes an empty directory.
///
/// # Errors
/// Those of rmdir(2): DirectoryNotEmpty above all.
///
/// # Panics
/// Outside a core.
pub async fn remove_dir(path: impl AsRef<Path>) -> Result<()> {
    on_path("remove directory", path.as_ref(), |path| FileOp::Unlink { path, flags: libc::AT_REMOVEDIR })
        .await
}

/// Makes a directory, with mode 0777 less the umask.
///
/// # Errors
/// Those of mkdir(2).
///
/// # Panics
/// Outside a core.
pub async fn create_dir(path: impl AsRef<Path>) -> Result<()> {
    on_path("create directory", path.as_ref(), |path| FileOp::MakeDirectory { path, mode: 0o777 }).await
}

/// Makes a directory and those above it that are missing.
///
/// # Errors
/// Those of mkdir(2), except that a directory may be there already.
///
/// # Panics
/// Outside a core.
pub async fn create_dir_all(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    // Upwards to the first that can be made, then down again.
    let mut missing = Vec::new();
    let mut next = Some(path);
    while let Some(directory) = next.filter(|directory| !directory.as_os_str().is_empty()) {
        match make_or_find(directory).await {
            Ok(()) => break,
            Err(error) if error.kind() == io::ErrorKind::NotFound && directory.parent().is_some() => {
                missing.push((directory, error));
                next = directory.parent();
            }
            Err(error) => return Err(error),
        }
    }
    while let Some((directory, _)) = missing.pop() {
        make_or_find(directory).await?;
    }
    Ok(())
}

async fn make_or_find(path: &Path) -> Result<()> {
    match create_dir(path).await {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match metadata(path).await {
            Ok(found) if found.is_dir() => Ok(()),
            _ => Err(error),
        },
        made => made,
    }
}

/// Makes a symbolic link at `link` that holds the path `target`.
///
/// # Errors
/// Those of symlink(2).
///
/// # Panics
/// Outside a core.
pub async fn symlink(target: impl AsRef<Path>, link: impl AsRef<Path>) -> Result<()> {
    on_paths("link", target.as_ref(), link.as_ref(), |target, link| FileOp::Symlink { target, link }).await
}

/// Gives a file a second name. Symbolic links are not followed.
///
/// # Errors
/// Those of link(2).
///
/// # Panics
/// Outside a core.
pub async fn hard_link(original: impl AsRef<Path>, link: impl AsRef<Path>) -> Result<()> {
    on_paths("link", original.as_ref(), link.as_ref(), |from, to| FileOp::Link { from, to }).await
}

/// What is known of a file, of the one that a symbolic link points to (statx(2)).
///
/// # Errors
/// Those of stat(2).
///
/// # Panics
/// Outside a core.
pub async fn metadata(path: impl AsRef<Path>) -> Result<Metadata> {
    stat(path.as_ref(), 0).await
}

/// As [`metadata`], of a symbolic link itself.
///
/// # Errors
/// Those of stat(2).
///
/// # Panics
/// Outside a core.
pub async fn symlink_metadata(path: impl AsRef<Path>) -> Result<Metadata> {
    stat(path.as_ref(), libc::AT_SYMLINK_NOFOLLOW).await
}

async fn stat(path: &Path, flags: i32) -> Result<Metadata> {
    let core = context::expect_current("a file operation");
    let payload = FilePayload::Stat(empty_stat(), Ok(c_path("stat", path)?));
    let (result, payload) = run(&core, payload, |payload| {
        let path: *const CStr = payload.path();
        let FilePayload::Stat(into, _) = payload else { unreachable!("the payload made above") };
        FileOp::Stat {
            directory: libc::AT_FDCWD,
            path: path.cast(),
            flags,
            mask: Metadata::MASK,
            into: &raw mut **into,
        }
    })
    .await;
    stat_outcome(result, payload).map_err(|error| Error::new("stat", path, error))
}

pub(super) fn empty_stat() -> Box<libc::statx> {
    // SAFETY: statx is plain C data: integers, for which zero is a value.
    Box::new(unsafe { std::mem::zeroed() })
}

pub(super) fn stat_outcome(result: io::Result<u32>, payload: Option<FilePayload>) -> io::Result<Metadata> {
    result?;
    match payload {
        Some(FilePayload::Stat(stat, _)) => Ok(Metadata::new(*stat)),
        _ => Err(crate::error::core_is_gone()),
    }
}
