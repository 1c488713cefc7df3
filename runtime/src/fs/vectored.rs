//! Reads and writes of several buffers in one call.

use std::io;
use std::rc::Rc;

use super::paths::{file_payload, start};
use super::{File, Result};
use crate::buf::{Fill, FillBuf, SendBuf};
use crate::ring::{FileOp, FilePayload, OpenFile};

/// The most vectors that one call takes (IOV_MAX).
const MOST_VECTORS: usize = 1024;

impl File {
    /// Reads at an offset into the spare capacity of several buffers, one after the other (at most 1,024), as
    /// [`File::read_at`] does.
    ///
    /// # Errors
    /// Those of preadv(2), and misalignment of any buffer with O_DIRECT.
    pub async fn read_vectored_at<B: FillBuf>(
        &self,
        buffers: Vec<B>,
        offset: u64,
    ) -> (Result<usize>, Vec<B>) {
        let mut fills: Vec<Fill> = buffers.into_iter().map(B::into_fill).collect();
        let back = |fills: Vec<Fill>| fills.into_iter().map(|fill| B::from_fill(Some(fill))).collect();
        for fill in &mut fills {
            let (address, spare) = fill.spare();
            if let Err(error) = self.check("read", address, spare, offset) {
                return (Err(error), back(fills));
            }
        }
        let (result, fills) = read_many(self.open_file(), fills, offset).await;
        (result.map_err(|error| self.error("read", error).at(offset, 0)), back(fills))
    }

    /// Writes several buffers at an offset as if they were one, all of them.
    ///
    /// # Errors
    /// Those of [`File::write_all_at`].
    pub async fn write_vectored_at(
        &self,
        mut buffers: Vec<SendBuf>,
        offset: u64,
    ) -> (Result<()>, Vec<SendBuf>) {
        let total: usize = buffers.iter().map(SendBuf::len).sum();
        for bytes in buffers.iter().map(SendBuf::as_ref) {
            if let Err(error) = self.check("write", bytes.as_ptr(), bytes.len(), offset) {
                return (Err(error), buffers);
            }
        }
        let mut done = 0;
        while done < total {
            let at = offset.saturating_add(done as u64);
            let (result, returned) = write_many(self.open_file(), buffers, done, at).await;
            buffers = returned;
            let error = match result {
                Ok(count @ 1..) if !buffers.is_empty() => {
                    done += count;
                    continue;
                }
                Ok(1..) => crate::error::core_is_gone(),
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            return (Err(self.error("write", error).at(at, (total - done) as u64)), buffers);
        }
        (Ok(()), buffers)
    }
}

/// Reads into the spare capacity of several buffers, one after the other.
async fn read_many(file: &Rc<OpenFile>, buffers: Vec<Fill>, offset: u64) -> (io::Result<usize>, Vec<Fill>) {
    let payload = FilePayload::FillMany(file.in_use(), buffers, Vec::new());
    let started = start(file.core(), payload, |payload| {
        let FilePayload::FillMany(file, buffers, vectors) = payload else {
            unreachable!("the payload made above")
        };
        let spare = buffers.iter_mut().map(Fill::spare).filter(|(_, len)| *len > 0).take(MOST_VECTORS);
        vectors.extend(spare.map(|(into, len)| libc::iovec { iov_base: into.cast(), iov_len: len }));
        FileOp::ReadVectored {
            file: file.raw(),
            vectors: vectors.as_ptr(),
            count: vectors.len() as u32,
            offset,
        }
    });
    let (result, payload) = match started {
        Ok(operation) => {
            let (result, payload) = operation.await;
            (result, file_payload(payload))
        }
        Err((error, payload)) => (Err(error), Some(payload)),
    };
    let Some(FilePayload::FillMany(_, mut buffers, _)) = payload else {
        return (result.and(Err(crate::error::core_is_gone())), Vec::new());
    };
    let result = result.map(|count| {
        let mut left = count as usize;
        for fill in &mut buffers {
            let here = fill.spare().1.min(left);
            left -= here;
            // SAFETY: the kernel fills the vectors in their order, which is that of the buffers.
            unsafe { fill.append_written(here) };
        }
        count as usize
    });
    (result, buffers)
}

/// Writes what follows the first `skip` bytes of several buffers taken as one.
async fn write_many(
    file: &Rc<OpenFile>,
    buffers: Vec<SendBuf>,
    mut skip: usize,
    offset: u64,
) -> (io::Result<usize>, Vec<SendBuf>) {
    let payload = FilePayload::SendMany(file.in_use(), buffers, Vec::new());
    let started = start(file.core(), payload, |payload| {
        let FilePayload::SendMany(file, buffers, vectors) = payload else {
            unreachable!("the payload made above")
        };
        for buffer in buffers.iter() {
            let bytes = buffer.as_ref();
            let skipped = skip.min(bytes.len());
            skip -= skipped;
            let rest = &bytes[skipped..];
            if !rest.is_empty() && vectors.len() < MOST_VECTORS {
                vectors.push(libc::iovec { iov_base: rest.as_ptr().cast_mut().cast(), iov_len: rest.len() });
            }
        }
        FileOp::WriteVectored {
            file: file.raw(),
            vectors: vectors.as_ptr(),
            count: vectors.len() as u32,
            offset,
        }
    });
    let (result, payload) = match started {
        Ok(operation) => {
            let (result, payload) = operation.await;
            (result, file_payload(payload))
        }
        Err((error, payload)) => (Err(error), Some(payload)),
    };
    match payload {
        Some(FilePayload::SendMany(_, buffers, _)) => (result.map(|count| count as usize), buffers),
        _ => (result.and(Err(crate::error::core_is_gone())), Vec::new()),
    }
}
