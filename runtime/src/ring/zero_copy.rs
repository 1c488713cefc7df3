//! Sending without a copy: the network card reads from the buffer itself, until the peer has acknowledged the bytes.
//!
//! Such a send completes twice: with its result, after which the next send may follow, and with a notification, after
//! which the buffer is ours again. The two come apart by a round trip, so the buffer has a slot of its own here, and
//! several may be lent for one stream.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::net::sockopt;

use super::driver::{Driver, missed};
use super::op::{Completion, Op};
use super::token::{Key, Kind};
use crate::buf::SendBuf;

/// A threshold that no buffer reaches.
pub(crate) const NEVER: u32 = u32::MAX;

/// The bit of a notification's result that says that the kernel copied after all (IORING_NOTIF_USAGE_ZC_COPIED).
const COPIED: u32 = 1 << 31;
/// How long a peer may leave the last bytes of a closed stream unacknowledged.
const PARTING: Duration = Duration::from_secs(60);

pub(super) struct ZeroCopySlot {
    generation: u32,
    stream: Key,
    buffer: SendBuf,
    /// Completions of sends that promised a notification, less the notifications that came.
    notifications: i32,
    /// The bytes are not all sent yet.
    sending: bool,
    /// The kernel would not do without a copy.
    plain: bool,
}

#[cfg(all(test, not(loom), not(miri)))]
impl ZeroCopySlot {
    pub(super) fn generation(&self) -> u32 {
        self.generation
    }
}

impl Driver {
    /// Sets from how many bytes on a stream sends without a copy.
    pub(crate) fn set_zero_copy(&mut self, key: Key, from: u32) {
        if let Some(slot) = self.stream(key) {
            slot.zero_copy_from = from;
        }
    }

    /// Whether the stream would send so many bytes without a copy.
    pub(crate) fn sends_without_copy(&mut self, key: Key, len: usize) -> bool {
        self.stream(key).is_some_and(|slot| len >= slot.zero_copy_from as usize)
    }

    #[cold]
    pub(super) fn start_zero_copy(&mut self, key: Key, buffer: SendBuf) {
        let generation = self.next_generation();
        let slot =
            ZeroCopySlot { generation, stream: key, buffer, notifications: 0, sending: true, plain: false };
        let index = self.zero_copies.insert(slot) as u32;
        if let Some(stream) = self.stream(key) {
            // Stands for the send; the buffer is in the slot.
            stream.sending = Some(SendBuf::Static(&[]));
            stream.lent += 1;
        }
        self.push_zero_copy(Key { index, generation });
    }

    fn push_zero_copy(&mut self, key: Key) {
        let Some(slot) = self.zero_copies.get(key.index as usize) else { return };
        let Some(stream) = self.streams.get(slot.stream.index as usize) else { return };
        let bytes = &slot.buffer.as_ref()[stream.sent..];
        let (socket, from) = (stream.descriptor, bytes.as_ptr());
        let len = u32::try_from(bytes.len()).unwrap_or(i32::MAX as u32).min(i32::MAX as u32);
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        let op = match slot.plain {
            false => Op::SendZeroCopy { socket, from, len, flags },
            true => Op::Send { socket, from, len, flags },
        };
        // SAFETY: the bytes are on the heap or static (see SendBuf), and the slot keeps them until both the send and
        // its notifications have completed: see `free_zero_copy_if_done`.
        unsafe { self.push(op, key.token(Kind::ZeroCopy)) };
    }

    pub(super) fn on_zero_copy(&mut self, key: Key, completion: Completion) {
        let Some(slot) =
            self.zero_copies.get_mut(key.index as usize).filter(|slot| slot.generation == key.generation)
        else {
            return;
        };
        if completion.notification() {
            slot.notifications -= 1;
            if completion.result as u32 & COPIED != 0 {
                // The way to this peer has no use for it (loopback, a card without scatter-gather): it costs, and
                // gains nothing.
                let stream = slot.stream;
                self.set_zero_copy(stream, NEVER);
            }
            return self.free_zero_copy_if_done(key);
        }
        slot.notifications += i32::from(completion.more());
        let stream = slot.stream;
        if self.advance_zero_copy(key, completion.result) {
            return self.push_zero_copy(key);
        }
        if let Some(slot) = self.zero_copies.get_mut(key.index as usize) {
            slot.sending = false;
        }
        if let Some(slot) = self.streams.get_mut(stream.index as usize) {
            slot.sending = None;
            self.after.wake(&mut slot.send_waker);
        }
        self.free_zero_copy_if_done(key);
        self.free_if_done(stream);
    }

    /// Takes a send's result in; `true` if there is more to send.
    fn advance_zero_copy(&mut self, key: Key, result: i32) -> bool {
        let Some(slot) = self.zero_copies.get_mut(key.index as usize) else { return false };
        let Some(stream) = self.streams.get_mut(slot.stream.index as usize) else { return false };
        match (u32::try_from(result), -result) {
            (Ok(sent), _) => {
                stream.sent += sent as usize;
                let left = stream.sent < slot.buffer.len() && stream.held;
                if left && sent == 0 {
                    // A socket that takes nothing will not take the rest, and silence would be taken for success.
                    stream.send_error = Some(libc::EPIPE);
                }
                left && sent > 0
            }
            (Err(_), libc::EINTR | libc::EAGAIN) if stream.held => true,
            (Err(_), code @ (libc::EINVAL | libc::EOPNOTSUPP | libc::ENOMEM | libc::ENOBUFS))
                if stream.held && !slot.plain =>
            {
                slot.plain = true;
                match code {
                    // The kernel does not know the operation.
                    libc::EINVAL => (stream.zero_copy_from, self.zero_copy_from) = (NEVER, NEVER),
                    // The socket does not.
                    libc::EOPNOTSUPP => stream.zero_copy_from = NEVER,
                    // RLIMIT_MEMLOCK or net.core.optmem_max is used up for the moment.
                    _ => {}
                }
                true
            }
            (Err(_), code) => {
                stream.send_error = Some(code);
                false
            }
        }
    }

    fn free_zero_copy_if_done(&mut self, key: Key) {
        let index = key.index as usize;
        if self.zero_copies.get(index).is_none_or(|slot| slot.sending || slot.notifications > 0) {
            return;
        }
        let slot = self.zero_copies.remove(index);
        self.after.release(slot.buffer);
        if let Some(stream) = self.stream(slot.stream) {
            stream.lent -= 1;
            if !stream.held {
                self.free_if_done(slot.stream);
            }
        }
    }

    /// Asks the kernel to end the stream's send if it is one without a copy; `false` if it is not.
    pub(super) fn cancel_zero_copy(&mut self, stream: Key) -> bool {
        let found = self.zero_copies.iter().find(|(_, slot)| slot.sending && slot.stream == stream);
        let Some((index, slot)) = found else { return false };
        let key = Key { index: index as u32, generation: slot.generation };
        self.cancel(key, Kind::ZeroCopy, Kind::CancelZeroCopy);
        true
    }

    pub(super) fn on_zero_copy_cancelled(&mut self, key: Key, result: i32) {
        let Some(slot) = self.zero_copies.get(key.index as usize) else { return };
        if slot.generation == key.generation && slot.sending && missed(result) {
            self.cancel(key, Kind::ZeroCopy, Kind::CancelZeroCopy);
        }
    }

    /// The stream is over but for bytes that the kernel may still read: `true` if its socket may be closed now.
    ///
    /// It says farewell as a close would, but stays open, so that it can be reset should the core end first: a closed
    /// socket that sends on by itself would keep the buffers for as long as the peer likes.
    #[cold]
    pub(super) fn part(&mut self, key: Key) -> bool {
        let closing = self.is_closed();
        let Some(slot) = self.stream(key) else { return false };
        // SAFETY: the slot keeps the descriptor open.
        let socket = unsafe { BorrowedFd::borrow_raw(slot.descriptor) };
        if closing {
            // Closing it then drops what is unsent, and the kernel lets go of the buffers.
            let _ = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
            return true;
        }
        if std::mem::replace(&mut slot.parting, true) {
            return false;
        }
        if matches!(sockopt::socket_linger(socket), Ok(Some(Duration::ZERO))) {
            return true;
        }
        let _ = sockopt::set_tcp_user_timeout(socket, PARTING.as_millis() as u32);
        let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Write);
        false
    }
}
