//! `covet-bench plan`: how many runs, of what length, before they are made.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::exit::{Advice, Exit};
use super::output::{OutputFormat, write_out};
use super::{bundles, values};
use crate::bundle::{Bundle, Metric};
use crate::experiment::plan::{Question, plan};
use crate::report::quantity::percent;
use crate::stats::power::{self, Design};

/// Beside its warm-up a run connects, and its server may be started anew.
const SETTING_UP: f64 = 0.5;

/// Options of `covet-bench plan`.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// The difference that is to be found, in percent
    #[arg(long, value_name = "PERCENT", default_value = "2%", value_parser = values::percent)]
    pub detect: f64,
    /// With which probability it is to be found
    #[arg(long, default_value_t = 0.8, value_parser = probability)]
    pub power: f64,
    /// How often equals may be told apart
    #[arg(long, default_value_t = 0.05, value_parser = probability)]
    pub level: f64,
    /// Bundles of repeats, to learn from how much runs vary here [default: a table for several variations]
    #[arg(long, value_name = "RUN", num_args = 1..)]
    pub from: Vec<PathBuf>,
    /// What to plan for: rate, p99, mean, ...; may be repeated [default: rate and p99]
    #[arg(long = "metric", value_name = "METRIC")]
    pub metrics: Vec<Metric>,
    /// What a run costs beside its window [default: its warm-up and half a second]
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub cost: Option<Duration>,
    /// The longest window that a run is to have
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = values::duration)]
    pub longest: Duration,
    /// Form of the result on standard output
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub output_format: OutputFormat,
}

fn probability(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|&p: &f64| p > 0.0 && p < 1.0);
    value.ok_or_else(|| format!("`{text}` is not between 0 and 1: write for example 0.8"))
}

/// Prints the plan.
///
/// # Errors
/// When the difference is none, or a bundle cannot be read or says nothing about the variation of runs.
pub fn plan_runs(args: PlanArgs) -> anyhow::Result<Exit> {
    if args.detect <= 0.0 {
        return Err(Advice::error(Exit::Usage, "a difference of 0 takes for ever", "Write --detect 2%"));
    }
    let read = |path: &PathBuf| bundles::read(path);
    let bundles = args.from.iter().map(read).collect::<anyhow::Result<Vec<Bundle>>>()?;
    if bundles.is_empty() {
        write_out(&table(&args))?;
        return Ok(Exit::Success);
    }
    let question = Question {
        detect: args.detect,
        power: args.power,
        level: args.level,
        cost: args.cost.map_or_else(|| cost(&bundles), |cost| cost.as_secs_f64()),
        longest: args.longest.as_secs_f64().max(1.0),
    };
    let metrics = if args.metrics.is_empty() {
        vec![Metric::Rate, Metric::quantile(0.99)]
    } else {
        args.metrics.clone()
    };
    let mut plans = Vec::new();
    for metric in &metrics {
        let planned = plan(&bundles, metric, question)
            .map_err(|error| bundles::advise(error, "Give bundles that are whole"))?;
        match planned {
            Some(plan) => plans.push(plan),
            None if args.metrics.is_empty() && !plans.is_empty() => {}
            None => {
                return Err(Advice::error(
                    Exit::Usage,
                    format!(
                        "no bundle has two runs with their {metric}, and one says nothing of how runs vary"
                    ),
                    "Make one with `covet-bench run --repeats 5 --out DIR`",
                ));
            }
        }
    }
    write_out(&match args.output_format {
        OutputFormat::Text => {
            let mut text = heading(&args);
            plans.iter().for_each(|plan| text.push_str(&plan.to_text(&question)));
            text
        }
        OutputFormat::Json => {
            format!("{:#}\n", json!({ "schema": "covet-bench.plan/1", "question": question, "plans": plans }))
        }
    })?;
    Ok(Exit::Success)
}

fn heading(args: &PlanArgs) -> String {
    format!(
        "to find a difference of {} with probability {}, where equals differ in {} of all comparisons:\n",
        percent(args.detect),
        args.power,
        percent(args.level)
    )
}

/// The seconds that the bundles' own runs took beside their windows, on average.
fn cost(bundles: &[Bundle]) -> f64 {
    let warmups: Vec<f64> = bundles
        .iter()
        .flat_map(|bundle| &bundle.runs)
        .filter_map(|run| run.conditions.get("warmup")?.as_f64())
        .collect();
    SETTING_UP + warmups.iter().sum::<f64>() / warmups.len().max(1) as f64
}

/// What runs of several variations take, for who has none yet.
fn table(args: &PlanArgs) -> String {
    let deviations = [0.002, 0.005, 0.01, 0.02, 0.05, 0.10];
    let runs = |deviation, design| power::runs(deviation, args.detect, args.level, args.power, design);
    if args.output_format == OutputFormat::Json {
        let rows: Vec<_> = deviations
            .iter()
            .map(|&deviation| {
                json!({ "deviation": deviation, "pairs": runs(deviation * 2f64.sqrt(), Design::Paired).map(|n| n.max(6)),
                    "runs_apart": runs(deviation, Design::Apart) })
            })
            .collect();
        return format!("{:#}\n", json!({ "schema": "covet-bench.plan/1", "table": rows }));
    }
    let mut text = heading(args);
    text.push_str("  runs vary by   pairs (ab)   runs on each side (compare)\n");
    let show = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
    for deviation in deviations {
        let pairs = runs(deviation * 2f64.sqrt(), Design::Paired).map(|pairs| pairs.max(6));
        let apart = runs(deviation, Design::Apart);
        let _ = writeln!(text, "  {:>12} {:>12} {:>29}", percent(deviation), show(pairs), show(apart));
    }
    text.push_str(
        "how much runs vary here: covet-bench run URL --repeats 5 --out DIR, then plan --from DIR\n",
    );
    text
}
