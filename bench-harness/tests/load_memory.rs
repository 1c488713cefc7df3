//! The generator's memory does not grow with the number of requests.

mod load_servers;
mod null;

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use load_servers::last_cpu;
use null::Null;

const BENCH: &str = env!("CARGO_BIN_EXE_covet-bench");
/// What a run may have resident, whatever it counts.
const BOUND: u64 = 64 * 1024 * 1024;

/// The most memory that a process had resident, in bytes (`VmHWM` of proc_pid_status(5)).
fn peak(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kibibytes = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(kibibytes.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
}

#[test]
fn ten_times_the_requests_take_the_same_memory() {
    let null = Null::start(&["--cores", "0"]);
    let cpu = last_cpu().to_string();
    let measure = |requests: &str, rate: &[&str]| {
        let mut run = Command::new(BENCH)
            .args([
                "run",
                &null.url,
                "-c",
                "32",
                "--pipeline",
                "64",
                "--warmup",
                "0",
                "-n",
                requests,
                "--cpus",
                &cpu,
            ])
            .args(rate)
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let mut most = 0;
        while run.try_wait().expect("it is a child").is_none() {
            most = peak(run.id()).unwrap_or(most);
            thread::sleep(Duration::from_millis(3));
        }
        most
    };
    for rate in [&[][..], &["-R", "400k"]] {
        let (few, many) = (measure("150k", rate), measure("1500k", rate));
        assert!(few > 0 && many > 0 && many < BOUND, "{few} {many}");
        // A run of more seconds keeps a line for each second.
        assert!(many < few + 4 * 1024 * 1024, "{few} bytes for 150,000 requests, {many} for 1,500,000");
    }
}
