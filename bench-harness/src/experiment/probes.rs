//! Short runs beside a run, in order to judge it.

use std::time::Duration;

use covet_runtime::CoreSet;

use crate::load::{self, Extent, LoadPlan, NoProgress, Reach, TlsOptions, allowed_cpus};
use crate::record::{Doubling, LoopModel, RunRecord};
use crate::target::null::{self, LONGEST_BODY, NullOptions};
use crate::target::{null_secure, null_websocket};

const LENGTH: Duration = Duration::from_secs(1);
const WARMUP: Duration = Duration::from_millis(300);

/// Measures the ceiling and the doubling probe of a run that was just made, and adds them to its record.
///
/// A probe that cannot be made (no CPU is left for it, the server is gone) is left out, and its guard says so.
pub fn probe(plan: &LoadPlan, record: &mut RunRecord) {
    if record.completed == 0 {
        return;
    }
    record.probes.ceiling = ceiling(plan, record);
    record.probes.doubling = doubling(plan);
}

/// A short run of the same shape, closed, as fast as it goes.
fn shortened(plan: &LoadPlan) -> LoadPlan {
    LoadPlan {
        loop_model: LoopModel::Closed,
        arrivals: crate::clock::Arrivals::Constant,
        stages: Vec::new(),
        think: None,
        requests_per_connection: None,
        connection_rate: None,
        warmup: WARMUP,
        steady_within: None,
        extent: Extent { duration: Some(LENGTH), requests: None },
        canary: false,
        ..plan.clone()
    }
}

/// Requests per second of the same load on the null responder, on the server's CPUs where they are known.
fn ceiling(plan: &LoadPlan, record: &RunRecord) -> Option<f64> {
    let others = || allowed_cpus().into_iter().filter(|cpu| !plan.cpus.contains(cpu)).collect::<Vec<_>>();
    let allowed = allowed_cpus();
    let cpus = match &plan.server_cpus {
        Some(cpus) if cpus.iter().all(|cpu| allowed.contains(cpu) && !plan.cpus.contains(cpu)) => {
            cpus.clone()
        }
        _ => others(),
    };
    if cpus.is_empty() {
        return None;
    }
    let body = (record.bytes_in / record.completed.max(1)).min(LONGEST_BODY) as usize;
    let null = match plan.url.is_secure() {
        secure if plan.url.is_web_socket() => null_websocket::embed(CoreSet::list(cpus), secure),
        true => null_secure::embed(CoreSet::list(cpus), body),
        false => null::embed(CoreSet::list(cpus), NullOptions { body, ..NullOptions::default() }),
    };
    let null = null.ok()?;
    let address = null.address();
    let plan = LoadPlan {
        reach: Reach { connect_to: Some((address.ip().to_string(), address.port())), ..Reach::default() },
        tls: TlsOptions { verify: false, ..plan.tls.clone() },
        // The null responder's answers are as long as the server's only on average; those of WebSocket are what was sent.
        expect: load::Expectation {
            status: None,
            same_length: plan.url.is_web_socket() && plan.expect.same_length,
        },
        ..shortened(plan)
    };
    load::run(&plan, &NoProgress).ok().map(|record| record.rate()).filter(|rate| *rate > 0.0)
}

/// Requests per second with a generator core more, or where none is free with half of them; closed loops only.
fn doubling(plan: &LoadPlan) -> Option<Doubling> {
    if plan.loop_model != LoopModel::Closed || plan.think.is_some() {
        return None;
    }
    let cpus = other_cpus(&plan.cpus, plan.server_cpus.as_deref(), &allowed_cpus())?;
    let cores = cpus.len();
    let plan = LoadPlan { cpus, ..shortened(plan) };
    let record = load::run(&plan, &NoProgress).ok()?;
    Some(Doubling { cores, rate: record.rate() })
}

fn other_cpus(generator: &[usize], server: Option<&[usize]>, allowed: &[usize]) -> Option<Vec<usize>> {
    // Where the server's CPUs are not known, any other may be one of them.
    let free = server.and_then(|server| {
        allowed.iter().copied().find(|cpu| !server.contains(cpu) && !generator.contains(cpu))
    });
    match (free, generator.len()) {
        (Some(cpu), _) => Some(generator.iter().copied().chain([cpu]).collect()),
        (None, 0 | 1) => None,
        (None, cores) => Some(generator[..cores / 2].to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_cpu_is_added_and_else_half_are_taken_away() {
        assert_eq!(other_cpus(&[3], Some(&[0, 1]), &[0, 1, 2, 3]), Some(vec![3, 2]));
        assert_eq!(other_cpus(&[2, 3], Some(&[0, 1]), &[0, 1, 2, 3]), Some(vec![2]));
        assert_eq!(other_cpus(&[2, 3], None, &[0, 1, 2, 3]), Some(vec![2]));
        assert_eq!(other_cpus(&[1], Some(&[0]), &[0, 1]), None);
    }
}
