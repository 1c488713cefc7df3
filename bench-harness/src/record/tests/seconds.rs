//! What the seconds of a run tell: drifts, and requests that are slow together.

use super::*;

/// A record whose seconds completed these numbers of requests.
fn seconds(rates: impl IntoIterator<Item = u64>) -> RunRecord {
    let mut record = record(LoopModel::Closed, 4000, Duration::from_millis(1));
    record.intervals = rates
        .into_iter()
        .enumerate()
        .map(|(index, completed)| Interval {
            start: Duration::from_secs(index as u64),
            length: Duration::from_secs(1),
            completed,
            failed: 0,
            p50: Duration::from_millis(1),
            p99: Duration::from_millis(1),
            backlog: 0,
        })
        .collect();
    record
}

#[test]
fn a_rate_that_drifts_is_told() {
    assert_eq!(outcome(&seconds((0..20).map(|i| 4000 + i * 7919 % 13)), "steadiness"), GuardOutcome::Passed);
    let rising = seconds((0..20).map(|i| 4000 + i * 40 + i * 7919 % 13));
    assert_eq!(outcome(&rising, "steadiness"), GuardOutcome::Warning);
    let told = rising.guards().into_iter().find(|guard| guard.name == "steadiness").unwrap().detail;
    assert!(told.contains("the rate changed by +17.") && told.contains("longer warm-up"), "{told}");
    let by_plan = {
        let mut record = seconds((0..20).map(|i| 4000 + i * 40));
        record.conditions.arrivals = Some("constant in stages 10s:4k".to_owned());
        record
    };
    assert!(by_plan.guards().iter().all(|guard| guard.name != "steadiness"));
    assert!(seconds(0..7).guards().iter().all(|guard| guard.name != "steadiness"), "too few seconds");
}

/// A run of these seconds, each a thousand requests of which so many took 10 ms and the others 1 ms.
fn slow_per_second(slow: impl IntoIterator<Item = u64>) -> RunRecord {
    let mut merger = Merger::new(1);
    let mut completed = 0;
    for (index, slow) in slow.into_iter().enumerate() {
        let mut response = Hist::new();
        response.record(Duration::from_millis(1), 1000 - slow);
        response.record(Duration::from_millis(10), slow);
        completed += 1000;
        merger.add(CoreInterval {
            index,
            length: Duration::from_secs(1),
            completed: 1000,
            response,
            ..CoreInterval::default()
        });
    }
    let core = CoreRecord { elapsed: Duration::from_secs(1), completed, ..CoreRecord::default() };
    merger.finish(conditions(LoopModel::Closed), &[core])
}

#[test]
fn requests_that_are_slow_together_bear_fewer_percentiles() {
    // 1 % are slow: everywhere, or all in two seconds of forty.
    let spread = slow_per_second([10; 40]);
    let together = slow_per_second((0..40).map(|second| if second % 20 == 0 { 200 } else { 0 }));
    assert_eq!(*spread.response, *together.response);
    assert_eq!(spread.dispersion(0.99), Some(1.0));
    assert!(spread.bears_alone(0.99) && spread.interval_within(0.99).is_some());
    assert!(together.bears(0.99) && !together.bears_alone(0.99), "{:?}", together.dispersion(0.99));
    let text = together.to_text();
    let latency = text.lines().find(|line| line.starts_with("  latency")).unwrap();
    assert!(latency.contains("p50 1.00 ms") && !latency.contains("p99 "), "{text}");
    assert!(text.contains("p99 not borne by "), "{text}");
    let json = together.to_json();
    assert_eq!(json["within_run"]["p99"]["borne"], false);
    assert_eq!(spread.to_json()["within_run"]["p99"]["effective_requests"], 40_000.0);
}

#[test]
fn a_short_run_knows_nothing_of_the_dependence_of_its_requests() {
    let short = slow_per_second([10; 7]);
    assert_eq!((short.dispersion(0.99), short.interval_within(0.99)), (None, None));
    assert!(short.bears_alone(0.99) && !short.to_text().contains("within run"), "{}", short.to_text());
}
