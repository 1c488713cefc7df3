//! One generator core from its first connection to its record.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use covet_runtime::{spawn, time};

use super::LoadError;
use super::connection::{Connection, PARTING_TIME, keep_in_use};
use super::dispatch::dispatch;
use super::job::{Event, Job};
use super::opening::Opening;
use super::pauses::observe;
use super::protocol::Protocol;
use super::reader::ReadError;
use super::settling::settle;
use super::tally::Tally;
use super::timeouts::watch;
use super::times::Times;
use super::transport::{Transport, is_of_session};
use super::worker::Worker;
use crate::clock::{thread_cpu_time, thread_preemptions, thread_wait_time};
use crate::record::CoreRecord;

/// Connections that are opened at once: fewer than any usual backlog.
const OPENING_AT_ONCE: usize = 128;
/// How often a core that is ready looks whether the others are.
const READY_POLL: Duration = Duration::from_micros(500);
/// How often a core looks whether the window is to close before its time.
const STOP_POLL: Duration = Duration::from_millis(100);
/// A run by count ends when nothing has ended for this long, beyond its timeout.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs core number `core` of a job whose connections speak `P`, on the core's own thread and runtime.
pub(super) async fn generate<P: Protocol>(job: Arc<Job>, core: usize, events: Sender<Event>) {
    if job.has_clocks() {
        // The default of 50 µs would be added to every sleep; without the permission the lateness shows it.
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
    }
    let opening = Rc::new(Opening::new(&job, core, Instant::now()));
    let streams = match open_all::<P>(&job, &opening, core).await {
        Ok(streams) => streams,
        Err(error) => {
            let _ = events.send(Event::Failed(error));
            return;
        }
    };
    // Nobody listens only when the run was given up, and then `begin` says so.
    let _ = events.send(Event::Ready);
    let Some(start) = begin(&job).await else { return };

    let worker = Rc::new(Worker::new(job.clone(), core, start, opening));
    time::sleep_until(start).await;
    let mut tasks = Vec::new();
    for (index, stream) in streams.into_iter().enumerate() {
        let connection = Rc::new(Connection::new(index, job.depth));
        worker.connections.borrow_mut().push(connection.clone());
        let task = spawn(keep_in_use(worker.clone(), connection, stream));
        if P::FAREWELL { tasks.push(task) } else { task.detach() }
    }
    spawn(watch(worker.clone())).detach();
    spawn(dispatch(worker.clone())).detach();
    spawn(observe(worker.clone())).detach();

    let window = if job.settles {
        settle(&worker, start, &events).await
    } else {
        time::sleep_until(start + job.warmup).await;
        start + job.warmup
    };
    let opened = time::now();
    let (cpu_before, wait_before, lost_before) =
        (thread_cpu_time(), thread_wait_time(), thread_preemptions());
    let queued_at_start = worker.backlog(opened);
    // To let go of its memory takes time, of which there is enough at the end.
    let (in_flight_at_start, _warm_up) = worker.open_window(opened, core);
    measure(&worker, core, window, &events).await;

    let cpu = thread_cpu_time() - cpu_before;
    let waited = thread_wait_time().zip(wait_before).map_or(Duration::ZERO, |(after, before)| after - before);
    let preemptions = thread_preemptions().zip(lost_before).map(|(after, before)| after - before);
    let now = time::now();
    let last = worker.cut_interval(now, core);
    let _ = events.send(Event::Interval(Box::new(last)));
    let record =
        CoreRecord { cpu, waited, preemptions, in_flight_at_start, queued_at_start, ..close(&worker, now) };
    let _ = events.send(Event::Done(Box::new(record)));
    if P::FAREWELL {
        worker.connections.borrow().iter().for_each(|connection| connection.part());
        let parted = async {
            for task in tasks {
                // A panic was printed, and the record is sent.
                let _ = task.await;
            }
        };
        // A peer that takes longer has had its chance.
        let _ = time::timeout(PARTING_TIME, parted).await;
    }
}

/// Opens the core's share of the connections; those that fail are `None`, and tried again during the run.
async fn open_all<P: Protocol>(
    job: &Arc<Job>,
    opening: &Rc<Opening>,
    core: usize,
) -> Result<Vec<Option<(Transport, P)>>, LoadError> {
    let count = job.share(job.connections as u64, core) as usize;
    let mut streams = Vec::with_capacity(count);
    let mut first_error: Option<io::Error> = None;
    while streams.len() < count {
        let now = OPENING_AT_ONCE.min(count - streams.len());
        let attempts: Vec<_> = (0..now)
            .map(|_| {
                let (job, opening) = (job.clone(), opening.clone());
                spawn(async move { opening.connect::<P>(&job).await })
            })
            .collect();
        for attempt in attempts {
            match attempt.await {
                Ok(Ok(stream)) => streams.push(Some(stream)),
                Ok(Err(error)) => {
                    streams.push(None);
                    first_error.get_or_insert(error);
                }
                Err(_panicked) => return Err(LoadError::CoreLost),
            }
        }
        // Where nothing answers at the start, a wait for the rest would only repeat it.
        if streams.iter().all(Option::is_none) {
            break;
        }
    }
    match first_error {
        Some(source) if streams.iter().all(Option::is_none) => Err(match source.kind() {
            io::ErrorKind::AddrNotAvailable => LoadError::LocalPorts { address: job.endpoint.to_string() },
            _ if source.get_ref().is_some_and(|inner| inner.is::<ReadError>()) => {
                LoadError::Upgrade { address: job.endpoint.to_string(), source }
            }
            _ if is_of_session(&source) => LoadError::Handshake { address: job.endpoint.to_string(), source },
            _ => LoadError::Connect { address: job.endpoint.to_string(), source },
        }),
        _ => Ok(streams),
    }
}

/// Waits until every core is ready; `None` when the run is off.
async fn begin(job: &Job) -> Option<Instant> {
    loop {
        if let Some(&start) = job.start.get() {
            return Some(start);
        }
        if job.abandoned.load(Ordering::Acquire) {
            return None;
        }
        time::sleep(READY_POLL).await;
    }
}

/// Hands over a second of the window at a time, until the window closes.
async fn measure<P: Protocol>(worker: &Rc<Worker<P>>, core: usize, window: Instant, events: &Sender<Event>) {
    let end = worker.job.duration.map(|duration| window + duration);
    let mut ended_before = (0, Instant::now());
    for second in 1_u32.. {
        let cut = window + Duration::from_secs(1) * second;
        let until = end.map_or(cut, |end| end.min(cut));
        if ends_before(worker, until).await || end == Some(until) {
            return;
        }
        let now = time::now();
        let interval = worker.cut_interval(now, core);
        let _ = events.send(Event::Interval(Box::new(interval)));

        let ended = worker.tally.borrow().completed + worker.tally.borrow().failed;
        if ended != ended_before.0 {
            ended_before = (ended, now);
        } else if end.is_none() && now - ended_before.1 > PATIENCE + worker.job.timeout {
            return;
        }
    }
}

/// Waits until `until`; says whether the run ended before it.
async fn ends_before<P: Protocol>(worker: &Rc<Worker<P>>, until: Instant) -> bool {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if time::timeout(left.min(STOP_POLL), worker.drained()).await.is_ok()
            || worker.job.stopped.load(Ordering::Acquire)
        {
            return true;
        }
        if left <= STOP_POLL {
            return false;
        }
    }
}

/// Closes the window at `now`: what has no end yet is recorded with its age.
pub(super) fn close<P: Protocol>(worker: &Worker<P>, now: Instant) -> CoreRecord {
    let mut in_flight_at_end = 0;
    let mut tally = worker.tally.replace(Tally::new(now, Times::new(false)));
    let mut unfinished = Vec::new();
    for connection in worker.connections.borrow().iter() {
        connection.back(&mut tally, now);
        for batch in connection.in_flight.borrow().iter() {
            unfinished.push((now.saturating_duration_since(batch.intended), batch.count));
            in_flight_at_end += batch.count;
        }
    }
    let queued_at_end = worker.backlog(now);
    let mut record = tally.into_record(now);
    for (age, count) in unfinished {
        record.censored.record(age, count);
    }
    if let Some(schedule) = &worker.schedule {
        let limit = usize::try_from(queued_at_end).unwrap_or(usize::MAX);
        for intended in schedule.borrow().waiting(now).take(limit) {
            record.censored.record(now.saturating_duration_since(intended), 1);
        }
    }
    CoreRecord {
        in_flight_at_end,
        queued_at_end,
        max_queued: record.max_queued.max(queued_at_end),
        connect: worker.connect_times(),
        handshakes: worker.handshakes(),
        ..record
    }
}
