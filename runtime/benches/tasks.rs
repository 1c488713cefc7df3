//! What a task, a wake and a timer cost.

use std::future::poll_fn;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use covet_runtime::{block_on, spawn, time, yield_now};
use criterion::{Criterion, criterion_group, criterion_main};

/// Times `iterations` rounds on a core, without its start and end.
fn on_a_core<F: Future<Output = ()>>(iterations: u64, round: impl Fn() -> F) -> Duration {
    block_on(async {
        let started = Instant::now();
        for _ in 0..iterations {
            round().await;
        }
        started.elapsed()
    })
    .expect("the ring of a core can be made")
}

fn tasks(criterion: &mut Criterion) {
    criterion.bench_function("spawn and await", |bench| {
        bench.iter_custom(|iterations| {
            on_a_core(iterations, || async {
                let task = spawn(async { black_box(7) });
                assert!(task.await.is_ok());
            })
        });
    });
    // A whole turn of the loop with nothing to submit: queue, poll, a look at the ring, the clock.
    criterion.bench_function("wake oneself", |bench| {
        bench.iter_custom(|iterations| on_a_core(iterations, yield_now));
    });
    criterion.bench_function("insert and cancel a timer", |bench| {
        bench.iter_custom(|iterations| {
            on_a_core(iterations, || async { drop(black_box(time::sleep(Duration::from_secs(30)))) })
        });
    });
}

/// From a core to another thread and back: two system calls and two switches of the scheduler.
fn remote(criterion: &mut Criterion) {
    criterion.bench_function("be woken by another thread", |bench| {
        let (send, receive) = mpsc::channel::<(Waker, Arc<AtomicU64>)>();
        let thread = std::thread::spawn(move || {
            for (waker, rounds) in receive {
                rounds.fetch_add(1, Ordering::Release);
                waker.wake();
            }
        });
        bench.iter_custom(|iterations| {
            let rounds = Arc::new(AtomicU64::new(0));
            on_a_core(iterations, || {
                let before = rounds.load(Ordering::Acquire);
                let (send, rounds) = (send.clone(), rounds.clone());
                let mut asked = false;
                poll_fn(move |cx| {
                    if rounds.load(Ordering::Acquire) > before {
                        return Poll::Ready(());
                    }
                    if !std::mem::replace(&mut asked, true) {
                        send.send((cx.waker().clone(), rounds.clone())).expect("the thread waits for wakers");
                    }
                    Poll::Pending
                })
            })
        });
        drop(send);
        thread.join().expect("the waking thread does not panic");
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = tasks, remote
}
criterion_main!(benches);
