//! Whole files in one call.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::paths::{remove_file, rename};
use super::{Error, File, OpenOptions, Result};
use crate::buf::SendBuf;
use crate::spawn;

/// Room for the first read of a file whose length is not known: most small files fit.
const FIRST: usize = 16 * 1024;

/// Reads a whole file.
///
/// # Errors
/// Those of open(2) and read(2).
///
/// # Panics
/// Outside a core.
pub async fn read(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    let file = File::open(path).await?;
    let (result, mut bytes) = file.read_at(Vec::with_capacity(FIRST), 0).await;
    let mut count = result?;
    if bytes.len() == bytes.capacity() {
        let len = usize::try_from(file.metadata().await?.len()).unwrap_or(usize::MAX);
        // One byte more, so that the end is met without growing.
        bytes.reserve_exact(len.saturating_sub(bytes.len()).saturating_add(1));
    }
    while count > 0 {
        if bytes.len() == bytes.capacity() {
            bytes.reserve(FIRST);
        }
        let at = bytes.len() as u64;
        let (result, returned) = file.read_at(bytes, at).await;
        bytes = returned;
        count = result?;
    }
    Ok(bytes)
}

/// Reads a whole file of UTF-8 text.
///
/// # Errors
/// Those of [`read`]; InvalidData if it is not UTF-8.
///
/// # Panics
/// Outside a core.
pub async fn read_to_string(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    String::from_utf8(read(path).await?)
        .map_err(|error| Error::new("read", path, io::Error::new(io::ErrorKind::InvalidData, error)))
}

/// Writes a whole file, made or cut to nothing first. Who reads it meanwhile sees a part; see [`write_atomic`].
///
/// # Errors
/// Those of open(2), write(2) and close(2).
///
/// # Panics
/// Outside a core.
pub async fn write(path: impl AsRef<Path>, bytes: impl Into<SendBuf>) -> Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path).await?;
    file.write_all_at(bytes, 0).await.0?;
    file.close().await
}

/// Puts a whole file in place of another, in such a way that at every moment, a crash of the machine included, the
/// path holds all of the old or all of the new.
///
/// The bytes go to a new file beside it (`.name.PID.N.tmp`), are synced, and take over the name; then the directory is
/// synced. The new file has the permissions of the old, or 0666 less the umask; a symbolic link is replaced, not
/// followed.
///
/// # Cancellation
/// It runs as a task of its own: dropping the future does not stop it, so that no temporary file stays behind. One may
/// when the process ends in the midst of it.
///
/// # Errors
/// Those of open(2), write(2), fsync(2) and rename(2). The old file is then still in place, except if it was the sync
/// of the directory that failed.
///
/// # Panics
/// Outside a core.
pub async fn write_atomic(path: impl AsRef<Path>, bytes: impl Into<SendBuf>) -> Result<()> {
    let (path, bytes) = (path.as_ref().to_owned(), bytes.into());
    let gone = |path: &Path| Error::new("write", path, crate::error::core_is_gone());
    let name = path.clone();
    match spawn(replace(path, bytes)).await {
        Ok(result) => result,
        Err(_) => Err(gone(&name)),
    }
}

async fn replace(path: PathBuf, bytes: SendBuf) -> Result<()> {
    let mode = match super::symlink_metadata(&path).await {
        Ok(old) if old.is_file() => Some(old.mode() & 0o7777),
        _ => None,
    };
    let (file, temporary) = create_beside(&path, mode).await?;
    let written = async {
        if let Some(mode) = mode {
            // The umask may have taken some of it away.
            rustix::fs::fchmod(&file, mode.into())
                .map_err(|error| file.error("set mode of", error.into()))?;
        }
        file.write_all_at(bytes, 0).await.0?;
        file.sync_all().await?;
        file.close().await?;
        rename(&temporary, &path).await
    }
    .await;
    if let Err(error) = written {
        // What went wrong first is what matters.
        let _ = remove_file(&temporary).await;
        return Err(error);
    }
    sync_directory(&path).await
}

/// Makes a new file beside one.
async fn create_beside(path: &Path, mode: Option<u32>) -> Result<(File, PathBuf)> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let Some(name) = path.file_name() else {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "the path has no file name");
        return Err(Error::new("write", path, error));
    };
    // A name has at most 255 bytes on most file systems: room is left for what is added.
    let short = OsStr::from_bytes(&name.as_bytes()[..name.len().min(200)]);
    loop {
        let mut temporary = std::ffi::OsString::from(".");
        temporary.push(short);
        temporary.push(format!(".{}.{}.tmp", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        let temporary = path.with_file_name(temporary);
        let options = OpenOptions::new().write(true).create_new(true).mode(mode.unwrap_or(0o666));
        match options.open(&temporary).await {
            Ok(file) => return Ok((file, temporary)),
            // Left behind by a process that had this one's number.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// Waits until the names in a path's directory are on the disk.
pub(super) async fn sync_directory(path: &Path) -> Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let directory = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(directory).await?;
    directory.sync_all().await
}
