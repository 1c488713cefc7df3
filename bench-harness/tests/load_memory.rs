//! The generator's memory does not grow with the number of requests.

mod load_servers;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use load_servers::last_cpu;

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
    let mut null = Command::new(BENCH)
        .args(["null", "--listen", "127.0.0.1:0", "--cores", "0"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut line = String::new();
    BufReader::new(null.stdout.take().expect("it is piped"))
        .read_line(&mut line)
        .expect("it says where it listens");
    let url = line.split_whitespace().nth(2).expect("listening on URL").to_owned();

    let cpu = last_cpu().to_string();
    let measure = |requests: &str, rate: &[&str]| {
        let mut run = Command::new(BENCH)
            .args([
                "run",
                &url,
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
    let _ = null.kill();
    let _ = null.wait();
}
