//! Latency over rate.

use serde_json::{Value, json};

use crate::load::{self, LoadPlan, Progress};
use crate::record::{LoopModel, RunRecord};
use crate::stats::scalability::Scalability;

/// Runs at rising rates.
#[derive(Debug)]
pub struct Sweep {
    /// In ascending order.
    pub steps: Vec<Step>,
}

/// One rate.
#[derive(Debug)]
pub struct Step {
    /// Requests per second asked for.
    pub rate: f64,
    /// What came of it.
    pub record: RunRecord,
}

impl Step {
    /// The mean number of requests in flight.
    pub fn in_flight(&self) -> f64 {
        let conditions = &self.record.conditions;
        self.record.slots_in_use * (conditions.connections * conditions.pipeline) as f64
    }

    /// Whether as many requests were answered as were due.
    pub fn kept_up(&self) -> bool {
        self.record.rate() > 0.98 * self.rate
    }

    /// Kleinrock's power: rate over mean response time, which is greatest at the knee.
    fn power(&self) -> f64 {
        let mean = self.record.response.mean();
        if mean > 0.0 { self.record.rate() / mean } else { 0.0 }
    }
}

/// Makes a run at each of the rates, from the lowest to the highest.
///
/// # Errors
/// When a run does not begin.
pub fn run(plan: &LoadPlan, rates: &[f64], progress: &dyn Progress) -> anyhow::Result<Sweep> {
    let mut rates = rates.to_vec();
    rates.sort_by(f64::total_cmp);
    let mut steps = Vec::with_capacity(rates.len());
    for rate in rates {
        let plan = LoadPlan { loop_model: LoopModel::Open { rate }, stages: Vec::new(), ..plan.clone() };
        steps.push(Step { rate, record: load::run(&plan, progress)? });
    }
    Ok(Sweep { steps })
}

impl Sweep {
    /// Whether no run failed a guard.
    pub fn is_valid(&self) -> bool {
        self.steps.iter().all(|step| step.record.is_valid())
    }

    /// The rate at which rate over response time is greatest; `None` where that is at an end of the sweep, so that the
    /// knee may lie beyond.
    pub fn knee(&self) -> Option<f64> {
        let powers: Vec<f64> = self.steps.iter().map(Step::power).collect();
        let best = (0..powers.len()).max_by(|&a, &b| powers[a].total_cmp(&powers[b]))?;
        (best > 0 && best + 1 < powers.len()).then(|| self.steps[best].record.rate())
    }

    /// Gunther's Universal Scalability Law over the mean number of requests in flight; `None` with fewer than three rates
    /// at which the server kept up and had one request or more in flight: of less the law says nothing.
    pub fn scalability(&self) -> Option<Scalability> {
        let kept = self.steps.iter().filter(|step| step.kept_up() && step.in_flight() >= 1.0);
        let points: Vec<(f64, f64)> = kept.map(|step| (step.in_flight(), step.record.rate())).collect();
        if points.len() < 3 { None } else { Scalability::fit(&points) }
    }

    /// The curve as one JSON object.
    pub fn to_json(&self) -> Value {
        let steps: Vec<Value> = self
            .steps
            .iter()
            .map(|step| {
                json!({
                    "rate": step.rate,
                    "in_flight": step.in_flight(),
                    "kept_up": step.kept_up(),
                    "run": step.record.to_json(),
                })
            })
            .collect();
        let scalability = self.scalability().map(|law| {
            json!({
                "single": law.single,
                "contention": law.contention,
                "coherency": law.coherency,
                "peak_in_flight": law.peak(),
            })
        });
        json!({
            "schema": "covet-bench.rate/1",
            "valid": self.is_valid(),
            "knee": self.knee(),
            "scalability": scalability,
            "steps": steps,
        })
    }
}
