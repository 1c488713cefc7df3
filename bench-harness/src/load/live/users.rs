//! The cores of a live load: users who take their places, and leave them.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use covet_runtime::{CoreSet, Runtime, spawn, time};

use super::LivePart;
use crate::clock::{thread_cpu_time, thread_preemptions, thread_wait_time};
use crate::load::LoadError;
use crate::load::connection::{Connection, keep_in_use};
use crate::load::dispatch::dispatch;
use crate::load::generator::close;
use crate::load::job::Job;
use crate::load::opening::Opening;
use crate::load::pauses::observe;
use crate::load::reader::ResponseReader;
use crate::load::timeouts::watch;
use crate::load::transport::class_of_failure;
use crate::load::worker;
use crate::record::{CoreInterval, CoreRecord, Errors};

/// Users speak HTTP/1.1.
type Worker = worker::Worker<ResponseReader>;

/// How often a core looks how many users are wanted of it.
const PULSE: Duration = Duration::from_millis(10);
/// Receive buffers of a core, whose connections are not known beforehand.
const BUFFERS: u16 = 2048;

/// What the conductor and the cores share.
#[derive(Debug)]
pub(super) struct Crew {
    /// Users wanted, over all cores.
    pub(super) wanted: AtomicU64,
    /// Users there are on each core.
    pub(super) present: Vec<AtomicU64>,
    /// Places that users have had on each core.
    pub(super) places: Vec<AtomicU64>,
    pub(super) ending: AtomicBool,
    /// Set before `ending`: how long requests in flight have then.
    pub(super) grace_nanos: AtomicU64,
}

#[derive(Debug)]
pub(super) enum LiveEvent {
    Part(Box<LivePart>, Box<CoreInterval>),
    Done(Box<CoreRecord>),
    Failed(LoadError),
}

impl Crew {
    /// Sends all users away, who have so long for what they do.
    pub(super) fn end(&self, grace: Duration) {
        let nanos = u64::try_from(grace.as_nanos()).unwrap_or(u64::MAX);
        self.grace_nanos.store(nanos, Ordering::Release);
        self.ending.store(true, Ordering::Release);
    }
}

/// Runs one core on the thread that calls.
pub(super) fn core_thread(
    job: &Arc<Job>,
    core: usize,
    cpu: usize,
    crew: &Arc<Crew>,
    events: &Sender<LiveEvent>,
) {
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
        let connection = Rc::new(Connection::new(places.len(), worker.job.depth));
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
            worker.tally.borrow_mut().errors.add(class_of_failure(error), 1, || error.to_string());
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
        let interval = worker.cut_interval(now, self.core);
        let tally = worker.tally.borrow();
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
