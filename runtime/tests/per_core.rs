//! State that each core has of its own.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, and so do the helpers they share")]

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, ThreadId};
use std::time::Duration;

use covet_runtime::{Core, CoreSet, JoinError, PerCore, Runtime, block_on, shutdown, time};

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

/// Says on which thread it was dropped.
struct Told(mpsc::Sender<ThreadId>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send(thread::current().id());
    }
}

#[test]
fn per_core_state_is_built_once_and_asked_from_anywhere() {
    on_first(|core| async move {
        let built = Arc::new(AtomicUsize::new(0));
        let count = built.clone();
        let (tell, told) = mpsc::channel();
        let tell = Mutex::new(tell);
        let state = PerCore::new(&core, move |core| {
            count.fetch_add(1, Ordering::SeqCst);
            (core.index(), Cell::new(0), Told(tell.lock().unwrap().clone()))
        });
        for _ in 0..10 {
            let touched = state.map(|state| async move {
                assert_eq!(state.0, Core::current().index());
                state.1.set(state.1.get() + 1);
                thread::current().id()
            });
            assert!(touched.await.into_iter().all(|outcome| outcome.is_ok()));
        }
        assert_eq!(built.load(Ordering::SeqCst), core.count());
        assert_eq!(state.with(|state| state.1.get()), 10);
        // From the last core as well as from here.
        let copy = state.clone();
        let sum = core
            .spawn_on(core.count() - 1, move || async move {
                copy.fold(0, |state| async move { state.1.get() }, |sum, n| sum + n).await
            })
            .await;
        assert_eq!(sum, Ok(Ok(10 * core.count())));
        assert_eq!(state.on(0, |state| async move { state.0 }).await, Ok(0));
        let mut homes: Vec<_> = state.map(|_| async { thread::current().id() }).await;
        // Gone with the last handle, each on its own core.
        drop(state);
        for _ in 0..core.count() {
            let home = Ok(time::timeout(Duration::from_secs(20), dropped(&told)).await.unwrap());
            let place = homes.iter().position(|other| *other == home).expect("each on its core, once");
            homes.remove(place).unwrap();
        }
    });
}

async fn dropped(told: &mpsc::Receiver<ThreadId>) -> ThreadId {
    loop {
        match told.try_recv() {
            Ok(home) => return home,
            Err(_) => time::sleep(Duration::from_millis(1)).await,
        }
    }
}

#[test]
fn per_core_state_may_take_time_to_build_and_may_fail() {
    on_first(|core| async move {
        let state = PerCore::build(&core, |core| async move {
            time::sleep(Duration::from_millis(5)).await;
            Rc::new(core.index())
        })
        .await
        .unwrap();
        let sum = state.fold(0, |state| async move { **state }, |sum, n| sum + n).await;
        assert_eq!(sum, Ok((0..core.count()).sum()));

        let failed = PerCore::build(&core, |core| async move {
            assert_ne!(core.index(), core.count() - 1, "no state here");
            core.index()
        })
        .await;
        assert!(matches!(failed, Err(JoinError::Panicked(text)) if text.contains("no state here")));

        let tries = Arc::new(AtomicUsize::new(0));
        let count = tries.clone();
        let moody = PerCore::new(&core, move |_| {
            assert!(count.fetch_add(1, Ordering::SeqCst) > 0, "not yet");
            7
        });
        assert!(matches!(moody.on(0, |state| async move { *state }).await, Err(JoinError::Panicked(_))));
        assert_eq!(moody.on(0, |state| async move { *state }).await, Ok(7));
    });
}

#[test]
fn states_that_are_kept_go_with_their_core() {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let runtime = Runtime::builder().start(|_| shutdown::requested()).unwrap();
    let core = runtime.core(0);
    let state = PerCore::new(&core, move |_| {
        // A socket of the core's, which needs the core's driver when it is dropped.
        let listener = covet_runtime::net::TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        (Told(tell.lock().unwrap().clone()), listener)
    });
    assert!(block_on(state.map(|_| async {})).unwrap().into_iter().all(|outcome| outcome.is_ok()));
    runtime.shutdown(Duration::from_secs(5));
    runtime.join().unwrap();
    assert_eq!(told.try_iter().count(), core.count());
    drop(state);
}

#[test]
fn a_destructor_that_panics_at_the_end_keeps_no_other_state() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("in a state's destructor");
        }
    }
    let (tell, told) = mpsc::channel();
    let runtime = Runtime::builder().cores(CoreSet::count(1)).start(|_| shutdown::requested()).unwrap();
    let core = runtime.core(0);
    let bad: Vec<_> = (0..3).map(|_| PerCore::new(&core, |_| Bad)).collect();
    let tell = Mutex::new(tell);
    let tell = std::sync::Arc::new(tell);
    let good: Vec<_> = (0..5)
        .map(|_| {
            let tell = tell.clone();
            PerCore::new(&core, move |_| Told(tell.lock().unwrap().clone()))
        })
        .collect();
    for state in &bad {
        block_on(state.map(|_| async {})).unwrap().pop().unwrap().unwrap();
    }
    for state in &good {
        block_on(state.map(|_| async {})).unwrap().pop().unwrap().unwrap();
    }
    runtime.shutdown(Duration::from_secs(5));
    runtime.join().unwrap();
    assert_eq!(told.try_iter().count(), good.len());
}

#[test]
fn state_of_another_runtime_is_refused() {
    let runtime = Runtime::builder().cores(CoreSet::count(1)).start(|_| shutdown::requested()).unwrap();
    let state = PerCore::new(&runtime.core(0), |_| 7);
    let asked =
        block_on(async move { std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| *state.get())) });
    let text = asked.unwrap().unwrap_err();
    assert!(text.downcast_ref::<&str>().is_some_and(|text| text.contains("another runtime")));
    drop(runtime);
}
