//! Socket options that socket2 has no name for.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use libc::c_int;

fn get<T: Copy>(socket: &impl AsRawFd, level: c_int, name: c_int) -> io::Result<T> {
    let mut value = MaybeUninit::<T>::zeroed();
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to `value`, which has room for them.
    let result =
        unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &raw mut len) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: callers in this file choose integers or structures of integers, for which all bytes are valid, and
    // what the kernel left alone is zero.
    Ok(unsafe { value.assume_init() })
}

pub(super) fn get_int(socket: &impl AsRawFd, level: c_int, name: c_int) -> io::Result<c_int> {
    get(socket, level, name)
}

pub(super) fn set_int(socket: &impl AsRawFd, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    let len = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the kernel reads `len` bytes of `value`, which lives until the call returns.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), len) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

pub(super) fn peer_credentials(socket: &impl AsRawFd) -> io::Result<libc::ucred> {
    get(socket, libc::SOL_SOCKET, libc::SO_PEERCRED)
}

/// The field `tcpi_bytes_acked` of `struct tcp_info`, which libc's lacks: the sixteenth group of eight bytes.
pub(super) fn bytes_acked(socket: &impl AsRawFd) -> io::Result<u64> {
    let [.., acked] = get::<[u64; 16]>(socket, libc::IPPROTO_TCP, libc::TCP_INFO)?;
    Ok(acked)
}

pub(super) fn peer_process(socket: &impl AsRawFd) -> io::Result<OwnedFd> {
    let descriptor = get_int(socket, libc::SOL_SOCKET, libc::SO_PEERPIDFD)?;
    // SAFETY: the kernel has just made this descriptor for the caller, close-on-exec, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
