//! A warm-up that lasts until the load is steady.

mod load_servers;

use std::io::Write;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use covet_bench::load::{LoadError, LoadPlan, NoProgress, run};
use covet_bench::record::{GuardOutcome, RunRecord};
use load_servers::{OK, Server, assert_accounts_close};

/// A server whose answers take as long as `delay` says of the time since the first of them.
fn server(delay: impl Fn(Duration) -> Duration + Send + Sync + 'static) -> Server {
    let first = Mutex::new(None);
    Server::per_request(move |stream| {
        let begun = *first.lock().expect("no thread panics").get_or_insert_with(Instant::now);
        thread::sleep(delay(begun.elapsed()));
        stream.write_all(OK).is_ok()
    })
}

fn measure(server: &Server, longest: Duration) -> RunRecord {
    let plan = LoadPlan { steady_within: Some(longest), ..server.plan(4, 500) };
    let record = run(&plan, &NoProgress).expect("the server answers");
    assert_accounts_close(&record);
    record
}

fn outcome(record: &RunRecord) -> GuardOutcome {
    let guard = record.guards().into_iter().find(|guard| guard.name == "warm-up");
    guard.expect("the guard applies").outcome
}

#[test]
fn a_slow_start_is_left_out() {
    let server = server(|since| Duration::from_millis(if since < Duration::from_secs(2) { 60 } else { 10 }));
    let record = measure(&server, Duration::from_secs(40));
    let end = record.warmed_up.expect("it was to last until the load is steady");
    assert!(end.steady && outcome(&record) == GuardOutcome::Passed, "{}", record.to_text());
    // Two seconds are slow, and the first half may be cut off.
    assert!(end.transient >= Duration::from_millis(1700) && end.took >= end.transient * 2, "{end:?}");
    // None of them is in the window.
    assert!(record.quantile(0.5) < Duration::from_millis(50), "{}", record.to_text());
    assert!(record.elapsed > Duration::from_millis(300) && record.elapsed < Duration::from_secs(5));
    assert!(record.to_text().contains("until steady"), "{}", record.to_text());
}

#[test]
fn a_load_that_never_becomes_steady_is_measured_and_told() {
    // Twice as long each half second: each half of the series is far above the one before, whatever noise is in it. In the
    // end it stays at a quarter of a second, so that the window has answers.
    let server =
        server(|since| Duration::from_millis(2).mul_f64((2.0 * since.as_secs_f64().min(3.5)).exp2()));
    let record = measure(&server, Duration::from_secs(4));
    let end = record.warmed_up.expect("it was to last until the load is steady");
    assert!(!end.steady && end.took >= Duration::from_secs(4), "{end:?}");
    assert_eq!(outcome(&record), GuardOutcome::Warning);
    assert!(record.to_text().contains("never steady"), "{}", record.to_text());
    assert!(record.completed > 0, "{}", record.to_text());
}

#[test]
fn a_load_that_changes_by_plan_cannot_be_waited_for() {
    let server = server(|_| Duration::ZERO);
    let stages = vec![covet_bench::clock::Stage { length: Duration::from_secs(1), from: 1.0, to: 9.0 }];
    let plan = LoadPlan {
        steady_within: Some(Duration::from_secs(4)),
        loop_model: covet_bench::record::LoopModel::Open { rate: 5.0 },
        stages,
        ..server.plan(1, 500)
    };
    assert!(matches!(run(&plan, &NoProgress), Err(LoadError::Plan(what)) if what.contains("--warmup")));
}
