//! Waiting until a server has so many connections, as the kernel counts them.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// How long the connections may take to come: a hang is a failure and not a stuck test.
const PATIENCE: Duration = Duration::from_secs(60);
/// `TCP_ESTABLISHED` as proc_pid_net(5) writes it.
const ESTABLISHED: &str = "01";

/// Waits until at least `count` connections are open at this port of 127.0.0.1, on the side of who listens there.
pub(crate) fn await_connections(port: u16, count: usize) {
    let end = Instant::now() + PATIENCE;
    while connections(port) < count {
        assert!(
            Instant::now() < end,
            "{} of {count} connections have come to port {port}",
            connections(port)
        );
        thread::sleep(Duration::from_millis(10));
    }
}

fn connections(port: u16) -> usize {
    let local = format!("0100007F:{port:04X}");
    let table = fs::read_to_string("/proc/net/tcp").expect("a file of every Linux");
    let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields.filter(|of| of.get(1) == Some(&local.as_str()) && of.get(3) == Some(&ESTABLISHED)).count()
}
