mod seconds;

use super::*;
use proptest::prelude::*;

fn conditions(loop_model: LoopModel) -> Conditions {
    Conditions {
        url: "http://127.0.0.1:1/".to_owned(),
        method: "GET".to_owned(),
        request: None,
        accepted: None,
        loop_model,
        arrivals: None,
        think: None,
        requests_per_connection: None,
        connection_rate: None,
        kinds: 1,
        seed: 1,
        connected_to: None,
        connections: 4,
        threads: 2,
        pipeline: 1,
        protocol: "HTTP/1.1",
        tls: None,
        warmup: Duration::ZERO,
        steady_within: None,
        duration: Duration::from_secs(2),
        timeout: Duration::from_secs(1),
        generator_cpus: vec![0, 1],
        server_cpus: None,
        kernel: kernel_release(),
        cpu_model: cpu_model(),
    }
}

/// A record of two cores that each completed `completed` requests of `latency` in two seconds.
pub(crate) fn record(loop_model: LoopModel, completed: u64, latency: Duration) -> RunRecord {
    let mut merger = Merger::new(2);
    for index in 0..2 {
        for core in 0..2 {
            let mut response = Hist::new();
            response.record(latency, completed / 2);
            merger.add(CoreInterval {
                core,
                index,
                length: Duration::from_secs(1),
                completed: completed / 2,
                response,
                ..CoreInterval::default()
            });
        }
    }
    let core = || CoreRecord {
        elapsed: Duration::from_secs(2),
        cpu: Duration::from_secs(1),
        sent: completed,
        completed,
        service_sum: latency * u32::try_from(completed).unwrap(),
        in_flight_sum: latency * u32::try_from(completed).unwrap(),
        ..CoreRecord::default()
    };
    merger.finish(conditions(loop_model), &[core(), core()])
}

fn outcome(record: &RunRecord, name: &str) -> GuardOutcome {
    record.guards().into_iter().find(|guard| guard.name == name).expect("the guard applies").outcome
}

#[test]
fn a_sound_closed_run_passes_every_guard() {
    // Two slots per core at 1 ms each: 4,000 requests in two seconds.
    let record = record(LoopModel::Closed, 4000, Duration::from_millis(1));
    assert_eq!(record.completed, 8000);
    assert!((record.rate() - 4000.0).abs() < 1e-9);
    assert!((record.little_closure - 1.0).abs() < 1e-9, "{}", record.little_closure);
    assert_eq!(record.intervals.len(), 2);
    assert_eq!(record.intervals[1].completed, 4000);
    assert_eq!(record.cpu_per_request(), Duration::from_micros(250));
    assert!(
        record
            .guards()
            .iter()
            .all(|guard| matches!(guard.outcome, GuardOutcome::Passed | GuardOutcome::NotMeasured)),
        "{:?}",
        record.guards()
    );
    assert!(record.is_valid());
}

#[test]
fn the_requests_of_a_window_add_up_as_they_are_told() {
    let mut merger = Merger::new(1);
    merger.add(CoreInterval { length: Duration::from_secs(1), ..CoreInterval::default() });
    let core = CoreRecord {
        elapsed: Duration::from_secs(1),
        in_flight_at_start: 1,
        completed: 1,
        ..CoreRecord::default()
    };
    let text = merger.finish(conditions(LoopModel::Open { rate: 0.5 }), &[core]).to_text();
    let told = "requests    0 sent and 1 in flight before: 1 valid response, 0 failed; ";
    assert!(text.contains(told), "{text}");
    let mut record = record(LoopModel::Closed, 4000, Duration::from_millis(1));
    let text = record.to_text();
    assert!(text.contains("requests    8000 sent: 8000 valid responses, 0 failed; "), "{text}");
    (record.sent, record.failed, record.in_flight_at_end) = (8009, 2, 7);
    let text = record.to_text();
    assert!(text.contains("8009 sent: 8000 valid responses, 2 failed, 7 in flight after; "), "{text}");
}

#[test]
fn time_that_escapes_the_measurement_makes_a_run_invalid() {
    let record = record(LoopModel::Closed, 4000, Duration::from_micros(900));
    assert_eq!(outcome(&record, "closure"), GuardOutcome::Failed);
    assert!(!record.is_valid());
}

#[test]
fn time_without_a_connection_does_not_count_against_closure() {
    let mut merger = Merger::new(1);
    merger.add(CoreInterval { length: Duration::from_secs(1), ..CoreInterval::default() });
    let core = CoreRecord {
        elapsed: Duration::from_secs(1),
        completed: 1000,
        service_sum: Duration::from_secs(3),
        away: Duration::from_secs(1),
        ..CoreRecord::default()
    };
    let record = merger.finish(conditions(LoopModel::Closed), &[core]);
    assert!((record.little_closure - 1.0).abs() < 1e-9);
}

#[test]
fn more_threads_than_cpus_make_a_run_invalid() {
    let mut record = record(LoopModel::Closed, 4000, Duration::from_millis(1));
    record.conditions.generator_cpus = vec![1, 1];
    assert_eq!(outcome(&record, "oversubscription"), GuardOutcome::Failed);
}

#[test]
fn a_generator_without_time_to_spare_is_told() {
    let mut record = record(LoopModel::Closed, 4000, Duration::from_millis(1));
    record.busy = vec![0.2, 0.84];
    assert_eq!(outcome(&record, "saturation"), GuardOutcome::Passed);
    record.busy[1] = 0.86;
    assert_eq!(outcome(&record, "saturation"), GuardOutcome::Warning);
    assert!(record.to_text().contains("saturation: the generator was 86 % busy"), "{}", record.to_text());
}

#[test]
fn a_generator_that_had_to_wait_for_its_cpu_is_told() {
    let mut record = record(LoopModel::Closed, 4000, Duration::from_millis(1));
    record.waited = vec![0.0, 0.2];
    assert_eq!(outcome(&record, "interference"), GuardOutcome::Warning);
}

#[test]
fn a_generator_that_stood_still_makes_a_run_invalid() {
    let mut record = record(LoopModel::Closed, 4000, Duration::from_millis(1));
    record.longest_pause = Duration::from_millis(20);
    assert_eq!(outcome(&record, "pauses"), GuardOutcome::Warning);
    record.longest_pause = Duration::from_millis(500);
    assert_eq!(outcome(&record, "pauses"), GuardOutcome::Failed);
    record.elapsed = Duration::from_secs(60);
    assert_eq!(outcome(&record, "pauses"), GuardOutcome::Warning, "half a second in a minute");
}

#[test]
fn a_run_without_a_valid_response_is_invalid() {
    let record = record(LoopModel::Closed, 0, Duration::ZERO);
    assert_eq!(outcome(&record, "responses"), GuardOutcome::Failed);
}

#[test]
fn a_run_that_had_no_local_port_is_invalid_and_its_server_has_not_gone() {
    let mut record = record(LoopModel::Closed, 4000, Duration::from_millis(1));
    assert!(record.guards().iter().all(|guard| guard.name != "local ports"), "it is of those that met it");
    record.errors.add(ErrorClass::LocalPorts, 3, || "99".to_owned());
    let silent = Interval { completed: 0, ..record.intervals[0].clone() };
    record.intervals.extend([silent.clone(), silent]);
    assert_eq!(record.failed_guards(), ["local ports"]);
    assert!(record.to_text().contains("3 connections found no local port"), "{}", record.to_text());
}

#[test]
fn a_server_that_has_gone_makes_no_rate() {
    let with = |completed: &[u64]| {
        let mut record = record(LoopModel::Closed, 4000, Duration::from_millis(1));
        record.errors.add(ErrorClass::Connect, 3, || "refused".to_owned());
        let second = record.intervals[0].clone();
        record.intervals =
            completed.iter().map(|&completed| Interval { completed, ..second.clone() }).collect();
        record
    };
    assert_eq!(outcome(&with(&[500, 500, 0, 0]), "responses"), GuardOutcome::Failed);
    assert_eq!(with(&[500, 500, 0, 0]).failed_guards(), ["responses"]);
    for (completed, why) in [
        (&[500, 0, 0, 500][..], "it came back"),
        (&[500, 500], "errors alone are a warning"),
        (&[5, 0, 0, 5, 0, 0, 5, 0, 0], "answers are as rare as that"),
    ] {
        assert_eq!(outcome(&with(completed), "responses"), GuardOutcome::Warning, "{why}");
    }
    let mut slow = with(&[500, 500, 0, 0]);
    slow.in_flight_at_end = 4;
    assert_eq!(outcome(&slow, "responses"), GuardOutcome::Warning, "it has requests to answer");
    let mut silent = with(&[500, 500, 0, 0]);
    silent.errors = Errors::default();
    assert_eq!(outcome(&silent, "responses"), GuardOutcome::Passed, "nobody was refused");
}

#[test]
fn a_late_generator_makes_an_open_run_invalid() {
    let mut record = record(LoopModel::Open { rate: 4000.0 }, 4000, Duration::from_millis(30));
    let mut late = Hist::new();
    late.record(Duration::from_millis(29), 8000);
    record.generator_lateness = Some(late);
    assert_eq!(outcome(&record, "punctuality"), GuardOutcome::Failed);
}

#[test]
fn one_late_request_of_few_condemns_no_run() {
    let late_once = |count| {
        let mut record = record(LoopModel::Open { rate: 40.0 }, count, Duration::from_micros(500));
        let mut late = Hist::new();
        late.record(Duration::from_micros(1), count - 1);
        late.record(Duration::from_millis(5), 1);
        record.generator_lateness = Some(late);
        outcome(&record, "punctuality")
    };
    // A p99 is not reported of so few, and what is reported is the server's.
    assert_eq!(late_once(80), GuardOutcome::Warning);
    let mut record = record(LoopModel::Open { rate: 40.0 }, 80, Duration::from_micros(500));
    let mut late = Hist::new();
    late.record(Duration::from_millis(5), 80);
    record.generator_lateness = Some(late);
    assert_eq!(outcome(&record, "punctuality"), GuardOutcome::Failed, "all of them were late");
}

#[test]
fn a_growing_backlog_is_called_overload() {
    let mut record = record(LoopModel::Open { rate: 8000.0 }, 4000, Duration::from_millis(1));
    record.queued_at_end = 8000;
    record.intervals[0].backlog = 4000;
    record.intervals[1].backlog = 8000;
    assert_eq!(outcome(&record, "overload"), GuardOutcome::Warning);
}

#[test]
fn what_the_warm_up_left_waiting_was_not_due_in_the_window() {
    let mut record = record(LoopModel::Open { rate: 8000.0 }, 4000, Duration::from_millis(1));
    (record.sent, record.queued_at_start, record.queued_at_end) = (8000, 300, 40);
    assert_eq!(record.due(), 7740);
    assert_eq!(record.to_json()["requests"]["queued_at_start"], 300);
}

#[test]
fn an_open_run_closes_over_the_requests_in_flight() {
    let mut record = record(LoopModel::Open { rate: 4000.0 }, 4000, Duration::from_millis(1));
    assert_eq!(outcome(&record, "closure"), GuardOutcome::Passed);
    record.little_closure = 0.9;
    assert_eq!(outcome(&record, "closure"), GuardOutcome::Failed);
}

#[test]
fn a_rate_that_the_null_responder_hardly_beats_is_the_generators() {
    let mut record = record(LoopModel::Closed, 4000, Duration::from_millis(1));
    record.busy = vec![0.99, 0.5];
    for (ceiling, expected) in
        [(8000.0, GuardOutcome::Passed), (5000.0, GuardOutcome::Warning), (4100.0, GuardOutcome::Failed)]
    {
        record.probes.ceiling = Some(ceiling);
        assert_eq!(outcome(&record, "ceiling"), expected, "{ceiling}");
    }
    record.probes.doubling = Some(Doubling { cores: 1, rate: 4010.0 });
    assert_eq!(outcome(&record, "doubling"), GuardOutcome::Passed);
    assert_eq!(outcome(&record, "ceiling"), GuardOutcome::Warning, "half the cores made as many");
    record.probes.doubling = Some(Doubling { cores: 4, rate: 6000.0 });
    assert_eq!(outcome(&record, "doubling"), GuardOutcome::Failed);
}

#[test]
fn what_the_load_waits_for_and_the_canary_does_not_is_told() {
    let mut record = record(LoopModel::Closed, 4000, Duration::from_millis(10));
    for (micros, expected) in
        [(9000, GuardOutcome::Passed), (4000, GuardOutcome::Warning), (1000, GuardOutcome::Failed)]
    {
        let mut canary = Hist::new();
        canary.record(Duration::from_micros(micros), 100);
        record.probes.canary = Some(canary);
        assert_eq!(outcome(&record, "canary"), expected, "{micros}");
    }
}

#[test]
fn what_the_kernel_did_to_the_run_is_told() {
    let mut record = record(LoopModel::Closed, 40_000, Duration::from_millis(1));
    let mut platform = Platform::default();
    platform.hiccups.record(Duration::from_micros(80), 2000);
    platform.kernel = Kernel {
        throttled_periods: Some(0),
        throttled: Some(Duration::ZERO),
        listen_overflows: Some(0),
        retransmits: Some(3),
    };
    record.platform = Some(platform.clone());
    for name in ["hiccups", "throttling", "network"] {
        assert_eq!(outcome(&record, name), GuardOutcome::Passed, "{name}");
    }
    platform.hiccups.record(Duration::from_millis(4), 20);
    platform.kernel.throttled_periods = Some(2);
    platform.kernel.throttled = Some(Duration::from_millis(500));
    platform.kernel.listen_overflows = Some(1);
    record.platform = Some(platform);
    assert_eq!(outcome(&record, "hiccups"), GuardOutcome::Warning);
    assert_eq!(outcome(&record, "throttling"), GuardOutcome::Failed);
    assert_eq!(outcome(&record, "network"), GuardOutcome::Warning);
    record.preemptions = Some(4000);
    assert_eq!(outcome(&record, "preemption"), GuardOutcome::Warning);
}

#[test]
fn a_generator_core_that_sees_other_latencies_is_named() {
    let mut record = record(LoopModel::Closed, 4000, Duration::from_millis(1));
    assert_eq!(outcome(&record, "workers"), GuardOutcome::Passed);
    record.workers[1].clear();
    record.workers[1].record(Duration::from_millis(3), 4000);
    let guard = record.guards().into_iter().find(|guard| guard.name == "workers").unwrap();
    assert!(
        guard.outcome == GuardOutcome::Warning && guard.detail.contains("core 1 p99 3.00 ms"),
        "{guard:?}"
    );
}

#[test]
fn answers_in_pieces_have_an_earlier_first_byte() {
    let mut merger = Merger::new(1);
    let mut response = Hist::new();
    response.record(Duration::from_millis(2), 90);
    response.record(Duration::from_millis(9), 10);
    merger.add(CoreInterval { length: Duration::from_secs(1), response, ..CoreInterval::default() });
    let (mut first, mut whole) = (Hist::new(), Hist::new());
    first.record(Duration::from_millis(1), 10);
    whole.record(Duration::from_millis(9), 10);
    let core = CoreRecord { split: Some((first, whole)), ..CoreRecord::default() };
    let record = merger.finish(conditions(LoopModel::Closed), &[core]);
    assert_eq!(record.first_byte.len(), 100);
    assert!(record.first_byte.max() < 2_010_000 && record.first_byte.min() < 1_010_000);
    assert!(record.to_text().contains("first byte  p50 2.00 ms"), "{}", record.to_text());
}

#[test]
fn requests_without_an_end_widen_the_quantiles() {
    let mut record = record(LoopModel::Closed, 450, Duration::from_millis(1));
    record.censored.record(Duration::from_millis(500), 100);
    let (lower, upper) = record.quantile_bounds(0.5);
    assert_eq!(upper, Some(lower), "the median does not fall among them");
    let (lower, upper) = record.quantile_bounds(0.95);
    assert!(lower > Duration::from_millis(499) && upper.is_none(), "{lower:?} {upper:?}");
}

#[test]
fn only_quantiles_with_ten_requests_beyond_them_are_borne() {
    let record = record(LoopModel::Closed, 50, Duration::from_millis(1));
    assert!(record.bears(0.9) && !record.bears(0.99));
}

#[test]
fn json_names_its_schema_and_carries_the_histogram() {
    let record = record(LoopModel::Open { rate: 2000.0 }, 4000, Duration::from_millis(1));
    let json = record.to_json();
    assert_eq!(json["schema"], SCHEMA);
    assert_eq!(json["valid"], true);
    assert_eq!(json["conditions"]["loop"]["model"], "open");
    assert_eq!(json["conditions"]["loop"]["rate"], 2000.0);
    assert_eq!(json["requests"]["completed"], 8000);
    assert!(json["response"]["quantiles_ns"]["p99.9"].is_null(), "8 requests lie beyond p99.9");
    let p50 = json["response"]["quantiles_ns"]["p50"].as_u64().unwrap();
    assert!((999_000..=1_001_000).contains(&p50), "{p50}");
    assert!(json["response"]["hdr_v2_base64"].as_str().unwrap().starts_with("HISTE"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn parts_of_seconds_merge_in_any_order(
        mut parts in prop::collection::vec((0_usize..5, 1_u64..1_000_000_000), 0..16),
        seed in any::<u64>(),
    ) {
        let merge = |parts: &[(usize, u64)]| {
            let mut merger = Merger::new(usize::MAX);
            for &(index, nanos) in parts {
                let mut response = Hist::new();
                response.record(Duration::from_nanos(nanos), 1);
                let length = Duration::from_secs(1);
                merger.add(CoreInterval { index, length, completed: 1, response, ..CoreInterval::default() });
            }
            merger.finish(conditions(LoopModel::Closed), &[])
        };
        let first = merge(&parts);
        let shift = if parts.is_empty() { 0 } else { (seed % parts.len() as u64) as usize };
        parts.rotate_left(shift);
        let second = merge(&parts);
        prop_assert_eq!(&first.intervals, &second.intervals);
        prop_assert_eq!(&*first.response, &*second.response);
        prop_assert_eq!(first.response.len(), parts.len() as u64);
    }
}

#[test]
fn text_leads_with_rate_and_conditions_and_ends_with_the_verdict() {
    let text = record(LoopModel::Closed, 4000, Duration::from_millis(1)).to_text();
    assert!(
        text.starts_with("4.00 k requests/s  closed loop, 4 connections, depth 1, HTTP/1.1, GET http"),
        "{text}"
    );
    assert!(text.contains("p50 1.00 ms") && text.contains("p99 1.00 ms"), "{text}");
    assert!(!text.contains("p99.9 "), "eight requests do not bear p99.9:\n{text}");
    assert!(text.contains("Little closure 1.000"), "{text}");
    assert!(text.ends_with("verdict     VALID (8 of 14 checks)\n"), "{text}");
}

#[test]
fn text_of_a_bad_run_says_invalid_first_and_names_the_errors() {
    let mut bad = record(LoopModel::Closed, 0, Duration::ZERO);
    bad.errors.add(ErrorClass::Malformed, 3, || "not an HTTP/1 status line".to_owned());
    let text = bad.to_text();
    assert!(text.starts_with("INVALID  0 requests/s"), "{text}");
    assert!(
        text.contains("ERRORS      3: 3 malformed\n              first: malformed: not an HTTP/1"),
        "{text}"
    );
}
