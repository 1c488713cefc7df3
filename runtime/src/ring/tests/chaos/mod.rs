//! Thousands of random operations, dropped at random moments: at the end nothing may be missing.

mod files;
mod messages;
mod programs;
mod report;

use std::cell::RefCell;
use std::rc::Rc;

use report::Watchdog;

use super::super::backend::fault::with_faults;
use super::alone::alone;
use super::*;
use crate::buf::{PoolBuf, SendBuf};
use crate::spawn;

/// Marsaglia's xorshift: the same choices for the same seed.
#[derive(Clone)]
pub(super) struct Choices(pub(super) Rc<RefCell<u64>>);

impl Choices {
    pub(super) fn below(&self, limit: u64) -> u64 {
        let mut state = self.0.borrow_mut();
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state % limit
    }

    pub(super) fn buffer(&self) -> SendBuf {
        let len = [0, 1, 300, 4096, 70_000, 2 << 20][self.below(6) as usize];
        match self.below(3) {
            0 => vec![1; len].into(),
            1 => bytes::Bytes::from(vec![2; len]).into(),
            _ => {
                let mut buffer = PoolBuf::take();
                buffer.resize(len, 3);
                buffer.into()
            }
        }
    }

    /// Polls a future for a random time, which is often too short for it.
    pub(super) async fn some_time_for<F: Future>(&self, future: F) -> Option<F::Output> {
        match self.below(4) {
            0 => touch(future).await,
            1 => time::timeout(Duration::ZERO, future).await.ok(),
            2 => time::timeout(Duration::from_micros(self.below(400)), future).await.ok(),
            _ => time::timeout(Duration::from_millis(2), future).await.ok(),
        }
    }
}

/// Runs one seed's program, and reports if it does not end.
async fn run_reported(round: String, seed: u64) {
    if time::timeout(2 * PATIENCE, programs::run(seed)).await.is_err() {
        panic!("{round} hangs: {}", driver(|driver| driver.describe()));
    }
}

/// The seed to begin with and how long to go on: more of both by hand.
fn wanted() -> (u64, Duration) {
    let number = |name: &str| {
        let text = std::env::var(name).ok()?;
        match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        }
    };
    let seed = number("COVET_CHAOS_SEED").unwrap_or(0x9E37_79B9_7F4A_7C15);
    (seed, Duration::from_secs(number("COVET_CHAOS_SECONDS").unwrap_or(3)))
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Rounds of random programs, on the smallest ring and on an ordinary one.
fn run_rounds(faults: bool) {
    let watchdog = Watchdog::start();
    let (mut seed, time) = wanted();
    let before = descriptors();
    let end = Instant::now() + time;
    let mut rounds = 0;
    let with = |seed: u64, run: &dyn Fn()| if faults { with_faults(seed, run) } else { run() };
    // Both rings have their round, however slow the machine or the build is.
    while Instant::now() < end || rounds < 2 {
        let builder = if rounds % 2 == 0 { tiny() } else { Builder::default() };
        let round = format!("COVET_CHAOS_SEED={seed:#x} (round {rounds}, faults {faults})");
        watchdog.begins(&round);
        with(seed, &|| builder.clone().block_on(run_reported(round.clone(), seed)).unwrap());
        assert_eq!(descriptors(), before, "descriptors leaked");
        seed = seed.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        rounds += 1;
    }
    // And once more with the end of the core in the midst of it all.
    for seed in 1..6u64 {
        watchdog.begins(&format!("an early end, seed {seed}, faults {faults}"));
        with(seed, &|| {
            tiny()
                .block_on(async move {
                    spawn(programs::run(seed)).detach();
                    time::sleep(Duration::from_millis(seed * 7)).await;
                })
                .unwrap();
        });
        assert_eq!(descriptors(), before, "descriptors leaked by a core that ended");
    }
}

#[test]
fn nothing_is_missing_after_thousands_of_random_operations() {
    alone("ring::tests::chaos::nothing_is_missing_after_thousands_of_random_operations", || {
        run_rounds(false)
    });
}

#[test]
fn nothing_is_missing_when_everything_goes_wrong() {
    alone("ring::tests::chaos::nothing_is_missing_when_everything_goes_wrong", || run_rounds(true));
}
