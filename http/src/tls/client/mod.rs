//! The client's side: whom it trusts, what it shows, and one connection as a value.

mod config;
mod roots;
mod session;
mod unverified;

pub use config::{ClientConfig, ClientConfigBuilder, Dangerous};
pub use session::ClientSession;
