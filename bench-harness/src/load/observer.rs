//! A thread that watches the machine while a run is made.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::cgroup;
use crate::record::{Hist, Kernel, Platform};

/// The sleep whose overshoot is recorded.
const PULSE: Duration = Duration::from_millis(1);

/// The thread, from its start to its record.
#[derive(Debug)]
pub(super) struct Observer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Platform>,
}

impl Observer {
    /// Starts it; it begins to record at `opens`.
    pub(super) fn start(opens: Instant) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread =
            thread::Builder::new().name("observer".to_owned()).spawn(move || observe(opens, &stopped))?;
        Ok(Self { stop, thread })
    }

    /// Ends it and returns what it saw; `None` when it panicked.
    pub(super) fn finish(self) -> Option<Platform> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().ok()
    }
}

fn observe(opens: Instant, stop: &AtomicBool) -> Platform {
    // The default of 50 µs would be taken for a hiccup; without the permission it is.
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
    let mut hiccups = Hist::new();
    thread::sleep(opens.saturating_duration_since(Instant::now()));
    let before = read();
    let mut last = Instant::now();
    while !stop.load(Ordering::Acquire) {
        thread::sleep(PULSE);
        let now = Instant::now();
        hiccups.record((now - last).saturating_sub(PULSE), 1);
        last = now;
    }
    Platform { hiccups, kernel: since(before, read()) }
}

fn read() -> Kernel {
    let table = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let throttling = cgroup::throttling();
    Kernel {
        throttled_periods: throttling.map(|(periods, _)| periods),
        throttled: throttling.map(|(_, time)| time),
        listen_overflows: counter(&table("/proc/net/netstat"), "TcpExt:", "ListenOverflows"),
        retransmits: counter(&table("/proc/net/snmp"), "Tcp:", "RetransSegs"),
    }
}

fn since(before: Kernel, after: Kernel) -> Kernel {
    let count = |before: Option<u64>, after: Option<u64>| Some(after?.saturating_sub(before?));
    Kernel {
        throttled_periods: count(before.throttled_periods, after.throttled_periods),
        throttled: before.throttled.zip(after.throttled).map(|(before, after)| after.saturating_sub(before)),
        listen_overflows: count(before.listen_overflows, after.listen_overflows),
        retransmits: count(before.retransmits, after.retransmits),
    }
}

/// A counter of /proc/net/netstat or /proc/net/snmp: a line of names, and a line of values below it.
fn counter(table: &str, protocol: &str, name: &str) -> Option<u64> {
    let mut lines = table.lines().filter_map(|line| line.strip_prefix(protocol));
    let (names, values) = (lines.next()?, lines.next()?);
    let place = names.split_ascii_whitespace().position(|other| other == name)?;
    values.split_ascii_whitespace().nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_stand_below_their_names() {
        let table =
            "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 22 333\nIpExt: A\nIpExt: 4\n";
        assert_eq!(counter(table, "TcpExt:", "ListenOverflows"), Some(22));
        assert_eq!(counter(table, "IpExt:", "A"), Some(4));
        assert_eq!(counter(table, "TcpExt:", "Nothing"), None);
        assert_eq!(counter("", "TcpExt:", "ListenOverflows"), None);
    }

    #[test]
    fn the_kernel_of_this_machine_has_the_counters() {
        let kernel = read();
        assert!(kernel.listen_overflows.is_some() && kernel.retransmits.is_some(), "{kernel:?}");
    }

    #[test]
    fn pulses_are_recorded_until_the_end() {
        let begun = Instant::now();
        let observer = Observer::start(begun).unwrap();
        thread::sleep(Duration::from_millis(600));
        let platform = observer.finish().unwrap();
        let most = begun.elapsed().as_millis() as u64;
        assert!((5..=most).contains(&platform.hiccups.len()), "{} in {most} ms", platform.hiccups.len());
    }
}
