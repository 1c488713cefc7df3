//! A million timers: what they take, and that each fires in its time.

mod counting_allocator;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use covet_runtime::{Builder, time};

const COUNT: usize = 1_000_000;

/// The spread of their ends, in an order that is nobody's.
fn after(number: usize) -> Duration {
    Duration::from_micros(number as u64 * 7919 % 200_000)
}

#[test]
fn a_million_timers_take_little_memory_and_all_fire() {
    let main = async {
        let before = counting_allocator::live();
        let mut timers = Vec::with_capacity(COUNT);
        let hour = Duration::from_secs(3600);
        timers.extend((0..COUNT).map(|number| time::sleep(hour + after(number))));
        let poll_all = |timers: &mut Vec<time::Sleep>| {
            let mut polled = std::mem::take(timers);
            poll_fn(move |cx| {
                assert!(polled.iter_mut().all(|timer| Pin::new(timer).poll(cx).is_pending()));
                Poll::Ready(std::mem::take(&mut polled))
            })
        };
        timers = poll_all(&mut timers).await;
        let each = (counting_allocator::live() - before) / COUNT as isize;
        assert!(each <= 100, "{each} bytes per timer, with the handle");
        let full = counting_allocator::live();

        // Cancelled and set again, they need nothing more.
        timers.clear();
        timers.extend((0..COUNT).map(|number| time::sleep(after(number))));
        assert_eq!(counting_allocator::live(), full);
        for timer in timers {
            let due = timer.deadline();
            timer.await;
            assert!(time::now() >= due, "it fired early");
        }
    };
    // One poll sets them all.
    Builder::default().stall_limit(None).block_on(main).unwrap();
}
