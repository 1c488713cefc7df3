//! `covet-bench ab`: two servers side by side.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde_json::json;

use super::exit::{Advice, Exit};
use super::load_args::LoadArgs;
use super::output::{OutputFormat, on_terminal, write_out};
use super::pages;
use super::run::explain;
use crate::experiment::ServerCommand;
use crate::experiment::ab::{self, Comparison, Finding, Pairs, Side};
use crate::load::NoProgress;

/// Options of `covet-bench ab`.
#[derive(Debug, Clone, Args)]
pub struct AbArgs {
    /// URL of the first server
    #[arg(long, value_name = "URL")]
    pub a: String,
    /// URL of the second server; with --aa the first is compared with itself
    #[arg(long, value_name = "URL", required_unless_present = "aa", conflicts_with = "aa")]
    pub b: Option<String>,
    /// Compare A with itself, to learn what difference this machine makes of none
    #[arg(long)]
    pub aa: bool,
    /// Shell command that starts A at its address, anew for each of its runs
    #[arg(long, value_name = "COMMAND", value_parser = NonEmptyStringValueParser::new())]
    pub a_cmd: Option<String>,
    /// Shell command that starts B at its address, anew for each of its runs
    #[arg(long, value_name = "COMMAND", value_parser = NonEmptyStringValueParser::new())]
    pub b_cmd: Option<String>,
    /// Pairs of runs, in blocks of ABBA or BAAB
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(2..=1000))]
    pub pairs: u16,
    /// Make the two runs of a pair at the same time, each on half of the generator's CPUs, instead of one after the other
    #[arg(long)]
    pub simultaneous: bool,
    /// The difference that is none, such as 2%
    #[arg(long, value_name = "SHARE", default_value = "2%", value_parser = share)]
    pub equivalence: f64,
    /// The load, the same on both sides.
    #[command(flatten)]
    pub load: LoadArgs,
    /// Also write the comparison to this file, as a page of HTML with charts; what is there is replaced
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Form of the result on standard output
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub output_format: OutputFormat,
}

/// Parses `2%` or `0.02`.
///
/// # Errors
/// A sentence for the terminal.
pub fn share(text: &str) -> Result<f64, String> {
    let value = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => text.parse(),
    };
    let bad = || format!("`{text}` is not a share: write 2% or 0.02");
    value.ok().filter(|value| (0.0..1.0).contains(value)).ok_or_else(bad)
}

/// Compares the servers, prints the ratios and exits with [`Exit::Refuted`] where B is worse, with
/// [`Exit::Inconclusive`] where nothing is decided, and with [`Exit::Invalid`] where a run failed a guard.
///
/// # Errors
/// When an argument makes no sense, or a server cannot be reached or started.
pub fn ab(args: AbArgs) -> anyhow::Result<Exit> {
    args.html.as_deref().map(pages::check).transpose()?;
    let side = |url: &str, command: &Option<String>| -> anyhow::Result<Side> {
        let plan = args.load.plan(url)?;
        let cpus = plan.server_cpus.clone();
        let server = command.as_ref().map(|command| ServerCommand { command: command.clone(), cpus });
        Ok(Side { plan, server })
    };
    let a = side(&args.a, &args.a_cmd)?;
    let b = match &args.b {
        Some(url) => side(url, &args.b_cmd)?,
        None => a.clone(),
    };
    let (count, seed) = (usize::from(args.pairs), args.load.seed);
    let pairs = match args.simultaneous {
        true => ab::compare_at_once(&a, &b, count, seed),
        false => ab::compare(&a, &b, count, seed, false, &NoProgress),
    };
    let pairs = pairs.map_err(explain)?;
    let mut comparisons = Vec::new();
    for metric in pairs.metrics() {
        let nothing = |error| {
            Advice::error(
                Exit::Invalid,
                format!("{} cannot be compared: {error}", metric.name()),
                "Run longer",
            )
        };
        comparisons.push(pairs.comparison(metric, args.equivalence).map_err(nothing)?);
    }
    write_out(&match args.output_format {
        OutputFormat::Text => on_terminal(text(&args, &pairs, &comparisons)),
        OutputFormat::Json => format!(
            "{:#}\n",
            json!({
                "schema": "covet-bench.ab/1",
                "valid": pairs.is_valid(),
                "same": args.aa,
                "pairs": args.pairs,
                "margin": args.equivalence,
                "comparisons": comparisons,
                "shift": pairs.shift(),
                "a": pairs.a.iter().map(|run| run.to_json()).collect::<Vec<_>>(),
                "b": pairs.b.iter().map(|run| run.to_json()).collect::<Vec<_>>(),
            })
        ),
    })?;
    if let Some(path) = &args.html {
        let b = args.b.as_deref().unwrap_or("itself");
        pages::write(path, &pairs.to_html([&args.a, b], &comparisons, args.equivalence))?;
    }
    Ok(exit(&args, &pairs, &comparisons))
}

fn exit(args: &AbArgs, pairs: &Pairs, comparisons: &[Comparison]) -> Exit {
    let any = |finding| comparisons.iter().any(|comparison| comparison.finding == finding);
    match () {
        () if !pairs.is_valid() || comparisons.is_empty() => Exit::Invalid,
        () if args.aa => Exit::Success,
        () if any(Finding::Worse) => Exit::Refuted,
        () if comparisons[0].finding == Finding::Inconclusive => Exit::Inconclusive,
        () => Exit::Success,
    }
}

fn text(args: &AbArgs, pairs: &Pairs, comparisons: &[Comparison]) -> String {
    let validity = if pairs.is_valid() { "" } else { "INVALID  " };
    let b = args.b.as_deref().unwrap_or("itself");
    let mut text = format!(
        "{validity}{b} over {}: {} pairs of runs, {}; a difference below {:.1} % is none\n",
        args.a,
        args.pairs,
        if args.simultaneous { "each at once" } else { "interleaved" },
        args.equivalence * 100.0
    );
    let _ = writeln!(text, "  {}", pairs.conditions());
    for comparison in comparisons {
        let ratio = comparison.ratio;
        let _ = writeln!(
            text,
            "  {:<6} x{:.4} [{:.4}, {:.4}]  {}; pairs differ by up to {:.1} %",
            comparison.metric,
            ratio.estimate,
            ratio.lower,
            ratio.upper,
            comparison.finding,
            comparison.spread * 100.0
        );
    }
    let floor = comparisons.iter().map(|comparison| comparison.spread).fold(0.0, f64::max);
    if args.aa {
        let _ = writeln!(
            text,
            "  this machine makes differences of up to {:.1} % between equals: single pairs prove nothing below that",
            floor * 100.0
        );
    }
    for (name, runs) in [("A", &pairs.a), ("B", &pairs.b)] {
        for (number, run) in runs.iter().enumerate().filter(|(_, run)| !run.is_valid()) {
            let failed =
                run.guards().into_iter().filter(|guard| guard.outcome == crate::record::GuardOutcome::Failed);
            for guard in failed {
                let _ = writeln!(
                    text,
                    "  FAILED      {name} run {}: {}: {}",
                    number + 1,
                    guard.name,
                    guard.detail
                );
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_come_with_or_without_a_sign() {
        assert_eq!((share("2%"), share("0.02")), (Ok(0.02), Ok(0.02)));
        for text in ["", "x", "-1%", "100%", "1"] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
