//! Operations that complete again and again, as io_uring's multishot accept and receive do.

use std::os::fd::RawFd;

use super::Epoll;
use super::attempt::{call, is_tcp};
use crate::ring::op::{BUFFER_SHIFT, Completion, F_BUFFER, F_MORE};

/// Buffers that one connection fills before others have their turn.
const RECEIVES: usize = 8;
/// Connections that one listener takes before others have their turn.
const ACCEPTS: usize = 64;

/// What became of an operation that was tried.
pub(super) enum Step {
    /// It has ended, with this result.
    Ended(i32),
    /// It could go on at once, but others have their turn first.
    HasMore,
    /// It goes on when its descriptor is ready.
    Waits,
}

impl Epoll {
    pub(super) fn recv_again(&mut self, socket: RawFd, token: u64) -> Step {
        let watch = self.watches.of(socket);
        // Only while nothing else was told: an end that came with the bytes would be waited for in vain.
        let short_means_empty = !watch.special && *watch.tcp.get_or_insert_with(|| is_tcp(socket));
        for _ in 0..RECEIVES {
            let Some((id, memory, size)) = self.buffers.at(self.next_buffer) else {
                return Step::Ended(-libc::ENOBUFS);
            };
            // SAFETY: the buffer is free, so nobody reads it, and has this size.
            let result = call(|| unsafe {
                libc::recv(socket, memory.as_ptr().cast(), size as usize, libc::MSG_DONTWAIT)
            });
            match result {
                error if error == -libc::EAGAIN => return Step::Waits,
                ended if ended <= 0 => return Step::Ended(ended),
                received => {
                    self.next_buffer = self.next_buffer.wrapping_add(1);
                    let flags = F_BUFFER | F_MORE | u32::from(id) << BUFFER_SHIFT;
                    self.completed.push_back(Completion { token, result: received, flags });
                    if short_means_empty && received.cast_unsigned() < size {
                        return Step::Waits;
                    }
                }
            }
        }
        Step::HasMore
    }

    /// As io_uring's multishot recvmsg, with the same layout of the buffers.
    pub(super) fn recv_messages(
        &mut self,
        socket: RawFd,
        room: &libc::msghdr,
        flags: i32,
        token: u64,
    ) -> Step {
        let Some((buffers, next)) = &mut self.messages else { return Step::Ended(-libc::ENOBUFS) };
        let name_at = size_of::<[u32; 4]>();
        let control_at = name_at + room.msg_namelen as usize;
        let payload_at = control_at + room.msg_controllen;
        for _ in 0..RECEIVES {
            let Some((id, memory, size)) = buffers.at(*next) else { return Step::Ended(-libc::ENOBUFS) };
            // SAFETY: the buffer is free, so nobody reads it; the layout lies inside of it, as all rooms are smaller
            // than buffers of messages.
            let (result, header) = unsafe {
                let mut vector = libc::iovec {
                    iov_base: memory.add(payload_at).as_ptr().cast(),
                    iov_len: size as usize - payload_at,
                };
                let mut header = *room;
                header.msg_name = memory.add(name_at).as_ptr().cast();
                header.msg_iov = &raw mut vector;
                header.msg_iovlen = 1;
                header.msg_control = memory.add(control_at).as_ptr().cast();
                let result = call(|| libc::recvmsg(socket, &raw mut header, flags | libc::MSG_DONTWAIT));
                (result, header)
            };
            match result {
                error if error == -libc::EAGAIN => return Step::Waits,
                error if error < 0 => return Step::Ended(error),
                received => {
                    let words = [
                        header.msg_namelen,
                        header.msg_controllen as u32,
                        received.cast_unsigned(),
                        header.msg_flags.cast_unsigned(),
                    ];
                    // SAFETY: buffers begin at multiples of 64 bytes, and this one is ours until it is handed over.
                    unsafe { memory.cast::<[u32; 4]>().write(words) };
                    *next = next.wrapping_add(1);
                    let flags = F_BUFFER | F_MORE | u32::from(id) << BUFFER_SHIFT;
                    let result = payload_at as i32 + received;
                    self.completed.push_back(Completion { token, result, flags });
                }
            }
        }
        Step::HasMore
    }

    pub(super) fn accept_again(&mut self, socket: RawFd, token: u64) -> Step {
        for _ in 0..ACCEPTS {
            // SAFETY: no address is asked for.
            let result = call(|| unsafe {
                let none = std::ptr::null_mut();
                libc::accept4(socket, none, none.cast(), libc::SOCK_CLOEXEC) as isize
            });
            match result {
                error if error == -libc::EAGAIN => return Step::Waits,
                error if error < 0 => return Step::Ended(error),
                accepted => {
                    self.completed.push_back(Completion { token, result: accepted, flags: F_MORE });
                }
            }
        }
        Step::HasMore
    }
}
