//! Control messages: a header, its data, and padding, again and again (cmsg(3)).

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};

use libc::{c_int, cmsghdr};

/// Headers and data start at multiples of this.
const ALIGN: usize = size_of::<usize>();
const HEADER: usize = size_of::<cmsghdr>().next_multiple_of(ALIGN);

/// Reads the control messages that a receive left behind: level, type, data.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (c_int, c_int, &[u8])> {
    std::iter::from_fn(move || {
        if bytes.len() < HEADER {
            return None;
        }
        // SAFETY: there are enough bytes, and a header is made of integers, for which all bytes are valid.
        let header = unsafe { bytes.as_ptr().cast::<cmsghdr>().read_unaligned() };
        let len = header.cmsg_len;
        if len < HEADER || len > bytes.len() {
            return None;
        }
        let data = &bytes[HEADER..len];
        bytes = &bytes[len.next_multiple_of(ALIGN).min(bytes.len())..];
        Some((header.cmsg_level, header.cmsg_type, data))
    })
}

/// Appends a control message.
pub(crate) fn push(control: &mut Vec<u8>, level: c_int, kind: c_int, data: &[u8]) {
    // SAFETY: all zeroes are a valid header.
    let mut header: cmsghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    header.cmsg_len = (HEADER + data.len()) as _;
    header.cmsg_level = level;
    header.cmsg_type = kind;
    // SAFETY: the header is zeroed memory of this size with some fields set, so all of its bytes are initialised.
    let bytes = unsafe { std::slice::from_raw_parts((&raw const header).cast::<u8>(), size_of::<cmsghdr>()) };
    control.extend_from_slice(bytes);
    control.resize(control.len().next_multiple_of(ALIGN), 0);
    control.extend_from_slice(data);
    control.resize(control.len().next_multiple_of(ALIGN), 0);
}

/// Appends descriptors to be passed on (SCM_RIGHTS, unix(7)).
pub(crate) fn push_rights(control: &mut Vec<u8>, descriptors: &[OwnedFd]) {
    if descriptors.is_empty() {
        return;
    }
    let numbers: Vec<u8> =
        descriptors.iter().flat_map(|descriptor| descriptor.as_raw_fd().to_ne_bytes()).collect();
    push(control, libc::SOL_SOCKET, libc::SCM_RIGHTS, &numbers);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nonsense_ends_the_list() {
        let mut control = Vec::new();
        push(&mut control, 1, 2, &[7; 4]);
        push(&mut control, 3, 4, &[]);
        push(&mut control, 5, 6, &[9; 9]);
        let read: Vec<_> = messages(&control).collect();
        assert_eq!(read, [(1, 2, &[7u8; 4][..]), (3, 4, &[]), (5, 6, &[9; 9])]);
        for cut in 0..control.len() {
            assert!(messages(&control[..cut]).count() <= 3);
        }
        let first = size_of::<usize>() * 3;
        for len in [0u64, 3, 1000, u64::MAX] {
            control[first..first + 8].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(messages(&control).count(), 1, "{len}");
        }
    }
}
