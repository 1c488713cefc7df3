use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;
use crate::{Builder, CoreSet, JoinError, Runtime, block_on, shutdown, spawn, time};

/// Long enough for any machine under any load, short enough for a test that fails.
const PATIENCE: Duration = Duration::from_secs(60);

fn small(threads: usize, queue: usize) -> Builder {
    Builder::default().blocking_threads(threads).blocking_queue(queue)
}

fn counts() -> (usize, usize, usize) {
    context::with(|core| core.blocking.counts()).expect("tests run on a core")
}

/// Work that says when it runs, and runs until told to end.
fn gate() -> (impl FnOnce() -> &'static str + Send, Receiver<()>, Sender<()>) {
    let (started, has_started) = channel();
    let (end, told) = channel::<()>();
    let work = move || {
        started.send(()).expect("the test waits for this");
        let _ = told.recv_timeout(PATIENCE);
        "through"
    };
    (work, has_started, end)
}

/// Says over a channel that it was dropped.
struct Told(Sender<&'static str>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

#[test]
fn results_come_back_while_the_core_goes_on() {
    block_on(async {
        let (work, started, end) = gate();
        let handle = spawn_blocking(work);
        started.recv_timeout(PATIENCE).unwrap();
        // The core runs tasks and timers meanwhile.
        time::sleep(Duration::from_millis(1)).await;
        assert!(!handle.is_finished());
        end.send(()).unwrap();
        assert_eq!(handle.await, Ok("through"));

        let many: Vec<_> = (0..500u64).map(|n| spawn_blocking(move || n * n)).collect();
        for (n, handle) in many.into_iter().enumerate() {
            assert_eq!(handle.await, Ok((n * n) as u64));
        }
        assert!(counts().0 <= 64);
    })
    .unwrap();
}

#[test]
fn work_runs_on_named_threads_that_may_use_every_cpu() {
    let all = CoreSet::all().resolve().unwrap();
    let (name, cpus) = Builder::default()
        .cores(CoreSet::list([all[0]]))
        .thread_name("test")
        .block_on(async {
            spawn_blocking(|| {
                let mask = CoreSet::all().resolve().unwrap();
                (std::thread::current().name().map(str::to_owned), mask)
            })
            .await
            .unwrap()
        })
        .unwrap();
    assert_eq!(name.as_deref(), Some("test-blk-0"));
    assert_eq!(cpus, all, "the pinned core's mask was inherited");
}

#[test]
fn a_panic_is_the_handles_news_and_the_thread_goes_on() {
    small(1, 8)
        .block_on(async {
            let bad = spawn_blocking(|| -> u8 { panic!("on purpose {}", 7) });
            assert_eq!(bad.await, Err(JoinError::Panicked("on purpose 7".into())));
            assert_eq!(spawn_blocking(|| 7).await, Ok(7));
            assert_eq!(counts(), (1, 0, 0));
            let error = std::io::Error::from(JoinError::Cancelled);
            assert!(error.to_string().contains("cancelled"));
        })
        .unwrap();
}

#[test]
fn what_has_not_begun_can_be_cancelled_and_what_runs_can_not() {
    small(1, 8)
        .block_on(async {
            let (work, started, end) = gate();
            let running = spawn_blocking(work);
            started.recv_timeout(PATIENCE).unwrap();
            let (told, news) = channel();
            let told = Told(told);
            let queued = spawn_blocking(move || drop(told));
            let after = spawn_blocking(|| "after");
            assert!(!running.cancel());
            assert!(queued.cancel());
            assert!(!queued.cancel(), "a second time there is nothing to cancel");
            assert_eq!(news.try_recv(), Ok("dropped"), "the closure goes at once");
            assert_eq!(queued.await, Err(JoinError::Cancelled));
            end.send(()).unwrap();
            assert_eq!(running.await, Ok("through"));
            assert_eq!(after.await, Ok("after"));
        })
        .unwrap();
}

#[test]
fn a_full_queue_waits_or_says_so() {
    small(2, 3)
        .block_on(async {
            let ends: Vec<_> = (0..2)
                .map(|_| {
                    let (work, started, end) = gate();
                    spawn_blocking(work).detach();
                    started.recv_timeout(PATIENCE).unwrap();
                    end
                })
                .collect();
            let order = Arc::new(Mutex::new(Vec::new()));
            let push = |name: &'static str| {
                let order = order.clone();
                spawn_blocking(move || order.lock().unwrap().push(name))
            };
            let queued: Vec<_> = ["a", "b", "c"].map(push).into();
            assert_eq!(counts(), (2, 3, 0));
            let QueueFull(given_back) = try_spawn_blocking(|| 7).unwrap_err();
            assert_eq!(given_back(), 7);
            let waiting: Vec<_> = ["d", "e", "f"].map(push).into();
            push("dropped").await_never();
            push("detached").detach();
            assert_eq!(counts(), (2, 3, 4));
            // Who is cancelled makes room for who waits.
            assert!(queued[0].cancel() && waiting[1].cancel());
            assert_eq!(counts(), (2, 3, 2));
            // One thread stays busy, so that the other runs all the rest in order.
            ends[0].send(()).unwrap();
            for handle in queued.into_iter().chain(waiting) {
                let _ = handle.await;
            }
            spawn_blocking(|| ()).await.unwrap();
            assert_eq!(*order.lock().unwrap(), ["b", "c", "d", "f", "detached"]);
            assert_eq!(try_spawn_blocking(|| 7).unwrap().await, Ok(7));
            drop(ends);
        })
        .unwrap();
}

impl<T> BlockingHandle<T> {
    fn await_never(self) {
        drop(self);
    }
}

#[test]
fn results_that_nobody_wants_are_dropped_where_they_arise_even_if_they_panic() {
    struct Bad(Told);
    impl Drop for Bad {
        fn drop(&mut self) {
            let _ = self.0.0.send(if std::thread::current().name() == Some("covet-blk-0") {
                "there"
            } else {
                "here"
            });
            panic!("a destructor, on purpose");
        }
    }
    small(1, 8)
        .block_on(async {
            let (send, news) = channel();
            let (work, started, end) = gate();
            let told = Told(send);
            let handle = spawn_blocking(move || {
                work();
                Bad(told)
            });
            started.recv_timeout(PATIENCE).unwrap();
            drop(handle);
            end.send(()).unwrap();
            assert_eq!(news.recv_timeout(PATIENCE), Ok("there"));
            assert_eq!(news.recv_timeout(PATIENCE), Ok("dropped"));
            assert_eq!(spawn_blocking(|| 7).await, Ok(7));
        })
        .unwrap();
}

#[test]
fn idle_threads_end() {
    small(4, 8)
        .blocking_keep_alive(Duration::from_millis(20))
        .block_on(async {
            for _ in 0..2 {
                let gates: Vec<_> = (0..4).map(|_| gate()).collect();
                let mut rest = Vec::new();
                for (work, started, end) in gates {
                    rest.push((spawn_blocking(work), end));
                    started.recv_timeout(PATIENCE).unwrap();
                }
                assert_eq!(counts().0, 4);
                for (handle, end) in rest {
                    end.send(()).unwrap();
                    handle.await.unwrap();
                }
                let limit = Instant::now() + PATIENCE;
                while counts().0 > 0 {
                    assert!(Instant::now() < limit, "{:?}", counts());
                    time::sleep(Duration::from_millis(5)).await;
                }
            }
        })
        .unwrap();
}

#[test]
fn a_handle_is_awaited_on_another_core_or_none() {
    let waker = std::task::Waker::noop();
    let mut kept = None;
    block_on(async { kept = Some(spawn_blocking(|| 7)) }).unwrap();
    let handle = kept.expect("the closure of block_on has run");
    // `block_on` has waited for it, or dropped it before it began.
    let outcome = std::pin::pin!(handle).poll(&mut std::task::Context::from_waker(waker));
    assert!(matches!(outcome, std::task::Poll::Ready(Ok(7) | Err(JoinError::Cancelled))), "{outcome:?}");
}

#[test]
fn the_cores_of_a_runtime_share_the_pool_and_its_work_is_finished_at_a_natural_end() {
    let done = Arc::new(AtomicUsize::new(0));
    let count = done.clone();
    let runtime = Runtime::builder()
        .blocking_threads(1)
        .start(move |_| {
            let count = count.clone();
            async move {
                for _ in 0..50 {
                    let count = count.clone();
                    spawn_blocking(move || count.fetch_add(1, Ordering::SeqCst)).detach();
                }
            }
        })
        .unwrap();
    runtime.join().unwrap();
    assert_eq!(done.load(Ordering::SeqCst), 50 * CoreSet::all().resolve().unwrap().len());
}

#[test]
fn shutdown_drops_what_is_queued_and_leaves_what_outlasts_the_deadline() {
    let (work, started, end) = gate();
    let (told, news) = channel();
    let parts = Mutex::new(Some((work, Told(told.clone()), Told(told))));
    let runtime = Runtime::builder()
        .cores(CoreSet::count(1))
        .blocking_threads(1)
        .start(move |_| {
            let (work, result, queued) = parts.lock().unwrap().take().unwrap();
            async move {
                spawn(async move {
                    let _ = spawn_blocking(move || {
                        work();
                        drop(result);
                    })
                    .await;
                })
                .detach();
                crate::yield_now().await;
                spawn_blocking(move || panic!("this must not run: {:p}", &raw const queued)).detach();
                shutdown::requested().await;
            }
        })
        .unwrap();
    started.recv_timeout(PATIENCE).unwrap();
    let asked = Instant::now();
    runtime.shutdown(Duration::from_millis(100));
    runtime.join().unwrap();
    assert!(asked.elapsed() >= Duration::from_millis(100), "the running work was not waited for");
    assert_eq!(news.try_recv(), Ok("dropped"), "the queued closure was not dropped");
    assert_eq!(news.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout), "the work still runs");
    end.send(()).unwrap();
    assert_eq!(news.recv_timeout(PATIENCE), Ok("dropped"), "the disowned work ends by itself");
}

#[test]
fn outside_a_core_there_is_no_pool() {
    let panic = std::panic::catch_unwind(|| spawn_blocking(|| ())).unwrap_err();
    assert!(JoinError::panic_text(&*panic).contains("spawn_blocking needs a Covet core"));
}
