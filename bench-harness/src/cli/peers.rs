//! `covet-bench peers`: peer servers and Covet's reference service, measured in turns.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::exit::{Advice, Exit};
use super::output::OutputFormat;
use super::values;
use crate::load::{allowed_cpus, format_cpus};
use crate::quantity::time;
use crate::record::{cpu_model, kernel_release};
use crate::target::peers::build::build;
use crate::target::peers::contest::{Contest, Contestant};
use crate::target::peers::mode::Mode;
use crate::target::peers::pace::Pace;
use crate::target::peers::table::{Absent, Table};
use crate::target::peers::{self, Peer};

/// Options of `covet-bench peers`.
#[derive(Debug, Clone, Args)]
pub struct PeersArgs {
    /// Peers to measure beside Covet [default: all of them]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub peers: Vec<String>,
    /// Loads: c64 is 64 connections with one request at a time, p64 has 16 in flight on each, p64x8 has 8
    #[arg(long, value_name = "MODES", value_delimiter = ',', default_value = "c64,p64,c512")]
    pub modes: Vec<Mode>,
    /// Rounds; each one measures every server once, in a new order
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// Measured time of one run
    #[arg(short = 'd', long, visible_alias = "secs", default_value = "4s", value_parser = values::duration)]
    pub duration: Duration,
    /// Load before each measured run, which does not count
    #[arg(long, default_value = "500ms", value_parser = values::duration)]
    pub warmup: Duration,
    /// How often a run that something else on the machine disturbed is made again
    #[arg(long, default_value_t = 1)]
    pub retries: usize,
    /// What to ask for: /plaintext, /json or /user/ID
    #[arg(long, default_value = "/plaintext")]
    pub path: String,
    /// Cores of each server, from the first one; the generator has the others
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub server_cores: usize,
    /// What decides the order of the rounds
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The peers' workspace [default: bench-harness/peers beside the sources of this program]
    #[arg(long, value_name = "DIR")]
    pub workspace: Option<PathBuf>,
    /// Where the peers are built [default: target in their workspace]
    #[arg(long, value_name = "DIR")]
    pub target_dir: Option<PathBuf>,
    /// Form of the result on standard output
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub output_format: OutputFormat,
}

/// Builds, starts and measures the peers and prints the table.
///
/// # Errors
/// When a peer's name is unknown, there are fewer than two cores, or Covet itself could not be measured.
pub fn peers(args: PeersArgs) -> anyhow::Result<Exit> {
    let selected = peers::select(&args.peers).map_err(|unknown| {
        let names: Vec<&str> = peers::ALL.iter().map(|peer| peer.name).collect();
        Advice::error(
            Exit::Usage,
            format!("no peer is named {unknown}"),
            format!("Choose among {}", names.join(", ")),
        )
    })?;
    if args.rounds == 0 || args.duration.is_zero() {
        return Err(Advice::error(Exit::Usage, "nothing would be measured", "Ask for a round and some time"));
    }
    if !args.path.starts_with('/') {
        let what = format!("--path {:?} is no path", args.path);
        return Err(Advice::error(Exit::Usage, what, "Write /plaintext, /json or /user/ID"));
    }
    if let Some(folder) = args.workspace.as_deref().filter(|folder| !folder.join("Cargo.toml").is_file()) {
        let what = format!("--workspace {} holds no Cargo.toml", folder.display());
        return Err(Advice::error(Exit::Usage, what, "Give the folder bench-harness/peers of a checkout"));
    }
    let (server_cpus, generator_cpus) = split_cpus(allowed_cpus(), args.server_cores)?;
    let (mut contestants, absent) = enlist(&selected, &args)?;
    contestants.insert(0, covet(&server_cpus)?);
    let contest =
        Contest { contestants, modes: args.modes.clone(), rounds: args.rounds, server_cpus, seed: args.seed };
    let mut pace = Pace {
        path: args.path.clone(),
        cpus: generator_cpus,
        server_cpus: contest.server_cpus.clone(),
        warmup: args.warmup,
        duration: args.duration,
        retries: args.retries,
        runs: args.rounds * contest.contestants.len() * args.modes.len(),
        done: 0,
    };
    let entries = contest.run(&mut pace);
    let table = Table {
        contestants: &contest.contestants,
        entries: &entries,
        absent: &absent,
        conditions: conditions(&args, &pace),
        conditions_text: conditions_text(&args, &pace),
    };
    match args.output_format {
        OutputFormat::Text => print!("{}", table.text()),
        OutputFormat::Json => println!("{:#}", table.json()),
    }
    let measured = entries.iter().any(|entry| !entry.samples.is_empty());
    Ok(if measured { Exit::Success } else { Exit::Runtime })
}

/// The first CPUs for the server, the rest for the generator.
pub(super) fn split_cpus(mut cpus: Vec<usize>, servers: usize) -> anyhow::Result<(Vec<usize>, Vec<usize>)> {
    if servers == 0 || servers >= cpus.len() {
        let what = format!(
            "{servers} core(s) for the server leave none for the generator: there are {}",
            cpus.len()
        );
        return Err(Advice::error(
            Exit::Usage,
            what,
            "Use --server-cores 1 on a machine with two cores or more",
        ));
    }
    let generator = cpus.split_off(servers);
    Ok((cpus, generator))
}

fn enlist(selected: &[Peer], args: &PeersArgs) -> anyhow::Result<(Vec<Contestant>, Vec<Absent>)> {
    let workspace = args.workspace.clone().unwrap_or_else(peers::workspace);
    let target = args.target_dir.clone().unwrap_or_else(|| workspace.join("target"));
    let target = std::path::absolute(target)?;
    let (mut contestants, mut absent) = (Vec::new(), Vec::new());
    for (number, &peer) in selected.iter().enumerate() {
        eprintln!("building {} ({} of {})", peer.name, number + 1, selected.len());
        match build(peer, &workspace, &target) {
            Ok(executable) => contestants.push(contestant(peer, executable, args.server_cores)),
            Err(error) => {
                let reason = super::exit::error_line(&anyhow::Error::new(error));
                let reason = reason.trim_start_matches("covet-bench: ").to_owned();
                eprintln!("{} is left out: {reason}", peer.name);
                absent.push(Absent { name: peer.name.to_owned(), reason });
            }
        }
    }
    Ok((contestants, absent))
}

fn contestant(peer: Peer, executable: PathBuf, cores: usize) -> Contestant {
    Contestant {
        name: peer.name.to_owned(),
        about: peer.about.to_owned(),
        launch: Box::new(move |port| {
            let mut command = Command::new(&executable);
            command.args(["--port", &port.to_string(), "--cores", &cores.to_string()]);
            command
        }),
    }
}

fn covet(cpus: &[usize]) -> anyhow::Result<Contestant> {
    let executable: PathBuf = std::env::current_exe()?;
    let cores = format_cpus(cpus);
    Ok(Contestant {
        name: "covet".to_owned(),
        about: "the reference service".to_owned(),
        launch: Box::new(move |port| serve_command(&executable, port, &cores)),
    })
}

fn serve_command(executable: &Path, port: u16, cores: &str) -> Command {
    let mut command = Command::new(executable);
    command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--cores", cores]);
    command
}

fn conditions(args: &PeersArgs, pace: &Pace) -> serde_json::Value {
    json!({
        "path": args.path,
        "loop": "closed",
        "protocol": "HTTP/1.1 keep-alive on loopback",
        "rounds": args.rounds,
        "duration_s": args.duration.as_secs_f64(),
        "warmup_s": args.warmup.as_secs_f64(),
        "seed": args.seed,
        "server_cpus": pace.server_cpus,
        "generator_cpus": pace.cpus,
        "kernel": kernel_release(),
        "cpu_model": cpu_model(),
    })
}

fn conditions_text(args: &PeersArgs, pace: &Pace) -> String {
    format!(
        "GET {} over HTTP/1.1 keep-alive on loopback, closed loop; {} round(s) of {} after {} of warm-up, order \
         shuffled (seed {}).\nServer on core {}, generator on core {}; Linux {}, {}.\nMedians over the rounds; ratios \
         within each round, then their median. CPU is the server's own, from the scheduler's books;\nwhere the load's \
         CPU is near 100 %, the generator was the limit of the rate, and CPU per request is the figure to compare.",
        args.path,
        args.rounds,
        time(args.duration),
        time(args.warmup),
        args.seed,
        format_cpus(&pace.server_cpus),
        format_cpus(&pace.cpus),
        kernel_release(),
        cpu_model(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_and_generator_never_share_a_core() {
        let (server, generator) = split_cpus(vec![0, 2, 3], 1).expect("three cores are enough");
        assert_eq!((server, generator), (vec![0], vec![2, 3]));
        assert!(split_cpus(vec![0], 1).is_err());
        assert!(split_cpus(vec![0, 1], 2).is_err());
        assert!(split_cpus(vec![0, 1], 0).is_err());
    }
}
