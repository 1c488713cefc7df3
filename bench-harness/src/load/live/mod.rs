//! A closed loop whose connections come and go while it runs, at the word of somebody else.

mod users;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use self::users::{Crew, LiveEvent, core_thread};
use super::conduct::{choose_endpoint, conditions, endpoint_is_other};
use super::job::Job;
use super::observer::Observer;
use super::tls::Security;
use super::traffic::Traffic;
use super::{LoadError, LoadPlan, Progress};
use crate::record::{Conditions, CoreRecord, Errors, Hist, LoopModel, Merger, RunRecord};

/// What happened on one core within one second of the wall clock.
#[derive(Debug, Clone)]
pub struct LivePart {
    /// Which generator core, from 0.
    pub core: usize,
    /// The second, since 1970.
    pub second: u64,
    /// Validated responses.
    pub completed: u64,
    /// Requests that ended without one.
    pub failed: u64,
    /// Bytes of response bodies where all are of one length, else all bytes received.
    pub content: u64,
    /// Response times, timeouts at the time they had waited.
    pub response: Hist,
    /// What went wrong.
    pub errors: Errors,
    /// CPU time over wall time of the core's thread.
    pub busy: f64,
}

/// A running load of as many users as were asked for last: connections that each keep a request under way, or think.
#[derive(Debug)]
pub struct LiveLoad {
    job: Arc<Job>,
    crew: Arc<Crew>,
    conditions: Conditions,
    events: Receiver<LiveEvent>,
    threads: Vec<JoinHandle<()>>,
    observer: Option<Observer>,
    merger: Merger,
    records: Vec<CoreRecord>,
    parts: Vec<LivePart>,
}

/// The plan of users, whose number and time are nobody's yet.
fn of_users(plan: &LoadPlan) -> Result<LoadPlan, LoadError> {
    if plan.loop_model != LoopModel::Closed {
        return Err(LoadError::Plan("users that come and go are of a closed loop: leave the rate out"));
    }
    if plan.url.is_web_socket() {
        return Err(LoadError::Plan(
            "users that come and go speak HTTP/1.1: write an http:// or https:// URL",
        ));
    }
    let plan = LoadPlan {
        connections: plan.cpus.len().max(1),
        warmup: Duration::ZERO,
        steady_within: None,
        ..plan.clone()
    };
    plan.check()?;
    Ok(plan)
}

impl LiveLoad {
    /// Starts the generator's cores, with no user yet; the plan's connections, warm-up and end mean nothing.
    ///
    /// # Errors
    /// When the plan makes no sense or is of an open loop, the host does not resolve, or a thread does not start.
    pub fn start(plan: &LoadPlan, progress: &dyn Progress) -> Result<Self, LoadError> {
        let cores = plan.cpus.len();
        let plan = &of_users(plan)?;
        let traffic = Traffic::new(plan)?;
        let security = Security::of(&plan.url, &plan.tls)?;
        let endpoint = choose_endpoint(plan)?;
        allow_all_files();
        let conditions = Conditions {
            connected_to: endpoint_is_other(plan).then(|| endpoint.to_string()),
            kinds: traffic.kinds(),
            duration: Duration::ZERO,
            ..conditions(plan)
        };
        let job = Arc::new(Job::new(plan, endpoint, security, traffic));
        let zeros = || (0..cores).map(|_| AtomicU64::new(0)).collect();
        let crew = Arc::new(Crew {
            wanted: AtomicU64::new(0),
            present: zeros(),
            places: zeros(),
            ending: AtomicBool::new(false),
            grace_nanos: AtomicU64::new(0),
        });
        let (sender, events) = mpsc::channel();
        let mut threads = Vec::with_capacity(cores);
        for (core, &cpu) in plan.cpus.iter().enumerate() {
            let (job, of_core, events) = (job.clone(), crew.clone(), sender.clone());
            let builder = thread::Builder::new().name(format!("load-{cpu}"));
            let thread = builder.spawn(move || core_thread(&job, core, cpu, &of_core, &events));
            threads.push(thread.map_err(|error| {
                crew.ending.store(true, Ordering::Release);
                LoadError::Thread(error)
            })?);
        }
        progress.started(plan);
        progress.opens(Instant::now());
        Ok(Self {
            job,
            crew,
            conditions,
            events,
            threads,
            observer: Observer::start(Instant::now()).ok(),
            merger: Merger::new(cores),
            records: Vec::new(),
            parts: Vec::new(),
        })
    }

    /// Whether a load of the plan could be started: it makes sense, and the files that it names can be used.
    ///
    /// # Errors
    /// As [`LiveLoad::start`], but for what concerns the host and the threads.
    pub fn check(plan: &LoadPlan) -> Result<(), LoadError> {
        let plan = of_users(plan)?;
        Traffic::new(&plan)?;
        Security::of(&plan.url, &plan.tls)?;
        Ok(())
    }

    /// Makes so many users, over all cores: those there are stay, as far as they are wanted.
    pub fn set_users(&self, users: u64) {
        self.crew.wanted.store(users, Ordering::Release);
    }

    /// Users there are now, connected or about to be.
    pub fn users(&self) -> u64 {
        self.crew.present.iter().map(|count| count.load(Ordering::Acquire)).sum()
    }

    /// What the cores have recorded since the last call.
    ///
    /// # Errors
    /// When a core could not begin.
    pub fn parts(&mut self, progress: &dyn Progress) -> Result<Vec<LivePart>, LoadError> {
        while let Ok(event) = self.events.try_recv() {
            self.take_in(event, progress)?;
        }
        Ok(std::mem::take(&mut self.parts))
    }

    fn take_in(&mut self, event: LiveEvent, progress: &dyn Progress) -> Result<(), LoadError> {
        match event {
            LiveEvent::Failed(error) => return Err(error),
            LiveEvent::Done(record) => self.records.push(*record),
            LiveEvent::Part(part, interval) => {
                self.job.spares.renew(interval.core);
                progress.part(&interval);
                self.parts.push(*part);
                if let Some(interval) = self.merger.add(*interval) {
                    progress.interval(interval);
                }
            }
        }
        Ok(())
    }

    /// Sends all users away, and waits until they have gone or `grace` is over.
    ///
    /// Returns what the cores recorded since the last call of [`LiveLoad::parts`], and the record of the whole; a request
    /// that is not answered by then is part of the record, as in flight.
    ///
    /// # Errors
    /// When a core could not begin, or ended early.
    pub fn finish(
        mut self,
        grace: Duration,
        progress: &dyn Progress,
    ) -> Result<(Vec<LivePart>, RunRecord), LoadError> {
        self.crew.end(grace);
        // The channel ends when every core has.
        while let Ok(event) = self.events.recv() {
            self.take_in(event, progress)?;
        }
        for thread in self.threads.drain(..) {
            // A panic was printed on that thread, and its record is missing.
            let _ = thread.join();
        }
        progress.finished();
        if self.records.len() < self.crew.present.len() {
            return Err(LoadError::CoreLost);
        }
        let places = self.crew.places.iter().map(|count| count.load(Ordering::Acquire)).sum::<u64>();
        let conditions = Conditions { connections: places as usize, ..self.conditions.clone() };
        let platform = self.observer.take().and_then(Observer::finish);
        let merger = std::mem::replace(&mut self.merger, Merger::new(0));
        let record = RunRecord { platform, ..merger.finish(conditions, &self.records) };
        Ok((std::mem::take(&mut self.parts), record))
    }
}

impl Drop for LiveLoad {
    fn drop(&mut self) {
        self.crew.end(Duration::ZERO);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        if let Some(observer) = self.observer.take() {
            let _ = observer.finish();
        }
    }
}

/// Raises the soft limit on open files to the hard one: how many users will be wanted is not known.
fn allow_all_files() {
    let limit = getrlimit(Resource::Nofile);
    // A connection that finds no descriptor says so when it is opened.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

#[cfg(test)]
mod tests;
