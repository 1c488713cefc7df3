//! Connecting by name, to the first of several addresses that answers (Happy Eyeballs, RFC 8305).

mod attempt;
mod error;
mod options;
mod order;
mod race;

pub use error::{AttemptError, ConnectError};
pub use options::{ConnectOptions, Keepalive};
