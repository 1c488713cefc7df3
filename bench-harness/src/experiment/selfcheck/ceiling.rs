use std::time::Duration;

use covet_runtime::CoreSet;

use super::witness::{ANY, SLACK, Watch, Witness};
use super::{Bench, Finding};
use crate::clock::Delay;
use crate::load::{self, Extent, LoadPlan, NoProgress, TargetUrl};
use crate::quantity::time;
use crate::record::{LoopModel, RunRecord};
use crate::target::null::{self, NullOptions};

const RATE: f64 = 400.0;

/// A responder of a known capacity and known delays is measured as what it is.
pub(super) fn check(bench: &Bench) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let ms = Duration::from_millis;
    let delays = [
        Delay::Constant(ms(20)),
        Delay::Exponential(ms(20)),
        Delay::Uniform(ms(10), ms(50)),
        Delay::Two(ms(10), ms(100), 0.05),
    ];
    for delay in delays {
        let (record, witness) = measure(bench, delay, LoopModel::Open { rate: RATE }, 64)?;
        for (q, name) in [(0.5, "p50"), (0.9, "p90"), (0.98, "p98")] {
            let (truth, seen) = (delay.quantile(q), record.service.quantile(q));
            let chance = 4.0 * standard_error(delay, q, record.service.len());
            let tolerance = truth.mul_f64(0.02) + SLACK + Duration::from_secs_f64(chance);
            let finding = Finding::new(
                format!("{delay}: service {name}"),
                format!("{} ± {}", time(truth), time(tolerance)),
                time(seen),
                seen.abs_diff(truth) <= tolerance,
            );
            // What the machine does to a time only makes it longer. To make this one longer than the slack and chance allow
            // for, it must have held up half of those beyond it, each for the slack or several together for longer.
            let least = (1.0 - q) / 2.0 * RATE * SLACK.as_secs_f64();
            findings.push(finding.unless(witness.noise(least).filter(|_| seen > truth)));
        }
    }
    // Four connections that each wait 20 ms answer 200 requests per second, and no more.
    let (delay, connections) = (Delay::Constant(ms(20)), 4);
    let capacity = connections as f64 / 0.020;
    let (record, witness) = measure(bench, delay, LoopModel::Closed, connections)?;
    findings.push(capacity_finding("closed loop", capacity, &record, &witness));
    let (record, witness) = measure(bench, delay, LoopModel::Open { rate: 3.0 * capacity }, connections)?;
    findings.push(capacity_finding("open loop at three times the capacity", capacity, &record, &witness));
    let overload = record.guards().into_iter().find(|guard| guard.name == "overload");
    let told = overload.is_some_and(|guard| guard.detail.contains("were sustained"));
    let found = if told { "told" } else { "not told" };
    findings.push(Finding::new("open loop at three times the capacity: overload", "told", found, told));
    Ok(findings)
}

/// The standard error of a quantile of `n` independent samples, √(q(1-q)/n) over the density there, in seconds.
fn standard_error(delay: Delay, q: f64, n: u64) -> f64 {
    let spread = (q * (1.0 - q) / n.max(1) as f64).sqrt();
    match delay {
        Delay::Exponential(mean) => spread * mean.as_secs_f64() / (1.0 - q),
        Delay::Uniform(low, high) => spread * (high - low).as_secs_f64(),
        // All the mass is at points, and the quantiles looked at are well inside them.
        Delay::Constant(_) | Delay::Two(..) => 0.0,
    }
}

fn capacity_finding(what: &str, capacity: f64, record: &RunRecord, witness: &Witness) -> Finding {
    let seen = record.rate();
    // A delay is never short, and as late as the slack.
    let agrees = seen < capacity * 1.01 && seen > capacity * 0.93;
    Finding::new(format!("{what}: capacity"), format!("{capacity:.0}/s"), format!("{seen:.1}/s"), agrees)
        .unless(witness.noise(ANY).filter(|_| seen < capacity))
}

fn measure(
    bench: &Bench,
    delay: Delay,
    loop_model: LoopModel,
    connections: usize,
) -> anyhow::Result<(RunRecord, Witness)> {
    let options = NullOptions { delay: Some(delay), ..NullOptions::default() };
    let null = null::embed(CoreSet::list(bench.server.iter().copied()), options)?;
    let url = TargetUrl::parse(&format!("http://{}/", null.address()))?;
    let plan = LoadPlan {
        loop_model,
        connections,
        warmup: Duration::from_millis(300),
        extent: Extent {
            duration: Some(Duration::from_secs(if bench.short { 2 } else { 6 })),
            requests: None,
        },
        ..LoadPlan::closed(url, bench.generator[..1].to_vec())
    };
    let watch = Watch::on(&null);
    let record = load::run(&plan, &NoProgress)?;
    let witness = Witness::of(&record, watch.waited());
    Ok((record, witness))
}
