//! The phases of a shutdown.

use std::future::pending;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use covet_runtime::shutdown::{self, Phase};
use covet_runtime::{Core, CoreSet, Runtime, spawn, time};

const LONG: Duration = Duration::from_secs(600);

fn start<F: Future<Output = ()> + 'static>(main: impl Fn(Core) -> F + Send + Sync + 'static) -> Runtime {
    Runtime::builder().cores(CoreSet::count(1)).start(main).expect("one core can be started")
}

#[test]
fn phases_follow_one_another_and_wait_for_their_holds() {
    let (send, receive) = mpsc::channel();
    let (ready, is_ready) = mpsc::channel();
    let runtime = start(move |_| {
        let (send, ready) = (send.clone(), ready.clone());
        async move {
            assert_eq!((shutdown::present_phase(), shutdown::phase_time_left(Phase::Drain)), (None, None));
            // Registered backwards, so that the order is not that of registration.
            for phase in [Phase::Cancel, Phase::CloseIdle, Phase::Drain, Phase::StopAccepting] {
                let send = send.clone();
                shutdown::on(phase, move || async move {
                    send.send((phase, "begins")).unwrap();
                    // Nothing waits for the hooks of the last phase.
                    if phase != Phase::Cancel {
                        time::sleep(Duration::from_millis(10)).await;
                        assert_eq!(shutdown::present_phase(), Some(phase), "a hook holds its phase");
                        send.send((phase, "ends")).unwrap();
                    }
                });
            }
            let hold = shutdown::hold(Phase::Drain).expect("the shutdown has not begun");
            assert_eq!(hold.phase(), Phase::Drain);
            assert!(shutdown::hold(Phase::Cancel).is_none());
            let sender = send.clone();
            spawn(async move {
                shutdown::phase(Phase::Drain).await;
                time::sleep(Duration::from_millis(30)).await;
                sender.send((hold.phase(), "let go")).unwrap();
                drop(hold);
            })
            .detach();
            ready.send(()).unwrap();
            shutdown::phase(Phase::CloseIdle).await;
            assert!(shutdown::hold(Phase::Drain).is_none(), "that phase is over");
            let left = shutdown::phase_time_left(Phase::CloseIdle).unwrap();
            assert!(left > LONG / 2 && left <= LONG * 95 / 100, "{left:?}");
            shutdown::phase(Phase::Cancel).await;
            send.send((Phase::Cancel, "main ends")).unwrap();
        }
    });
    is_ready.recv().unwrap();
    let asked = Instant::now();
    runtime.shutdown(LONG);
    runtime.join().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(60), "time that is not needed is not used");
    let mut seen: Vec<_> = receive.into_iter().collect();
    let last = seen.split_off(7);
    let expected = [
        (Phase::StopAccepting, "begins"),
        (Phase::StopAccepting, "ends"),
        (Phase::Drain, "begins"),
        (Phase::Drain, "ends"),
        (Phase::Drain, "let go"),
        (Phase::CloseIdle, "begins"),
        (Phase::CloseIdle, "ends"),
    ];
    assert_eq!(seen, expected);
    assert!(last.len() == 2 && last.iter().all(|(phase, _)| *phase == Phase::Cancel), "{last:?}");
}

#[test]
fn a_phase_that_is_held_too_long_ends_by_its_share() {
    let (send, receive) = mpsc::channel();
    let (ready, is_ready) = mpsc::channel();
    let runtime = start(move |_| {
        let (send, ready) = (send.clone(), ready.clone());
        async move {
            let stuck = shutdown::hold(Phase::StopAccepting);
            ready.send(()).unwrap();
            shutdown::phase(Phase::Drain).await;
            send.send(Instant::now()).unwrap();
            drop(stuck);
        }
    });
    is_ready.recv().unwrap();
    let asked = Instant::now();
    runtime.shutdown(Duration::from_secs(10));
    runtime.join().unwrap();
    let drained = receive.recv().unwrap();
    assert!(drained - asked >= Duration::from_millis(900), "{:?}", drained - asked);
    assert!(drained - asked < Duration::from_millis(9500), "the first phase has a tenth of ten seconds");
}

#[test]
fn a_task_ends_the_runtime_and_others_run_until_then() {
    let (send, receive) = mpsc::channel();
    let runtime = start(move |_| {
        let send = send.clone();
        async move {
            // What is ready wins, before and after.
            assert_eq!(shutdown::run_until_requested(async { 1 }).await, Some(1));
            let waiting = spawn(async { shutdown::run_until_requested(pending::<()>()).await });
            time::sleep(Duration::from_millis(1)).await;
            assert!(!waiting.is_finished() && !shutdown::handle().is_requested());
            shutdown::handle().shutdown(LONG);
            assert_eq!(waiting.await, Ok(None));
            assert!(shutdown::is_requested() && shutdown::handle().is_requested());
            assert_eq!(shutdown::run_until_requested(async { 2 }).await, Some(2));
            assert_eq!(shutdown::run_until_requested(pending::<()>()).await, None);
            send.send(()).unwrap();
        }
    });
    runtime.join().unwrap();
    receive.try_recv().expect("the main future came to its end");
}

#[test]
fn each_phase_has_its_share_of_the_time() {
    let (send, receive) = mpsc::channel();
    let runtime = start(move |_| {
        let send = send.clone();
        async move {
            shutdown::handle().shutdown(Duration::from_secs(1000));
            shutdown::requested().await;
            let left = [Phase::StopAccepting, Phase::Drain, Phase::CloseIdle, Phase::Cancel]
                .map(|phase| shutdown::phase_time_left(phase).unwrap().as_secs_f64());
            send.send(left).unwrap();
        }
    });
    runtime.join().unwrap();
    for (left, end) in receive.recv().unwrap().into_iter().zip([100.0, 800.0, 950.0, 1000.0]) {
        assert!(left <= end && left > end - 40.0, "{left} of {end} seconds");
    }
}

#[test]
fn who_waited_for_a_phase_may_still_hold_it() {
    let (send, receive) = mpsc::channel();
    let runtime = start(move |_| {
        let send = send.clone();
        async move {
            for phase in [Phase::StopAccepting, Phase::Drain, Phase::CloseIdle] {
                let send = send.clone();
                spawn(async move {
                    shutdown::phase(phase).await;
                    send.send(shutdown::hold(phase).is_some()).unwrap();
                })
                .detach();
            }
            time::sleep(Duration::from_millis(1)).await;
            shutdown::handle().shutdown(LONG);
            shutdown::phase(Phase::Cancel).await;
        }
    });
    runtime.join().unwrap();
    assert_eq!(receive.try_iter().collect::<Vec<_>>(), [true; 3]);
}

#[test]
fn a_later_deadline_changes_nothing() {
    let runtime = start(|_| pending::<()>());
    let begun = Instant::now();
    runtime.shutdown(Duration::from_millis(100));
    runtime.shutdown(LONG);
    runtime.join().unwrap();
    assert!(begun.elapsed() < LONG / 2);
}

#[test]
fn a_nearer_deadline_ends_the_phase_of_now_before_itself() {
    let (send, receive) = mpsc::channel();
    let runtime = start(move |_| {
        let send = send.clone();
        async move {
            let hold = shutdown::hold(Phase::StopAccepting);
            shutdown::handle().shutdown(LONG);
            shutdown::phase(Phase::StopAccepting).await;
            time::sleep(Duration::from_millis(5)).await;
            shutdown::handle().shutdown(Duration::from_secs(30));
            shutdown::phase(Phase::Drain).await;
            send.send(shutdown::time_left().unwrap()).unwrap();
            drop(hold);
        }
    });
    runtime.join().unwrap();
    let left = receive.try_recv().expect("the next phase begins though the first is held");
    assert!(left > Duration::from_secs(5), "only {left:?} were left of 30 s");
}

#[test]
fn a_nearer_deadline_hastens_the_phases() {
    let (ready, is_ready) = mpsc::channel();
    let runtime = start(move |_| {
        let ready = ready.clone();
        async move {
            let _stuck = shutdown::hold(Phase::StopAccepting);
            let also = shutdown::hold(Phase::Drain);
            ready.send(()).unwrap();
            shutdown::requested().await;
            ready.send(()).unwrap();
            shutdown::phase(Phase::CloseIdle).await;
            drop(also);
        }
    });
    is_ready.recv().unwrap();
    let asked = Instant::now();
    runtime.shutdown(LONG);
    is_ready.recv().unwrap();
    runtime.shutdown(Duration::from_millis(500));
    runtime.join().unwrap();
    assert!(asked.elapsed() < LONG / 2);
}

#[test]
fn a_panicking_hook_stops_neither_the_others_nor_the_core() {
    let (send, receive) = mpsc::channel();
    let runtime = start(move |_| {
        let send = send.clone();
        async move {
            shutdown::on(Phase::Drain, || async { panic!("in a hook, on purpose") });
            shutdown::on(Phase::Drain, || -> std::future::Pending<()> {
                panic!("making a hook, on purpose")
            });
            let after = send.clone();
            shutdown::on(Phase::Drain, move || async move { after.send("the next hook").unwrap() });
            shutdown::phase(Phase::Cancel).await;
            // Too late to wait for its phase: it runs at once.
            shutdown::on(Phase::Drain, move || async move { send.send("late").unwrap() });
        }
    });
    runtime.shutdown(LONG);
    runtime.join().unwrap();
    assert_eq!(receive.into_iter().collect::<Vec<_>>(), ["the next hook", "late"]);
}

#[test]
fn hooks_that_never_ran_go_with_the_core() {
    struct Told(mpsc::Sender<&'static str>);
    impl Drop for Told {
        fn drop(&mut self) {
            self.0.send("dropped").unwrap();
            panic!("in the destructor of a hook, on purpose");
        }
    }
    let (send, receive) = mpsc::channel();
    covet_runtime::block_on(async {
        let told = Told(send);
        shutdown::on(Phase::Cancel, move || async move { drop(told) });
    })
    .unwrap();
    assert_eq!(receive.into_iter().collect::<Vec<_>>(), ["dropped"]);
}

#[test]
fn the_deadline_comes_whatever_is_held() {
    let (ready, is_ready) = mpsc::channel();
    let runtime = start(move |_| {
        let ready = ready.clone();
        async move {
            let _held = [Phase::StopAccepting, Phase::Drain, Phase::CloseIdle].map(shutdown::hold);
            ready.send(()).unwrap();
            pending::<()>().await;
        }
    });
    is_ready.recv().unwrap();
    let asked = Instant::now();
    runtime.shutdown(Duration::from_millis(50));
    runtime.join().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(60));
}
