//! Sockets that carry messages, and what travels beside the bytes of any socket.
//!
//! A socket's datagrams are received by one multishot recvmsg(2) into large buffers that all such sockets of a core
//! share. Memory is taken up page by page as datagrams need it, so that a buffer can be as long as a datagram may be.
//!
//! - `slot`: a socket, from adoption to the close of its descriptor; `receive` and `send` are what it does
//! - `arrival`: what a receive brought: the sender, the payload, and the control messages
//! - `control`: control messages (cmsg(3)), read and written
//! - `once`: one receive of bytes and descriptors, for stream sockets

mod arrival;
mod control;
mod once;
mod receive;
mod send;
mod slot;

pub(crate) use arrival::{Arrival, Details, Sender};
pub(crate) use control::{push as push_control, push_rights};
pub(crate) use once::Incoming;
pub(crate) use send::{Outgoing, Submission};
pub(super) use slot::Messages;
pub(crate) use slot::Room;
