//! Reading: copying what was received to where the reader wants it, no more than it has room for.

use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll};

use super::after::Caller;
use super::driver::Driver;
use super::stream::Chunk;
use super::token::Key;
use crate::error::core_is_gone;

/// Where a reader wants its bytes.
///
/// It is called while the driver is borrowed: an implementation copies, and runs no code of others.
pub(crate) trait Destination {
    /// How many bytes it takes.
    fn left(&self) -> usize;
    /// Takes bytes, no more than there is room for.
    fn put(&mut self, bytes: &[u8]);
}

impl Driver {
    /// Reads what waits; the rest stays at the head of the queue. 0 bytes mean the end, or that there is no room.
    pub(crate) fn poll_read(
        driver: &RefCell<Driver>,
        key: Key,
        room: &mut impl Destination,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if room.left() == 0 {
            return Poll::Ready(Ok(0));
        }
        let mut caller = Caller::new(cx);
        let mut driver = driver.borrow_mut();
        let read = driver.read(key, room)?;
        if read > 0 {
            return Poll::Ready(Ok(read));
        }
        // Nothing waits, so nothing is taken: this is the end, or the wish to be woken.
        driver.recv_or_park(key, &mut caller).map_ok(|end| end.len())
    }

    fn read(&mut self, key: Key, room: &mut impl Destination) -> io::Result<usize> {
        let Driver { streams, buffers, .. } = self;
        let slot = streams
            .get_mut(key.index as usize)
            .filter(|slot| slot.generation == key.generation)
            .ok_or_else(core_is_gone)?;
        let mut total = 0;
        while let Some(first) = &mut slot.first {
            let waiting = match &*first {
                // SAFETY: the slot owns this buffer, and keeps it for as long as it is borrowed.
                Chunk::Provided { id, len } => unsafe { buffers.slice(*id, 0, *len) },
                Chunk::Heap { bytes, read } => &bytes[*read as usize..],
            };
            let (now, later) = waiting.split_at(waiting.len().min(room.left()));
            if now.is_empty() {
                break;
            }
            room.put(now);
            total += now.len();
            if later.is_empty() {
                if let Some(Chunk::Provided { id, .. }) = slot.dequeue() {
                    buffers.give(id);
                }
                continue;
            }
            let taken = now.len() as u32;
            // A reader that takes its time must not keep a buffer from the others.
            let copy = matches!(first, Chunk::Provided { .. }).then(|| Chunk::heap(later.into()));
            slot.waiting_bytes -= taken;
            match (copy, first) {
                (Some(copy), first) => {
                    if let Chunk::Provided { id, .. } = std::mem::replace(first, copy) {
                        buffers.give(id);
                    }
                }
                (None, Chunk::Heap { read, .. }) => *read += taken,
                (None, Chunk::Provided { .. }) => unreachable!("a provided chunk was copied"),
            }
        }
        Ok(total)
    }
}
