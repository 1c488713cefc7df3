//! Connections that wait by themselves: think time and sessions.

use std::time::Duration;

use covet_bench::clock::Delay;
use covet_bench::load::LoadPlan;
use covet_bench::record::{GuardOutcome, LoopModel};

use crate::load_servers::{OK, Server, measure};

#[test]
fn a_closed_loop_that_thinks_follows_littles_law_with_the_think_time() {
    let server = Server::answering(OK);
    let think = Duration::from_millis(20);
    let plan = LoadPlan { think: Some(Delay::Exponential(think)), ..server.plan(20, 2000) };
    let record = measure(&plan);
    let cycle = think.as_secs_f64() + record.response.mean() / 1e9;
    let ideal = 20.0 / cycle;
    assert!((record.rate() / ideal - 1.0).abs() < 0.1, "{} /s, ideal {ideal}", record.rate());
    assert_eq!(record.lateness.as_ref().expect("thinking has a time to go on").len(), record.sent);
    assert!((record.little_closure - 1.0).abs() < 0.05, "{}", record.to_text());
}

#[test]
fn sessions_arrive_at_the_rate_and_bring_their_requests() {
    let server = Server::answering(OK);
    let plan = LoadPlan {
        loop_model: LoopModel::PartlyOpen { rate: 100.0, requests: 5 },
        think: Some(Delay::Constant(Duration::from_millis(5))),
        ..server.plan(40, 2000)
    };
    let record = measure(&plan);
    assert!((850..=1010).contains(&record.sent), "200 sessions of 5: {}", record.to_text());
    assert!(record.errors.total() == 0 && record.queued_at_end == 0, "{}", record.to_text());
    assert!(
        record.to_text().contains("partly open loop of 100 sessions/s with 5 requests"),
        "{}",
        record.to_text()
    );
    let closure = record.guards().into_iter().find(|guard| guard.name == "closure").expect("it applies");
    assert_eq!(closure.outcome, GuardOutcome::Passed, "{closure:?}");
}
