//! HTTP over a socket: the server that is judged and the null responder, and load on them.

use std::process::Command;
use std::time::Duration;

use super::layout::Layout;
use super::meter::Meter;
use crate::cli::exit::Advise;
use crate::experiment::{Standing, Subject, probe};
use crate::load::{self, Expectation, Extent, LoadError, LoadPlan, NoProgress, TargetUrl, TlsOptions};
use crate::record::{LoopModel, RunRecord};
use crate::report::RunResult;
use crate::target::child::Child;
use crate::target::null::LONGEST_BODY;

const START_PATIENCE: Duration = Duration::from_secs(10);
const STOP_PATIENCE: Duration = Duration::from_secs(3);
/// What the head of an answer takes, about.
const HEAD: u64 = 110;

/// Which server is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Target {
    /// The one that is judged.
    Subject,
    /// The responder that does nothing.
    Null,
}

/// How a server is loaded.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Shape {
    /// Pipelining depth.
    pub(in crate::cli) depth: usize,
    /// After so many requests a connection is closed, and opened again.
    pub(in crate::cli) requests_per_connection: Option<u64>,
    /// Requests per second of an open loop; closed where it is `None`.
    pub(in crate::cli) rate: Option<f64>,
    /// Length of the measured window.
    pub(in crate::cli) length: Duration,
}

impl Shape {
    /// A closed loop on connections that stay open.
    pub(in crate::cli) fn closed(depth: usize, length: Duration) -> Shape {
        Shape { depth, requests_per_connection: None, rate: None, length }
    }
}

/// Both servers, running and idle until loaded; dropping it stops them.
#[derive(Debug)]
pub(in crate::cli) struct Rig {
    layout: Layout,
    connections: usize,
    warmup: Duration,
    tls: TlsOptions,
    subject: Subject,
    standing: Standing,
    null: Child,
}

/// One run over a socket.
#[derive(Debug)]
pub(in crate::cli) struct Measured {
    /// What the generator recorded.
    pub(in crate::cli) record: RunRecord,
    /// CPU time of the server over wall time; 1 is one core. Absent when the server ended or its process is not known.
    pub(in crate::cli) server_cores: Option<f64>,
    /// CPU time that others took on the cores of both sides, over wall time and cores. Absent where the kernel's
    /// books cannot be read, or not told from the server's own.
    pub(in crate::cli) foreign: Option<f64>,
    /// Requests per second with twice the connections, where that was tried.
    pub(in crate::cli) widened: Option<f64>,
}

impl Rig {
    /// Starts both servers and waits until they accept connections.
    pub(in crate::cli) fn start(
        subject: &Subject,
        layout: &Layout,
        connections: usize,
        warmup: Duration,
        tls: &TlsOptions,
    ) -> anyhow::Result<Rig> {
        let mut standing = subject.start()?;
        let body = match subject {
            Subject::Reference { .. } => None,
            _ => Some(body_of(&mut standing, layout, tls)?),
        };
        let executable = std::env::current_exe()?;
        // Beside a server on another machine the responder shares the generator's cores; it is its cost that counts.
        let cores = if layout.server.is_empty() { layout.generator_list() } else { layout.server_list() };
        let command = |port| {
            let mut command = Command::new(&executable);
            command.args(["null", "--listen", &format!("127.0.0.1:{port}"), "--cores", &cores]);
            command.args(body.map(|body| format!("--body={body}")));
            command.args(subject.is_secure().then_some("--tls-self-signed"));
            command
        };
        let cpus = (!layout.server.is_empty()).then_some(&layout.server[..]);
        let null = Child::start(command, cpus, START_PATIENCE)
            .advise("cannot start `covet-bench null`", "Run it by hand to see why")?;
        Ok(Rig {
            layout: layout.clone(),
            connections,
            warmup,
            tls: tls.clone(),
            subject: subject.clone(),
            standing,
            null,
        })
    }

    /// Starts the server that is judged anew, where it can be.
    pub(in crate::cli) fn renew(&mut self) -> anyhow::Result<()> {
        if !self.subject.restarts() {
            return Ok(());
        }
        // A command's server listens where the one before it did, which must have gone first.
        let standing = match &self.subject {
            Subject::Reference { .. } => self.subject.start()?,
            _ => {
                self.standing.end()?;
                self.subject.start()?
            }
        };
        std::mem::replace(&mut self.standing, standing).stop()
    }

    /// A closed loop at a pipelining depth.
    pub(in crate::cli) fn closed(
        &mut self,
        target: Target,
        depth: usize,
        length: Duration,
    ) -> anyhow::Result<Measured> {
        self.run(target, Shape::closed(depth, length))
    }

    /// One run.
    pub(in crate::cli) fn run(&mut self, target: Target, shape: Shape) -> anyhow::Result<Measured> {
        let pid = match target {
            Target::Subject => self.standing.pid(),
            Target::Null => Some(self.null.pid()),
        };
        let plan = self.plan(target, shape);
        let cores = self.layout.all();
        let meter = Meter::new(pid, &cores, plan.warmup);
        let record = load::run(&plan, &meter);
        let troubled = record.as_ref().map_or(true, |run| run.completed == 0 || run.errors.total() > 0);
        if target == Target::Subject && troubled {
            self.standing.check()?;
        }
        let remedy = match &record {
            Err(LoadError::Plan(_)) => "Change the claim's connections, or give another --cpus",
            _ => "Check `ulimit -n` and that nothing else uses these cores",
        };
        let record = record.advise("the load could not be run", remedy)?;
        let used = meter.used();
        let generator = record.generator_cpu.as_secs_f64() / record.elapsed.as_secs_f64();
        let foreign = used.and_then(|used| {
            let server = used.server.or(self.layout.server.is_empty().then_some(0.0))?;
            Some(((used.all? - server - generator) / cores.len() as f64).max(0.0))
        });
        Ok(Measured { record, server_cores: used.and_then(|used| used.server), foreign, widened: None })
    }

    /// Whether more generator cores, or half of them, or twice the connections would change the rate: measured beside
    /// a run that was made.
    pub(in crate::cli) fn probe(&self, depth: usize, run: &mut Measured) {
        let plan = self.plan(Target::Subject, Shape::closed(depth, Duration::from_secs(1)));
        probe(&plan, &mut run.record);
        // A server that takes no more connections is not measured with more.
        let wider = LoadPlan { connections: 2 * plan.connections, ..plan };
        run.widened = load::run(&wider, &NoProgress)
            .ok()
            .filter(|record| record.errors.total() == 0)
            .map(|record| record.rate());
    }

    fn plan(&self, target: Target, shape: Shape) -> LoadPlan {
        let url = self.standing.url();
        let scheme = if url.is_secure() { "https" } else { "http" };
        let url = match target {
            Target::Subject => url.clone(),
            Target::Null => TargetUrl::parse(&format!("{scheme}://{}{}", self.null.address(), url.target()))
                .expect("an address and the target of a URL make a URL"),
        };
        let mut plan = LoadPlan::closed(url, self.layout.generator.clone());
        plan.connections = self.connections;
        // A core without a connection would generate nothing.
        plan.cpus.truncate(self.connections.max(1));
        plan.tls = self.tls.clone();
        // The responder's certificate is of its own making, and nobody is to be convinced by it.
        plan.tls.verify &= target == Target::Subject;
        plan.requests_per_connection = shape.requests_per_connection;
        plan.warmup = self.warmup;
        plan.pipeline = shape.depth;
        plan.extent = Extent { duration: Some(shape.length), requests: None };
        if let Some(rate) = shape.rate {
            plan.loop_model = LoopModel::Open { rate };
        }
        plan.server_cpus = (!self.layout.server.is_empty()).then(|| self.layout.server.clone());
        // Only the reference service is known to answer with as many bytes each time.
        let same_length = matches!(self.subject, Subject::Reference { .. }) || target == Target::Null;
        plan.expect = Expectation { status: None, same_length };
        plan
    }

    /// Stops both servers.
    pub(in crate::cli) fn stop(self) -> anyhow::Result<()> {
        self.standing.stop()?;
        self.null.stop(STOP_PATIENCE)?;
        Ok(())
    }
}

/// The bytes in the body of an answer, about, from a single request.
fn body_of(standing: &mut Standing, layout: &Layout, tls: &TlsOptions) -> anyhow::Result<u64> {
    let mut plan = LoadPlan::closed(standing.url().clone(), layout.generator[..1].to_vec());
    plan.connections = 1;
    plan.tls = tls.clone();
    plan.warmup = Duration::ZERO;
    plan.extent = Extent { duration: Some(Duration::from_secs(3)), requests: Some(1) };
    let record = load::run(&plan, &NoProgress).advise("the server gave no answer", "Load its URL by hand")?;
    if record.completed == 0 {
        standing.check()?;
    }
    let head = if record.bytes_in > HEAD { HEAD } else { 0 };
    Ok(((record.bytes_in - head) / record.completed.max(1)).min(LONGEST_BODY))
}

impl Measured {
    /// CPU time of the server for one request.
    pub(in crate::cli) fn server_cpu(&self) -> Option<Duration> {
        let rate = self.record.rate();
        self.server_cores.filter(|_| rate > 0.0).map(|cores| Duration::from_secs_f64(cores / rate))
    }

    /// The run as the report shows it, on a server of `cores` cores.
    pub(in crate::cli) fn result(&self, cores: usize) -> RunResult {
        let closed = self.record.conditions.loop_model == LoopModel::Closed;
        let server_busy = self.server_cores.filter(|_| cores > 0).map(|busy| busy / cores as f64);
        RunResult {
            rate: self.record.rate(),
            figure: None,
            server_cpu_us: self.server_cpu().map(|cpu| cpu.as_secs_f64() * 1e6),
            generator_cpu_us: Some(self.record.cpu_per_request().as_secs_f64() * 1e6),
            server_busy,
            generator_busy: Some(self.record.busiest()),
            closure: closed.then_some(self.record.little_closure),
            record: Some(self.record.to_json()),
        }
    }
}
