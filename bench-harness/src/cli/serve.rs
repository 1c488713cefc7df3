//! `covet-bench serve`: the reference service.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use covet_http::server::Config;
use covet_runtime::{CoreSet, DriverKind};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use tracing_subscriber::filter::LevelFilter;

use super::defence::DefenceArgs;
use super::exit::Exit;
use super::sockets::SocketArgs;
use super::tls::{TlsArgs, reload_on_hangup};
use super::turned_away::TurnedAway;
use crate::load::format_cpus;
use crate::target::reference::{self, Routes};
use crate::target::sockets::Sockets;

/// How long what is in flight may take once a signal has come, as the runtime has it.
const SIGNAL_DEADLINE: Duration = Duration::from_secs(30);

/// Options of `covet-bench serve`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "SIGTERM or SIGINT ends it once the requests in flight are answered. It then prints a table on standard error, \
        if there is anything to tell: how many connections, requests and handshakes it turned away or cut off, and why. SIGUSR1 \
        prints that table at once, below the statistics of the cores. SIGHUP reads the files of TLS again."
)]
pub struct ServeArgs {
    /// Where to listen.
    #[command(flatten)]
    pub sockets: SocketArgs,
    /// Cores to serve on: `all`, `physical`, a list such as `0,2-5`
    #[arg(long, value_name = "LIST", default_value = "all")]
    pub cores: CoreSet,
    /// Put so many middleware around the routes, each of which looks at a field of the request and hands it on
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub middleware: u16,
    /// Also answer /panic, whose handler panics: 500, the connection closed, a line of the log, one more in the table
    #[arg(long)]
    pub diagnostics: bool,
    /// TLS.
    #[command(flatten)]
    pub tls: TlsArgs,
    /// Proxies and limits.
    #[command(flatten)]
    pub defence: DefenceArgs,
}

/// Says on standard error when the server is not on the driver that its figures are known for.
pub(super) fn note_driver() {
    if let Ok((DriverKind::Epoll, why)) = DriverKind::expected() {
        let why = why.unwrap_or_default();
        eprintln!("note: serving on epoll, which costs more per request than io_uring: {why}");
    }
}

/// Writes what the server warns of to standard error, a line each: refused connections, descriptors that ran out, failed
/// answers.
fn log_warnings() {
    let log = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::WARN)
        .with_writer(io::stderr)
        .with_ansi(false)
        .with_target(false)
        // Whoever reads it may go, which is no reason to panic.
        .log_internal_errors(false);
    // Within a process that has a log of its own, that one is used.
    let _ = log.try_init();
}

/// The address, or the path of a Unix socket.
fn describe(sockets: &Sockets) -> String {
    match sockets.address() {
        Some(address) => address.to_string(),
        None => format!("unix:{}", sockets.paths().first().map_or("", |path| path.to_str().unwrap_or(""))),
    }
}

/// Serves until SIGINT or SIGTERM, which lets requests in flight finish; prints one line with the address once it
/// accepts connections, and at the end, on standard error, what it turned away or cut off.
///
/// # Errors
/// When the cores do not exist, the address cannot be listened on, or a limit is too low.
pub fn serve(args: ServeArgs) -> anyhow::Result<Exit> {
    let cores = args.cores;
    let https = args.tls.https(args.sockets.listen.ip())?;
    let mut config = Config { tls: https.as_ref().map(|https| https.config.clone()), ..Config::default() };
    args.defence.apply(&mut config);
    // From before it listens: whoever sees that it does may end it at once, and it shall end as later.
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register(signal, ended.clone()).context("signals cannot be heard")?;
    }
    let opened = args.sockets.open(&cores)?;
    let place = describe(&opened.sockets);
    let counts = config.counts.clone();
    let turned_away = TurnedAway::of(&counts);
    let routes = Routes { middleware: args.middleware, diagnostics: args.diagnostics };
    let service = reference::start(opened.sockets.clone(), cores.clone(), config, routes)?;
    // By now the service hears of signals by itself.
    if ended.load(Ordering::Acquire) {
        service.shutdown_handle().shutdown(SIGNAL_DEADLINE);
    }
    let redirect = args.tls.start_redirect(cores, service.address().port(), counts)?;
    turned_away.print_on_signal(service.stats_handle())?;
    if let Some(https) = &https {
        reload_on_hangup(https.config.clone())?;
    }
    note_driver();
    let scheme = if https.is_some() { "https" } else { "http" };
    let mut line = format!("listening on {scheme}://{place} on core {}\n", format_cpus(service.cpus()));
    let standing = opened.serving(&service)?;
    // What has been said so far, the line of a failed start and the note above say better.
    log_warnings();
    if let Some(redirect) = &redirect {
        line.push_str(&format!("redirecting http://{} to HTTPS\n", redirect.address()));
    }
    if let Some(note) = https.and_then(|https| https.note) {
        line.push_str(&format!("{note}\n"));
    }
    // Whoever started us may not want the line; that is no reason to stop serving.
    let _ = io::stdout().lock().write_all(line.as_bytes()).and_then(|()| io::stdout().flush());
    service.join()?;
    drop(standing);
    redirect.map_or(Ok(()), |redirect| redirect.join())?;
    turned_away.print();
    Ok(Exit::Success)
}
