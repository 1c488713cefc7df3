//! `covet-bench soak`: a long load, and whether the server leaks.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::exit::{Advice, Exit};
use super::interrupt::Interrupt;
use super::memory::unseen;
use super::output::{OutputFormat, write_out};
use super::pages;
use super::run::explain;
use super::subject_args::SubjectArgs;
use super::values;
use crate::experiment::memory::SHARED_OFTEN;
use crate::experiment::soak::{self, FEWEST, Finding, Growth, Soak, SoakError, Verdict};
use crate::load::{LoadPlan, NoProgress, allowed_cpus};
use crate::record::LoopModel;
use crate::report::Outcome;
use crate::report::quantity::{grouped, range, time};
use crate::verdict::Quantity;
use crate::verdict::quantity::bytes;

/// Options of `covet-bench soak`.
#[derive(Debug, Clone, Args)]
pub struct SoakArgs {
    /// The server.
    #[command(flatten)]
    pub subject: SubjectArgs,
    /// Length of the load in hours, such as 0.5
    #[arg(long, value_parser = hours, conflicts_with = "duration", required_unless_present = "duration")]
    pub hours: Option<Duration>,
    /// Length of the load, such as 90s or 30m
    #[arg(short = 'd', long, value_parser = values::duration)]
    pub duration: Option<Duration>,
    /// Connections, kept open
    #[arg(short = 'c', long, default_value_t = 64)]
    pub connections: usize,
    /// Open loop: requests per second, such as 5k [default: closed, as fast as the server goes]
    #[arg(short = 'R', long, value_parser = values::rate)]
    pub rate: Option<f64>,
    /// Open each connection anew after so many requests, so that what a connection leaves behind is found too
    #[arg(long, value_name = "COUNT")]
    pub requests_per_connection: Option<u64>,
    /// Load before the readings begin
    #[arg(long, default_value = "1s", value_parser = values::duration)]
    pub warmup: Duration,
    /// Growth of memory per hour that is no leak, such as 1MiB
    #[arg(long, value_name = "BYTES", default_value = "1MiB", value_parser = size)]
    pub limit: f64,
    /// Growth of open descriptors per hour that is no leak
    #[arg(long, value_name = "COUNT", default_value_t = 10.0, value_parser = at_least_zero)]
    pub descriptor_limit: f64,
    /// Also write the soak to this file, as a page of HTML with charts; what is there is replaced
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Form of the result on standard output
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub output_format: OutputFormat,
}

fn hours(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is not a number of hours above zero: write 8 or 0.5");
    let hours: f64 = text.parse().map_err(|_| bad())?;
    if !(hours > 0.0 && hours < 1e5) {
        return Err(bad());
    }
    Ok(Duration::from_secs_f64(hours * 3600.0))
}

fn size(text: &str) -> Result<f64, String> {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let bad = || format!("`{text}` is not a size: write 512KiB, 1MiB or 2MB");
    let factor = if unit.is_empty() { 1.0 } else { Quantity::Memory.factor(unit).ok_or_else(bad)? };
    Ok(at_least_zero(number.trim()).map_err(|_| bad())? * factor)
}

fn at_least_zero(text: &str) -> Result<f64, String> {
    let bad = || format!("`{text}` is not a number of zero or more");
    text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0).ok_or_else(bad)
}

/// Loads the server, reads what it has meanwhile, prints the slopes, and exits with [`Exit::Refuted`] on a leak, with
/// [`Exit::Inconclusive`] where a longer soak must decide, and with [`Exit::Invalid`] where a guard of the load failed.
///
/// # Errors
/// When an argument makes no sense, the server cannot be reached or its process not be seen, the soak is too short for
/// a slope, or the server ends or answers nothing.
pub fn soak(args: SoakArgs) -> anyhow::Result<Exit> {
    args.html.as_deref().map(pages::check).transpose()?;
    let chosen = args.subject.choose("/plaintext")?;
    let mut standing = chosen.subject.start()?;
    let pid = standing.pid().ok_or_else(|| unseen(&chosen.subject.describe()))?;
    let length = args.hours.or(args.duration).unwrap_or_default();
    let cpus = if chosen.layout.generator.is_empty() { allowed_cpus() } else { chosen.layout.generator };
    let mut plan = LoadPlan::closed(standing.url().clone(), cpus);
    plan.cpus.truncate(args.connections.max(1));
    plan.connections = args.connections;
    plan.tls = args.subject.secure.options();
    plan.requests_per_connection = args.requests_per_connection;
    plan.warmup = args.warmup;
    plan.extent.duration = Some(length);
    plan.expect.same_length = false;
    if let Some(rate) = args.rate {
        plan.loop_model = LoopModel::Open { rate };
    }
    let soaked = soak::soak(&plan, pid, &Interrupt::beside(&NoProgress));
    if soaked.is_err() {
        standing.check()?;
    }
    let soaked = soaked.map_err(|error| match error {
        SoakError::Load(error) => explain(error.into()),
        other => other.into(),
    })?;
    if let Some(after) = soaked.lost {
        standing.check()?;
        let what = format!("the server, process {pid}, could not be watched any more after {}", time(after));
        return Err(Advice::error(Exit::Runtime, what, "Look at how it ended"));
    }
    standing.check()?;
    if soaked.record.completed == 0 {
        let first = soaked.record.errors.first.clone().unwrap_or_else(|| "no answer".to_owned());
        return Err(Advice::error(
            Exit::Invalid,
            format!("the server answered nothing, so nothing was loaded: {first}"),
            "Load its URL by hand",
        ));
    }
    let Some(memory) = soaked.memory(args.limit) else {
        let made = soaked.record.elapsed;
        let what = format!("{} readings in {} are too few for a slope", soaked.readings.len(), time(made));
        if let Some(why) = soaked.record.aborted {
            eprintln!("covet-bench: {why}: {what}");
            Interrupt::end();
        }
        return Err(Advice::error(
            Exit::Usage,
            what,
            format!("Make it longer: {FEWEST} must be left of them"),
        ));
    };
    let descriptors = soaked.descriptors(args.descriptor_limit);
    let verdict = soaked.verdict([&memory].into_iter().chain(descriptors.as_ref()));
    write_out(&match args.output_format {
        OutputFormat::Text => {
            text(&chosen.subject.describe(), &soaked, &memory, descriptors.as_ref(), verdict)
        }
        OutputFormat::Json => format!(
            "{:#}\n",
            json!({
                "schema": "covet-bench.soak/1",
                "subject": chosen.subject.describe(),
                "duration_s": soaked.record.elapsed.as_secs_f64(),
                "valid": verdict != Verdict::Invalid,
                "checks": soaked.checks(),
                "finding": verdict.finding(),
                "memory": memory,
                "descriptors": descriptors,
                "period_s": soaked.period.as_secs_f64(),
                "shared_pages_once": soaked.shared_pages_once,
                "readings": soaked.readings,
                "run": soaked.record.to_json(),
            })
        ),
    })?;
    if let Some(path) = &args.html {
        pages::write(path, &soaked.to_html(&chosen.subject.describe(), &memory, descriptors.as_ref()))?;
    }
    standing.stop()?;
    Interrupt::end();
    Ok(match verdict {
        Verdict::Invalid => Exit::Invalid,
        Verdict::Found(Finding::Leak) => Exit::Refuted,
        Verdict::Found(Finding::NoLeak) => Exit::Success,
        Verdict::Found(Finding::Undecided) => Exit::Inconclusive,
    })
}

fn text(
    what: &str,
    soaked: &Soak,
    memory: &Growth,
    descriptors: Option<&Growth>,
    verdict: Verdict,
) -> String {
    let record = &soaked.record;
    let mut text = format!(
        "{}  {what}: {} for {}, {} requests answered, {} errors\n",
        verdict.label(),
        match record.conditions.loop_model.rate() {
            Some(rate) => format!("{}/s", grouped(rate)),
            None => format!("{} connections in a closed loop", record.conditions.connections),
        },
        time(record.elapsed),
        grouped(record.completed as f64),
        record.errors.total()
    );
    text.extend(record.aborted.iter().map(|why| format!("  ABORTED     {why}\n")));
    let mut line = |name: &str, growth: &Growth, show: fn(f64) -> String| {
        let _ = writeln!(
            text,
            "  {name:<12}{}  {} at the first reading, {} at the last; {} per hour {}, and up to {} is no leak",
            if verdict == Verdict::Invalid { "not judged" } else { growth.finding.label() },
            show(growth.first),
            show(growth.last),
            show(growth.per_hour),
            range(growth.lower, growth.upper, show),
            show(growth.limit)
        );
    };
    line("memory", memory, bytes);
    match descriptors {
        Some(growth) => line("descriptors", growth, |count| format!("{count:.0}")),
        None => text.push_str("  descriptors could not be seen: run as the server's owner\n"),
    }
    let _ = writeln!(
        text,
        "  Theil-Sen slopes with 95 % intervals over {} readings {} apart, the first fifth left out",
        soaked.settled().len(),
        time(soaked.period)
    );
    if !soaked.shared_pages_once {
        let _ = writeln!(text, "  note: {SHARED_OFTEN}");
    }
    match verdict {
        Verdict::Invalid => {
            text.push_str(
                "  not judged: a check of the load failed, so nothing follows from what the server had\n",
            );
            for check in soaked.checks().iter().filter(|check| check.outcome == Outcome::Failed) {
                let _ = writeln!(text, "  FAILED      {}: {}", check.name, check.detail);
            }
        }
        Verdict::Found(Finding::Undecided) => {
            text.push_str("  undecided: the interval holds the limit; a longer soak makes it narrower\n");
        }
        Verdict::Found(_) => {}
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_hours_come_in_a_human_form() {
        assert_eq!((size("1MiB"), size("2MB"), size("4096")), (Ok(1_048_576.0), Ok(2e6), Ok(4096.0)));
        assert_eq!(hours("0.5"), Ok(Duration::from_secs(1800)));
        for text in ["", "x", "-1MB", "1 parsec", "infMB"] {
            assert!(size(text).is_err(), "{text}");
        }
        for text in ["0", "-1", "x", "inf", "1e9"] {
            assert!(hours(text).is_err(), "{text}");
        }
    }
}
