//! Where a measurement was made: what two reports must share before their numbers may be compared.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use super::Condition;

/// The fingerprint of the machine and of the instrument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Environment {
    /// The facts, in the order in which they are printed.
    pub facts: Vec<Condition>,
}

impl Environment {
    /// Reads the fingerprint; what cannot be read says so in its value.
    pub fn read() -> Environment {
        let facts = [
            ("kernel", crate::record::kernel_release()),
            ("CPU", crate::record::cpu_model()),
            ("cores", cores()),
            ("governor", first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
            ("clock source", first_line("/sys/devices/system/clocksource/clocksource0/current_clocksource")),
            ("cgroup CPU quota", cpu_quota()),
            ("memory", memory()),
            ("load average", first_line("/proc/loadavg")),
            ("open files limit", limit(Resource::Nofile)),
            ("locked memory limit", limit(Resource::Memlock)),
            ("congestion control", first_line("/proc/sys/net/ipv4/tcp_congestion_control")),
            ("somaxconn", first_line("/proc/sys/net/core/somaxconn")),
            ("io_uring disabled", first_line("/proc/sys/kernel/io_uring_disabled")),
            ("covet-bench", version()),
            ("arguments", arguments()),
        ];
        Environment { facts: facts.into_iter().map(|(name, value)| Condition::new(name, value)).collect() }
    }
}

const UNREADABLE: &str = "not readable";

fn first_line(path: &str) -> String {
    fs::read_to_string(path)
        .ok()
        .and_then(|text| text.lines().next().map(|line| line.trim().to_owned()))
        .filter(|line| !line.is_empty())
        .unwrap_or_else(|| UNREADABLE.to_owned())
}

fn cores() -> String {
    let online = first_line("/sys/devices/system/cpu/online");
    let allowed = fs::read_to_string("/proc/self/status").ok().and_then(|status| {
        status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:").map(|l| l.trim().to_owned()))
    });
    match allowed {
        Some(allowed) if allowed != online => format!("{online} online, this process on {allowed}"),
        _ => format!("{online} online"),
    }
}

fn cpu_quota() -> String {
    let group = fs::read_to_string("/proc/self/cgroup")
        .ok()
        .and_then(|text| text.lines().find_map(|line| line.strip_prefix("0::").map(str::to_owned)));
    let own = group.map(|path| format!("/sys/fs/cgroup{path}/cpu.max"));
    let text = own
        .and_then(|path| fs::read_to_string(path).ok())
        .or_else(|| fs::read_to_string("/sys/fs/cgroup/cpu.max").ok());
    match text.as_deref().map(|t| t.split_whitespace().collect::<Vec<_>>()).as_deref() {
        Some(["max", ..]) => "none".to_owned(),
        Some([quota, period]) => format!("{quota} of every {period} µs"),
        _ => UNREADABLE.to_owned(),
    }
}

fn memory() -> String {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok())
        .map_or_else(|| UNREADABLE.to_owned(), |kib| format!("{:.1} GiB", kib / 1024.0 / 1024.0))
}

fn limit(resource: Resource) -> String {
    getrlimit(resource).current.map_or_else(|| "unlimited".to_owned(), |value| value.to_string())
}

fn version() -> String {
    let build = if cfg!(debug_assertions) { "debug build" } else { "release build" };
    match revision() {
        Some(revision) => format!("{} ({build}, revision {revision})", env!("CARGO_PKG_VERSION")),
        None => format!("{} ({build})", env!("CARGO_PKG_VERSION")),
    }
}

/// The revision of the source tree that the executable lies in, marked when the tree has changes.
fn revision() -> Option<String> {
    let executable = std::env::current_exe().ok()?;
    let folder = executable.parent()?;
    let head = git(folder, &["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(folder, &["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.is_empty() { head } else { format!("{head} with changes") })
}

fn git(folder: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(args).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn arguments() -> String {
    std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_has_a_value() {
        let environment = Environment::read();
        assert!(environment.facts.iter().all(|fact| !fact.value.is_empty()));
        let kernel = environment.facts.iter().find(|fact| fact.name == "kernel").unwrap();
        assert!(kernel.value.starts_with(|c: char| c.is_ascii_digit()), "{}", kernel.value);
    }

    #[test]
    fn what_is_not_there_says_so() {
        assert_eq!(first_line("/nonexistent"), UNREADABLE);
    }
}
