//! What can be asked of the kernel, as plain data that every backend understands.

use std::os::fd::RawFd;

use super::file_op::FileOp;

/// One operation: descriptors and pointers, with no claim on what they refer to.
///
/// Whoever queues it keeps what it points to alive and in place until its last completion.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Op {
    /// recv(2) into memory of ours.
    Recv { socket: RawFd, into: *mut u8, len: u32 },
    /// Receives again and again into buffers that the backend picks, until it is cancelled, fails or ends.
    RecvMulti { socket: RawFd },
    /// recvmsg(2) with memory of ours.
    RecvMsg { socket: RawFd, message: *mut libc::msghdr, flags: i32 },
    /// Receives messages again and again into buffers for messages that the backend picks, each laid out as struct
    /// io_uring_recvmsg_out, room for the name, room for control data, and the payload. Of the header only the two
    /// lengths count. Ends as [`Op::RecvMulti`] does, and perhaps with an empty message.
    RecvMsgMulti { socket: RawFd, message: *const libc::msghdr, flags: i32 },
    /// send(2).
    Send { socket: RawFd, from: *const u8, len: u32, flags: i32 },
    /// As [`Op::Send`], but the bytes may be read until a second completion, the notification: see
    /// [`Completion::notification`]. A backend that copies completes once, without F_MORE.
    SendZeroCopy { socket: RawFd, from: *const u8, len: u32, flags: i32 },
    /// sendmsg(2).
    SendMsg { socket: RawFd, message: *const libc::msghdr, flags: i32 },
    /// Accepts again and again, with SOCK_CLOEXEC, until it is cancelled or fails.
    AcceptMulti { socket: RawFd },
    /// connect(2).
    Connect { socket: RawFd, address: *const libc::sockaddr, len: libc::socklen_t },
    /// read(2) at the descriptor's own position.
    Read { descriptor: RawFd, into: *mut u8, len: u32 },
    /// Waits for events as poll(2) does, and completes with those that came.
    Poll { descriptor: RawFd, events: u32 },
    /// splice(2) from a file, at an offset, into a pipe.
    Splice { from: RawFd, offset: u64, into: RawFd, len: u32 },
    /// shutdown(2).
    Shutdown { socket: RawFd, how: i32 },
    /// close(2).
    Close { descriptor: RawFd },
    /// On a file or a path.
    File(FileOp),
    /// Makes a completion with this token in another ring, to wake who waits there.
    Message { ring: RawFd, token: u64 },
    /// Ends the operation that was queued with this token; answers 0, ENOENT or EALREADY.
    Cancel { target: u64 },
    /// Ends every operation.
    CancelAll,
    /// Completes after an hour: something that is under way and does nothing.
    #[cfg(all(test, not(loom), not(miri)))]
    Idle,
}

/// The answer names a provided buffer, in the bits from [`BUFFER_SHIFT`] up (IORING_CQE_F_BUFFER).
pub(super) const F_BUFFER: u32 = 1;
/// The same operation will complete again (IORING_CQE_F_MORE).
pub(super) const F_MORE: u32 = 2;
/// Where the number of a provided buffer begins (IORING_CQE_BUFFER_SHIFT).
pub(super) const BUFFER_SHIFT: u32 = 16;

/// The answer to an operation, or one of several.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Completion {
    /// What the operation was queued with.
    pub(super) token: u64,
    /// As the system call would have returned it, or a negated error number.
    pub(super) result: i32,
    /// io_uring's flags of a completion (io_uring(7), IORING_CQE_F_*).
    pub(super) flags: u32,
}

impl Completion {
    /// Whether the same operation will complete again.
    #[inline]
    pub(super) fn more(&self) -> bool {
        io_uring::cqueue::more(self.flags)
    }

    /// Whether this is the notification of a send without a copy: nobody reads its bytes any more.
    #[inline]
    pub(super) fn notification(&self) -> bool {
        io_uring::cqueue::notif(self.flags)
    }

    /// The provided buffer that was filled, if one was.
    #[inline]
    pub(super) fn buffer(&self) -> Option<u16> {
        io_uring::cqueue::buffer_select(self.flags)
    }
}
