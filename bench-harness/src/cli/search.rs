//! `covet-bench max` and `covet-bench rate`: how much a server takes.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::exit::{Advice, Exit};
use super::load_args::LoadArgs;
use super::output::{OutputFormat, write_out};
use super::run::explain;
use super::{ab::share, values};
use crate::experiment::search::{Found, Search};
use crate::experiment::slo::Slo;
use crate::experiment::sweep::{self, Sweep};
use crate::load::NoProgress;
use crate::quantity::{seconds, time};

/// Options of `covet-bench max`.
#[derive(Debug, Clone, Args)]
pub struct MaxArgs {
    /// What to load
    pub url: String,
    /// What must hold, such as 'p99<5ms,errors<0.1%'
    #[arg(long, value_name = "OBJECTIVES")]
    pub slo: String,
    /// The lowest rate to try
    #[arg(long, value_name = "RATE", default_value = "100", value_parser = values::rate)]
    pub min: f64,
    /// The highest rate to try
    #[arg(long, value_name = "RATE", default_value = "10m", value_parser = values::rate)]
    pub max: f64,
    /// How close to come, such as 2%
    #[arg(long, value_name = "SHARE", default_value = "2%", value_parser = share)]
    pub precision: f64,
    /// The load; --duration is that of one attempt, 3 s by default.
    #[command(flatten)]
    pub load: LoadArgs,
    /// Form of the result on standard output
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub output_format: OutputFormat,
}

/// Options of `covet-bench rate`.
#[derive(Debug, Clone, Args)]
pub struct RateArgs {
    /// What to load
    pub url: String,
    /// The rates, such as 10k,20k,40k
    #[arg(long, value_name = "RATE,...", value_delimiter = ',', required = true, value_parser = values::rate)]
    pub rates: Vec<f64>,
    /// The load; --duration is that of one rate, 5 s by default.
    #[command(flatten)]
    pub load: LoadArgs,
    /// Form of the result on standard output
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub output_format: OutputFormat,
}

/// The rate is what these commands vary.
fn refuse_other_rates(load: &LoadArgs) -> anyhow::Result<()> {
    let given = [
        ("--rate", load.rate.is_some()),
        ("--stages", load.stages.is_some()),
        ("--session", load.session.is_some()),
        ("--scenario", load.scenario.is_some()),
        ("--think", load.think.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((option, _)) => {
            let what =
                format!("{option} does not go with a command that tries one constant rate after another");
            Err(Advice::error(Exit::Usage, what, "Leave it out"))
        }
        None => Ok(()),
    }
}

/// Searches for the highest rate that keeps the objectives; exits with [`Exit::Refuted`] where none does, and with
/// [`Exit::Invalid`] where the generator was at fault.
///
/// # Errors
/// When an argument makes no sense or the server cannot be reached.
pub fn max(args: MaxArgs) -> anyhow::Result<Exit> {
    let usage = |text: String| Advice::error(Exit::Usage, text, "See --help");
    let slo = Slo::parse(&args.slo, values::duration).map_err(|error| usage(error.to_string()))?;
    if args.min > args.max || args.precision <= 0.0 {
        return Err(usage("--min is above --max, or --precision is zero".to_owned()));
    }
    refuse_other_rates(&args.load)?;
    let load =
        LoadArgs { duration: args.load.duration.or(Some(Duration::from_secs(3))), ..args.load.clone() };
    let plan = load.plan(&args.url)?;
    let search = Search { lowest: args.min, highest: args.max, precision: args.precision, confirmations: 3 };
    let found = search.run(&plan, &slo, &NoProgress).map_err(explain)?;
    write_out(&match args.output_format {
        OutputFormat::Text => max_text(&found, &slo),
        OutputFormat::Json => format!(
            "{:#}\n",
            json!({ "schema": "covet-bench.max/1", "slo": slo.to_string(), "found": found })
        ),
    })?;
    Ok(match (&found.rate, found.valid) {
        (_, false) => Exit::Invalid,
        (Some(_), true) => Exit::Success,
        (None, true) => Exit::Refuted,
    })
}

fn max_text(found: &Found, slo: &Slo) -> String {
    let mut text = String::new();
    for attempt in &found.attempts {
        let _ = writeln!(
            text,
            "  {:>10.0}/s asked, {:>10.0}/s came, p99 {:<9} {}{}{}",
            attempt.rate,
            attempt.achieved,
            seconds(attempt.p99),
            if attempt.held { "holds" } else { "fails" },
            if attempt.valid { "" } else { "  INVALID: " },
            attempt.failed.join(", ")
        );
    }
    let validity = if found.valid { "" } else { "INVALID  " };
    match (found.rate, found.fails_at) {
        (Some(rate), fails) => {
            let _ = write!(text, "{validity}{rate:.0} requests/s keep {slo}");
            if let Some(interval) = &found.achieved {
                let _ = write!(
                    text,
                    "; {:.0} [{:.0}, {:.0}] came",
                    interval.estimate, interval.lower, interval.upper
                );
            }
            let _ = match fails {
                Some(fails) => writeln!(text, "; {fails:.0} do not"),
                None => writeln!(text, "; no higher rate was tried"),
            };
        }
        (None, _) => {
            let _ = writeln!(
                text,
                "{validity}no rate that was tried keeps {slo}: lower --min, or the objectives"
            );
        }
    }
    text
}

/// Loads the server at each rate and prints the curve, with its knee.
///
/// # Errors
/// When an argument makes no sense or the server cannot be reached.
pub fn rate(args: RateArgs) -> anyhow::Result<Exit> {
    refuse_other_rates(&args.load)?;
    let load = LoadArgs {
        duration: args.load.duration.or(Some(Duration::from_secs(5))),
        rate: args.rates.first().copied(),
        ..args.load.clone()
    };
    let plan = load.plan(&args.url)?;
    let sweep = sweep::run(&plan, &args.rates, &NoProgress).map_err(explain)?;
    write_out(&match args.output_format {
        OutputFormat::Text => rate_text(&sweep),
        OutputFormat::Json => format!("{:#}\n", sweep.to_json()),
    })?;
    Ok(if sweep.is_valid() { Exit::Success } else { Exit::Invalid })
}

fn rate_text(sweep: &Sweep) -> String {
    let mut text = String::from("        asked         came      p50        p99    in flight\n");
    for step in &sweep.steps {
        let _ = writeln!(
            text,
            "{:>11.0}/s {:>10.0}/s {:>8} {:>10} {:>9.2}  {}",
            step.rate,
            step.record.rate(),
            time(step.record.quantile(0.5)),
            time(step.record.quantile(0.99)),
            step.in_flight(),
            match (step.record.is_valid(), step.kept_up()) {
                (false, _) => format!("INVALID: {}", step.record.failed_guards().join(", ")),
                (true, false) => "overload".to_owned(),
                (true, true) => String::new(),
            }
        );
    }
    let validity = if sweep.is_valid() { "" } else { "INVALID  " };
    let _ = match sweep.knee() {
        Some(rate) => {
            writeln!(
                text,
                "{validity}knee near {rate:.0} requests/s: from there on latency buys no more rate"
            )
        }
        None => writeln!(text, "{validity}no knee between these rates"),
    };
    if let Some(law) = sweep.scalability() {
        let _ = write!(
            text,
            "{validity}Universal Scalability Law over requests in flight: {:.0}/s with one, contention {:.4}, coherency {:.6}",
            law.single, law.contention, law.coherency
        );
        let _ = match law.peak() {
            Some(peak) => writeln!(text, ", at most {:.0}/s with {peak:.1}", law.at(peak)),
            None => writeln!(text, ", no peak"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::sweep::Step;
    use crate::record::LoopModel;
    use crate::record::tests::record;

    #[test]
    fn a_step_that_proves_nothing_makes_what_is_read_from_the_sweep_invalid() {
        let step = |rate: f64| Step {
            rate,
            record: record(LoopModel::Closed, rate as u64, Duration::from_micros(1000)),
        };
        let mut sweep = Sweep { steps: [1500.0, 2000.0, 4000.0].map(step).into() };
        for step in &mut sweep.steps {
            step.record.conditions.connections = 4;
            step.record.little_closure = 1.0;
            step.record.slots_in_use = step.rate / 4000.0;
        }
        let text = rate_text(&sweep);
        assert!(
            !text.contains("INVALID") && text.contains("\nno knee") && text.contains("\nUniversal"),
            "{text}"
        );
        // Two threads of the generator on one CPU.
        sweep.steps[1].record.conditions.generator_cpus = vec![1, 1];
        let text = rate_text(&sweep);
        for line in
            ["INVALID: oversubscription", "\nINVALID  no knee", "\nINVALID  Universal Scalability Law"]
        {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
