//! A closed loop whose connections come and go while it runs, at the word of somebody else.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use covet_runtime::{CoreSet, Runtime, spawn, time};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::conduct::{choose_endpoint, conditions, endpoint_is_other};
use super::connection::{Connection, keep_in_use};
use super::dispatch::dispatch;
use super::generator::close;
use super::job::Job;
use super::observer::Observer;
use super::opening::Opening;
use super::pauses::observe;
use super::timeouts::watch;
use super::tls::Security;
use super::traffic::Traffic;
use super::transport::is_of_session;
use super::worker::Worker;
use super::{LoadError, LoadPlan, Progress};
use crate::clock::{thread_cpu_time, thread_preemptions, thread_wait_time};
use crate::record::{
    Conditions, CoreInterval, CoreRecord, ErrorClass, Errors, Hist, LoopModel, Merger, RunRecord,
};

/// How often a core looks how many users are wanted of it.
const PULSE: Duration = Duration::from_millis(10);
/// Receive buffers of a core, whose connections are not known beforehand.
const BUFFERS: u16 = 2048;

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
    crew: Arc<Crew>,
    conditions: Conditions,
    events: Receiver<LiveEvent>,
    threads: Vec<JoinHandle<()>>,
    observer: Option<Observer>,
    merger: Merger,
    records: Vec<CoreRecord>,
    parts: Vec<LivePart>,
}

/// What the conductor and the cores share.
#[derive(Debug)]
struct Crew {
    /// Users wanted, over all cores.
    wanted: AtomicU64,
    /// Users there are on each core.
    present: Vec<AtomicU64>,
    /// Places that users have had on each core.
    places: Vec<AtomicU64>,
    ending: AtomicBool,
    /// Set before `ending`: how long requests in flight have then.
    grace_nanos: AtomicU64,
}

#[derive(Debug)]
enum LiveEvent {
    Part(Box<LivePart>, Box<CoreInterval>),
    Done(Box<CoreRecord>),
    Failed(LoadError),
}

impl LiveLoad {
    /// Starts the generator's cores, with no user yet; the plan's connections, warm-up and end mean nothing.
    ///
    /// # Errors
    /// When the plan makes no sense or is of an open loop, the host does not resolve, or a thread does not start.
    pub fn start(plan: &LoadPlan, progress: &dyn Progress) -> Result<Self, LoadError> {
        if plan.loop_model != LoopModel::Closed {
            return Err(LoadError::Plan("users that come and go are of a closed loop: leave the rate out"));
        }
        let cores = plan.cpus.len();
        let plan = &LoadPlan {
            connections: cores.max(1),
            warmup: Duration::ZERO,
            steady_within: None,
            ..plan.clone()
        };
        plan.check()?;
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

impl Crew {
    fn end(&self, grace: Duration) {
        let nanos = u64::try_from(grace.as_nanos()).unwrap_or(u64::MAX);
        self.grace_nanos.store(nanos, Ordering::Release);
        self.ending.store(true, Ordering::Release);
    }
}

fn core_thread(job: &Arc<Job>, core: usize, cpu: usize, crew: &Arc<Crew>, events: &Sender<LiveEvent>) {
    let runtime = Runtime::builder().cores(CoreSet::list([cpu])).recv_buffers(BUFFERS, 4096);
    let generated = runtime.block_on(generate(job.clone(), core, crew.clone(), events.clone()));
    if let Err(error) = generated {
        let _ = events.send(LiveEvent::Failed(error.into()));
    }
}

/// A place for a user, on one connection at a time.
struct Place {
    connection: Rc<Connection>,
    taken: Rc<Cell<bool>>,
}

/// Runs one core until the crew ends.
async fn generate(job: Arc<Job>, core: usize, crew: Arc<Crew>, events: Sender<LiveEvent>) {
    let start = time::now();
    let opening = Rc::new(Opening::new(&job, core, start));
    let worker = Rc::new(Worker::new(job.clone(), core, start, opening));
    spawn(watch(worker.clone())).detach();
    spawn(dispatch(worker.clone())).detach();
    spawn(observe(worker.clone())).detach();
    let (cpu_before, wait_before, lost_before) =
        (thread_cpu_time(), thread_wait_time(), thread_preemptions());
    worker.open_window(start, core);

    let mut places: Vec<Place> = Vec::new();
    let mut reporter = Reporter::new(core, start);
    let mut deadline: Option<Instant> = None;
    loop {
        if deadline.is_none() && crew.ending.load(Ordering::Acquire) {
            let grace = Duration::from_nanos(crew.grace_nanos.load(Ordering::Acquire));
            deadline = time::now().checked_add(grace);
        }
        let wanted = match deadline {
            Some(_) => 0,
            None => job.share(crew.wanted.load(Ordering::Acquire), core) as usize,
        };
        seat(&worker, &mut places, wanted, start);
        let present = places.iter().filter(|place| place.taken.get()).count();
        crew.present[core].store(present as u64, Ordering::Release);
        crew.places[core].store(places.len() as u64, Ordering::Release);
        let now = time::now();
        if deadline.is_some_and(|deadline| present == 0 || now >= deadline) {
            break;
        }
        if now >= reporter.next {
            reporter.report(&worker, now, &events);
        }
        time::sleep(PULSE.min(reporter.next.saturating_duration_since(now))).await;
    }
    let now = time::now();
    reporter.report(&worker, now, &events);
    let waited = thread_wait_time().zip(wait_before).map_or(Duration::ZERO, |(after, before)| after - before);
    let preemptions = thread_preemptions().zip(lost_before).map(|(after, before)| after - before);
    let cpu = thread_cpu_time() - cpu_before;
    let record = CoreRecord { cpu, waited, preemptions, ..close(&worker, now) };
    let _ = events.send(LiveEvent::Done(Box::new(record)));
}

/// Takes the first `wanted` places, and clears the others as their requests end.
fn seat(worker: &Rc<Worker>, places: &mut Vec<Place>, wanted: usize, start: Instant) {
    while places.len() < wanted {
        let connection = Rc::new(Connection::new(places.len()));
        // Before it was there its slot was not open.
        connection.leave(start);
        worker.connections.borrow_mut().push(connection.clone());
        places.push(Place { connection, taken: Rc::default() });
    }
    for (index, place) in places.iter().enumerate() {
        match (index < wanted, place.taken.get()) {
            (true, false) => take(worker, place),
            (false, true) => place.connection.retire(),
            (true, true) | (false, false) => {}
        }
    }
}

fn take(worker: &Rc<Worker>, place: &Place) {
    place.taken.set(true);
    place.connection.renew();
    let (worker, connection, taken) = (worker.clone(), place.connection.clone(), place.taken.clone());
    spawn(async move {
        let opened = worker.connect().await;
        if let Err(error) = &opened {
            let class = if is_of_session(error) { ErrorClass::Tls } else { ErrorClass::Connect };
            worker.tally.borrow_mut().errors.add(class, 1, || error.to_string());
        }
        keep_in_use(worker, connection, opened.ok()).await;
        taken.set(false);
    })
    .detach();
}

/// Cuts what a core counts into seconds of the wall clock.
struct Reporter {
    core: usize,
    next: Instant,
    last: Instant,
    cpu: Duration,
    failed: u64,
    bytes_in: u64,
    errors: Errors,
}

impl Reporter {
    fn new(core: usize, now: Instant) -> Self {
        let next = now + until_next_second();
        let (cpu, errors) = (thread_cpu_time(), Errors::default());
        Self { core, next, last: now, cpu, failed: 0, bytes_in: 0, errors }
    }

    fn report(&mut self, worker: &Worker, now: Instant, events: &Sender<LiveEvent>) {
        let mut tally = worker.tally.borrow_mut();
        let interval = tally.cut_interval(now, self.core, 0);
        let cpu = thread_cpu_time();
        let length = (now - self.last).as_secs_f64();
        let bytes_in = tally.bytes_in - std::mem::replace(&mut self.bytes_in, tally.bytes_in);
        let errors = tally.errors.since(&self.errors);
        self.errors.clone_from(&tally.errors);
        let part = LivePart {
            core: self.core,
            second: second(now),
            completed: interval.completed,
            failed: tally.failed - std::mem::replace(&mut self.failed, tally.failed),
            content: worker.one_length().map_or(bytes_in, |length| length * interval.completed),
            response: interval.response.clone(),
            errors,
            busy: if length > 0.0 { (cpu - self.cpu).as_secs_f64() / length } else { 0.0 },
        };
        (self.cpu, self.last, self.next) = (cpu, now, now + until_next_second());
        let _ = events.send(LiveEvent::Part(Box::new(part), Box::new(interval)));
    }
}

fn until_next_second() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_secs(1) - Duration::from_nanos(u64::from(now.subsec_nanos()))
}

/// The second of the wall clock that ends, or goes on, at `now`.
fn second(now: Instant) -> u64 {
    let wall = SystemTime::now().checked_sub(now.elapsed()).unwrap_or(UNIX_EPOCH);
    // What is reported just after a second's end belongs to that second.
    let inside = wall.checked_sub(Duration::from_millis(100)).unwrap_or(UNIX_EPOCH);
    inside.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Raises the soft limit on open files to the hard one: how many users will be wanted is not known.
fn allow_all_files() {
    let limit = getrlimit(Resource::Nofile);
    // A connection that finds no descriptor says so when it is opened.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{NoProgress, TargetUrl};
    use crate::target::null::{self, NullOptions};

    fn within(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if holds() {
                return true;
            }
            thread::sleep(Duration::from_millis(5));
        }
        false
    }

    #[test]
    fn users_come_and_go_and_no_request_is_lost() {
        let null = null::embed(CoreSet::list([0]), NullOptions::default()).unwrap();
        let url = TargetUrl::parse(&format!("http://{}/", null.address())).unwrap();
        let cpu = *crate::load::allowed_cpus().last().unwrap();
        let mut load = LiveLoad::start(&LoadPlan::closed(url, vec![cpu]), &NoProgress).unwrap();
        let mut parts = Vec::new();
        for users in [3, 17, 5, 0, 8] {
            load.set_users(users);
            assert!(within(Duration::from_secs(20), || load.users() == users), "{users}: {}", load.users());
            thread::sleep(Duration::from_millis(300));
            parts.extend(load.parts(&NoProgress).unwrap());
        }
        let (last, record) = load.finish(Duration::from_secs(20), &NoProgress).unwrap();
        parts.extend(last);
        assert_eq!(record.conditions.connections, 17);
        assert_eq!((record.failed, record.in_flight_at_end), (0, 0), "{}", record.to_text());
        assert_eq!(record.sent, record.completed);
        assert!(record.completed > 100, "{}", record.to_text());
        assert_eq!(parts.iter().map(|part| part.completed).sum::<u64>(), record.completed);
        assert_eq!(parts.iter().map(|part| part.response.len()).sum::<u64>(), record.completed);
        assert!(parts.windows(2).all(|two| two[0].second <= two[1].second));
        assert_eq!(record.errors.total(), 0, "{:?}", record.errors.first);
        assert_eq!(record.reconnects, 0);
    }

    #[test]
    fn users_that_think_leave_at_once() {
        let null = null::embed(CoreSet::list([0]), NullOptions::default()).unwrap();
        let url = TargetUrl::parse(&format!("http://{}/", null.address())).unwrap();
        let cpu = *crate::load::allowed_cpus().last().unwrap();
        let think = Some(crate::clock::Delay::Constant(Duration::from_secs(600)));
        let plan = LoadPlan { think, ..LoadPlan::closed(url, vec![cpu]) };
        let load = LiveLoad::start(&plan, &NoProgress).unwrap();
        load.set_users(4);
        assert!(within(Duration::from_secs(20), || load.users() == 4));
        load.set_users(1);
        assert!(within(Duration::from_secs(20), || load.users() == 1));
        let begun = Instant::now();
        load.finish(Duration::from_secs(500), &NoProgress).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(100), "{:?}", begun.elapsed());
    }
}
