//! Starting, waking, timing and ending cores.

mod alone;

use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;
use std::time::{Duration, Instant};

use alone::alone;
use covet_runtime::{
    CoreSet, JoinError, Runtime, StartError, block_on, shutdown, spawn, stats, time, yield_now,
};

/// Long enough for any machine under any load; who waits so long waits for nothing.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn the_factory_runs_once_on_every_core() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = seen.clone();
    let runtime = Runtime::builder()
        .thread_name("test")
        .start(move |core| {
            let record = record.clone();
            async move {
                yield_now().await;
                let mask = rustix::thread::sched_getaffinity(None).unwrap();
                assert_eq!(mask.count(), 1, "the thread is pinned");
                assert!(mask.is_set(core.cpu().unwrap()));
                record.lock().unwrap().push((core.index(), core.count()));
            }
        })
        .unwrap();
    runtime.join().unwrap();
    let mut seen = seen.lock().unwrap().clone();
    seen.sort_unstable();
    let count = CoreSet::all().resolve().unwrap().len();
    assert_eq!(seen, (0..count).map(|index| (index, count)).collect::<Vec<_>>());
}

#[test]
fn a_core_that_does_not_exist_is_named() {
    let error = Runtime::builder().cores(CoreSet::list([1023])).start(|_| async {}).unwrap_err();
    assert!(matches!(error, StartError::NoSuchCore { cpu: 1023, .. }), "{error}");
}

#[test]
fn a_panic_in_the_main_future_is_reported_and_the_others_go_on() {
    let finished = Arc::new(AtomicUsize::new(0));
    let count = finished.clone();
    let runtime = Runtime::builder()
        .start(move |core| {
            let count = count.clone();
            async move {
                assert_ne!(core.index(), 0, "index zero fails");
                time::sleep(Duration::from_millis(30)).await;
                count.fetch_add(1, Ordering::SeqCst);
            }
        })
        .unwrap();
    let error = runtime.join().unwrap_err();
    assert!(error.to_string().contains("index zero fails"), "{error}");
    assert_eq!(finished.load(Ordering::SeqCst), error.cores - 1);
}

#[test]
fn several_runtimes_live_side_by_side() {
    let runtimes: Vec<_> = (0..3)
        .map(|_| {
            Runtime::builder()
                .cores(CoreSet::count(1))
                .start(|_| async { time::sleep(Duration::from_millis(20)).await })
                .unwrap()
        })
        .collect();
    runtimes.into_iter().for_each(|runtime| runtime.join().unwrap());
}

#[test]
fn wakes_cross_threads_while_the_core_sleeps() {
    block_on(async {
        let (send, receive) = mpsc::channel::<std::task::Waker>();
        let ready = Arc::new(AtomicUsize::new(0));
        let flag = ready.clone();
        let thread = std::thread::spawn(move || {
            for waker in receive {
                std::thread::sleep(Duration::from_millis(2));
                flag.fetch_add(1, Ordering::SeqCst);
                waker.wake();
            }
        });
        for round in 0..50 {
            let send = send.clone();
            let ready = ready.clone();
            let mut asked = false;
            let woken = poll_fn(move |cx| {
                if ready.load(Ordering::SeqCst) > round {
                    return Poll::Ready(());
                }
                if !std::mem::replace(&mut asked, true) {
                    send.send(cx.waker().clone()).unwrap();
                }
                Poll::Pending
            });
            assert!(time::timeout(PATIENCE, woken).await.is_ok(), "a wake was lost");
        }
        drop(send);
        thread.join().unwrap();
    })
    .unwrap();
}

#[test]
fn timers_keep_their_order_and_their_time() {
    block_on(async {
        let order = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        let started = Instant::now();
        let tasks: Vec<_> = [30u64, 10, 20, 0, 15]
            .into_iter()
            .map(|millis| {
                let order = order.clone();
                spawn(async move {
                    // From one time for all: a machine that is busy may let time go by between two first polls.
                    time::sleep_until(started + Duration::from_millis(millis)).await;
                    assert!(started.elapsed() >= Duration::from_millis(millis), "fired early");
                    order.borrow_mut().push(millis);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.borrow(), [0, 10, 15, 20, 30]);
        assert!(started.elapsed() < PATIENCE);
    })
    .unwrap();
}

#[test]
fn a_hundred_thousand_timers_cost_no_system_call_each() {
    block_on(async {
        let before = stats::current().operations;
        let timers: Vec<_> = (0..100_000u64)
            .map(|n| time::sleep(Duration::from_secs(3600) + Duration::from_micros(n * 7919 % 1_000_000)))
            .collect();
        drop(timers);
        yield_now().await;
        assert_eq!(stats::current().operations, before, "the driver was told of them");
        // Nothing is counted twice: an operation of another kind is seen.
        let listener = covet_runtime::net::TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        covet_runtime::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        assert!(stats::current().operations > before);
    })
    .unwrap();
}

#[test]
fn timeouts_and_intervals() {
    block_on(async {
        let late = time::timeout(Duration::from_millis(5), pending::<()>()).await;
        assert_eq!(late, Err(time::Elapsed(Duration::from_millis(5))));
        assert_eq!(time::timeout(Duration::ZERO, async { 7 }).await, Ok(7), "what is ready wins");

        let mut ticks = time::interval(Duration::from_millis(10)).missed_ticks(time::MissedTicks::Skip);
        let first = ticks.tick().await;
        time::sleep(Duration::from_millis(35)).await;
        let second = ticks.tick().await;
        let third = ticks.tick().await;
        assert_eq!((second - first).as_millis() % 10, 0);
        assert!(third - second >= Duration::from_millis(20), "missed ticks were not skipped");
    })
    .unwrap();
}

#[test]
fn shutdown_lets_work_finish_then_ends_what_does_not() {
    let (send, receive) = mpsc::channel();
    let (ready, is_ready) = mpsc::channel();
    let runtime = Runtime::builder()
        .cores(CoreSet::count(1))
        .start(move |_| {
            let (send, ready) = (send.clone(), ready.clone());
            async move {
                let polite = send.clone();
                spawn(async move {
                    shutdown::requested().await;
                    time::sleep(Duration::from_millis(30)).await;
                    polite.send("finished").unwrap();
                })
                .detach();
                struct Told(mpsc::Sender<&'static str>);
                impl Drop for Told {
                    fn drop(&mut self) {
                        self.0.send("dropped").unwrap();
                    }
                }
                let told = Told(send);
                spawn(async move {
                    let _told = told;
                    pending::<()>().await;
                })
                .detach();
                yield_now().await;
                ready.send(()).unwrap();
                shutdown::requested().await;
                assert!(shutdown::is_requested());
                assert!(shutdown::time_left().is_some());
            }
        })
        .unwrap();
    is_ready.recv().unwrap();
    let asked = Instant::now();
    let deadline = Duration::from_secs(1);
    runtime.shutdown(deadline);
    runtime.join().unwrap();
    assert!(asked.elapsed() >= deadline);
    assert!(asked.elapsed() < PATIENCE);
    assert_eq!(receive.iter().collect::<Vec<_>>(), ["finished", "dropped"]);
}

#[test]
fn dropping_a_runtime_ends_it() {
    let runtime =
        Runtime::builder().cores(CoreSet::count(1)).start(|_| async { pending::<()>().await }).unwrap();
    let started = Instant::now();
    drop(runtime);
    assert!(started.elapsed() < PATIENCE);
}

#[test]
fn block_on_borrows_and_returns() {
    let mut text = String::from("a");
    let length = block_on(async {
        text.push('b');
        spawn(pending::<()>()).detach();
        text.len()
    })
    .unwrap();
    assert_eq!((length, text.as_str()), (2, "ab"));
}

#[test]
fn a_panicking_task_leaves_the_core_running() {
    block_on(async {
        let bad = spawn(async { panic!("on purpose") });
        assert_eq!(bad.await, Err::<(), _>(JoinError::Panicked("on purpose".into())));
        assert_eq!(spawn(async { 1 }).await, Ok(1));
    })
    .unwrap();
}

#[test]
fn nothing_is_left_behind() {
    // In a process of its own: the descriptors of all tests would be counted.
    alone("nothing_is_left_behind", || {
        let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        // The first start opens what stays open for good.
        block_on(async {}).unwrap();
        let before = descriptors();
        let runtime = Runtime::builder().handle_signals(true).start(|_| async {}).unwrap();
        runtime.join().unwrap();
        for _ in 0..5 {
            block_on(async {
                let listener = covet_runtime::net::TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
                let address = listener.local_addr().unwrap();
                let clients: Vec<_> = (0..8)
                    .map(|_| {
                        spawn(async move { covet_runtime::net::TcpStream::connect(address).await.unwrap() })
                    })
                    .collect();
                let mut kept = Vec::new();
                for client in clients {
                    kept.push(client.await.unwrap());
                }
                let server = listener.accept().await.unwrap();
                // One receive is armed and one connect is under way when the core ends.
                spawn(async move { server.recv().await }).detach();
                spawn(async move { covet_runtime::net::TcpStream::connect(address).await }).detach();
                yield_now().await;
            })
            .unwrap();
        }
        assert_eq!(descriptors(), before);
    });
}
