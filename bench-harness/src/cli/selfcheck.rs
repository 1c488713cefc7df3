//! `covet-bench selfcheck`: the instrument against what is known beforehand.

use std::fmt::Write as _;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde_json::json;

use super::exit::{Advice, Exit};
use super::output::{OutputFormat, write_out};
use crate::experiment::selfcheck::{self, Bench, Check, Finding};
use crate::load::{allowed_cpus, parse_cpus};

/// Options of `covet-bench selfcheck`.
#[derive(Debug, Clone, Args)]
pub struct SelfcheckArgs {
    /// What to check [default: all]
    #[arg(value_enum)]
    pub checks: Vec<CheckName>,
    /// A quarter of the time, with wider tolerances
    #[arg(long)]
    pub short: bool,
    /// CPUs of the generator [default: the upper half]
    #[arg(long, value_name = "LIST")]
    pub cpus: Option<String>,
    /// CPUs of the servers [default: the lower half]
    #[arg(long, value_name = "LIST")]
    pub server_cpus: Option<String>,
    /// Form of the result on standard output
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub output_format: OutputFormat,
}

/// The name of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckName {
    /// The clock that everything is timed with
    Clock,
    /// The punctuality of the generator at 50,000 requests/s
    Timers,
    /// Coordinated omission: a server that freezes, and a generator that does
    Co,
    /// Known delays and a known capacity are recovered
    Ceiling,
    /// Comparisons of equals find a difference as often as the level says
    Stats,
    /// All of them
    All,
}

impl CheckName {
    fn checks(self) -> Vec<Check> {
        match self {
            Self::Clock => vec![Check::Clock],
            Self::Timers => vec![Check::Timers],
            Self::Co => vec![Check::Omission],
            Self::Ceiling => vec![Check::Ceiling],
            Self::Stats => vec![Check::Stats],
            Self::All => Check::ALL.to_vec(),
        }
    }
}

/// Makes the checks, prints what they found, and exits with [`Exit::Invalid`] where something disagrees, or with
/// [`Exit::Inconclusive`] where the machine was too noisy to tell.
///
/// # Errors
/// When a check cannot be made: no CPUs, no port, no program.
pub fn selfcheck(args: SelfcheckArgs) -> anyhow::Result<Exit> {
    let list = |text: &Option<String>| {
        let parsed = text.as_deref().map(parse_cpus).transpose();
        parsed.map_err(|error| Advice::error(Exit::Usage, error.to_string(), "See --help"))
    };
    let allowed = allowed_cpus();
    let half = allowed.len() / 2;
    let bench = Bench {
        program: std::env::current_exe().context("this program's own path is not known")?,
        generator: list(&args.cpus)?.unwrap_or_else(|| allowed[half..].to_vec()),
        server: list(&args.server_cpus)?.unwrap_or_else(|| allowed[..half.max(1)].to_vec()),
        short: args.short,
    };
    let mut checks: Vec<Check> = args.checks.iter().flat_map(|name| name.checks()).collect();
    if checks.is_empty() {
        checks = Check::ALL.to_vec();
    }
    let mut done = Vec::with_capacity(checks.len());
    for check in checks {
        done.push((check.name(), selfcheck::run(check, &bench)?));
    }
    let agrees = done.iter().all(|(_, findings)| findings.iter().all(|finding| finding.agrees));
    write_out(&match args.output_format {
        OutputFormat::Text => text(&done),
        OutputFormat::Json => {
            let checks: serde_json::Map<String, serde_json::Value> =
                done.iter().map(|(name, findings)| ((*name).to_owned(), json!(findings))).collect();
            format!(
                "{:#}\n",
                json!({ "schema": "covet-bench.selfcheck/1", "agrees": agrees, "checks": checks })
            )
        }
    })?;
    let disagrees = done.iter().any(|(_, findings)| findings.iter().any(Finding::disagrees));
    Ok(match (agrees, disagrees) {
        (true, _) => Exit::Success,
        (false, true) => Exit::Invalid,
        (false, false) => Exit::Inconclusive,
    })
}

fn text(done: &[(&'static str, Vec<Finding>)]) -> String {
    let mut text = String::new();
    for (name, findings) in done {
        let verdict = match findings.iter().any(Finding::disagrees) {
            true => "DISAGREES",
            false if findings.iter().all(|finding| finding.agrees) => "agrees",
            false => "cannot tell: the machine is too noisy",
        };
        let _ = writeln!(text, "{name:<8} {verdict}");
        for finding in findings {
            let mark = match (finding.agrees, &finding.noise) {
                (true, _) => " ",
                (false, None) => "!",
                (false, Some(_)) => "?",
            };
            let _ =
                writeln!(text, "  {mark} {}: {}, expected {}", finding.what, finding.found, finding.expected);
            if let Some(noise) = &finding.noise {
                let _ = writeln!(text, "      {noise}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_told_apart_from_a_fault() {
        let finding = |agrees, noise: Option<&str>| Finding {
            what: "p98".to_owned(),
            expected: "20 ms".to_owned(),
            found: "65 ms".to_owned(),
            agrees,
            noise: noise.map(str::to_owned),
        };
        let said = |findings| text(&[("ceiling", findings)]);
        assert!(said(vec![finding(true, None)]).starts_with("ceiling  agrees"));
        let noisy = said(vec![finding(true, None), finding(false, Some("the CPU was busy"))]);
        assert!(noisy.starts_with("ceiling  cannot tell: the machine is too noisy"), "{noisy}");
        assert!(noisy.contains("  ? p98: 65 ms, expected 20 ms\n      the CPU was busy\n"), "{noisy}");
        let faulty = said(vec![finding(false, Some("busy")), finding(false, None)]);
        assert!(faulty.starts_with("ceiling  DISAGREES"), "{faulty}");
    }
}
