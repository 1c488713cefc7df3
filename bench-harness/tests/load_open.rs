//! The open loop against servers of known behaviour: what coordinated omission hides must be seen.

mod load_servers;

use std::io::Write;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use covet_bench::load::{Extent, LoadPlan};
use covet_bench::record::{GuardOutcome, LoopModel};
use load_servers::{OK, Server, had_its_cpu, held_up, measure};

#[test]
fn requests_leave_at_the_rate_and_on_time() {
    let server = Server::answering(OK);
    let plan = LoadPlan {
        loop_model: LoopModel::Open { rate: 1000.0 },
        warmup: Duration::from_millis(200),
        ..server.plan(10, 2000)
    };
    let record = measure(&plan);
    let due = (record.sent + record.queued_at_end) as f64;
    // A window that ends late has more.
    let off = due - 1000.0 * record.elapsed.as_secs_f64();
    let held_up = 1000.0 * held_up(&record).as_secs_f64();
    assert!((-10.0 - held_up..=10.0 + held_up).contains(&off), "{off}: {}", record.to_text());
    let late = record.lateness.as_ref().expect("an open loop records lateness");
    assert_eq!(late.len(), record.sent);
    let punctual = late.quantile(0.5) < Duration::from_millis(1);
    assert!(punctual || !had_its_cpu(&record), "{}", record.to_text());
    assert!(record.response.max() >= record.service.max());
}

#[test]
fn a_stall_appears_in_the_percentiles_as_predicted() {
    let (window, stall) = (Duration::from_millis(3000), Duration::from_millis(600));
    let first = OnceLock::new();
    let server = Server::per_request(move |stream| {
        let begun = *first.get_or_init(Instant::now);
        let frozen = begun + Duration::from_secs(1);
        if Instant::now() >= frozen {
            thread::sleep((frozen + stall).saturating_duration_since(Instant::now()));
        }
        stream.write_all(OK).is_ok()
    });
    // Few enough that any machine sends at once what has waited for the end of the stall.
    let plan = LoadPlan {
        loop_model: LoopModel::Open { rate: 200.0 },
        warmup: Duration::from_millis(200),
        timeout: Duration::from_secs(5),
        ..server.plan(2, 3000)
    };
    let record = measure(&plan);

    // Constant arrivals over the window: P(R > x) = (stall - x) / window.
    let held_up = held_up(&record).as_secs_f64();
    for q in [0.9, 0.95, 0.99] {
        let predicted = stall.as_secs_f64() - (1.0 - q) * window.as_secs_f64();
        let seen = record.quantile(q).as_secs_f64();
        assert!(
            (seen - predicted).abs() < 0.06 + held_up,
            "p{q}: {seen:.3} s, predicted {predicted:.3} s\n{}",
            record.to_text()
        );
    }
    // Two requests of six hundred met the stall, so what was measured from the submission hides it.
    assert!(record.service.quantile(0.99) < record.quantile(0.99) / 2, "{}", record.to_text());
    assert!(record.max_queued > 60, "{}", record.to_text());
}

#[test]
fn overload_is_told_and_nothing_due_is_dropped() {
    let server = Server::per_request(|stream| {
        thread::sleep(Duration::from_millis(10));
        stream.write_all(OK).is_ok()
    });
    let plan = LoadPlan { loop_model: LoopModel::Open { rate: 500.0 }, ..server.plan(1, 2000) };
    let record = measure(&plan);
    assert!(record.rate() < 101.0, "one connection at 10 ms each: {}", record.rate());
    let off = (record.sent + record.queued_at_end) as f64 - 500.0 * record.elapsed.as_secs_f64();
    let opened_late = record.conditions.duration.saturating_sub(record.elapsed);
    let held_up = 500.0 * record.longest_pause.max(opened_late).as_secs_f64();
    assert!((-5.0 - held_up..=5.0 + held_up).contains(&off), "{off}: {}", record.to_text());
    assert!(record.queued_at_end > 700, "{}", record.to_text());
    let overload = record.guards().into_iter().find(|guard| guard.name == "overload").expect("it applies");
    assert_eq!(overload.outcome, GuardOutcome::Warning, "{overload:?}");
    let punctuality =
        record.guards().into_iter().find(|guard| guard.name == "punctuality").expect("it applies");
    assert!(
        punctuality.outcome == GuardOutcome::Passed || !had_its_cpu(&record),
        "waiting for the server is not the generator's lateness: {punctuality:?}"
    );
    // Those that were sent had waited for a second and more.
    assert!(
        record.generator_lateness.as_ref().is_none_or(|late| late.quantile(0.5) < Duration::from_millis(300)),
        "{}",
        record.to_text()
    );
    let (lower, upper) = record.quantile_bounds(0.99);
    assert!(lower > Duration::from_secs(1) && upper.is_none(), "{lower:?} {upper:?}");
}

#[test]
fn what_the_warm_up_left_waiting_is_not_due_in_the_window() {
    let server = Server::per_request(|stream| {
        thread::sleep(Duration::from_millis(10));
        stream.write_all(OK).is_ok()
    });
    let plan = LoadPlan {
        loop_model: LoopModel::Open { rate: 500.0 },
        warmup: Duration::from_millis(500),
        ..server.plan(1, 1000)
    };
    let record = measure(&plan);
    // One connection answers 100 per second at most, and 250 were due.
    assert!(record.queued_at_start > 150, "{}", record.queued_at_start);
    let (due, wanted) = (record.due(), 500.0 * record.elapsed.as_secs_f64());
    assert!((due as f64 - wanted).abs() <= 3.0, "{due}, not {wanted}: {}", record.to_text());
}

#[test]
fn pipelining_serves_more_requests_than_there_are_connections() {
    let server = Server::per_request(|stream| {
        thread::sleep(Duration::from_millis(2));
        stream.write_all(OK).is_ok()
    });
    let plan = LoadPlan { loop_model: LoopModel::Open { rate: 150.0 }, pipeline: 4, ..server.plan(1, 1000) };
    let record = measure(&plan);
    assert!(record.errors.total() == 0 && record.queued_at_end < 20, "{}", record.to_text());
    assert!(record.completed > 130, "{}", record.to_text());
}

#[test]
fn a_run_by_count_ends_when_the_last_one_is_answered() {
    let server = Server::answering(OK);
    let plan = LoadPlan {
        loop_model: LoopModel::Open { rate: 2000.0 },
        extent: Extent { duration: None, requests: Some(500) },
        ..server.plan(4, 0)
    };
    let record = measure(&plan);
    assert_eq!((record.completed, record.in_flight_at_end, record.queued_at_end), (500, 0, 0));
    let seconds = record.elapsed.as_secs_f64();
    // A window that opens late is as much shorter; without a schedule it would be a few milliseconds long.
    assert!((0.15..10.0).contains(&seconds), "500 requests at 2,000/s took {seconds} s");
}
