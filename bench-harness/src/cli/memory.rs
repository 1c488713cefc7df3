//! `covet-bench memory`: what a server takes with connections open.

use std::fmt::Write as _;

use clap::Args;
use serde_json::json;

use super::exit::{Advice, Exit};
use super::output::{OutputFormat, write_out};
use super::subject_args::SubjectArgs;
use super::values;
use crate::experiment::memory::{self, Memory, SHARED_OFTEN};
use crate::stats::{Interval, LEVEL};
use crate::verdict::quantity::bytes;

/// Options of `covet-bench memory`.
#[derive(Debug, Clone, Args)]
pub struct MemoryArgs {
    /// The server.
    #[command(flatten)]
    pub subject: SubjectArgs,
    /// Connections, each of which makes one request and then waits
    #[arg(short = 'c', long, value_name = "COUNT", default_value = "10k", value_parser = count)]
    pub connections: usize,
    /// Measure so often, with the server started anew where it can be
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub repeats: u16,
    /// Form of the result on standard output
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub output_format: OutputFormat,
}

fn count(text: &str) -> Result<usize, String> {
    let count = values::rate(text)?;
    match count {
        count if count.fract() != 0.0 => Err(format!("`{text}` is not a whole number")),
        count if count > 10_000_000.0 => Err("more than ten million".to_owned()),
        count => Ok(count as usize),
    }
}

/// Reads the server's memory and prints it.
///
/// # Errors
/// When an argument makes no sense, the server cannot be reached or its process not be seen, or a limit on open files
/// or ports is in the way: the error names it.
pub fn memory(args: MemoryArgs) -> anyhow::Result<Exit> {
    let chosen = args.subject.choose("/plaintext")?;
    let mut runs: Vec<Memory> = Vec::new();
    for _ in 0..args.repeats {
        let standing = chosen.subject.start()?;
        let pid = standing.pid().ok_or_else(|| unseen(&chosen.subject.describe()))?;
        runs.push(memory::measure(standing.url(), pid, args.connections)?);
        standing.stop()?;
    }
    let held: Vec<f64> = runs.iter().map(|run| run.with_connections as f64).collect();
    let interval = Interval::of_runs(&held, LEVEL).ok();
    let restarted = chosen.subject.restarts();
    write_out(&match args.output_format {
        OutputFormat::Json => format!(
            "{:#}\n",
            json!({
                "schema": "covet-bench.memory/1",
                "subject": chosen.subject.describe(),
                "connections": args.connections,
                "restarted": restarted,
                "resident_bytes": interval,
                "runs": runs,
            })
        ),
        OutputFormat::Text => text(&chosen.subject.describe(), restarted, &runs, interval.as_ref()),
    })?;
    Ok(Exit::Success)
}

pub(super) fn unseen(what: &str) -> anyhow::Error {
    Advice::error(
        Exit::Usage,
        format!("the process of {what} is not known, so nothing is known of its memory"),
        "Give its --pid, or start it with --server-cmd",
    )
}

fn text(what: &str, restarted: bool, runs: &[Memory], interval: Option<&Interval>) -> String {
    let mut text = format!(
        "{what}: resident memory with {} idle connections, each with a request answered\n",
        runs.first().map_or(0, |run| run.connections)
    );
    for run in runs {
        let _ = writeln!(
            text,
            "  before {}, with connections {}, after {}: {} a connection",
            bytes(run.before as f64),
            bytes(run.with_connections as f64),
            bytes(run.after as f64),
            bytes(run.per_connection())
        );
    }
    if let Some(interval) = interval {
        let _ = writeln!(
            text,
            "  mean {} [{}, {}]  95 % interval of {} runs, {}",
            bytes(interval.estimate),
            bytes(interval.lower),
            bytes(interval.upper),
            interval.runs,
            if restarted { "each of a new process" } else { "all of one process" }
        );
    }
    if !restarted && runs.len() > 1 {
        text.push_str(
            "  note: a process keeps memory that it once took, so the first line alone says what a connection takes; \
             --server-cmd starts it anew for each\n",
        );
    }
    if !runs.iter().all(|run| run.shared_pages_once) {
        let _ = writeln!(text, "  note: {SHARED_OFTEN}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upper_bound_is_said_to_be_one() {
        let run = Memory {
            connections: 10,
            before: 1_000_000,
            with_connections: 2_000_000,
            after: 1_000_000,
            shared_pages_once: true,
        };
        let said = text("a server", true, &[run], None);
        assert!(said.contains("100 kB a connection") && !said.contains("note:"), "{said}");
        let again = text("a server", false, &[run, run], None);
        assert!(again.contains("note: a process keeps memory that it once took"), "{again}");
        assert!(!text("a server", true, &[run, run], None).contains("note:"));
        let said = text("a server", true, &[run, Memory { shared_pages_once: false, ..run }], None);
        assert!(said.ends_with("smaps_rollup): the memory is an upper bound\n"), "{said}");
    }

    #[test]
    fn connections_are_whole_and_some() {
        assert_eq!((count("10k"), count("250")), (Ok(10_000), Ok(250)));
        for text in ["0", "1.5", "-3", "many", "1e9", "20m"] {
            assert!(count(text).is_err(), "{text}");
        }
    }
}
