use std::time::Duration;

use covet_runtime::CoreSet;

use super::witness::{ANY, Watch, Witness};
use super::{Bench, Finding};
use crate::clock::Arrivals;
use crate::load::{self, Extent, LoadPlan, NoProgress, TargetUrl};
use crate::quantity::time;
use crate::record::{LoopModel, RunRecord};
use crate::target::null::{self, NullOptions};

/// What is asked of a free core; on a shared one a lateness beyond it proves nothing about the generator.
const MEDIAN: Duration = Duration::from_micros(2);
const TAIL: Duration = Duration::from_micros(100);
/// From this part of the time without the CPU that the generator was ready to use, its core is a shared one.
const WAITED: f64 = 0.01;
const RATE: f64 = 50_000.0;

/// Requests of an open loop leave on time, at the number that was asked for.
pub(super) fn check(bench: &Bench) -> anyhow::Result<Vec<Finding>> {
    let null = null::embed(CoreSet::list(bench.server.iter().copied()), NullOptions::default())?;
    let mut findings = Vec::new();
    for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
        let name = arrivals.to_string();
        let url = TargetUrl::parse(&format!("http://{}/", null.address()))?;
        let plan = LoadPlan {
            loop_model: LoopModel::Open { rate: RATE },
            arrivals,
            connections: 64,
            warmup: Duration::from_millis(500),
            extent: Extent {
                duration: Some(Duration::from_secs(if bench.short { 1 } else { 4 })),
                requests: None,
            },
            ..LoadPlan::closed(url, bench.generator[..1].to_vec())
        };
        let watch = Watch::on(&null);
        let record = load::run(&plan, &NoProgress)?;
        let due = RATE * record.elapsed.as_secs_f64();
        let counted = record.due() as f64;
        let tolerance = if name == "poisson" { 5.0 * due.sqrt() } else { 0.01 * due };
        findings.push(Finding::new(
            format!("{name}: requests due"),
            format!("{due:.0} ± {tolerance:.0}"),
            format!("{counted:.0}"),
            (counted - due).abs() < tolerance,
        ));
        let noise = disturbed(&record);
        let Some(late) = record.generator_lateness.as_ref().filter(|late| !late.is_empty()) else {
            let what = format!("{name}: lateness at 50,000/s");
            let finding = Finding::new(what, "connections free when requests are due", "none was", false);
            // That of the responder has no part in the lateness, and may be why no connection is free.
            let busy = Witness::of(&record, watch.waited()).noise(ANY);
            findings.push(finding.unless(noise.or(busy)));
            continue;
        };
        let (median, tail) = (late.quantile(0.5), late.quantile(0.99));
        findings.push(
            Finding::new(
                format!("{name}: lateness p50 at 50,000/s"),
                "at most 2 µs on a free core",
                time(median),
                median <= MEDIAN,
            )
            .unless(noise.clone()),
        );
        findings.push(
            Finding::new(
                format!("{name}: lateness p99 at 50,000/s"),
                "at most 100 µs on a free core",
                time(tail),
                tail <= TAIL,
            )
            .unless(noise),
        );
    }
    Ok(findings)
}

/// What else ran on the generator's core, in words; `None` where it was free.
fn disturbed(record: &RunRecord) -> Option<String> {
    let waited = record.waited.iter().copied().fold(0.0, f64::max);
    (waited > WAITED).then(|| {
        format!("the core was not free: the generator waited for it {:.1} % of the time", waited * 100.0)
    })
}
