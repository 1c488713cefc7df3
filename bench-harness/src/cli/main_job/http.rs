//! HTTP over loopback: the reference service and the null responder as child processes, and load on them.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::layout::Layout;
use super::pace::Pace;
use crate::cli::exit::Advise;
use crate::load::{self, Extent, LoadPlan, Progress, TargetUrl};
use crate::record::{Interval, LoopModel, RunRecord};
use crate::report::RunResult;
use crate::target::accounting;
use crate::target::child::Child;

const START_PATIENCE: Duration = Duration::from_secs(10);
const STOP_PATIENCE: Duration = Duration::from_secs(3);
/// What is asked of the reference service.
pub(super) const PATH: &str = "/plaintext";

/// Which server is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// The reference service.
    Reference,
    /// The responder that does nothing.
    Null,
}

/// Both servers, running and idle until loaded; dropping it stops them.
#[derive(Debug)]
pub(super) struct Rig {
    layout: Layout,
    warmup: Duration,
    reference: Child,
    null: Child,
}

/// One run over a socket.
#[derive(Debug)]
pub(super) struct Measured {
    /// What the generator recorded.
    pub(super) record: RunRecord,
    /// CPU time of the server over wall time; 1 is one core. Absent when the server ended.
    pub(super) server_cores: Option<f64>,
    /// CPU time that others took on the cores of both sides, over wall time and cores. Absent where the kernel's
    /// books cannot be read.
    pub(super) foreign: Option<f64>,
}

impl Rig {
    /// Starts both servers on the server's cores and waits until they accept connections.
    pub(super) fn start(layout: &Layout, pace: &Pace) -> anyhow::Result<Rig> {
        let executable = std::env::current_exe()?;
        let start = |subcommand: &'static str| {
            let (executable, cores) = (executable.clone(), layout.server_list());
            let command = move |port| serve(executable, subcommand, port, &cores);
            Child::start(command, Some(&layout.server), START_PATIENCE)
                .advise(format!("cannot start `covet-bench {subcommand}`"), "Run it by hand to see why")
        };
        Ok(Rig {
            layout: layout.clone(),
            warmup: pace.warmup,
            reference: start("serve")?,
            null: start("null")?,
        })
    }

    /// A closed loop at a pipelining depth.
    pub(super) fn closed(&self, target: Target, depth: usize, length: Duration) -> anyhow::Result<Measured> {
        self.run(target, |plan| {
            plan.pipeline = depth;
            plan.extent = Extent { duration: Some(length), requests: None };
        })
    }

    /// An open loop on the reference service at depth 1.
    pub(super) fn open(&self, rate: f64, length: Duration) -> anyhow::Result<Measured> {
        self.run(Target::Reference, |plan| {
            plan.loop_model = LoopModel::Open { rate };
            plan.extent = Extent { duration: Some(length), requests: None };
        })
    }

    fn run(&self, target: Target, shape: impl FnOnce(&mut LoadPlan)) -> anyhow::Result<Measured> {
        let child = match target {
            Target::Reference => &self.reference,
            Target::Null => &self.null,
        };
        let url = TargetUrl::parse(&format!("http://{}{PATH}", child.address()))?;
        let mut plan = LoadPlan::closed(url, self.layout.generator.clone());
        plan.connections = self.layout.connections();
        plan.warmup = self.warmup;
        plan.server_cpus = Some(self.layout.server.clone());
        shape(&mut plan);
        let cores = self.layout.all();
        let meter = Meter::new(child.pid(), &cores, plan.warmup);
        let record = load::run(&plan, &meter).advise(
            "the load could not be run",
            "Check `ulimit -n` and that nothing else uses these cores",
        )?;
        let used = meter.used();
        let generator = record.generator_cpu.as_secs_f64() / record.elapsed.as_secs_f64();
        let foreign =
            used.and_then(|used| Some(((used.all? - used.server - generator) / cores.len() as f64).max(0.0)));
        Ok(Measured { record, server_cores: used.map(|used| used.server), foreign })
    }

    /// Stops both servers.
    pub(super) fn stop(self) -> anyhow::Result<()> {
        self.reference.stop(STOP_PATIENCE)?;
        self.null.stop(STOP_PATIENCE)?;
        Ok(())
    }
}

fn serve(executable: PathBuf, subcommand: &str, port: u16, cores: &str) -> Command {
    let mut command = Command::new(executable);
    command.args([subcommand, "--listen", &format!("127.0.0.1:{port}"), "--cores", cores]);
    command
}

impl Measured {
    /// CPU time of the server for one request.
    pub(super) fn server_cpu(&self) -> Option<Duration> {
        let rate = self.record.rate();
        self.server_cores.filter(|_| rate > 0.0).map(|cores| Duration::from_secs_f64(cores / rate))
    }

    /// The run as the report shows it, on a server of `cores` cores.
    pub(super) fn result(&self, cores: usize) -> RunResult {
        let closed = self.record.conditions.loop_model == LoopModel::Closed;
        RunResult {
            rate: self.record.rate(),
            server_cpu_us: self.server_cpu().map(|cpu| cpu.as_secs_f64() * 1e6),
            generator_cpu_us: Some(self.record.cpu_per_request().as_secs_f64() * 1e6),
            server_busy: self.server_cores.map(|busy| busy / cores as f64),
            generator_busy: Some(self.record.busiest()),
            closure: closed.then_some(self.record.little_closure),
            record: Some(self.record.to_json()),
        }
    }
}

/// Reads the kernel's books when the measured window opens and when it closes.
///
/// The books and the window differ by the time that a wake-up takes, so the meter divides by its own clock.
struct Meter {
    pid: u32,
    cores: Vec<usize>,
    warmup: Duration,
    opening: Cell<Option<mpsc::Receiver<Reading>>>,
    closing: Cell<Option<Reading>>,
}

/// What the books say at one moment.
#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Instant,
    server: Duration,
    all: Option<Duration>,
}

/// CPU time over wall time between two readings.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Used {
    /// Of the server.
    server: f64,
    /// Of everything on the cores of both sides.
    all: Option<f64>,
}

impl Reading {
    fn now(pid: u32, cores: &[usize]) -> Option<Reading> {
        let server = accounting::cpu_time(pid).ok()?;
        Some(Reading { at: Instant::now(), server, all: busy_time(cores) })
    }
}

impl Meter {
    fn new(pid: u32, cores: &[usize], warmup: Duration) -> Meter {
        Meter { pid, cores: cores.to_vec(), warmup, opening: Cell::new(None), closing: Cell::new(None) }
    }

    fn used(&self) -> Option<Used> {
        let opened = self.opening.take()?.recv().ok()?;
        let closed = self.closing.take()?;
        let wall = closed.at.checked_duration_since(opened.at)?.as_secs_f64();
        let over = |from: Duration, to: Duration| to.saturating_sub(from).as_secs_f64() / wall;
        (wall > 0.0).then(|| Used {
            server: over(opened.server, closed.server),
            all: opened.all.zip(closed.all).map(|(from, to)| over(from, to)),
        })
    }
}

/// CPU time that these cores have not been idle for, stolen time included, from /proc/stat (proc_stat(5)).
fn busy_time(cores: &[usize]) -> Option<Duration> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let ticks = cores.iter().map(|core| busy_ticks(&text, *core)).sum::<Option<u64>>()?;
    Some(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// The fields of a core's line are user, nice, system, idle, iowait, irq, softirq and steal.
fn busy_ticks(stat: &str, core: usize) -> Option<u64> {
    let name = format!("cpu{core}");
    let line = stat.lines().find(|line| line.split(' ').next() == Some(&name))?;
    let fields: Vec<u64> = line.split_whitespace().skip(1).map_while(|field| field.parse().ok()).collect();
    let [user, nice, system, _idle, _wait, irq, softirq, steal, ..] = fields[..] else { return None };
    Some(user + nice + system + irq + softirq + steal)
}

impl Progress for Meter {
    fn started(&self, _plan: &LoadPlan) {
        let (sender, receiver) = mpsc::channel();
        let (pid, cores, warmup) = (self.pid, self.cores.clone(), self.warmup);
        thread::spawn(move || {
            thread::sleep(warmup);
            if let Some(reading) = Reading::now(pid, &cores) {
                // Nobody waits for it when the run was given up.
                let _ = sender.send(reading);
            }
        });
        self.opening.set(Some(receiver));
    }

    fn interval(&self, _interval: &Interval) {
        self.closing.set(Reading::now(self.pid, &self.cores));
    }

    fn finished(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::allowed_cpus;

    fn plan() -> LoadPlan {
        LoadPlan::closed(TargetUrl::parse("http://127.0.0.1:1/").unwrap(), vec![0])
    }

    #[test]
    fn a_meter_sees_the_cores_that_are_used() {
        // In a process of its own: threads of other tests end while this one counts, and take their time with them.
        let mut busy = std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let meter = Meter::new(busy.id(), &allowed_cpus(), Duration::ZERO);
        meter.started(&plan());
        std::thread::sleep(Duration::from_millis(500));
        meter.closing.set(Reading::now(busy.id(), &allowed_cpus()));
        busy.kill().unwrap();
        busy.wait().unwrap();
        let used = meter.used().unwrap();
        assert!(used.server > 0.1, "{used:?}");
        assert!(used.all.unwrap() > 0.1, "{used:?}");
    }

    #[test]
    fn a_meter_without_a_process_reads_nothing() {
        let meter = Meter::new(u32::MAX, &[0], Duration::ZERO);
        meter.started(&plan());
        assert_eq!(meter.used(), None);
    }

    #[test]
    fn busy_ticks_leave_out_idle_and_waiting() {
        let stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu1 1 2 4 1000 2000 8 16 32 7 7\ncpu10 5 5 5 5 5 5 5 5 0 0\n";
        assert_eq!(busy_ticks(stat, 1), Some(63));
        assert_eq!(busy_ticks(stat, 10), Some(30));
        assert_eq!(busy_ticks(stat, 2), None);
    }
}
