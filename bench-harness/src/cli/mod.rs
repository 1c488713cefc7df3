//! The command line: one file for each subcommand, and one way for all of them to fail.
//!
//! Without a subcommand `covet-bench` does its main job ([`main_job`]).

pub mod ab;
mod bundles;
pub mod compare;
pub mod compat;
pub mod defence;
pub mod exit;
pub mod export;
mod fish;
mod heat;
pub mod import;
mod interrupt;
mod keep;
#[cfg(feature = "tui")]
mod live;
pub mod load_args;
pub mod main_job;
pub mod manual;
pub mod memory;
pub mod merge;
pub mod null;
pub mod output;
pub mod overhead;
mod pages;
pub mod peers;
pub mod plan;
pub mod run;
pub mod scenario;
pub mod search;
pub mod secure;
pub mod selfcheck;
pub mod serve;
mod signals;
pub mod slow_clients;
pub mod soak;
pub mod sockets;
pub mod subject_args;
pub mod tls;
mod turned_away;
mod usage;
pub mod values;
pub mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use exit::{Advise, Exit};

/// The arguments of `covet-bench`.
#[derive(Debug, Parser)]
#[command(
    name = "covet-bench",
    version,
    about = "Measures HTTP servers and judges claims about their speed",
    long_about = "Measures HTTP servers and judges claims about their speed.\n\n\
        Without a subcommand: measures the claim in claims/covetpy.toml in every layer that it was read in \
        (about 30 seconds), prints a verdict table and the latency percentiles, and writes an HTML and a \
        JSON report.",
    after_help = "Exit status: 0 success, 1 runtime error, 2 usage, 95 not reproducible on this hardware, \
        96 mis-specified claim, 97 invalid measurement, 98 inconclusive, 99 refuted or a threshold failed. \
        The main job exits 0 once it has measured every layer, whatever the verdicts, and 98 when a layer could not be \
        measured (one core only); `verify` exits with the verdict.",
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// What to do; the main job when absent.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of the main job.
    #[command(flatten)]
    pub main_job: main_job::MainJobArgs,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the reference service (/plaintext, /json, /user/{id}, /echo, ...)
    Serve(serve::ServeArgs),
    /// Serve a do-nothing responder: the ceiling that a generator is checked against
    Null(null::NullArgs),
    /// Load an HTTP/1.1 server, closed loop, or open loop with --rate
    Run(Box<run::RunArgs>),
    /// Compare two servers in interleaved pairs of runs
    Ab(Box<ab::AbArgs>),
    /// Find the highest rate at which objectives such as p99<5ms hold
    Max(Box<search::MaxArgs>),
    /// Load a server at several rates: latency over rate, and its knee
    Rate(Box<search::RateArgs>),
    /// Check the instrument itself against what is known beforehand
    Selfcheck(selfcheck::SelfcheckArgs),
    /// Run a command line of wrk, oha, hey or ab
    Compat(compat::CompatArgs),
    /// Measure peer servers and Covet side by side, interleaved
    Peers(peers::PeersArgs),
    /// Say how many runs of what length a question takes, from how much runs vary
    Plan(plan::PlanArgs),
    /// Compare two run bundles, offline, and check gates
    Compare(compare::CompareArgs),
    /// Print a run bundle as JUnit XML, Markdown, OpenMetrics or OTLP, and check thresholds
    Export(export::ExportArgs),
    /// Make a run bundle of what wrk, wrk2, oha, k6, h2load, vegeta or an HDR log says
    Import(import::ImportArgs),
    /// Put run bundles together: generators of one load, or repeats
    Merge(merge::MergeArgs),
    /// Measure what clients that never finish a request cost the others
    SlowClients(slow_clients::SlowClientsArgs),
    /// Read a server's memory with so many connections open, each with a request answered
    Memory(memory::MemoryArgs),
    /// Measure what a part of a service costs, with and without it in interleaved pairs
    Overhead(overhead::OverheadArgs),
    /// Load a server for long, and judge whether its memory or descriptors leak
    Soak(Box<soak::SoakArgs>),
    /// Judge a claim file on any server, with the verdict as the exit status
    Verify(Box<main_job::VerifyArgs>),
    /// Generate load at the word of a master of Locust, driven from its web page
    Worker(Box<worker::WorkerArgs>),
    /// Write manual pages into a directory
    Man(manual::ManArgs),
    /// Print a script that makes a shell complete the command line
    Completions(manual::CompletionsArgs),
}

/// Parses the process's arguments, does what they ask, and returns the exit status.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::refuse(&error),
    };
    let listening =
        if cli.command.as_ref().is_none_or(Command::measures) { interrupt::listen() } else { Ok(()) };
    match listening.and_then(|()| obey(cli)) {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("{}", exit::error_line(&error));
            exit::status_of(&error).into()
        }
    }
}

impl Command {
    /// Whether it makes a measurement, which takes a while, with other processes, and in which a signal is told of.
    fn measures(&self) -> bool {
        match self {
            Command::Run(_) | Command::Ab(_) | Command::Max(_) | Command::Rate(_) => true,
            Command::Selfcheck(_) | Command::Compat(_) | Command::Peers(_) | Command::SlowClients(_) => true,
            Command::Memory(_) | Command::Overhead(_) | Command::Soak(_) | Command::Verify(_) => true,
            // These end in their own way at a signal.
            Command::Serve(_) | Command::Null(_) | Command::Worker(_) => false,
            Command::Plan(_) | Command::Compare(_) | Command::Export(_) | Command::Import(_) => false,
            Command::Merge(_) | Command::Man(_) | Command::Completions(_) => false,
        }
    }
}

fn obey(cli: Cli) -> anyhow::Result<Exit> {
    match cli.command {
        None => main_job::main_job(cli.main_job),
        Some(Command::Serve(args)) => serve::serve(args),
        Some(Command::Null(args)) => null::null(args),
        Some(Command::Run(args)) => run::run(*args),
        Some(Command::Ab(args)) => ab::ab(*args),
        Some(Command::Max(args)) => search::max(*args),
        Some(Command::Rate(args)) => search::rate(*args),
        Some(Command::Selfcheck(args)) => selfcheck::selfcheck(args),
        Some(Command::Compat(args)) => compat::compat(args),
        Some(Command::Peers(args)) => peers::peers(args),
        Some(Command::Plan(args)) => plan::plan_runs(args),
        Some(Command::Compare(args)) => compare::compare(args),
        Some(Command::Export(args)) => export::export(args),
        Some(Command::Import(args)) => import::import(args),
        Some(Command::Merge(args)) => merge::merge(args),
        Some(Command::SlowClients(args)) => slow_clients::slow_clients(args),
        Some(Command::Memory(args)) => memory::memory(args),
        Some(Command::Overhead(args)) => overhead::overhead(args),
        Some(Command::Soak(args)) => soak::soak(*args),
        Some(Command::Verify(args)) => main_job::verify(*args),
        Some(Command::Worker(args)) => worker::worker(*args),
        Some(Command::Man(args)) => manual::man(args),
        Some(Command::Completions(args)) => manual::completions(args),
    }
}
