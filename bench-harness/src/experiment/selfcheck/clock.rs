use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::Finding;
use crate::clock::thread_cpu_time;
use crate::quantity::time;

const READINGS: usize = 200_000;
const WATCHED: Duration = Duration::from_millis(300);
const ATTEMPTS: usize = 10;

/// The clock never runs backwards, is cheap and fine, and agrees with the one that the kernel does not steer.
pub(super) fn check() -> Vec<Finding> {
    let (begun, cpu_before) = (Instant::now(), thread_cpu_time());
    let (mut last, mut backwards, mut finest) = (begun, 0_u64, Duration::MAX);
    for _ in 0..READINGS {
        let now = Instant::now();
        match now.checked_duration_since(last) {
            None => backwards += 1,
            Some(step) if !step.is_zero() => finest = finest.min(step),
            Some(_) => {}
        }
        last = now;
    }
    // Of the CPU: what others take of it meanwhile is no cost of the clock.
    let cost = (thread_cpu_time() - cpu_before).as_nanos() as f64 / READINGS as f64;
    let (started, raw_started) = both();
    std::thread::sleep(WATCHED);
    let (ended, raw_ended) = both();
    let (passed, raw_passed) = (ended - started, raw_ended.saturating_sub(raw_started));
    let drift = (passed.as_secs_f64() / raw_passed.as_secs_f64() - 1.0) * 1e6;
    vec![
        Finding::new("steps backwards", "0", backwards.to_string(), backwards == 0),
        Finding::new("one reading", "below 2 µs", format!("{cost:.0} ns"), cost < 2000.0),
        Finding::new("smallest step", "below 2 µs", time(finest), finest < Duration::from_micros(2)),
        // NTP steers by 500 ppm at most (adjtimex(2)); reading two clocks costs time between them.
        Finding::new(
            "against CLOCK_MONOTONIC_RAW",
            "within 1000 ppm",
            format!("{drift:+.0} ppm"),
            drift.abs() < 1000.0,
        ),
    ]
}

/// Both clocks at one moment: of several attempts the one that was interrupted least between its readings.
fn both() -> (Instant, Duration) {
    let attempt = || {
        let before = Instant::now();
        let time = clock_gettime(ClockId::MonotonicRaw);
        let apart = before.elapsed();
        let raw =
            Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0));
        (apart, before + apart / 2, raw)
    };
    let first = attempt();
    let (_, now, raw) =
        (1..ATTEMPTS).map(|_| attempt()).fold(first, |best, next| if next.0 < best.0 { next } else { best });
    (now, raw)
}
