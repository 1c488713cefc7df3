//! Doing an operation by plain system calls that do not wait.

use std::io;
use std::os::fd::RawFd;
use std::ptr;

use super::watch::{Side, Waiting};
use crate::ring::file_op::{FileOp, HERE};
use crate::ring::op::Op;

/// How an operation is done here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Tried now, and if it would wait, again whenever this side of the descriptor is ready.
    TryFirst(RawFd, Side),
    /// Tried when this side of the descriptor is ready: now is too early for nearly all of them.
    WaitFirst(RawFd, Side),
    /// Never waits.
    AtOnce,
    /// It refers to other operations, or to none.
    Special,
}

pub(super) fn manner(op: Op) -> Manner {
    match op {
        Op::Recv { socket, .. } | Op::RecvMsg { socket, .. } => Manner::TryFirst(socket, Side::Read),
        Op::Send { socket, .. }
        | Op::SendZeroCopy { socket, .. }
        | Op::SendMsg { socket, .. }
        | Op::Connect { socket, .. } => Manner::TryFirst(socket, Side::Write),
        Op::RecvMulti { socket } | Op::RecvMsgMulti { socket, .. } | Op::AcceptMulti { socket } => {
            Manner::WaitFirst(socket, Side::Read)
        }
        Op::Read { descriptor, .. } => Manner::WaitFirst(descriptor, Side::Read),
        Op::Poll { descriptor, events } if events & libc::POLLOUT as u32 != 0 => {
            Manner::TryFirst(descriptor, Side::Write)
        }
        Op::Poll { descriptor, .. } => Manner::TryFirst(descriptor, Side::Read),
        // At its own position it may be a pipe, which is watched; what can't be is handed to a thread.
        Op::File(FileOp::Read { file, offset: HERE, .. }) => Manner::WaitFirst(file, Side::Read),
        Op::File(FileOp::Write { file, offset: HERE, .. }) => Manner::TryFirst(file, Side::Write),
        Op::Shutdown { .. } | Op::Splice { .. } | Op::File(_) => Manner::AtOnce,
        Op::Close { .. } | Op::Cancel { .. } | Op::CancelAll | Op::Message { .. } => Manner::Special,
        #[cfg(all(test, not(loom), not(miri)))]
        Op::Idle => Manner::Special,
    }
}

/// What became of an attempt.
pub(super) enum Outcome {
    /// It is done: the result, or a negated error number.
    Done(i32),
    /// It would have waited.
    NotYet,
    /// Readiness tells nothing about it: only a thread that may block can do it.
    Blocks,
}

/// Tries an operation that completes once.
///
/// # Safety
/// What it points to is alive and in place.
pub(super) unsafe fn attempt(waiting: &mut Waiting) -> Outcome {
    // SAFETY: forwarded, as in all calls below; the kernel checks descriptors itself.
    unsafe {
        match waiting.op {
            Op::Recv { socket, into, len } => {
                once(|| libc::recv(socket, into.cast(), len as usize, libc::MSG_DONTWAIT))
            }
            Op::Read { descriptor, into, len } => read(descriptor, into, len),
            // Copied, and done with the first completion: nothing promises another.
            Op::Send { socket, from, len, flags } | Op::SendZeroCopy { socket, from, len, flags } => {
                send_on(&mut waiting.done, len, flags, |done, flags| {
                    libc::send(socket, from.add(done).cast(), len as usize - done, flags)
                })
            }
            Op::SendMsg { socket, message, flags } => {
                match send_message(socket, &*message, flags, &mut waiting.done) {
                    // Our socket is ready while the named one is not, and of that no event tells; and a thread that
                    // blocked for it could not be called back.
                    Outcome::NotYet if names_unix_socket(&*message) => Outcome::Done(-libc::EAGAIN),
                    outcome => outcome,
                }
            }
            Op::Connect { socket, address, len } => connect(socket, address, len, &mut waiting.begun),
            Op::Poll { descriptor, events } => match events_now(descriptor, events as i16) {
                0 => Outcome::NotYet,
                result => Outcome::Done(result),
            },
            Op::File(FileOp::Read { file, into, len, offset: HERE }) => read(file, into, len),
            Op::File(FileOp::Write { file, from, len, offset: HERE }) => write(file, from, len),
            Op::File(FileOp::Read { file, into, len, offset }) => read_cached(file, into, len, offset),
            Op::File(_) => Outcome::Blocks,
            // The disk may be waited for.
            Op::Splice { .. } => Outcome::Blocks,
            Op::Shutdown { socket, how } => once(|| libc::shutdown(socket, how) as isize),
            Op::RecvMsg { socket, message, flags } => {
                once(|| libc::recvmsg(socket, message, flags | libc::MSG_DONTWAIT))
            }
            Op::RecvMulti { .. }
            | Op::RecvMsgMulti { .. }
            | Op::AcceptMulti { .. }
            | Op::Close { .. }
            | Op::Cancel { .. }
            | Op::Message { .. }
            | Op::CancelAll => unreachable!("the backend does these itself"),
            #[cfg(all(test, not(loom), not(miri)))]
            Op::Idle => unreachable!("the backend does this itself"),
        }
    }
}

/// What a system call returned, or the negated error number; called again if a signal interrupted it.
pub(super) fn call(mut system_call: impl FnMut() -> isize) -> i32 {
    loop {
        let result = system_call();
        if result >= 0 {
            // The kernel moves at most 2 GiB in one call (read(2), send(2)).
            return result as i32;
        }
        match last_error() {
            libc::EINTR => {}
            error => return -error,
        }
    }
}

fn last_error() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

fn once(system_call: impl FnMut() -> isize) -> Outcome {
    match call(system_call) {
        result if result == -libc::EAGAIN => Outcome::NotYet,
        result => Outcome::Done(result),
    }
}

/// Sends from where the last attempt stopped; with MSG_WAITALL, until all of `len` has gone.
fn send_on(done: &mut u32, len: u32, flags: i32, mut send: impl FnMut(usize, i32) -> isize) -> Outcome {
    let whole = flags & libc::MSG_WAITALL != 0;
    let flags = flags & !libc::MSG_WAITALL | libc::MSG_DONTWAIT;
    loop {
        match call(|| send(*done as usize, flags)) {
            result if result == -libc::EAGAIN => return Outcome::NotYet,
            // What has gone has gone: the error will meet the next send.
            result if result < 0 => {
                return Outcome::Done(if *done > 0 { *done as i32 } else { result });
            }
            sent => {
                *done += sent as u32;
                if *done >= len || sent == 0 || !whole {
                    return Outcome::Done(*done as i32);
                }
            }
        }
    }
}

/// Vectors that are pointed past what has gone, in one attempt.
const VECTORS: usize = 64;

/// # Safety
/// The header and all it points to are alive.
unsafe fn send_message(socket: RawFd, message: &libc::msghdr, flags: i32, done: &mut u32) -> Outcome {
    let vectors: &[libc::iovec] = match message.msg_iovlen {
        0 => &[],
        // SAFETY: the caller vouches for the header, so for its vectors.
        count => unsafe { std::slice::from_raw_parts(message.msg_iov, count) },
    };
    let len: usize = vectors.iter().map(|vector| vector.iov_len).sum();
    let len = u32::try_from(len).unwrap_or(i32::MAX as u32);
    send_on(done, len, flags, |done, flags| {
        if done == 0 {
            // SAFETY: as above.
            return unsafe { libc::sendmsg(socket, message, flags) };
        }
        // Only a stream takes a message in parts. Its control data has gone with the first.
        let mut rest = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; VECTORS];
        let (mut skip, mut count) = (done, 0);
        for vector in vectors {
            let skipped = skip.min(vector.iov_len);
            skip -= skipped;
            if skipped < vector.iov_len && count < VECTORS {
                rest[count] = libc::iovec {
                    iov_base: vector.iov_base.wrapping_byte_add(skipped),
                    iov_len: vector.iov_len - skipped,
                };
                count += 1;
            }
        }
        // SAFETY: all zeroes mean no address, no vectors, no control data.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_iov = rest.as_mut_ptr();
        header.msg_iovlen = count;
        // SAFETY: the vectors point into the caller's buffers, and live until the call returns.
        unsafe { libc::sendmsg(socket, &raw const header, flags) }
    })
}

/// Whether a message goes to a Unix socket by its name.
///
/// # Safety
/// The header and the name are alive.
unsafe fn names_unix_socket(message: &libc::msghdr) -> bool {
    // SAFETY: any address begins with its family; the caller vouches for it.
    !message.msg_name.is_null()
        && unsafe { i32::from(*message.msg_name.cast::<libc::sa_family_t>()) == libc::AF_UNIX }
}

/// # Safety
/// `into` has room for `len` bytes.
unsafe fn read(descriptor: RawFd, into: *mut u8, len: u32) -> Outcome {
    let vector = libc::iovec { iov_base: into.cast(), iov_len: len as usize };
    // SAFETY: the caller vouches for the memory; an offset of -1 stands for the file's own position.
    let result = call(|| unsafe { libc::preadv2(descriptor, &raw const vector, 1, -1, libc::RWF_NOWAIT) });
    match -result {
        libc::EAGAIN => Outcome::NotYet,
        // What can't promise not to wait (a terminal) is asked whether it would.
        libc::EOPNOTSUPP if !is_ready(descriptor, libc::POLLIN) => Outcome::NotYet,
        // SAFETY: as above.
        libc::EOPNOTSUPP => once(|| unsafe { libc::read(descriptor, into.cast(), len as usize) }),
        _ => Outcome::Done(result),
    }
}

/// # Safety
/// `from` has `len` bytes.
unsafe fn write(descriptor: RawFd, from: *const u8, len: u32) -> Outcome {
    let vector = libc::iovec { iov_base: from.cast_mut().cast(), iov_len: len as usize };
    // SAFETY: the caller vouches for the memory; an offset of -1 stands for the file's own position.
    let result = call(|| unsafe { libc::pwritev2(descriptor, &raw const vector, 1, -1, libc::RWF_NOWAIT) });
    match -result {
        libc::EAGAIN => Outcome::NotYet,
        libc::EOPNOTSUPP => Outcome::Blocks,
        _ => Outcome::Done(result),
    }
}

/// Reads what is in the page cache, which needs no thread.
///
/// # Safety
/// `into` has room for `len` bytes.
unsafe fn read_cached(file: RawFd, into: *mut u8, len: u32, offset: u64) -> Outcome {
    let vector = libc::iovec { iov_base: into.cast(), iov_len: len as usize };
    let offset = offset as i64;
    // SAFETY: the caller vouches for the memory.
    let result = call(|| unsafe { libc::preadv2(file, &raw const vector, 1, offset, libc::RWF_NOWAIT) });
    match -result {
        libc::EAGAIN | libc::EOPNOTSUPP => Outcome::Blocks,
        _ => Outcome::Done(result),
    }
}

/// Which of these events there are, or a negated error number.
fn events_now(descriptor: RawFd, events: i16) -> i32 {
    let mut poll = libc::pollfd { fd: descriptor, events, revents: 0 };
    // SAFETY: the structure lives until the call returns.
    let result = call(|| unsafe { libc::poll(&raw mut poll, 1, 0) } as isize);
    if result < 0 { result } else { i32::from(poll.revents) }
}

fn is_ready(descriptor: RawFd, events: i16) -> bool {
    events_now(descriptor, events) != 0
}

/// # Safety
/// The address is alive.
unsafe fn connect(
    socket: RawFd,
    address: *const libc::sockaddr,
    len: libc::socklen_t,
    begun: &mut bool,
) -> Outcome {
    if *begun {
        if !is_ready(socket, libc::POLLOUT) {
            return Outcome::NotYet;
        }
        let (mut error, mut size) = (0i32, size_of::<i32>() as libc::socklen_t);
        // SAFETY: both variables live until the call returns, and the size is the first one's.
        let asked = unsafe {
            libc::getsockopt(socket, libc::SOL_SOCKET, libc::SO_ERROR, (&raw mut error).cast(), &raw mut size)
        };
        return Outcome::Done(if asked < 0 { -last_error() } else { -error });
    }
    let before = match do_not_wait(socket) {
        Ok(before) => before,
        Err(error) => return Outcome::Done(-error),
    };
    // SAFETY: the caller vouches for the address.
    let result = if unsafe { libc::connect(socket, address, len) } == 0 { 0 } else { -last_error() };
    // The mode belongs to the file, which others may use: it is put back.
    if before & libc::O_NONBLOCK == 0 {
        // SAFETY: a plain system call.
        unsafe { libc::fcntl(socket, libc::F_SETFL, before) };
    }
    match -result {
        libc::EINPROGRESS | libc::EINTR => {
            *begun = true;
            Outcome::NotYet
        }
        // A Unix socket whose peer's backlog is full: no event tells when it is not.
        libc::EAGAIN => Outcome::Blocks,
        _ => Outcome::Done(result),
    }
}

/// Makes a descriptor's calls return instead of waiting; returns its flags from before, or an error number.
pub(super) fn do_not_wait(descriptor: RawFd) -> Result<i32, i32> {
    // SAFETY: plain system calls.
    unsafe {
        let flags = libc::fcntl(descriptor, libc::F_GETFL);
        if flags < 0 {
            return Err(last_error());
        }
        if flags & libc::O_NONBLOCK == 0
            && libc::fcntl(descriptor, libc::F_SETFL, flags | libc::O_NONBLOCK) < 0
        {
            return Err(last_error());
        }
        Ok(flags)
    }
}

/// Whether a descriptor is a TCP socket.
pub(super) fn is_tcp(socket: RawFd) -> bool {
    let (mut protocol, mut size) = (0i32, size_of::<i32>() as libc::socklen_t);
    // SAFETY: both variables live until the call returns, and the size is the first one's.
    let asked = unsafe {
        libc::getsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_PROTOCOL,
            (&raw mut protocol).cast(),
            &raw mut size,
        )
    };
    asked == 0 && protocol == libc::IPPROTO_TCP
}
