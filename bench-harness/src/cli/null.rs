//! `covet-bench null`: the do-nothing responder.

use std::io::{self, Write};
use std::net::SocketAddr;

use clap::{Args, value_parser};
use covet_runtime::CoreSet;

use super::exit::Exit;
use super::values;
use crate::clock::Delay;
use crate::load::format_cpus;
use crate::target::null::{self as responder, NullOptions};
use crate::target::{null_secure, null_websocket};

/// Options of `covet-bench null`.
#[derive(Debug, Clone, Args)]
pub struct NullArgs {
    /// Address to listen on; port 0 lets the kernel choose, and the address is printed
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8081")]
    pub listen: SocketAddr,
    /// Cores to serve on: `all`, `physical`, a list such as `0,2-5`
    #[arg(long, value_name = "LIST", default_value = "all")]
    pub cores: CoreSet,
    /// Bytes in the body of every answer, up to 256 MiB
    #[arg(long, value_name = "BYTES", default_value_t = 13, value_parser = value_parser!(u32).range(..=256 << 20))]
    pub body: u32,
    /// Hold each answer back, such as 5ms, exp:5ms, uniform:1ms..9ms or two:1ms..50ms@0.02
    #[arg(long, value_name = "DELAY", value_parser = |text: &str| Delay::parse(text, values::duration))]
    pub delay: Option<Delay>,
    /// What random delays begin with
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Speak TLS, with a certificate that is made on the spot for localhost
    #[arg(long, conflicts_with_all = ["delay", "seed"])]
    pub tls_self_signed: bool,
    /// Speak WebSocket: send each message back
    #[arg(long, conflicts_with_all = ["body", "delay", "seed"])]
    pub websocket: bool,
}

/// Answers every request with the same bytes until SIGINT or SIGTERM; prints one line with the address once it
/// accepts connections.
///
/// # Errors
/// When the cores do not exist or the address cannot be listened on.
pub fn null(args: NullArgs) -> anyhow::Result<Exit> {
    let body = args.body as usize;
    let options = NullOptions { body, delay: args.delay, seed: args.seed };
    let (scheme, server) = match (args.websocket, args.tls_self_signed) {
        (true, true) => ("wss", null_websocket::start(args.listen, args.cores, true)?),
        (true, false) => ("ws", null_websocket::start(args.listen, args.cores, false)?),
        (false, true) => ("https", null_secure::start(args.listen, args.cores, body)?),
        (false, false) => ("http", responder::start(args.listen, args.cores, options)?),
    };
    super::serve::note_driver();
    let line =
        format!("listening on {scheme}://{} on core {}\n", server.address(), format_cpus(server.cpus()));
    // Whoever started this may not want the line; that is no reason to stop serving.
    let _ = io::stdout().lock().write_all(line.as_bytes()).and_then(|()| io::stdout().flush());
    server.join()?;
    Ok(Exit::Success)
}
