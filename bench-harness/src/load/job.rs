//! What the cores of a run share.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use covet_http::Method;

use super::plan::Expectation;
use super::{LoadError, LoadPlan};
use crate::record::{CoreInterval, CoreRecord, LoopModel};

/// One run, as its cores see it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) address: SocketAddr,
    pub(super) method: Method,
    /// One rendered request.
    pub(super) request: Bytes,
    pub(super) loop_model: LoopModel,
    pub(super) connections: usize,
    pub(super) cores: usize,
    pub(super) depth: u64,
    pub(super) warmup: Duration,
    pub(super) duration: Option<Duration>,
    pub(super) requests: Option<u64>,
    pub(super) timeout: Duration,
    pub(super) expect: Expectation,
    /// When all cores begin; set once all are connected.
    pub(super) start: OnceLock<Instant>,
    /// Set where the run is not to begin, because a core could not get ready.
    pub(super) abandoned: AtomicBool,
    first_length: AtomicU64,
}

/// No body is this long.
const UNKNOWN_LENGTH: u64 = u64::MAX;

impl Job {
    pub(super) fn new(plan: &LoadPlan, address: SocketAddr, request: Bytes) -> Self {
        Self {
            address,
            method: plan.request.method.clone(),
            request,
            loop_model: plan.loop_model,
            connections: plan.connections,
            cores: plan.cpus.len(),
            depth: plan.pipeline as u64,
            warmup: plan.warmup,
            duration: plan.extent.duration,
            requests: plan.extent.requests,
            timeout: plan.timeout,
            expect: plan.expect.clone(),
            start: OnceLock::new(),
            abandoned: AtomicBool::new(false),
            first_length: AtomicU64::new(UNKNOWN_LENGTH),
        }
    }

    /// Core number `core`'s share of `total` things.
    pub(super) fn share(&self, total: u64, core: usize) -> u64 {
        let cores = self.cores as u64;
        total / cores + u64::from((core as u64) < total % cores)
    }

    /// The body length of the run's first valid response, which is `length` if there was none before.
    pub(super) fn first_length(&self, length: u64) -> u64 {
        match self.first_length.compare_exchange(UNKNOWN_LENGTH, length, Ordering::Relaxed, Ordering::Relaxed)
        {
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
    /// The core finished a second of the window.
    Interval(CoreInterval),
    /// The core finished the run.
    Done(Box<CoreRecord>),
}
