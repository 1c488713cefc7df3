//! `covet-bench serve`: the reference service.

use std::net::SocketAddr;

use clap::Args;

use super::exit::{Advice, Exit};

/// Options of `covet-bench serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Address to listen on; port 0 lets the kernel choose, and the address is printed
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Cores to serve on: `all`, `physical`, a list such as `0,2-5`
    #[arg(long, value_name = "LIST", default_value = "all")]
    pub cores: String,
}

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// When the cores do not exist or the address cannot be listened on.
pub fn serve(_args: ServeArgs) -> anyhow::Result<Exit> {
    Err(Advice::error(Exit::Runtime, "this build has no reference service", "Use a later build"))
}
