//! The words of a hand-over: packets of a Unix socket (SOCK_SEQPACKET), each with at most one descriptor.
//!
//! | from | packet | meaning |
//! |---|---|---|
//! | new | `covet-handover 1` | give me your sockets |
//! | old | a number | so many follow |
//! | old | a name, with a descriptor | one of them |
//! | new | `serving` | I accept connections on them |
//! | old | `retiring` | I stop to |
//!
//! Whichever side ends early or says something else, the other goes on as if nothing had been.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, recvmsg, sendmsg, socket_with,
    sockopt,
};
use rustix::process::Uid;

pub(super) const HELLO: &str = "covet-handover 1";
pub(super) const SERVING: &str = "serving";
pub(super) const RETIRING: &str = "retiring";
/// The longest packet; names are cut off by nobody, so they must be shorter.
pub(super) const MAX_PACKET: usize = 256;

pub(super) fn socket() -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

pub(super) fn address(path: &Path) -> io::Result<SocketAddrUnix> {
    Ok(SocketAddrUnix::new(path)?)
}

/// Limits how long one packet may be waited for, and how long one may take to be sent.
pub(super) fn set_patience(socket: &OwnedFd, limit: Duration) -> io::Result<()> {
    sockopt::set_socket_timeout(socket, sockopt::Timeout::Recv, Some(limit))?;
    Ok(sockopt::set_socket_timeout(socket, sockopt::Timeout::Send, Some(limit))?)
}

pub(super) fn send(socket: &OwnedFd, text: &str, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
    if text.len() > MAX_PACKET {
        let what = format!("the name {text:?} is longer than {MAX_PACKET} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = descriptor.as_slice();
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    sendmsg(socket, &[IoSlice::new(text.as_bytes())], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

pub(super) fn receive(socket: &OwnedFd) -> io::Result<(String, Option<OwnedFd>)> {
    let mut bytes = [0; MAX_PACKET];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut vectors = [IoSliceMut::new(&mut bytes)];
        match recvmsg(socket, &mut vectors, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the other process is silent"));
            }
            other => break other?,
        }
    };
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    if received.bytes == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the other process went away"));
    }
    let text = String::from_utf8_lossy(&bytes[..received.bytes]).into_owned();
    Ok((text, descriptor))
}

/// Receives a packet that must be this one.
pub(super) fn expect(socket: &OwnedFd, wanted: &str) -> io::Result<()> {
    let (text, _) = receive(socket)?;
    if text == wanted {
        return Ok(());
    }
    Err(unexpected(&text, wanted))
}

pub(super) fn unexpected(text: &str, wanted: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the other process said {text:?} instead of {wanted:?}"),
    )
}

/// Whether the other end belongs to this user or to root.
pub(super) fn is_ours(socket: &OwnedFd) -> io::Result<bool> {
    let peer = sockopt::socket_peercred(socket.as_fd())?;
    Ok(is_trusted(peer.uid, rustix::process::geteuid()))
}

fn is_trusted(peer: Uid, own: Uid) -> bool {
    peer.is_root() || peer == own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_and_the_same_user_are_trusted() {
        let [own, other] = [1000, 1001].map(Uid::from_raw);
        assert!(is_trusted(own, own) && is_trusted(Uid::ROOT, own));
        assert!(!is_trusted(other, own) && !is_trusted(other, Uid::ROOT));
    }
}
