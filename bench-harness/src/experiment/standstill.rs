//! Noticing that the machine itself stood still, whatever runs on it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};

use crate::realtime::{self, go_first, may_go_first};

/// The sleep whose overshoot counts: of a standstill that begins within it, the rest of the sleep is not seen.
const PULSE: Duration = Duration::from_micros(500);

/// A thread on each CPU that goes before all ordinary ones (SCHED_FIFO, sched(7)), and does nothing but sleep: when it
/// wakes late, it was not for anything that runs there, but for the kernel or the host.
///
/// A thread that has to wait for its turn would see the load as well, and with it whatever differs between two loads. So
/// there is no meter without the permission to go before others.
#[derive(Debug)]
pub struct Standstill {
    stop: Arc<AtomicBool>,
    longest: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Standstill {
    /// Starts to watch these CPUs.
    ///
    /// # Errors
    /// Without CAP_SYS_NICE or an RLIMIT_RTPRIO of 3 or more (`PermissionDenied`), or when a thread does not start.
    pub fn start(cpus: &[usize]) -> io::Result<Self> {
        may_go_first(realtime::WATCHING)?;
        let mut meter = Self { stop: Arc::default(), longest: Arc::default(), threads: Vec::new() };
        for &cpu in cpus {
            let (stop, longest) = (meter.stop.clone(), meter.longest.clone());
            let builder = thread::Builder::new().name(format!("standstill-{cpu}"));
            meter.threads.push(builder.spawn(move || watch(cpu, &stop, &longest))?);
        }
        Ok(meter)
    }

    /// The longest standstill of any of the CPUs since the last call.
    pub fn take(&self) -> Duration {
        Duration::from_nanos(self.longest.swap(0, Ordering::Relaxed))
    }
}

impl Drop for Standstill {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn watch(cpu: usize, stop: &AtomicBool, longest: &AtomicU64) {
    let mut mask = CpuSet::new();
    mask.set(cpu);
    // Elsewhere it would watch another CPU twice; so be it.
    let _ = sched_setaffinity(None, &mask);
    if go_first(realtime::WATCHING).is_err() {
        return;
    }
    while !stop.load(Ordering::Relaxed) {
        let planned = Instant::now() + PULSE;
        thread::sleep(PULSE);
        let late = Instant::now().saturating_duration_since(planned);
        longest.fetch_max(late.as_nanos() as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_watches_or_says_that_it_may_not() {
        let meter = match Standstill::start(&[crate::load::allowed_cpus()[0]]) {
            Ok(meter) => meter,
            Err(error) => return assert_eq!(error.kind(), io::ErrorKind::PermissionDenied),
        };
        // A sleep never ends early, and hardly ever on the nanosecond.
        let end = Instant::now() + Duration::from_secs(10);
        while meter.take().is_zero() && Instant::now() < end {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(Instant::now() < end, "nothing was seen in ten seconds");
    }
}
