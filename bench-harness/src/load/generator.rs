//! One generator core from its first connection to its record.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use covet_runtime::net::TcpStream;
use covet_runtime::{spawn, time};

use super::LoadError;
use super::connection::{Connection, connect, keep_in_use};
use super::dispatch::dispatch;
use super::job::{Event, Job};
use super::pauses::observe;
use super::timeouts::watch;
use super::worker::Worker;
use crate::clock::{thread_cpu_time, thread_wait_time};
use crate::record::{CoreRecord, Hist, LoopModel};

/// Connections that are opened at once: fewer than any usual backlog.
const OPENING_AT_ONCE: usize = 128;
/// How often a core that is ready looks whether the others are.
const READY_POLL: Duration = Duration::from_micros(500);
/// A run by count ends when nothing has ended for this long, beyond its timeout.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs core number `core` of a job, on the core's own thread and runtime.
pub(super) async fn generate(job: Arc<Job>, core: usize, events: Sender<Event>) {
    if matches!(job.loop_model, LoopModel::Open { .. }) {
        // The default of 50 µs would be added to every sleep; without the permission the lateness shows it.
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
    }
    let streams = match open_all(&job, core).await {
        Ok(streams) => streams,
        Err(error) => {
            let _ = events.send(Event::Failed(error));
            return;
        }
    };
    // Nobody listens only when the run was given up, and then `begin` says so.
    let _ = events.send(Event::Ready);
    let Some(start) = begin(&job).await else { return };

    let worker = Rc::new(Worker::new(job.clone(), core, start));
    time::sleep_until(start).await;
    for stream in streams {
        let connection = Rc::new(Connection::default());
        worker.connections.borrow_mut().push(connection.clone());
        spawn(keep_in_use(worker.clone(), connection, stream)).detach();
    }
    spawn(watch(worker.clone())).detach();
    spawn(dispatch(worker.clone())).detach();
    spawn(observe(worker.clone())).detach();

    let window = start + job.warmup;
    time::sleep_until(window).await;
    let opened = time::now();
    let (cpu_before, wait_before) = (thread_cpu_time(), thread_wait_time());
    let in_flight_at_start = worker.open_window(opened, core);
    measure(&worker, window, &events).await;

    let cpu = thread_cpu_time() - cpu_before;
    let waited = thread_wait_time().zip(wait_before).map_or(Duration::ZERO, |(after, before)| after - before);
    let now = time::now();
    let last = worker.tally.borrow_mut().cut_interval(now, worker.backlog(now));
    let _ = events.send(Event::Interval(last));
    let record = CoreRecord { cpu, waited, in_flight_at_start, ..close(&worker, now) };
    let _ = events.send(Event::Done(Box::new(record)));
}

/// Opens the core's share of the connections; those that fail are `None`, and tried again during the run.
async fn open_all(job: &Arc<Job>, core: usize) -> Result<Vec<Option<TcpStream>>, LoadError> {
    let count = job.share(job.connections as u64, core) as usize;
    let mut streams = Vec::with_capacity(count);
    let mut first_error: Option<io::Error> = None;
    while streams.len() < count {
        let now = OPENING_AT_ONCE.min(count - streams.len());
        let attempts: Vec<_> = (0..now)
            .map(|_| {
                let job = job.clone();
                spawn(async move { connect(&job).await })
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
            io::ErrorKind::AddrNotAvailable => LoadError::LocalPorts { address: job.address },
            _ => LoadError::Connect { address: job.address, source },
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
async fn measure(worker: &Rc<Worker>, window: Instant, events: &Sender<Event>) {
    let end = worker.job.duration.map(|duration| window + duration);
    let mut ended_before = (0, Instant::now());
    for second in 1_u32.. {
        let cut = window + Duration::from_secs(1) * second;
        let until = end.map_or(cut, |end| end.min(cut));
        let left = until.saturating_duration_since(Instant::now());
        if time::timeout(left, worker.drained()).await.is_ok() || end == Some(until) {
            return;
        }
        let now = time::now();
        let interval = worker.tally.borrow_mut().cut_interval(now, worker.backlog(now));
        let _ = events.send(Event::Interval(interval));

        let ended = worker.tally.borrow().completed + worker.tally.borrow().failed;
        if ended != ended_before.0 {
            ended_before = (ended, now);
        } else if end.is_none() && now - ended_before.1 > PATIENCE + worker.job.timeout {
            return;
        }
    }
}

/// Closes the window at `now`: what has no end yet is recorded with its age.
fn close(worker: &Worker, now: Instant) -> CoreRecord {
    let mut censored = Hist::new();
    let mut in_flight_at_end = 0;
    let mut tally = worker.tally.replace(super::tally::Tally::new(now, false));
    for connection in worker.connections.borrow().iter() {
        connection.back(&mut tally, now, worker.job.depth);
        for batch in connection.in_flight.borrow().iter() {
            censored.record(now.saturating_duration_since(batch.intended), batch.count);
            in_flight_at_end += batch.count;
        }
    }
    let queued_at_end = worker.backlog(now);
    if let Some(schedule) = &worker.schedule {
        let limit = usize::try_from(queued_at_end).unwrap_or(usize::MAX);
        for intended in schedule.borrow().waiting(now).take(limit) {
            censored.record(now.saturating_duration_since(intended), 1);
        }
    }
    let record = tally.into_record(now);
    CoreRecord {
        in_flight_at_end,
        queued_at_end,
        max_queued: record.max_queued.max(queued_at_end),
        censored,
        ..record
    }
}
