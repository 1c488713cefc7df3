//! Work for other cores, with real ones.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, and so do the helpers they share")]

#[path = "alone/mod.rs"]
mod alone;

use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use covet_runtime::{
    Core, CoreSet, JoinError, PerCore, RemoteHandle, Runtime, block_on, mail, shutdown, spawn, time,
    yield_now,
};

/// Runs `body` on the first core of a runtime on all CPUs, whose other cores have nothing of their own to do.
fn on_first<F: Future<Output = ()> + 'static>(body: impl Fn(Core) -> F + Send + Sync + 'static) {
    let runtime = Runtime::builder()
        .start(move |core| {
            let body = (core.index() == 0).then(|| body(core));
            async move {
                if let Some(body) = body {
                    body.await;
                }
            }
        })
        .unwrap();
    runtime.join().unwrap();
}

/// Waits for a handle on a thread that is no core.
fn wait<T>(handle: RemoteHandle<T>) -> Result<T, JoinError> {
    block_on(handle).unwrap()
}

/// Says on which thread it was dropped.
struct Told(mpsc::Sender<ThreadId>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send(thread::current().id());
    }
}

#[test]
fn a_task_runs_over_there_and_its_output_comes_back() {
    on_first(|core| async move {
        let here = thread::current().id();
        for index in 0..core.count() {
            let (id, name) = core
                .spawn_on(index, move || async move {
                    // Neither is Send: the future never leaves the core.
                    let local = Rc::new(RefCell::new(Vec::new()));
                    for n in 0..3 {
                        yield_now().await;
                        time::sleep(Duration::from_micros(100)).await;
                        local.borrow_mut().push(n);
                    }
                    assert_eq!(*local.borrow(), [0, 1, 2]);
                    (thread::current().id(), Core::current().index())
                })
                .await
                .unwrap();
            assert_eq!(name, index);
            assert_eq!(id == here, index == core.index());
        }
    });
}

#[test]
fn a_core_without_work_of_its_own_waits_for_that_of_others() {
    on_first(|core| async move {
        let last = core.count() - 1;
        for _ in 0..3 {
            // The other core's main future has long ended.
            time::sleep(Duration::from_millis(10)).await;
            assert_eq!(core.spawn_on(last, || async { 7 }).await, Ok(7));
        }
        // What is sent and not awaited is finished all the same.
        let done = Arc::new(AtomicBool::new(false));
        let flag = done.clone();
        let sender = core.clone();
        core.spawn_on(last, move || async move {
            time::sleep(Duration::from_millis(10)).await;
            sender.spawn_on(0, move || async move { flag.store(true, Ordering::SeqCst) }).detach();
        })
        .detach();
        drop(done);
    });
}

#[test]
fn detached_work_is_done_before_the_runtime_ends() {
    let hops = Arc::new(AtomicUsize::new(0));
    fn hop(core: &Core, left: usize, hops: Arc<AtomicUsize>) {
        let next = (Core::try_current().map_or(0, |here| here.index()) + 1) % core.count();
        let onward = core.clone();
        core.spawn_on(next, move || async move {
            yield_now().await;
            hops.fetch_add(1, Ordering::SeqCst);
            if left > 1 {
                hop(&onward, left - 1, hops);
            }
        })
        .detach();
    }
    let count = hops.clone();
    on_first(move |core| {
        let hops = count.clone();
        async move { hop(&core, 1000, hops) }
    });
    assert_eq!(hops.load(Ordering::SeqCst), 1000);
}

#[test]
fn threads_that_are_no_core_send_work_and_wait_for_it() {
    let runtime = Runtime::builder().start(|_| shutdown::requested()).unwrap();
    let last = runtime.core(0).count() - 1;
    let core = runtime.core(last);
    assert_eq!(core.index(), last);
    let threads: Vec<_> = (0..3)
        .map(|n| {
            let core = core.clone();
            thread::spawn(move || wait(core.spawn_on(n % core.count(), move || async move { n })))
        })
        .collect();
    for (n, thread) in threads.into_iter().enumerate() {
        assert_eq!(thread.join().unwrap(), Ok(n));
    }
    assert!(Core::try_current().is_none());
    runtime.shutdown(Duration::from_secs(5));
    runtime.join().unwrap();
    // All have ended: an answer, no hang, and the closure is dropped.
    let (tell, told) = mpsc::channel();
    let closure = Told(tell);
    assert_eq!(wait(core.spawn_on(0, move || async move { drop(closure) })), Err(JoinError::CoreGone));
    assert_eq!(told.recv().unwrap(), thread::current().id());
    let all = block_on(core.broadcast(|_| async {})).unwrap();
    assert!(all.iter().all(|outcome| *outcome == Err(JoinError::CoreGone)) && all.len() == core.count());
}

#[test]
fn a_panic_over_there_is_the_answer_here() {
    on_first(|core| async move {
        let last = core.count() - 1;
        let panicked = |text: &str| Err::<(), _>(JoinError::Panicked(text.into()));
        let before: RemoteHandle<()> =
            core.spawn_on(last, || -> std::future::Ready<()> { panic!("in the closure") });
        let during = core.spawn_on(last, || async {
            yield_now().await;
            panic!("in the future")
        });
        assert_eq!(before.await, panicked("in the closure"));
        assert_eq!(during.await, panicked("in the future"));
        assert_eq!(core.spawn_on(last, || async { 1 }).await, Ok(1));
    });
}

#[test]
fn what_a_task_held_is_gone_before_its_answer_comes() {
    struct Slow(Arc<AtomicUsize>);
    impl Drop for Slow {
        fn drop(&mut self) {
            thread::sleep(Duration::from_millis(50));
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    on_first(|core| async move {
        let gone = Arc::new(AtomicUsize::new(0));
        let held = Slow(gone.clone());
        let there = core.spawn_on(core.count() - 1, move || {
            let ready = async move { yield_now().await };
            // Beside the future, so that its end alone does not drop it.
            Beside(Box::pin(ready), held)
        });
        // A wake would come at the end of a turn over there, and hide what this one does in it.
        while !there.is_finished() {
            yield_now().await;
        }
        assert_eq!(gone.load(Ordering::SeqCst), 1);
        assert_eq!(there.await, Ok(()));
    });
}

struct Beside<F, T>(std::pin::Pin<Box<F>>, T);

impl<F: Future, T: Unpin> Future for Beside<F, T> {
    type Output = F::Output;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<F::Output> {
        self.0.as_mut().poll(cx)
    }
}

#[test]
fn a_panic_in_a_panic_over_there_ends_neither_the_answer_nor_the_core() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            if !thread::panicking() {
                panic!("in the destructor");
            }
        }
    }
    on_first(|core| async move {
        let last = core.count() - 1;
        let there = core.spawn_on(last, || {
            let fails = async {
                yield_now().await;
                panic!("in the future")
            };
            Beside::<_, Bad>(Box::pin(fails), Bad)
        });
        assert_eq!(there.await, Err::<(), _>(JoinError::Panicked("in the future".into())));
        assert_eq!(core.spawn_on(last, || async { 1 }).await, Ok(1));
    });
}

#[test]
fn cancelled_work_is_dropped_where_it_ran() {
    on_first(|core| async move {
        let last = core.count() - 1;
        let (tell, told) = mpsc::channel();
        let (say, started) = mail::channel(1);
        let mut started = started.bind();
        let there = core.spawn_on(last, move || async move {
            let _held = (Told(tell), Rc::new(()));
            say.send(thread::current().id()).await.unwrap();
            pending::<()>().await;
        });
        let home = started.recv().await.unwrap();
        assert!(!there.is_finished());
        there.cancel();
        there.cancel();
        assert_eq!(there.await, Err(JoinError::Cancelled));
        // What it held is gone before the answer comes.
        assert_eq!(told.try_recv().unwrap(), home);
        // Cancelled before it began: it may or may not have.
        let there = core.spawn_on(last, pending::<()>);
        there.cancel();
        assert_eq!(there.await, Err(JoinError::Cancelled));
        // Too late to change anything.
        let mut there = core.spawn_on(last, || async { 1 });
        let outcome = (&mut there).await;
        there.cancel();
        assert_eq!(outcome, Ok(1));
    });
}

#[test]
fn work_on_a_core_that_is_stopped_gets_an_answer() {
    let (say, started) = mpsc::channel();
    let runtime = Runtime::builder().start(|_| pending::<()>()).unwrap();
    let core = runtime.core(0);
    let handles: Vec<_> = (0..core.count())
        .map(|index| {
            let say = say.clone();
            core.spawn_on(index, move || async move {
                say.send(()).unwrap();
                pending::<()>().await;
            })
        })
        .collect();
    for _ in 0..core.count() {
        started.recv().unwrap();
    }
    let waiting: Vec<_> = handles.into_iter().map(|handle| thread::spawn(move || wait(handle))).collect();
    runtime.shutdown(Duration::ZERO);
    runtime.join().unwrap();
    for thread in waiting {
        assert_eq!(thread.join().unwrap(), Err(JoinError::Cancelled));
    }
}

#[test]
fn work_that_waits_for_a_core_that_is_stopped_is_dropped_there() {
    let runtime = Runtime::builder().cores(CoreSet::count(1)).start(|_| pending::<()>()).unwrap();
    let core = runtime.core(0);
    let (say, entered) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    core.spawn_on(0, move || async move {
        say.send(()).unwrap();
        // A bad task: it blocks its core until the work below is on its way and the deadline has passed.
        left.recv().unwrap();
    })
    .detach();
    entered.recv().unwrap();
    let (tell, told) = mpsc::channel();
    let held = Told(tell);
    let late = core.spawn_on(0, move || async move {
        let _held = held;
        pending::<()>().await;
    });
    runtime.shutdown(Duration::ZERO);
    leave.send(()).unwrap();
    assert!(matches!(wait(late), Err(JoinError::CoreGone | JoinError::Cancelled)));
    assert_ne!(told.recv().unwrap(), thread::current().id());
    runtime.join().unwrap();
}

#[test]
fn a_broadcast_reaches_every_core_and_keeps_their_order() {
    on_first(|core| async move {
        let outcomes = core
            .broadcast(|core| async move {
                // The first answers last.
                time::sleep(Duration::from_millis(10 * (core.count() - core.index()) as u64)).await;
                assert_ne!(core.index(), 1, "one fails");
                assert_eq!(core.index(), Core::current().index());
                core.index()
            })
            .await;
        for (index, outcome) in outcomes.iter().enumerate() {
            match outcome {
                Ok(name) => assert_eq!(*name, index),
                Err(JoinError::Panicked(text)) => assert!(index == 1 && text.contains("one fails"), "{text}"),
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(outcomes.len(), core.count());
        let endless = core.broadcast(|_| pending::<()>());
        endless.cancel();
        assert!(endless.await.into_iter().all(|outcome| outcome == Err(JoinError::Cancelled)));
    });
}

#[test]
fn a_storm_of_work_between_all_cores_loses_nothing() {
    let runs = Arc::new(AtomicUsize::new(0));
    let count = runs.clone();
    let runtime = Runtime::builder()
        .start(move |core| {
            let runs = count.clone();
            async move {
                let tasks: Vec<_> = (0..8)
                    .map(|seed| {
                        let (core, runs) = (core.clone(), runs.clone());
                        spawn(async move {
                            let mut handles = Vec::new();
                            for n in 0..200usize {
                                let runs = runs.clone();
                                let work = core.spawn_on((n * 7 + seed) % core.count(), move || async move {
                                    if n % 3 == 0 {
                                        yield_now().await;
                                    }
                                    runs.fetch_add(1, Ordering::SeqCst);
                                    n
                                });
                                match n % 4 {
                                    0 => work.detach(),
                                    1 => assert_eq!(work.await, Ok(n)),
                                    _ => handles.push((n, work)),
                                }
                            }
                            for (n, work) in handles {
                                assert_eq!(work.await, Ok(n));
                            }
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await.unwrap();
                }
            }
        })
        .unwrap();
    let cores = runtime.core(0).count();
    runtime.join().unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), cores * 8 * 200);
}

#[test]
fn nothing_is_left_behind() {
    alone::alone("nothing_is_left_behind", || {
        let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
        block_on(async {}).unwrap();
        let before = (descriptors(), threads());
        for round in 0..5 {
            let (sender, mailbox) = mail::channel::<Box<[u8]>>(8);
            let runtime = Runtime::builder()
                .start(move |core| {
                    let sender = sender.clone();
                    async move {
                        for n in 0..100 {
                            core.broadcast(|_| async {}).detach();
                            core.spawn_on(n % core.count(), pending::<()>).detach();
                            let _ = sender.try_send(vec![0; 1000].into());
                        }
                        if round % 2 == 0 {
                            pending::<()>().await
                        }
                    }
                })
                .unwrap();
            let core = runtime.core(0);
            let state = PerCore::new(&core, |core| core.clone());
            state.map(|_| async {}).detach();
            runtime.shutdown(Duration::from_millis(round));
            runtime.join().unwrap();
            drop((core, state, mailbox));
        }
        // A thread that was joined is listed for a moment longer.
        let end = Instant::now() + Duration::from_secs(60);
        while threads() > before.1 && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!((descriptors(), threads()), before);
    });
}
