//! Reads and writes as operations: what they lend, and what comes back.

use std::io;
use std::rc::Rc;

use super::paths::{file_payload, start};
use crate::buf::{Fill, MOST_BYTES, SendBuf};
use crate::ring::{FileOp, FilePayload, OpenFile, Operation, Payload};

type Started<B> = Result<Operation, (io::Error, B)>;

/// Starts a read of at most `limit` bytes into the spare capacity.
pub(super) fn start_read(file: &Rc<OpenFile>, fill: Fill, limit: usize, offset: u64) -> Started<Fill> {
    start(file.core(), FilePayload::Fill(file.in_use(), fill), |payload| {
        let FilePayload::Fill(file, fill) = payload else { unreachable!("the payload made above") };
        let (into, spare) = fill.spare();
        let len = spare.min(limit).min(MOST_BYTES) as u32;
        FileOp::Read { file: file.raw(), into, len, offset }
    })
    .map_err(|(error, payload)| match payload {
        FilePayload::Fill(_, fill) => (error, fill),
        _ => unreachable!("the payload made above"),
    })
}

/// What a read has brought: the buffer with the bytes appended, unless the core lost it.
pub(super) fn read_outcome(result: io::Result<u32>, payload: Payload) -> (io::Result<usize>, Option<Fill>) {
    let Some(FilePayload::Fill(_, mut fill)) = file_payload(payload) else {
        return (result.and(Err(crate::error::core_is_gone())), None);
    };
    let result = result.map(|count| {
        // SAFETY: the kernel wrote this many bytes into the spare capacity, from its start.
        unsafe { fill.append_written(count as usize) };
        count as usize
    });
    (result, Some(fill))
}

/// Starts a write of what follows the first `skip` bytes.
pub(super) fn start_write(
    file: &Rc<OpenFile>,
    buffer: SendBuf,
    skip: usize,
    offset: u64,
) -> Started<SendBuf> {
    start(file.core(), FilePayload::Send(file.in_use(), buffer), |payload| {
        let FilePayload::Send(file, buffer) = payload else { unreachable!("the payload made above") };
        let bytes = &buffer.as_ref()[skip..];
        let len = bytes.len().min(MOST_BYTES) as u32;
        FileOp::Write { file: file.raw(), from: bytes.as_ptr(), len, offset }
    })
    .map_err(|(error, payload)| match payload {
        FilePayload::Send(_, buffer) => (error, buffer),
        _ => unreachable!("the payload made above"),
    })
}

/// How many bytes a write has taken, and the buffer, unless the core lost it.
pub(super) fn write_outcome(
    result: io::Result<u32>,
    payload: Payload,
) -> (io::Result<usize>, Option<SendBuf>) {
    match file_payload(payload) {
        Some(FilePayload::Send(_, buffer)) => (result.map(|count| count as usize), Some(buffer)),
        _ => (result.and(Err(crate::error::core_is_gone())), None),
    }
}
