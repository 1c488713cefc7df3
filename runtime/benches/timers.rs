//! What timers cost when a million of them are pending, beside tokio's: `cargo bench -p covet-runtime --bench timers`.
//!
//! By turns, each runtime sets a million timers that end within the hour and polls each once; then, with these pending,
//! sets, polls and drops others one by one. Prints the medians of the rounds as a table; the ratio is that of covet's
//! time for insert and cancel to tokio's in the same round.
//!
//! Bytes are those that were allocated, the handle and what the runtime keeps, and what became resident.

#[path = "../tests/counting_allocator/mod.rs"]
mod counting_allocator;

use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use covet_runtime::Builder;

const PENDING: usize = 1_000_000;
const CYCLES: usize = 1_000_000;
const ROUNDS: usize = 7;

struct Cost {
    /// Bytes per pending timer.
    allocated: f64,
    resident: f64,
    /// Nanoseconds to set and poll one of the million.
    set: f64,
    /// Nanoseconds to set, poll and drop one, without others and with the million pending.
    alone: f64,
    crowded: f64,
}

/// Marsaglia's xorshift: ends within the hour, the same for each runtime.
struct Ends(u64);

impl Ends {
    fn next(&mut self) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_secs(1) + Duration::from_micros(self.0 % 3_600_000_000)
    }
}

fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("/proc is mounted");
    let pages: usize =
        text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number of pages");
    pages * rustix::param::page_size()
}

/// Sets, polls and drops timers; nanoseconds for each.
async fn cycles<F: Future<Output = ()>>(sleep: impl Fn(Duration) -> F, ends: &mut Ends) -> f64 {
    let began = Instant::now();
    for _ in 0..CYCLES {
        let mut timer = pin!(sleep(ends.next()));
        poll_fn(|cx| Poll::Ready(black_box(timer.as_mut().poll(cx).is_ready()))).await;
    }
    began.elapsed().as_nanos() as f64 / CYCLES as f64
}

/// `hold` makes a timer that may be moved.
async fn measure<F, H>(sleep: impl Fn(Duration) -> F, hold: impl Fn(Duration) -> H) -> Cost
where
    F: Future<Output = ()>,
    H: Future<Output = ()> + Unpin,
{
    let mut ends = Ends(0x9E37_79B9_7F4A_7C15);
    let alone = cycles(&sleep, &mut ends).await;
    let before = (counting_allocator::live(), resident());
    let mut pending = Vec::with_capacity(PENDING);
    let began = Instant::now();
    poll_fn(|cx| {
        for _ in 0..PENDING {
            let mut timer = hold(ends.next());
            assert!(Pin::new(&mut timer).poll(cx).is_pending());
            pending.push(timer);
        }
        Poll::Ready(())
    })
    .await;
    let set = began.elapsed().as_nanos() as f64 / PENDING as f64;
    let allocated = (counting_allocator::live() - before.0) as f64 / PENDING as f64;
    let resident = resident().saturating_sub(before.1) as f64 / PENDING as f64;
    let crowded = cycles(&sleep, &mut ends).await;
    drop(pending);
    Cost { allocated, resident, set, alone, crowded }
}

fn covet() -> Cost {
    use covet_runtime::time::sleep;
    let core = Builder::default().stall_limit(None);
    core.block_on(measure(sleep, sleep)).expect("a core can be started")
}

fn tokio() -> Cost {
    use tokio::time::sleep;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    // Its timer may not be moved once it was polled.
    runtime.block_on(measure(sleep, |time| Box::pin(sleep(time))))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return println!("millions of timers are set by `cargo bench` only");
    }
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        rounds.push(if round % 2 == 0 {
            let ours = covet();
            (ours, tokio())
        } else {
            let theirs = tokio();
            (covet(), theirs)
        });
    }
    println!("{PENDING} pending timers, medians of {ROUNDS} rounds");
    println!("| | covet | tokio | ratio |");
    println!("|---|---|---|---|");
    type Value = fn(&Cost) -> f64;
    let rows: [(&str, Value); 5] = [
        ("bytes allocated per timer", |cost| cost.allocated),
        ("bytes resident per timer", |cost| cost.resident),
        ("set one of a million, ns", |cost| cost.set),
        ("insert and cancel beside a million, ns", |cost| cost.crowded),
        ("insert and cancel beside none, ns", |cost| cost.alone),
    ];
    for (name, value) in rows {
        let (ours, theirs) = (
            median(rounds.iter().map(|(ours, _)| value(ours))),
            median(rounds.iter().map(|(_, theirs)| value(theirs))),
        );
        let ratio = median(rounds.iter().map(|(ours, theirs)| value(ours) / value(theirs)));
        println!("| {name} | {ours:.1} | {theirs:.1} | {ratio:.3} |");
    }
}
