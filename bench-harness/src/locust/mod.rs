//! A worker of Locust: many generators under one master, driven from its web page.
//!
//! A master of Locust (`locust --master`, from PyPI) tells its workers how many users to run, and adds up what they
//! report. Here a user is a connection in a closed loop, with or without think time, and [`drive`] is such a worker.
//! The master's protocol is Locust's own: MessagePack over ZeroMQ, a DEALER here to a ROUTER there.
//!
//! What the master shows is rounded to two digits of a millisecond; the record of each test, with its guards, stays
//! with the worker and can be kept as a bundle, so that `covet-bench merge` puts the workers' histograms together
//! exactly.

mod drive;
mod link;
mod message;
mod session;
mod stats;
mod zmtp;

pub use drive::{Drive, DriveError, Ending, Observe, drive};
pub use link::LinkError;
pub use message::MessageError;
pub use zmtp::ZmtpError;
