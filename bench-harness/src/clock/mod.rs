//! When requests are due, and what the generator spent on them.

mod arrivals;
mod delay;
mod profile;
mod random;
mod schedule;

use std::fs;
use std::time::Duration;

use rustix::process::Pid;
use rustix::time::{ClockId, clock_gettime};

pub use arrivals::{Arrivals, ArrivalsError, Trace};
pub use delay::Delay;
pub use profile::{Profile, Stage, StageError, parse_stages};
pub use random::Random;
pub use schedule::{Schedule, Timetable};

/// CPU time that the calling thread has used, kernel time included.
pub fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}

/// Time that the calling thread was ready to run and waited for its CPU (the second figure of
/// `/proc/thread-self/schedstat`); `None` where the kernel does not count it.
pub fn thread_wait_time() -> Option<Duration> {
    wait_time("/proc/thread-self/schedstat")
}

/// As [`thread_wait_time`], of another thread of this process; `None` also where that has ended.
pub fn wait_time_of(thread: Pid) -> Option<Duration> {
    wait_time(&format!("/proc/self/task/{thread}/schedstat"))
}

fn wait_time(schedstat: &str) -> Option<Duration> {
    let text = fs::read_to_string(schedstat).ok()?;
    Some(Duration::from_nanos(text.split_whitespace().nth(1)?.parse().ok()?))
}

/// How often the calling thread lost its CPU although it had work to do (`nonvoluntary_ctxt_switches` of
/// proc_pid_status(5)); `None` where the kernel does not tell.
pub fn thread_preemptions() -> Option<u64> {
    let text = fs::read_to_string("/proc/thread-self/status").ok()?;
    text.lines().find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn cpu_time_counts_work_and_not_sleep() {
        let before = thread_cpu_time();
        std::thread::sleep(Duration::from_millis(30));
        let slept = thread_cpu_time() - before;
        let start = Instant::now();
        let mut value = 1_u64;
        while thread_cpu_time() - before - slept < Duration::from_millis(5) {
            value = std::hint::black_box(value.wrapping_mul(3));
            assert!(start.elapsed() < Duration::from_secs(20), "work must use CPU time");
        }
        assert!(slept < Duration::from_millis(15), "{slept:?}");
    }

    #[test]
    fn preemptions_are_counted() {
        let before = thread_preemptions().unwrap();
        let end = Instant::now() + Duration::from_millis(50);
        while Instant::now() < end {
            std::hint::spin_loop();
        }
        assert!(thread_preemptions().unwrap() >= before);
    }

    #[test]
    fn waiting_for_a_cpu_is_counted_where_the_kernel_does() {
        if let Some(before) = thread_wait_time() {
            std::thread::yield_now();
            assert!(thread_wait_time().is_some_and(|after| after >= before), "it never runs backwards");
        }
    }
}
