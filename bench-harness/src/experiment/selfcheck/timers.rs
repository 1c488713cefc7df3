use std::time::Duration;

use covet_runtime::CoreSet;

use super::{Bench, Finding};
use crate::clock::Arrivals;
use crate::load::{self, Extent, LoadPlan, NoProgress, TargetUrl};
use crate::record::LoopModel;
use crate::target::null::{self, NullOptions};

/// What is asked of a free core; a shared one is told, and proves nothing about the generator.
const MEDIAN: Duration = Duration::from_micros(2);
const TAIL: Duration = Duration::from_micros(100);
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
        let record = load::run(&plan, &NoProgress)?;
        let due = RATE * record.elapsed.as_secs_f64();
        let sent = (record.sent + record.queued_at_end) as f64;
        let tolerance = if name == "poisson" { 5.0 * due.sqrt() } else { 0.01 * due };
        findings.push(Finding::new(
            format!("{name}: requests due"),
            format!("{due:.0} ± {tolerance:.0}"),
            format!("{sent:.0}"),
            (sent - due).abs() < tolerance,
        ));
        let Some(late) = &record.generator_lateness else { continue };
        let (median, tail) = (late.quantile(0.5), late.quantile(0.99));
        let disturbed = record.waited.iter().any(|&waited| waited > 0.01);
        let note = if disturbed { " (the core was not free)" } else { "" };
        findings.push(Finding::new(
            format!("{name}: lateness p50 at 50,000/s"),
            "at most 2 us on a free core",
            format!("{median:.1?}{note}"),
            median <= MEDIAN || disturbed,
        ));
        findings.push(Finding::new(
            format!("{name}: lateness p99 at 50,000/s"),
            "at most 100 us on a free core",
            format!("{tail:.1?}{note}"),
            tail <= TAIL || disturbed,
        ));
    }
    Ok(findings)
}
