use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

use super::witness::{ANY, Witness};
use super::{Bench, Finding};
use crate::load::{self, Extent, LoadPlan, Progress, TargetUrl, format_cpus};
use crate::quantity::time;
use crate::record::LoopModel;
use crate::target::child::Child;

const RATE: f64 = 2000.0;
const WARMUP: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(10);

/// The stall test of the study, and the generator's own freeze.
pub(super) fn check(bench: &Bench) -> anyhow::Result<Vec<Finding>> {
    let server = null(bench)?;
    let mut findings = stall(bench, &server)?;
    findings.push(frozen_generator(bench, &server)?);
    Ok(findings)
}

fn null(bench: &Bench) -> anyhow::Result<Child> {
    let cores = format_cpus(&bench.server);
    let command = |port: u16| {
        let mut command = Command::new(&bench.program);
        command.args(["null", "--listen", &format!("127.0.0.1:{port}"), "--cores", &cores]);
        command
    };
    Ok(Child::start(command, Some(&bench.server), PATIENCE)?)
}

/// A server that is stopped for one second of twelve: with constant arrivals P(R > x) = (s - x)/T.
fn stall(bench: &Bench, server: &Child) -> anyhow::Result<Vec<Finding>> {
    let scale = if bench.short { 4 } else { 1 };
    let (window, stall) = (Duration::from_secs(12) / scale, Duration::from_secs(1) / scale);
    let url = TargetUrl::parse(&format!("http://{}/", server.address()))?;
    let plan = LoadPlan {
        loop_model: LoopModel::Open { rate: RATE },
        connections: 20,
        warmup: WARMUP,
        timeout: Duration::from_secs(10),
        extent: Extent { duration: Some(window), requests: None },
        ..LoadPlan::closed(url, bench.generator[..1].to_vec())
    };
    let freezer = Freezer { pid: server.pid(), after: WARMUP + window / 3, stall };
    let record = load::run(&plan, &freezer)?;
    let tolerance = if bench.short { 0.05 } else { 0.02 };
    let mut findings: Vec<Finding> = [(0.95, "p95"), (0.99, "p99"), (0.999, "p99.9")]
        .into_iter()
        .map(|(q, name)| {
            let truth = stall.as_secs_f64() - (1.0 - q) * window.as_secs_f64();
            let seen = record.quantile(q).as_secs_f64();
            let expected = format!("{:.0} ms ± {:.0} %", truth * 1e3, tolerance * 100.0);
            let found = format!("{:.1} ms", seen * 1e3);
            let agrees = (seen / truth - 1.0).abs() < tolerance;
            let finding = Finding::new(format!("stall: response {name}"), expected, found, agrees);
            // What the machine does to a time only makes it longer.
            finding.unless(Witness::of(&record, None).noise(ANY).filter(|_| seen > truth))
        })
        .collect();
    let median = record.quantile(0.5);
    let unharmed = median < Duration::from_millis(1);
    findings.push(Finding::new("stall: response p50", "below 1 ms", time(median), unharmed));
    let service = record.service.quantile(0.99);
    let hidden = service < stall / 4;
    findings.push(Finding::new("stall: service p99", "does not see it", time(service), hidden));
    let due = RATE * record.elapsed.as_secs_f64();
    let counted = record.due() as f64;
    let all = (counted - due).abs() < 0.01 * due;
    findings.push(Finding::new("stall: requests due", format!("{due:.0}"), format!("{counted:.0}"), all));
    Ok(findings)
}

/// A generator that is itself stopped must say that its result is invalid.
fn frozen_generator(bench: &Bench, server: &Child) -> anyhow::Result<Finding> {
    let mut generator = Command::new(&bench.program)
        .args(["run", &format!("http://{}/", server.address()), "-c", "8", "-R", "1000", "-d", "4s"])
        .args(["--warmup", "500ms", "--probes", "off", "--cpus", &format_cpus(&bench.generator[..1])])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("the generator cannot be started")?;
    // Well within the window, also of a generator that takes two seconds to begin.
    thread::sleep(Duration::from_millis(2600));
    freeze(generator.id(), Duration::from_millis(700));
    let status = generator.wait().context("the generator cannot be waited for")?;
    let found = status.code().map_or_else(|| status.to_string(), |code| format!("exit status {code}"));
    Ok(Finding::new("generator stopped for 700 ms", "exit status 97", found, status.code() == Some(97)))
}

fn freeze(pid: u32, time: Duration) {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    // A process that has ended cannot be frozen, and the findings show that it was not.
    let _ = kill_process(pid, Signal::STOP);
    thread::sleep(time);
    let _ = kill_process(pid, Signal::CONT);
}

/// Stops a process at a time of the run.
struct Freezer {
    pid: u32,
    after: Duration,
    stall: Duration,
}

impl Progress for Freezer {
    fn started(&self, _plan: &LoadPlan) {
        let (pid, after, stall) = (self.pid, self.after, self.stall);
        thread::spawn(move || {
            thread::sleep(after);
            freeze(pid, stall);
        });
    }
}
