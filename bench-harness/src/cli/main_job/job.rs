//! The measurement in progress: every layer of a claim, and latency beside them.

use indicatif::{ProgressBar, ProgressStyle};

use super::http::{Measured, Rig, Shape, Target};
use super::layout::Layout;
use super::pace::Pace;
use super::results::{self, Setting};
use super::route_match::{self, Matching};
use crate::cli::exit;
use crate::experiment::Subject;
use crate::load::TlsOptions;
use crate::report::{Latency, LayerResult, quantity};
use crate::stats::spread;
use crate::verdict::judge::Unproven;
use crate::verdict::{Claim, Layer, Quantity, Reading};

mod memory;
mod under_load;

/// The rate of the open loop as a share of the closed loop's.
const OPEN_SHARE: f64 = 0.5;
const DEPTH_ONE: Reading = Reading { layer: Layer::HttpLoopback, depth: Some(1), quantile: None };

/// What is to be measured, on what, how.
#[derive(Debug, Clone)]
pub(super) struct Order {
    /// The claim.
    pub(super) claim: Claim,
    /// The server that is judged.
    pub(super) subject: Subject,
    /// On which cores.
    pub(super) layout: Layout,
    /// How TLS is spoken, where the URL asks for it.
    pub(super) tls: TlsOptions,
    /// How often and how long.
    pub(super) pace: Pace,
    /// Whether the server is started anew for each run, where it can be, and its limit is looked for with probes.
    pub(super) thorough: bool,
    /// What a reader must know of the set-up.
    pub(super) notes: Vec<String>,
    /// In what that differs from the conditions of the claim.
    pub(super) unproven: Unproven,
}

impl Order {
    fn connections(&self) -> usize {
        self.claim.connections().map_or_else(|| self.layout.connections(), |count| count as usize)
    }
}

/// The measurement in progress.
pub(super) struct Job {
    order: Order,
    path: String,
    described: String,
    link: Option<f64>,
    rig: Option<Rig>,
    pub(super) notes: Vec<String>,
    /// What kept a layer from being measured, beside the notes.
    pub(super) failure: Option<anyhow::Error>,
    progress: ProgressBar,
}

/// The runs at one depth.
struct AtDepth {
    depth: usize,
    null: Measured,
    runs: Vec<Measured>,
}

impl Job {
    pub(super) fn new(mut order: Order) -> Job {
        let notes = std::mem::take(&mut order.notes);
        let style = ProgressStyle::with_template("{bar:24} {pos:>2}/{len} {elapsed} {msg}");
        let progress = ProgressBar::new(steps(&order) as u64);
        progress.set_style(style.expect("the template is valid"));
        let path = match &order.subject {
            Subject::Reference { path, .. } => path.clone(),
            Subject::Command { url, .. } | Subject::Running { url, .. } => url.target().to_owned(),
        };
        let link = order.subject.link();
        let described = order.subject.describe();
        let mut job = Job { order, path, described, link, rig: None, notes, failure: None, progress };
        // Memory is read beside connections that wait, so no load has to be set apart from the server.
        if job.readings().iter().any(|reading| job.reaches(reading))
            && job.claim().quantity != Quantity::Memory
        {
            job.start_rig();
        }
        job
    }

    pub(super) fn claim(&self) -> &Claim {
        &self.order.claim
    }

    fn readings(&self) -> Vec<Reading> {
        self.order.claim.readings()
    }

    /// Whether a layer is one over HTTP in which the server can be reached from here.
    fn reaches(&self, reading: &Reading) -> bool {
        match reading.layer {
            Layer::HttpLoopback => self.order.subject.is_local(),
            Layer::HttpNetwork => !self.order.subject.is_local(),
            Layer::RouteMatch | Layer::InProcess => false,
        }
    }

    fn setting(&self) -> Setting<'_> {
        Setting {
            subject: &self.described,
            path: &self.path,
            layout: &self.order.layout,
            connections: self.order.connections(),
            link: self.link,
            secure: self.order.subject.is_secure(),
            pace: &self.order.pace,
            unproven: &self.order.unproven,
        }
    }

    /// Starts the servers, or notes why there are none.
    fn start_rig(&mut self) {
        let order = &self.order;
        if order.layout.generator.is_empty() {
            self.notes.push(
                "This process may use one core only, and a server and a generator on one core measure each other: \
                 no layer over HTTP was measured. Give it two cores or more (taskset, the container's CPU limit)."
                    .to_owned(),
            );
            return;
        }
        let (subject, layout) = (&order.subject, &order.layout);
        match Rig::start(subject, layout, order.connections(), order.pace.warmup, &order.tls) {
            Ok(rig) => self.rig = Some(rig),
            Err(error) => self.fail("No layer over HTTP was measured", error),
        }
    }

    fn fail(&mut self, what: &str, error: anyhow::Error) {
        let cause = exit::error_line(&error);
        self.notes.push(format!("{what}: {}.", cause.trim_start_matches("covet-bench: ")));
        self.failure.get_or_insert(error);
    }

    pub(super) fn layers(&mut self) -> Vec<LayerResult> {
        match self.claim().quantity {
            Quantity::Rate => self.rates(),
            Quantity::Latency | Quantity::Errors => self.under_load(),
            Quantity::Memory => self.memory(),
        }
    }

    /// The result of a layer for which there is no measurement.
    fn unmeasured(&self, reading: Reading) -> LayerResult {
        let why = match reading.layer {
            Layer::HttpLoopback if !self.order.subject.is_local() => {
                "the server given is on another machine".to_owned()
            }
            Layer::HttpNetwork if self.order.subject.is_local() => {
                format!("this instrument has no measurement of {} of a server on this machine", reading.layer)
            }
            Layer::RouteMatch => "what happens inside the server given is not seen from outside".to_owned(),
            Layer::InProcess => format!("this instrument has no measurement of {}", reading.layer),
            _ => "see the note".to_owned(),
        };
        results::absent(reading, &why)
    }

    fn rates(&mut self) -> Vec<LayerResult> {
        let readings = self.readings();
        let mut depths: Vec<usize> = Vec::new();
        for reading in readings.iter().filter(|reading| self.reaches(reading)) {
            depths.extend(reading.depth.filter(|depth| !depths.contains(depth)));
        }
        let own = matches!(self.order.subject, Subject::Reference { .. });
        let matched =
            readings.iter().find(|r| own && r.layer == Layer::RouteMatch).map(|&r| self.matching(r));
        let over_http = self.closed(&depths);
        readings
            .into_iter()
            .map(|reading| match (reading.layer, reading.depth) {
                (Layer::RouteMatch, _) => matched.clone().unwrap_or_else(|| self.unmeasured(reading)),
                (_, Some(depth)) if self.reaches(&reading) => self.over_http(reading, depth, &over_http),
                _ => self.unmeasured(reading),
            })
            .collect()
    }

    fn matching(&self, reading: Reading) -> LayerResult {
        let matching = Matching::new();
        let (cpu, pace) = (self.order.layout.server[0], &self.order.pace);
        let runs = route_match::measure(&matching, cpu, pace.match_runs, pace.match_time, |run| {
            self.step(&format!("route match: {}/s", quantity::grouped(run.rate)));
        });
        results::matching(self.claim(), reading, &matching, &runs, cpu, pace)
    }

    /// All closed-loop runs, for each depth its own; empty where there is no server or it failed.
    fn closed(&mut self, depths: &[usize]) -> Vec<AtDepth> {
        let Some(mut rig) = self.rig.take() else { return Vec::new() };
        match self.rounds(&mut rig, depths) {
            Ok(measured) => {
                self.rig = Some(rig);
                measured
            }
            Err(error) => {
                self.fail("HTTP could not be measured", error);
                Vec::new()
            }
        }
    }

    fn rounds(&self, rig: &mut Rig, depths: &[usize]) -> anyhow::Result<Vec<AtDepth>> {
        let pace = &self.order.pace;
        let mut measured: Vec<AtDepth> = Vec::new();
        for &depth in depths {
            let null = rig.closed(Target::Null, depth, pace.null_time)?;
            let rate = quantity::grouped(null.record.rate());
            self.step(&format!("null responder, depth {depth}: {rate}/s"));
            if let Some(costs) = results::feasibility(&null, depth, self.setting()) {
                let words = costs.sentence(self.claim().figure());
                self.progress.println(format!("arithmetic, depth {depth}: {words}"));
            }
            measured.push(AtDepth { depth, null, runs: Vec::new() });
        }
        for round in 0..pace.closed_runs {
            if self.order.thorough && round > 0 {
                rig.renew()?;
            }
            // Forth and back, so that a drift of the machine falls on all depths alike.
            let order: Vec<usize> =
                if round % 2 == 0 { (0..depths.len()).collect() } else { (0..depths.len()).rev().collect() };
            for index in order {
                let mut run = rig.closed(Target::Subject, depths[index], pace.closed_time)?;
                let rate = quantity::grouped(run.record.rate());
                self.step(&format!("HTTP, depth {}: {rate}/s", depths[index]));
                if self.order.thorough && round == 0 {
                    rig.probe(depths[index], &mut run);
                }
                measured[index].runs.push(run);
            }
        }
        Ok(measured)
    }

    fn over_http(&self, reading: Reading, depth: usize, measured: &[AtDepth]) -> LayerResult {
        match measured.iter().find(|at| at.depth == depth) {
            Some(at) => results::closed(self.claim(), reading, &at.runs, Some(&at.null), self.setting()),
            None => results::absent(reading, "see the note"),
        }
    }

    /// Latency in an open loop at a share of what the closed loop reached at depth 1.
    pub(super) fn latency(&mut self, layers: &[LayerResult]) -> Option<Latency> {
        if self.claim().quantity != Quantity::Rate {
            return None;
        }
        let layer = layers.iter().find(|layer| layer.reading == DEPTH_ONE)?;
        let rates: Vec<f64> = layer.runs.iter().map(|run| run.rate).collect();
        let rate = round_rate(spread::median(&rates)? * OPEN_SHARE)?;
        let mut rig = self.rig.take()?;
        let shape = Shape { rate: Some(rate), ..Shape::closed(1, self.order.pace.open_time) };
        let runs: anyhow::Result<Vec<Measured>> = (0..self.order.pace.open_runs)
            .map(|_| {
                let run = rig.run(Target::Subject, shape)?;
                let p99 = quantity::time(run.record.quantile(0.99));
                self.step(&format!("latency at {}/s: p99 {p99}", quantity::grouped(rate)));
                Ok(run)
            })
            .collect();
        self.rig = Some(rig);
        match runs {
            Ok(runs) => Some(results::latency(rate, OPEN_SHARE, &runs, self.setting())),
            Err(error) => {
                self.fail("Latency could not be measured", error);
                None
            }
        }
    }

    fn step(&self, message: &str) {
        self.progress.inc(1);
        self.progress.set_message(message.to_owned());
    }

    pub(super) fn finish(&mut self) {
        self.progress.finish_and_clear();
        if let Some(Err(error)) = self.rig.take().map(Rig::stop) {
            self.fail("A server did not stop as it should", error);
        }
    }
}

/// How many runs there will be.
fn steps(order: &Order) -> usize {
    let (pace, readings) = (&order.pace, order.claim.readings());
    let http = readings.iter().filter(|reading| reading.layer.is_http()).count();
    match order.claim.quantity {
        Quantity::Rate => {
            let matching = if readings.len() > http { pace.match_runs } else { 0 };
            let open = if readings.contains(&DEPTH_ONE) { pace.open_runs } else { 0 };
            matching + http * (pace.closed_runs + 1) + open
        }
        Quantity::Memory | Quantity::Latency | Quantity::Errors => pace.closed_runs,
    }
}

/// The rate with two significant digits, or `None` where nothing is left of it.
fn round_rate(rate: f64) -> Option<f64> {
    if !(rate.is_finite() && rate >= 1.0) {
        return None;
    }
    let unit = 10f64.powf(rate.log10().floor() - 1.0).max(1.0);
    Some((rate / unit).round() * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_rounded_to_two_digits() {
        assert_eq!(round_rate(175_511.0), Some(180_000.0));
        assert_eq!(round_rate(94.6), Some(95.0));
        assert_eq!(round_rate(1.4), Some(1.0));
        assert_eq!(round_rate(0.2), None);
        assert_eq!(round_rate(f64::NAN), None);
    }
}
