//! When requests are due, and what the generator spent on them.

mod schedule;

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

pub use schedule::Schedule;

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
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split_whitespace().nth(1)?.parse().ok()?))
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
    fn waiting_for_a_cpu_is_counted_where_the_kernel_does() {
        if let Some(before) = thread_wait_time() {
            std::thread::yield_now();
            assert!(thread_wait_time().is_some_and(|after| after >= before), "it never runs backwards");
        }
    }
}
