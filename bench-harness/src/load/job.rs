//! What the cores of a run share.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::plan::Expectation;
use super::settling::{self, Observation};
use super::times::Spares;
use super::tls::Security;
use super::traffic::Traffic;
use super::transport::Endpoint;
use super::{LoadError, LoadPlan};
use crate::clock::{Delay, Timetable};
use crate::record::{CoreInterval, CoreRecord, LoopModel};

/// One run, as its cores see it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) endpoint: Endpoint,
    /// TLS; `None` where connections are plain.
    pub(super) security: Option<Security>,
    pub(super) traffic: Traffic,
    /// When requests, or sessions, are due; `None` in a closed loop.
    pub(super) timetable: Option<Timetable>,
    /// Requests in a session: 1 where there are none.
    pub(super) session: u64,
    pub(super) think: Option<Delay>,
    /// Whether connections wait by themselves between requests.
    pub(super) paced: bool,
    pub(super) seed: u64,
    /// Requests that a connection carries.
    pub(super) per_connection: u64,
    pub(super) connection_rate: Option<f64>,
    pub(super) connections: usize,
    pub(super) cores: usize,
    pub(super) depth: u64,
    pub(super) warmup: Duration,
    /// Whether the warm-up goes on until the load is steady.
    pub(super) settles: bool,
    /// The time between two looks at a load that is to become steady.
    pub(super) observation: Duration,
    pub(super) duration: Option<Duration>,
    pub(super) requests: Option<u64>,
    pub(super) timeout: Duration,
    pub(super) expect: Expectation,
    /// When all cores begin; set once all are connected.
    pub(super) start: OnceLock<Instant>,
    /// When the window opens, where that is not a matter of time; set once the load is steady.
    pub(super) window: OnceLock<Instant>,
    /// Set where the run is not to begin, because a core could not get ready.
    pub(super) abandoned: AtomicBool,
    /// Set where the window is to close before its time.
    pub(super) stopped: AtomicBool,
    pub(super) spares: Spares,
    /// The body length of the first valid response to each kind of request.
    first_lengths: Vec<AtomicU64>,
}

/// No body is this long.
const UNKNOWN_LENGTH: u64 = u64::MAX;

impl Job {
    pub(super) fn new(
        plan: &LoadPlan,
        endpoint: Endpoint,
        security: Option<Security>,
        traffic: Traffic,
    ) -> Self {
        let session = match plan.loop_model {
            LoopModel::PartlyOpen { .. } if plan.scenario => plan.mix.len() as u64,
            LoopModel::PartlyOpen { requests, .. } => requests,
            LoopModel::Closed | LoopModel::Open { .. } => 1,
        };
        let timetable = plan.timetable();
        let has_clocks = timetable.is_some() || plan.think.is_some();
        let unknown = || AtomicU64::new(UNKNOWN_LENGTH);
        Self {
            endpoint,
            security,
            first_lengths: std::iter::repeat_with(unknown).take(traffic.kinds()).collect(),
            traffic,
            timetable,
            session,
            think: plan.think,
            paced: plan.is_paced(),
            seed: plan.seed,
            per_connection: plan.requests_per_connection.unwrap_or(u64::MAX),
            connection_rate: plan.connection_rate,
            connections: plan.connections,
            cores: plan.cpus.len(),
            depth: plan.pipeline as u64,
            warmup: plan.warmup,
            settles: plan.steady_within.is_some(),
            observation: settling::observation(plan),
            duration: plan.extent.duration,
            requests: plan.extent.requests,
            timeout: plan.timeout,
            expect: plan.expect.clone(),
            start: OnceLock::new(),
            window: OnceLock::new(),
            abandoned: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            spares: Spares::new(plan.cpus.len(), has_clocks),
        }
    }

    /// Whether requests have intended times apart from when they are sent.
    pub(super) fn has_clocks(&self) -> bool {
        self.spares.have_clocks()
    }

    /// Core number `core`'s share of `total` things.
    pub(super) fn share(&self, total: u64, core: usize) -> u64 {
        let cores = self.cores as u64;
        total / cores + u64::from((core as u64) < total % cores)
    }

    /// The body length of the run's first valid response to a kind of request, which is `length` if there was none
    /// before.
    pub(super) fn first_length(&self, kind: u16, length: u64) -> u64 {
        let first = &self.first_lengths[usize::from(kind)];
        match first.compare_exchange(UNKNOWN_LENGTH, length, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => length,
            Err(first) => first,
        }
    }
}

/// What a core tells the thread that conducts the run.
#[derive(Debug)]
pub(super) enum Event {
    /// The core's connections are open.
    Ready,
    /// The core cannot take part.
    Failed(LoadError),
    /// The core looked whether its load is steady.
    Observation(Observation),
    /// The core finished a second of the window.
    Interval(Box<CoreInterval>),
    /// The core finished the run.
    Done(Box<CoreRecord>),
}
