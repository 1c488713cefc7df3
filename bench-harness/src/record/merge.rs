//! From the records of cores to the record of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use super::dispersion::Blocks;
use super::{Conditions, Errors, Handshakes, Hist, Interval, LoopModel, Probes, RunRecord};

/// One core's part of one second.
#[derive(Debug, Default)]
pub struct CoreInterval {
    /// Which generator core, from 0.
    pub core: usize,
    /// Which second of the window, from 0.
    pub index: usize,
    /// How long the core's second was.
    pub length: Duration,
    /// Validated responses in it.
    pub completed: u64,
    /// Requests that ended in it without a valid response.
    pub failed: u64,
    /// Requests due and unsent at its end.
    pub backlog: u64,
    /// Response times in it, timeouts included.
    pub response: Hist,
    /// Service times; `None` in a closed loop, where they are the response times.
    pub service: Option<Hist>,
    /// How late requests were sent; `None` where none has an intended time.
    pub lateness: Option<Hist>,
    /// The generator's own part of the lateness.
    pub generator_lateness: Option<Hist>,
}

/// What one core counted in the measured window; the fields mean what they mean in [`RunRecord`].
#[derive(Debug, Default)]
pub(crate) struct CoreRecord {
    pub(crate) elapsed: Duration,
    pub(crate) cpu: Duration,
    /// Time ready to run and not running.
    pub(crate) waited: Duration,
    pub(crate) longest_pause: Duration,
    pub(crate) sent: u64,
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) in_flight_at_start: u64,
    pub(crate) in_flight_at_end: u64,
    pub(crate) queued_at_start: u64,
    pub(crate) queued_at_end: u64,
    pub(crate) max_queued: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) status: [u64; 6],
    pub(crate) errors: Errors,
    pub(crate) reconnects: u64,
    pub(crate) opened: u64,
    pub(crate) cut_off: u64,
    /// How often the thread lost its CPU; `None` where the kernel does not tell.
    pub(crate) preemptions: Option<u64>,
    pub(crate) service_sum: Duration,
    /// The integral over time of the requests in flight, from their being sent and ended.
    pub(crate) in_flight_sum: Duration,
    /// Slot time in which a connection was not open: connecting, or waiting to try again.
    pub(crate) away: Duration,
    pub(crate) censored: Hist,
    pub(crate) connect: Hist,
    pub(crate) handshakes: Option<Handshakes>,
    /// First-byte and service times of the answers that came in more than one piece.
    pub(crate) split: Option<(Hist, Hist)>,
}

/// Takes intervals as cores hand them over, and gives out each second once all cores have.
#[derive(Debug)]
pub(crate) struct Merger {
    cores: usize,
    open: BTreeMap<usize, Vec<CoreInterval>>,
    intervals: Vec<Interval>,
    blocks: Blocks,
    /// Response times of each core.
    workers: Vec<Hist>,
    service: Option<Hist>,
    lateness: Option<Hist>,
    generator_lateness: Option<Hist>,
}

impl Merger {
    /// A merger for a run on this many cores.
    pub(crate) fn new(cores: usize) -> Self {
        Self {
            cores,
            open: BTreeMap::new(),
            intervals: Vec::new(),
            blocks: Blocks::default(),
            workers: Vec::new(),
            service: None,
            lateness: None,
            generator_lateness: None,
        }
    }

    /// Takes one core's part of a second; returns the second when that was its last part.
    pub(crate) fn add(&mut self, part: CoreInterval) -> Option<&Interval> {
        let index = part.index;
        let parts = self.open.entry(index).or_default();
        parts.push(part);
        if parts.len() < self.cores {
            return None;
        }
        self.close(index);
        self.intervals.last()
    }

    fn close(&mut self, index: usize) {
        let Some(parts) = self.open.remove(&index) else { return };
        let mut response = Hist::new();
        for part in &parts {
            response.add(&part.response);
            if self.workers.len() <= part.core {
                self.workers.resize_with(part.core + 1, Hist::new);
            }
            self.workers[part.core].add(&part.response);
            add(&mut self.service, part.service.as_ref());
            add(&mut self.lateness, part.lateness.as_ref());
            add(&mut self.generator_lateness, part.generator_lateness.as_ref());
        }
        let length = parts.iter().map(|part| part.length).max().unwrap_or_default();
        self.blocks.add(&response, length);
        self.intervals.push(Interval {
            start: Duration::from_secs(index as u64),
            length,
            completed: parts.iter().map(|part| part.completed).sum(),
            failed: parts.iter().map(|part| part.failed).sum(),
            p50: response.quantile(0.5),
            p99: response.quantile(0.99),
            backlog: parts.iter().map(|part| part.backlog).sum(),
        });
    }

    /// The record of the run, from what the cores counted.
    pub(crate) fn finish(mut self, conditions: Conditions, cores: &[CoreRecord]) -> RunRecord {
        // A run that ends by count ends on each core in its own second.
        while let Some(&index) = self.open.keys().next() {
            self.close(index);
        }
        let elapsed = cores.iter().map(|core| core.elapsed).max().unwrap_or_default();
        let sum = |field: fn(&CoreRecord) -> u64| cores.iter().map(field).sum::<u64>();
        let mut errors = Errors::default();
        let mut censored = Hist::new();
        let mut status = [0; 6];
        for core in cores {
            errors.merge(&core.errors);
            censored.add(&core.censored);
            for (total, count) in status.iter_mut().zip(core.status) {
                *total += count;
            }
        }
        let mut response = Hist::new();
        for worker in &self.workers {
            response.add(worker);
        }
        let service = self.service.unwrap_or_else(|| response.clone());
        let mut connect = Hist::new();
        let mut tls: Option<Handshakes> = None;
        let mut first_byte = service.clone();
        for core in cores {
            connect.add(&core.connect);
            match (&mut tls, &core.handshakes) {
                (Some(sum), Some(more)) => sum.merge(more),
                (sum, more) => *sum = sum.take().or_else(|| more.clone()),
            }
            if let Some((first, whole)) = &core.split {
                first_byte.replace(whole, first);
            }
        }
        let little_closure = match conditions.loop_model {
            LoopModel::Closed => closure(&conditions, cores),
            LoopModel::Open { .. } | LoopModel::PartlyOpen { .. } => open_closure(cores),
        };
        RunRecord {
            elapsed,
            aborted: None,
            warmed_up: None,
            blocks: self.blocks,
            sent: sum(|core| core.sent),
            completed: sum(|core| core.completed),
            failed: sum(|core| core.failed),
            in_flight_at_start: sum(|core| core.in_flight_at_start),
            in_flight_at_end: sum(|core| core.in_flight_at_end),
            queued_at_start: sum(|core| core.queued_at_start),
            queued_at_end: sum(|core| core.queued_at_end),
            max_queued: sum(|core| core.max_queued),
            bytes_in: sum(|core| core.bytes_in),
            bytes_out: sum(|core| core.bytes_out),
            reconnects: sum(|core| core.reconnects),
            status,
            errors,
            opened: sum(|core| core.opened),
            cut_off: sum(|core| core.cut_off),
            preemptions: cores.iter().map(|core| core.preemptions).sum(),
            slots_in_use: closure(&conditions, cores),
            response,
            service,
            first_byte,
            connect,
            tls,
            workers: self.workers,
            lateness: self.lateness,
            generator_lateness: self.generator_lateness,
            censored,
            platform: None,
            probes: Probes::default(),
            generator_cpu: cores.iter().map(|core| core.cpu).sum(),
            busy: cores.iter().map(|core| ratio(core.cpu, core.elapsed)).collect(),
            waited: cores.iter().map(|core| ratio(core.waited, core.elapsed)).collect(),
            longest_pause: cores.iter().map(|core| core.longest_pause).max().unwrap_or_default(),
            intervals: self.intervals,
            little_closure,
            conditions,
        }
    }
}

fn add(sum: &mut Option<Hist>, part: Option<&Hist>) {
    if let Some(part) = part {
        sum.get_or_insert_default().add(part);
    }
}

/// λ·W from the clocks of each request over the requests in flight from their count: 1 where no time escaped.
fn open_closure(cores: &[CoreRecord]) -> f64 {
    let sum = |field: fn(&CoreRecord) -> Duration| cores.iter().map(field).sum::<Duration>().as_secs_f64();
    let in_flight = sum(|core| core.in_flight_sum);
    if in_flight > 0.0 { sum(|core| core.service_sum) / in_flight } else { 1.0 }
}

/// λ·W/c with c as the slots that were open on average.
fn closure(conditions: &Conditions, cores: &[CoreRecord]) -> f64 {
    let slots = (conditions.connections * conditions.pipeline) as f64 / cores.len().max(1) as f64;
    let in_use: f64 = cores.iter().map(|core| core.service_sum.as_secs_f64()).sum();
    let open: f64 =
        cores.iter().map(|core| core.elapsed.as_secs_f64() * slots - core.away.as_secs_f64()).sum();
    if open > 0.0 { in_use / open } else { 0.0 }
}

fn ratio(part: Duration, whole: Duration) -> f64 {
    if whole.is_zero() { 0.0 } else { part.as_secs_f64() / whole.as_secs_f64() }
}
