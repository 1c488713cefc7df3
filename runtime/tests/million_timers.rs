//! A million timers: what they take, and that each fires in its time.

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use covet_runtime::{Builder, time};

/// Counts the bytes that are allocated.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: forwarded.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: forwarded.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LIVE.fetch_add(size, Ordering::Relaxed);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: forwarded.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const COUNT: usize = 1_000_000;

/// The spread of their ends, in an order that is nobody's.
fn after(number: usize) -> Duration {
    Duration::from_micros(number as u64 * 7919 % 200_000)
}

#[test]
fn a_million_timers_take_little_memory_and_all_fire() {
    let main = async {
        let before = LIVE.load(Ordering::Relaxed);
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
        let each = (LIVE.load(Ordering::Relaxed) - before) / COUNT;
        assert!(each <= 100, "{each} bytes per timer, with the handle");
        let full = LIVE.load(Ordering::Relaxed);

        // Cancelled and set again, they need nothing more.
        timers.clear();
        timers.extend((0..COUNT).map(|number| time::sleep(after(number))));
        assert_eq!(LIVE.load(Ordering::Relaxed), full);
        for timer in timers {
            let due = timer.deadline();
            timer.await;
            assert!(time::now() >= due, "it fired early");
        }
    };
    // One poll sets them all.
    Builder::default().stall_limit(None).block_on(main).unwrap();
}
