//! Every interleaving of what the channel and the sent tasks are made of.

use std::future::poll_fn;
use std::task::Poll;

use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;

use super::census::Census;
use super::waker_slot::WakerSlot;

#[test]
fn a_waker_slot_wakes_whoever_registers_and_looks() {
    loom::model(|| {
        let shared = Arc::new((WakerSlot::new(), AtomicUsize::new(0)));
        let wakers: Vec<_> = (0..2)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || {
                    // Relaxed: the slot's fences do the ordering.
                    shared.1.fetch_add(1, Ordering::Relaxed);
                    shared.0.wake();
                })
            })
            .collect();
        block_on(poll_fn(|cx| {
            let there = || shared.1.load(Ordering::Relaxed) == 2;
            if there() {
                return Poll::Ready(());
            }
            // SAFETY: this is the one waiting side.
            unsafe { shared.0.register(cx.waker()) };
            if there() { Poll::Ready(()) } else { Poll::Pending }
        }));
        wakers.into_iter().for_each(|thread| thread.join().unwrap());
        // SAFETY: as above.
        unsafe { shared.0.clear() };
    });
}

/// Two cores and a task that one sends the other: neither ends before it has run, both end after.
#[test]
fn a_runtime_is_not_over_while_a_task_is_on_its_way() {
    loom::model(|| {
        let census = Arc::new(Census::new(2));
        let sent = Arc::new(AtomicBool::new(false));
        let (count, flag) = (census.clone(), sent.clone());
        let other = thread::spawn(move || {
            assert!(count.enter(), "a core that has tasks keeps the runtime");
            flag.store(true, Ordering::Release);
            // Its own task is done; the one it sent is counted by its mark.
            count.leave()
        });
        // This core has nothing to do, rests, and resumes for what came.
        let mut over = census.leave();
        if sent.load(Ordering::Acquire) {
            assert!(!census.is_over(), "the mark counts");
            assert!(census.enter());
            let mark = census.leave();
            over |= mark;
            let core = census.leave();
            over |= core;
        } else {
            thread::yield_now();
        }
        let other_was_last = other.join().unwrap();
        if census.is_over() {
            assert!(over ^ other_was_last, "one is the last, and tells the others");
            assert!(!census.enter(), "what is over stays over");
        }
    });
}
