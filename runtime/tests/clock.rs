//! Time that a test moves by hand, and what depends on it.

use std::cell::RefCell;
use std::future::pending;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use covet_runtime::net::{TcpListener, TcpStream};
use covet_runtime::time::{self, Elapsed, MissedTicks, TestClock};
use covet_runtime::{spawn, yield_now};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[covet_runtime::test(clock = "test")]
async fn a_sleep_ends_at_its_time_to_the_nanosecond() {
    let clock = TestClock::current().expect("the attribute has stopped it");
    let started = time::now();
    for nanos in [0, 1, 1023, 1024, 1025, 999_999_999, 86_400_000_000_007] {
        let length = Duration::from_nanos(nanos);
        let before = time::now();
        let task = spawn(async move {
            time::sleep(length).await;
            time::now() - before
        });
        if nanos > 0 {
            clock.advance(length - Duration::from_nanos(1)).await;
            assert!(!task.is_finished(), "{length:?} was over early");
        }
        clock.advance(Duration::from_nanos(nanos.min(1))).await;
        assert!(task.is_finished(), "{length:?} was not over");
        assert_eq!(task.await, Ok(length));
    }
    assert!(started.elapsed() < Duration::from_secs(60), "a day has gone by on the test's clock only");
}

#[covet_runtime::test(clock = "test")]
async fn each_timer_finds_the_clock_at_its_own_time() {
    let clock = TestClock::stop();
    let started = time::now();
    let seen = Rc::new(RefCell::new(Vec::new()));
    for n in [30, 10, 20] {
        let seen = seen.clone();
        spawn(async move {
            time::sleep(ms(n)).await;
            seen.borrow_mut().push(time::now() - started);
            // A timer that is made on the way is met on the way.
            time::sleep(ms(100)).await;
            seen.borrow_mut().push(time::now() - started);
        })
        .detach();
    }
    clock.advance(ms(125)).await;
    assert_eq!(*seen.borrow(), [10, 20, 30, 110, 120].map(ms));
    assert_eq!(time::now() - started, ms(125));
}

#[covet_runtime::test(clock = "test")]
async fn it_stands_still_by_itself_and_runs_again() {
    let clock = TestClock::stop();
    let started = time::now();
    let real = Instant::now();
    while real.elapsed() < ms(5) {
        yield_now().await;
    }
    assert_eq!(time::now(), started);
    clock.resume();
    assert!(TestClock::current().is_none());
    time::sleep(ms(2)).await;
    assert!(time::now() >= started + ms(5));
}

#[covet_runtime::test(clock = "test")]
async fn timeouts_follow() {
    let clock = TestClock::stop();
    let limit = Duration::from_secs(30);
    let by_length = spawn(time::timeout(limit, pending::<()>()));
    let by_time = spawn(time::timeout_at(time::now() + limit, pending::<()>()));
    clock.advance(limit - ms(1)).await;
    assert!(!by_length.is_finished() && !by_time.is_finished());
    clock.advance(ms(1)).await;
    assert_eq!(by_length.await, Ok(Err(Elapsed(limit))));
    assert_eq!(by_time.await, Ok(Err(Elapsed(limit))));
    assert_eq!(time::timeout_at(time::now() - ms(1), async { 7 }).await, Ok(7), "what is ready wins");
    assert_eq!(time::timeout_at(time::now() - ms(1), pending::<()>()).await, Err(Elapsed(Duration::ZERO)));
}

#[covet_runtime::test(clock = "test")]
async fn what_is_ready_wins_over_a_time_that_is_up() {
    let clock = TestClock::stop();
    let mut limited = pin!(time::timeout(ms(5), async { 7 }));
    clock.advance(ms(10)).await;
    assert_eq!(limited.as_mut().await, Ok(7));
}

#[covet_runtime::test(clock = "test")]
async fn a_length_that_no_time_has_is_for_ever() {
    let clock = TestClock::stop();
    let sleep = time::sleep(Duration::MAX);
    let timeout = spawn(time::timeout(Duration::MAX, pending::<()>()));
    clock.advance(Duration::from_secs(8 * 365 * 86_400)).await;
    assert!(!sleep.is_elapsed() && !timeout.is_finished());
}

/// The table in the documentation of [`MissedTicks`].
#[covet_runtime::test(clock = "test")]
async fn missed_ticks() {
    let clock = TestClock::stop();
    clock.set_auto_advance(true);
    for (policy, expected) in [
        (MissedTicks::Burst, [10, 20, 47, 47, 50, 60]),
        (MissedTicks::Delay, [10, 20, 47, 57, 67, 77]),
        (MissedTicks::Skip, [10, 20, 47, 50, 60, 70]),
    ] {
        let started = time::now();
        let mut ticks = time::interval(ms(10)).missed_ticks(policy);
        let mut returned = Vec::new();
        for n in 0..expected.len() {
            ticks.tick().await;
            returned.push(time::now() - started);
            if n == 1 {
                time::sleep(ms(27)).await;
            }
        }
        assert_eq!(returned, expected.map(ms), "{policy:?}");
    }
}

#[covet_runtime::test(clock = "test")]
async fn intervals_start_where_they_are_told_and_again() {
    let clock = TestClock::stop();
    clock.set_auto_advance(true);
    let started = time::now();
    let mut ticks = time::interval_at(started, ms(10));
    assert_eq!(ticks.tick().await, started);
    assert_eq!(ticks.tick().await, started + ms(10));
    time::sleep(ms(5)).await;
    ticks.reset();
    assert_eq!(ticks.tick().await, started + ms(25));
    assert_eq!(ticks.period(), ms(10));
}

#[covet_runtime::test(clock = "test")]
async fn an_idle_core_may_go_on_by_itself() {
    let clock = TestClock::stop();
    clock.set_auto_advance(true);
    let real = Instant::now();
    let before = time::now();
    time::sleep(Duration::from_secs(86_400)).await;
    assert_eq!(time::now() - before, Duration::from_secs(86_400));
    assert!(real.elapsed() < Duration::from_secs(60));

    // Real connections come before virtual time: the echo is here long before the timeout.
    let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let server = listener.accept().await.unwrap();
    client.write_all("ping").await.0.unwrap();
    let received = time::timeout(Duration::from_secs(5), server.recv()).await;
    assert_eq!(&received.unwrap().unwrap()[..], b"ping");
}

#[covet_runtime::test(clock = "test")]
async fn a_task_that_never_waits_does_not_hold_the_clock_up() {
    let clock = TestClock::stop();
    let busy = spawn(async {
        loop {
            yield_now().await;
        }
    });
    let done = spawn(time::sleep(ms(10)));
    clock.advance(ms(20)).await;
    assert!(done.is_finished());
    busy.cancel();
}

#[covet_runtime::test(cores = 1, clock = "test")]
async fn it_stands_on_a_core_of_a_runtime_too() {
    let clock = TestClock::current().expect("the attribute has stopped it");
    let task = spawn(time::sleep(Duration::from_secs(10)));
    clock.advance(Duration::from_secs(10)).await;
    assert!(task.is_finished());
}
