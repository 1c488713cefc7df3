//! Sending: at most one operation per connection, whose buffer the driver keeps until all of it has gone.

use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll};

use super::after::Caller;
use super::driver::{Driver, missed};
use super::op::Op;
use super::token::{Key, Kind};
use crate::buf::SendBuf;
use crate::error::core_is_gone;

impl Driver {
    /// Lends a buffer to the kernel until all of it is sent.
    #[inline]
    pub(crate) fn submit_send(&mut self, key: Key, buffer: SendBuf) -> Result<(), (io::Error, SendBuf)> {
        let Some(slot) = self.stream(key) else { return Err((core_is_gone(), buffer)) };
        if slot.sending.is_some() {
            return Err((io::Error::new(io::ErrorKind::ResourceBusy, "a send is already under way"), buffer));
        }
        if let Some(code) = slot.send_error {
            return Err((io::Error::from_raw_os_error(code), buffer));
        }
        slot.sent = 0;
        if buffer.len() >= slot.zero_copy_from as usize {
            self.start_zero_copy(key, buffer);
            return Ok(());
        }
        slot.sending = Some(buffer);
        self.push_send(key);
        Ok(())
    }

    #[inline]
    fn push_send(&mut self, key: Key) {
        let Some(slot) = self.stream(key) else { return };
        let Some(buffer) = &slot.sending else { return };
        let bytes = &buffer.as_ref()[slot.sent..];
        let len = u32::try_from(bytes.len()).unwrap_or(i32::MAX as u32).min(i32::MAX as u32);
        let flags = libc::MSG_NOSIGNAL | if slot.wait_all { libc::MSG_WAITALL } else { 0 };
        let op = Op::Send { socket: slot.descriptor, from: bytes.as_ptr(), len, flags };
        // SAFETY: the bytes are on the heap or static (see SendBuf), and the slot keeps them until the
        // completion: `sending` is emptied in `on_send` only.
        unsafe { self.push(op, key.token(Kind::Send)) };
    }

    pub(super) fn on_send(&mut self, key: Key, result: i32) {
        let Some(slot) =
            self.streams.get_mut(key.index as usize).filter(|slot| slot.generation == key.generation)
        else {
            return;
        };
        let Some(buffer) = &slot.sending else { return };
        match u32::try_from(result) {
            Ok(sent) => {
                slot.sent += sent as usize;
                if slot.sent < buffer.len() && slot.held {
                    if sent > 0 {
                        return self.push_send(key);
                    }
                    // A socket that takes nothing will not take the rest, and silence would be taken for success.
                    slot.send_error = Some(libc::EPIPE);
                }
            }
            Err(_) if matches!(-result, libc::EINTR | libc::EAGAIN) && slot.held => {
                return self.push_send(key);
            }
            Err(_) if -result == libc::EOPNOTSUPP && slot.wait_all && slot.held => {
                // A socket whose TLS is the kernel's does not know the flag. Short sends are gone on with here.
                slot.wait_all = false;
                return self.push_send(key);
            }
            Err(_) => slot.send_error = Some(-result),
        }
        if let Some(buffer) = slot.sending.take() {
            self.after.release(buffer);
        }
        self.after.wake(&mut slot.send_waker);
        if !slot.held {
            self.free_if_done(key);
        }
    }

    pub(super) fn on_send_cancelled(&mut self, key: Key, result: i32) {
        let Some(slot) = self.stream(key) else { return };
        if !slot.held && slot.sending.is_some() && missed(result) {
            self.cancel(key, Kind::Send, Kind::CancelSend);
        }
    }

    #[inline]
    pub(crate) fn poll_sent(
        driver: &RefCell<Driver>,
        key: Key,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut caller = Caller::new(cx);
        driver.borrow_mut().sent_or_park(key, &mut caller)
    }

    #[inline]
    fn sent_or_park(&mut self, key: Key, caller: &mut Caller<'_>) -> Poll<io::Result<()>> {
        let Some(slot) =
            self.streams.get_mut(key.index as usize).filter(|slot| slot.generation == key.generation)
        else {
            return Poll::Ready(Err(core_is_gone()));
        };
        if slot.sending.is_none() {
            return Poll::Ready(match slot.send_error {
                Some(code) => Err(io::Error::from_raw_os_error(code)),
                None => Ok(()),
            });
        }
        self.after.park(&mut slot.send_waker, caller);
        Poll::Pending
    }

    #[inline]
    pub(crate) fn is_sending(&mut self, key: Key) -> bool {
        self.stream(key).is_some_and(|slot| slot.sending.is_some())
    }
}
