use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use super::{Durability, Error, File, OpenOptions, ReadAhead, Result, WriteBehind};
use crate::spawn_blocking;

/// Bytes that one call copies: a dropped copy ends after this many.
const PIECE: usize = 16 * 1024 * 1024;

/// Copies a file's contents and permissions to a path, in place of what is there, and returns how many bytes they are.
///
/// The kernel copies (copy_file_range(2)), on the pool of blocking threads: file systems that can share the blocks of
/// two files do, and the bytes pass through no memory of ours. Where the kernel can't, they go through the ring.
///
/// # Cancellation
/// A dropped copy leaves a file with a part of the contents.
///
/// # Errors
/// Those of open(2), read(2), write(2) and close(2); InvalidInput if one is not a regular file or both are the same.
///
/// # Panics
/// Outside a core.
pub async fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<u64> {
    let (from, to) = (from.as_ref(), to.as_ref());
    let refuse =
        |why: &str| Error::new("copy", from, io::Error::new(io::ErrorKind::InvalidInput, why)).and(to);
    let source = File::open(from).await?;
    let found = source.metadata().await?;
    if !found.is_file() {
        return Err(refuse("not a regular file"));
    }
    // Not cut to nothing before it is known to be another file.
    let options = OpenOptions::new().write(true).create(true).mode(found.mode() & 0o777);
    let target = options.open(to).await?;
    let there = target.metadata().await?;
    if (there.device(), there.inode()) == (found.device(), found.inode()) {
        return Err(refuse("both paths lead to the same file"));
    }
    if there.is_file() {
        target.set_len(0).await?;
        rustix::fs::fchmod(&target, (found.mode() & 0o7777).into())
            .map_err(|error| target.error("set mode of", error.into()))?;
    }
    match copy_in_kernel(&source, &target).await {
        Ok(copied) if copied > 0 || found.len() == 0 && is_empty(&source).await? => {
            target.close().await?;
            return Ok(copied);
        }
        // A file that the kernel makes up: copy_file_range(2) finds nothing in it.
        Ok(_) => {}
        Err(error) if is_unsupported(&error) => {}
        Err(error) => return Err(Error::new("copy", from, error).and(to)),
    }
    let mut reader = ReadAhead::new().start(source);
    let mut writer = WriteBehind::new().start(target);
    while let Some(block) = reader.next().await? {
        writer.write(block).await?;
    }
    writer.finish(Durability::Cached).await
}

async fn is_empty(file: &File) -> Result<bool> {
    Ok(file.read_at(Vec::with_capacity(1), 0).await.0? == 0)
}

async fn copy_in_kernel(from: &File, to: &File) -> io::Result<u64> {
    let copies = |file: &File| file.as_fd().try_clone_to_owned();
    let mut pair: (OwnedFd, OwnedFd) = (copies(from)?, copies(to)?);
    let mut copied = 0;
    loop {
        let (back, result) = spawn_blocking(move || {
            let result = rustix::fs::copy_file_range(&pair.0, None, &pair.1, None, PIECE);
            (pair, result)
        })
        .await
        .map_err(|error| io::Error::other(error.to_string()))?;
        pair = back;
        match result {
            Ok(0) => return Ok(copied),
            Ok(count) => copied += count as u64,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether the kernel can't copy between these two.
fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL | libc::EXDEV | libc::EPERM | libc::EBADF)
    )
}
