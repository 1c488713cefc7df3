//! Connections that wait by themselves: think time and sessions.

use std::time::Duration;

use covet_bench::clock::Delay;
use covet_bench::load::LoadPlan;
use covet_bench::record::{GuardOutcome, LoopModel};

use crate::load_servers::{OK, Server, had_its_cpu, held_up, measure};

#[test]
fn a_closed_loop_that_thinks_follows_littles_law_with_the_think_time() {
    let server = Server::answering(OK);
    let think = Duration::from_millis(20);
    let plan = LoadPlan { think: Some(Delay::Exponential(think)), ..server.plan(20, 2000) };
    let record = measure(&plan);
    let late = record.lateness.as_ref().expect("thinking has a time to go on");
    let cycle = think.as_secs_f64() + (late.mean() + record.service.mean()) / 1e9;
    let ideal = 20.0 / cycle;
    assert!((record.rate() / ideal - 1.0).abs() < 0.1, "{} /s, ideal {ideal}", record.rate());
    assert_eq!(late.len(), record.sent);
    let is_free = had_its_cpu(&record);
    assert!((record.little_closure - 1.0).abs() < 0.05 || !is_free, "{}", record.to_text());
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
    let due = (500.0 * (record.elapsed + held_up(&record)).as_secs_f64()) as u64;
    assert!((850..=due + 10).contains(&record.sent), "200 sessions of 5: {}", record.to_text());
    let is_free = had_its_cpu(&record);
    assert_eq!(record.errors.total(), 0, "{}", record.to_text());
    assert!(record.queued_at_end == 0 || !is_free, "{}", record.to_text());
    assert!(
        record.to_text().contains("partly open loop of 100 sessions/s with 5 requests"),
        "{}",
        record.to_text()
    );
    let closure = record.guards().into_iter().find(|guard| guard.name == "closure").expect("it applies");
    assert!(closure.outcome == GuardOutcome::Passed || !is_free, "{closure:?}");
}
