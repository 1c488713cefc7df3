//! The driver of one core: everything that is asked of the kernel, and its answers.
//!
//! One rule holds everything together: **the kernel owns what it was lent until the last completion**. Each
//! operation's buffers and descriptor live in a slot of the driver, not in the future that waits for it; dropping
//! the future asks for cancellation and leaves the slot to the driver, which frees it when the kernel says that
//! it is done.
//!
//! - `op`: operations and completions as plain data; `backend`: who carries them to the kernel and back
//! - `choice`: io_uring or epoll
//! - `setup`: a ring's flags, probed from the best down
//! - `provided`, `recv_buf`: the receive buffers that the kernel picks from
//! - `stream`: a connection's slot; `receive` and `send` are what it does
//! - `zero_copy`: sends whose buffer the kernel reads from until it says that it is done
//! - `listener`: multishot accept
//! - `message`: sockets that carry datagrams, and descriptors beside bytes
//! - `operation`: everything that completes once
//! - `file`: open files, and what operations on files lend; `file_op`: those operations
//! - `waiters`: who waits for what, for those who ask
//! - `driver`: submission and completion; `close`: its end; `after`: what it leaves to be done outside its borrow

mod after;
mod backend;
mod bell;
mod choice;
mod close;
mod driver;
mod file;
mod file_op;
mod listener;
mod message;
mod op;
mod operation;
mod provided;
#[cfg(any(feature = "futures-io", feature = "hyper", feature = "tokio"))]
mod read;
mod receive;
mod recv_buf;
mod send;
mod setup;
mod stream;
mod token;
mod waiters;
mod zero_copy;

pub(crate) use bell::{Bells, ring_event};
pub use choice::{DriverChoice, DriverKind};
pub(crate) use driver::{Driver, Wait};
pub(crate) use file::{FilePayload, OpenFile};
pub(crate) use file_op::{FileOp, HERE};
pub(crate) use message::{Arrival, Details, Incoming, Room, Sender, Submission, push_control, push_rights};
pub(crate) use op::Op;
pub(crate) use operation::{Message, Operation, Payload};
#[cfg(any(feature = "futures-io", feature = "hyper", feature = "tokio"))]
pub(crate) use read::Destination;
pub use recv_buf::RecvBuf;
pub(crate) use setup::{RingSizes, explain};
pub(crate) use stream::shutdown_now;
pub(crate) use token::Key;
pub(crate) use waiters::Awaited;
pub(crate) use zero_copy::NEVER;

#[cfg(test)]
mod tests;
