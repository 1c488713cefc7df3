use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::Finding;
use crate::quantity::time;

const READINGS: usize = 200_000;
const WATCHED: Duration = Duration::from_millis(300);

/// The clock never runs backwards, is cheap and fine, and agrees with the one that the kernel does not steer.
pub(super) fn check() -> Vec<Finding> {
    let begun = Instant::now();
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
    let cost = begun.elapsed().as_nanos() as f64 / READINGS as f64;
    let raw = || {
        let time = clock_gettime(ClockId::MonotonicRaw);
        Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
    };
    let (started, raw_started) = (Instant::now(), raw());
    std::thread::sleep(WATCHED);
    let (passed, raw_passed) = (started.elapsed(), raw() - raw_started);
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
