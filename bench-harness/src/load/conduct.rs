//! A run, from the plan to the record.

use std::io;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use covet_runtime::{Builder, CoreSet, Runtime, StartError};

use super::asked::asked;
use super::canary::Canary;
use super::generator::generate;
use super::job::{Event, Job};
use super::observer::Observer;
use super::open_files;
use super::reader::ResponseReader;
use super::settling::Settling;
use super::tls::Security;
use super::traffic::Traffic;
use super::transport::Endpoint;
use super::url::resolve;
use super::websocket::WebSocket;
use super::{Expectation, LoadError, LoadPlan, Progress};
use crate::record::{Conditions, Merger, Probes, RunRecord, cpu_model, kernel_release};

/// Time between the last core's being ready and the first request, so that all cores begin together.
const LEAD: Duration = Duration::from_millis(5);
/// Descriptors that a core needs beside its connections, and the process beside its cores.
const DESCRIPTORS_PER_CORE: u64 = 16;
const DESCRIPTORS_OF_PROCESS: u64 = 64;

/// Makes a run: starts a pinned thread with a runtime of its own for each generator core, and blocks until the
/// measured window closes.
///
/// # Errors
/// When the plan makes no sense, the host does not resolve, no connection can be opened at the start, or a core
/// does not start. What goes wrong later is part of the record.
pub fn run(plan: &LoadPlan, progress: &dyn Progress) -> Result<RunRecord, LoadError> {
    run_with(plan, progress, run_core)
}

/// What runs a core.
type RunCore = fn(Builder, &Arc<Job>, usize, Sender<Event>) -> Result<(), StartError>;

/// Makes a run whose cores are run by `run_core`.
pub(super) fn run_with(
    plan: &LoadPlan,
    progress: &dyn Progress,
    run_core: RunCore,
) -> Result<RunRecord, LoadError> {
    plan.check()?;
    let traffic = Traffic::new(plan)?;
    let security = Security::of(&plan.url, &plan.tls)?;
    let endpoint = choose_endpoint(plan)?;
    allow_open_files(plan)?;
    let connected_to = (endpoint_is_other(plan)).then(|| endpoint.to_string());
    let conditions = Conditions { connected_to, kinds: traffic.kinds(), ..conditions(plan) };
    let job = Arc::new(Job::new(plan, endpoint, security, traffic));
    let (sender, events) = mpsc::channel();
    let threads: Vec<_> = plan
        .cpus
        .iter()
        .enumerate()
        .map(|(core, &cpu)| {
            let (job, events) = (job.clone(), sender.clone());
            let name = format!("load-{cpu}");
            thread::Builder::new().name(name).spawn(move || core_thread(&job, core, cpu, events, run_core))
        })
        .collect();
    drop(sender);
    let spawned = threads.iter().find_map(|thread| thread.as_ref().err().map(io::Error::kind));
    let outcome = match spawned {
        None => conduct(plan, conditions, &job, &events, progress),
        Some(kind) => Err(LoadError::Thread(kind.into())),
    };
    if outcome.is_err() {
        job.abandoned.store(true, Ordering::Release);
    }
    for thread in threads.into_iter().flatten() {
        // A panic was printed on that thread, and `conduct` has missed its record.
        let _ = thread.join();
    }
    progress.finished();
    outcome
}

fn core_thread(job: &Arc<Job>, core: usize, cpu: usize, events: Sender<Event>, run_core: RunCore) {
    let connections = job.share(job.connections as u64, core);
    // Twice as many buffers as connections, so that answers in flight rarely wait for one; few of them stay in
    // the cache.
    let buffers = (connections * 2).clamp(64, 8192).next_power_of_two() as u16;
    let runtime = Runtime::builder().cores(CoreSet::list([cpu])).recv_buffers(buffers, 4096);
    let failed = events.clone();
    if let Err(error) = run_core(runtime, job, core, events) {
        let _ = failed.send(Event::Failed(error.into()));
    }
}

/// Runs a core in the protocol that the job's requests are of.
fn run_core(runtime: Builder, job: &Arc<Job>, core: usize, events: Sender<Event>) -> Result<(), StartError> {
    match job.traffic.is_web_socket() {
        false => runtime.block_on(generate::<ResponseReader>(job.clone(), core, events)),
        true => runtime.block_on(generate::<WebSocket>(job.clone(), core, events)),
    }
}

/// Starts the cores together once all are ready, and gathers what they record.
fn conduct(
    plan: &LoadPlan,
    conditions: Conditions,
    job: &Arc<Job>,
    events: &Receiver<Event>,
    progress: &dyn Progress,
) -> Result<RunRecord, LoadError> {
    let cores = plan.cpus.len();
    let mut merger = Merger::new(cores);
    let mut ready = 0;
    let mut aborted = None;
    let mut settling = Settling::of(plan);
    let mut warmed_up = None;
    let (mut observer, mut canary) = (None, None);
    let mut records = Vec::with_capacity(cores);
    // The channel ends when every core has: each holds a sender until then.
    for event in events {
        match event {
            Event::Ready => {
                ready += 1;
                if ready == cores {
                    progress.started(plan);
                    let start = Instant::now() + LEAD;
                    if settling.is_none() {
                        progress.opens(start + plan.warmup);
                        (observer, canary) = watch_from(plan, job, start + plan.warmup);
                    }
                    // Set only here, so it cannot have been set before.
                    let _ = job.start.set(start);
                }
            }
            Event::Failed(error) => return Err(error),
            Event::Observation(part) => {
                if let Some(end) = settling.as_mut().and_then(|settling| settling.add(part)) {
                    // Every core looks once more before.
                    let window = Instant::now() + job.observation * 2 + LEAD;
                    progress.opens(window);
                    (observer, canary) = watch_from(plan, job, window);
                    let _ = job.window.set(window);
                    (settling, warmed_up) = (None, Some(end));
                }
            }
            Event::Interval(part) => {
                job.spares.renew(part.core);
                progress.part(&part);
                if let Some(interval) = merger.add(*part) {
                    progress.interval(interval);
                    if aborted.is_none() {
                        aborted = progress.ends();
                        job.stopped.store(aborted.is_some(), Ordering::Release);
                    }
                }
            }
            Event::Done(record) => records.push(*record),
        }
    }
    let platform = observer.and_then(Observer::finish);
    if records.len() < cores {
        return Err(LoadError::CoreLost);
    }
    let probes = Probes { canary: canary.and_then(Canary::finish), ..Probes::default() };
    Ok(RunRecord { platform, probes, aborted, warmed_up, ..merger.finish(conditions, &records) })
}

/// Starts what watches beside the load, from the opening of the window.
fn watch_from(plan: &LoadPlan, job: &Arc<Job>, opens: Instant) -> (Option<Observer>, Option<Canary>) {
    // Without it the record says that nobody watched.
    let observer = Observer::start(opens).ok();
    // A step of a session alone has nothing of what the steps before it were told.
    let lone = plan.canary && !plan.scenario;
    let canary = lone.then(|| Canary::start(job.clone(), &plan.cpus, opens).ok());
    (observer, canary.flatten())
}

pub(super) fn conditions(plan: &LoadPlan) -> Conditions {
    Conditions {
        url: plan.url.to_string(),
        method: plan.request.method.to_string(),
        request: asked(plan),
        accepted: accepted(plan),
        loop_model: plan.loop_model,
        arrivals: plan.timetable().is_some().then(|| arrivals(plan)),
        think: plan.think.map(|think| think.to_string()),
        requests_per_connection: plan.requests_per_connection,
        connection_rate: plan.connection_rate,
        kinds: 1,
        seed: plan.seed,
        connected_to: None,
        connections: plan.connections,
        threads: plan.cpus.len(),
        pipeline: plan.pipeline,
        protocol: match (plan.url.is_web_socket(), plan.url.is_secure()) {
            (false, false) => "HTTP/1.1",
            (false, true) => "HTTP/1.1 over TLS",
            (true, false) => "WebSocket",
            (true, true) => "WebSocket over TLS",
        },
        tls: plan.url.is_secure().then(|| plan.tls.to_string()),
        warmup: plan.warmup,
        steady_within: plan.steady_within,
        duration: plan.extent.duration.unwrap_or_default(),
        timeout: plan.timeout,
        generator_cpus: plan.cpus.clone(),
        server_cpus: plan.server_cpus.clone(),
        kernel: kernel_release(),
        cpu_model: cpu_model(),
    }
}

fn accepted(plan: &LoadPlan) -> Option<String> {
    let Expectation { status, same_length } = plan.expect;
    let status = status.map(|status| format!("status {status}"));
    let length = (!same_length).then(|| "any length".to_owned());
    let words: Vec<String> = status.into_iter().chain(length).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn arrivals(plan: &LoadPlan) -> String {
    let stages: Vec<String> = plan.stages.iter().map(ToString::to_string).collect();
    match stages[..] {
        [] => plan.arrivals.to_string(),
        _ => format!("{} in stages {}", plan.arrivals, stages.join(",")),
    }
}

pub(super) fn endpoint_is_other(plan: &LoadPlan) -> bool {
    plan.reach.unix_socket.is_some() || plan.reach.connect_to.is_some()
}

/// Where to connect to: the Unix socket, the host's only address, or the first that accepts a connection.
pub(super) fn choose_endpoint(plan: &LoadPlan) -> Result<Endpoint, LoadError> {
    if let Some(path) = &plan.reach.unix_socket {
        return Ok(Endpoint::Unix(path.clone()));
    }
    let (host, port) =
        plan.reach.connect_to.as_ref().map_or((plan.url.host(), plan.url.port()), |(h, p)| (h.as_str(), *p));
    let unresolved = |source| LoadError::Resolve { host: host.to_owned(), source };
    let mut addresses = resolve(host, port).map_err(unresolved)?;
    for &local in &plan.reach.local {
        // Any port of it: that it is ours is all that is asked.
        UdpSocket::bind((local, 0)).map_err(|source| LoadError::Bind { local, source })?;
        addresses.retain(|address| address.is_ipv4() == local.is_ipv4());
        if addresses.is_empty() {
            return Err(LoadError::Family { host: host.to_owned(), local });
        }
    }
    let accepts = |address: &SocketAddr| TcpStream::connect_timeout(address, plan.timeout).is_ok();
    // A name such as localhost often has an address of each family, and a server often listens on one.
    let chosen = if addresses.len() > 1 { addresses.iter().copied().find(accepts) } else { None };
    let address = chosen.or_else(|| addresses.first().copied());
    let address = address.ok_or_else(|| unresolved(io::ErrorKind::NotFound.into()))?;
    Ok(Endpoint::Tcp { address, local: plan.reach.local.clone() })
}

/// Raises the soft limit on open files as far as the connections need.
fn allow_open_files(plan: &LoadPlan) -> Result<(), LoadError> {
    let needed =
        plan.connections as u64 + plan.cpus.len() as u64 * DESCRIPTORS_PER_CORE + DESCRIPTORS_OF_PROCESS;
    let too_low = |limit| LoadError::OpenFiles { connections: plan.connections, needed, limit };
    open_files::allow_open_files(needed).map_err(too_low)
}
