//! `covet-bench null`: the do-nothing responder.

use std::net::SocketAddr;

use clap::Args;

use super::exit::{Advice, Exit};

/// Options of `covet-bench null`.
#[derive(Debug, Clone, Args)]
pub struct NullArgs {
    /// Address to listen on; port 0 lets the kernel choose, and the address is printed
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8081")]
    pub listen: SocketAddr,
    /// Cores to serve on: `all`, `physical`, a list such as `0,2-5`
    #[arg(long, value_name = "LIST", default_value = "all")]
    pub cores: String,
}

/// Answers every request with the same bytes until SIGINT or SIGTERM.
///
/// # Errors
/// When the cores do not exist or the address cannot be listened on.
pub fn null(_args: NullArgs) -> anyhow::Result<Exit> {
    Err(Advice::error(Exit::Runtime, "this build has no null server", "Use a later build"))
}
