//! What a worker reports, in the form of Locust's statistics.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::load::LivePart;
use crate::record::{ErrorClass, Errors, Hist};

/// A response time in milliseconds, as Locust rounds it for its histogram: to two digits, and halves to even numbers.
pub(super) fn bucket(millis: f64) -> u64 {
    let step = match millis {
        ..100.0 => 1.0,
        ..1_000.0 => 10.0,
        ..10_000.0 => 100.0,
        _ => 1_000.0,
    };
    ((millis / step).round_ties_even() * step) as u64
}

/// Locust's entry of one kind of request: what happened since the report before.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Report {
    pub(super) name: String,
    pub(super) method: String,
    /// Seconds since 1970.
    pub(super) last_request_timestamp: Option<f64>,
    pub(super) start_time: f64,
    pub(super) num_requests: u64,
    /// Requests that ended without an answer, so that they have no response time.
    pub(super) num_none_requests: u64,
    pub(super) num_failures: u64,
    pub(super) total_response_time: f64,
    pub(super) max_response_time: f64,
    pub(super) min_response_time: Option<f64>,
    pub(super) total_content_length: u64,
    /// By the rounded time in milliseconds.
    pub(super) response_times: BTreeMap<u64, u64>,
    /// By the second since 1970.
    pub(super) num_reqs_per_sec: BTreeMap<u64, u64>,
    pub(super) num_fail_per_sec: BTreeMap<u64, u64>,
}

/// Locust's entry of one kind of error.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct ErrorReport {
    pub(super) name: String,
    pub(super) method: String,
    pub(super) error: String,
    pub(super) occurrences: u64,
    pub(super) first_seen: Option<f64>,
    pub(super) last_seen: Option<f64>,
}

/// Gathers what the cores record until it is reported.
#[derive(Debug)]
pub(super) struct Statistics {
    report: Report,
    errors: Errors,
}

impl Statistics {
    /// Statistics of requests with this method and name, which begin at `now`, in seconds since 1970.
    pub(super) fn new(method: &str, name: &str, now: f64) -> Self {
        let report =
            Report { name: name.to_owned(), method: method.to_owned(), start_time: now, ..Report::default() };
        Self { report, errors: Errors::default() }
    }

    /// Adds a part of a second on one core.
    ///
    /// As in Locust a request that fails is a request too; so is a connection that could not be opened, for its user.
    pub(super) fn add(&mut self, part: &LivePart) {
        let report = &mut self.report;
        let failures = part.failed + part.errors.connect + part.errors.tls;
        let requests = part.completed + failures;
        self.errors.merge(&part.errors);
        if requests == 0 {
            return;
        }
        report.num_requests += requests;
        report.num_failures += failures;
        report.num_none_requests += requests.saturating_sub(part.response.len());
        report.total_content_length += part.content;
        *report.num_reqs_per_sec.entry(part.second).or_default() += requests;
        if failures > 0 {
            *report.num_fail_per_sec.entry(part.second).or_default() += failures;
        }
        let last = part.second as f64;
        report.last_request_timestamp = Some(report.last_request_timestamp.map_or(last, |at| at.max(last)));
        report.add_times(&part.response);
    }

    /// What was gathered, by kind and in total, and the errors; begins anew at `now`.
    pub(super) fn take(&mut self, now: f64) -> (Vec<Report>, Report, BTreeMap<String, ErrorReport>) {
        let fresh = Self::new(&self.report.method, &self.report.name, now);
        let Self { report, errors } = std::mem::replace(self, fresh);
        let errors = ErrorClass::ALL
            .into_iter()
            .filter(|&class| errors.count(class) > 0)
            .map(|class| error(&report, class, errors.count(class)))
            .collect();
        let total = Report { name: "Aggregated".to_owned(), method: String::new(), ..report.clone() };
        let kinds = if report.num_requests > 0 { vec![report] } else { Vec::new() };
        (kinds, total, errors)
    }
}

impl Report {
    fn add_times(&mut self, times: &Hist) {
        if times.is_empty() {
            return;
        }
        let millis = |nanos: u64| nanos as f64 / 1e6;
        for value in times.iter_recorded() {
            let time = millis(times.median_equivalent(value.value_iterated_to()));
            let count = value.count_at_value();
            self.total_response_time += time * count as f64;
            *self.response_times.entry(bucket(time)).or_default() += count;
        }
        let (least, most) = (millis(times.min()), millis(times.max()));
        self.min_response_time = Some(self.min_response_time.map_or(least, |min| min.min(least)));
        self.max_response_time = self.max_response_time.max(most);
    }
}

/// An error under a key that is the same on every worker, so that the master adds them up.
fn error(report: &Report, class: ErrorClass, occurrences: u64) -> (String, ErrorReport) {
    let key = format!("{}.{}.{class}", report.method, report.name);
    let entry = ErrorReport {
        name: report.name.clone(),
        method: report.method.clone(),
        error: class.to_string(),
        occurrences,
        first_seen: Some(report.start_time),
        last_seen: report.last_request_timestamp.or(Some(report.start_time)),
    };
    (key, entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_rounded_as_locust_rounds_them() {
        // From locust.stats.bucket_response_time of Locust 2.47.
        let known = [
            (0.0, 0),
            (0.4, 0),
            (0.5, 0),
            (1.5, 2),
            (2.5, 2),
            (99.4, 99),
            (99.7, 100),
            (100.0, 100),
            (145.0, 140),
            (147.0, 150),
            (155.0, 160),
            (999.6, 1000),
            (1049.9, 1000),
            (1050.0, 1000),
            (1150.0, 1200),
            (3432.0, 3400),
            (58_760.0, 59_000),
            (62_500.0, 62_000),
        ];
        for (millis, rounded) in known {
            assert_eq!(bucket(millis), rounded, "{millis}");
        }
    }

    #[test]
    fn nothing_is_lost_between_reports() {
        let mut response = Hist::new();
        response.record(Duration::from_millis(12), 3);
        response.record(Duration::from_millis(147), 1);
        let mut errors = Errors::default();
        errors.add(ErrorClass::Timeout, 1, || "late".to_owned());
        errors.add(ErrorClass::Connect, 2, || "refused".to_owned());
        // Three answers and a timeout, which has its time; two connections that have none.
        let part = LivePart {
            core: 0,
            second: 100,
            completed: 3,
            failed: 1,
            content: 39,
            response,
            errors,
            busy: 0.5,
        };
        let mut statistics = Statistics::new("GET", "/", 99.0);
        statistics.add(&part);
        statistics.add(&LivePart { second: 101, ..part.clone() });
        let (kinds, total, errors) = statistics.take(102.0);
        let [kind] = &kinds[..] else { panic!("one kind: {kinds:?}") };
        assert_eq!((total.num_requests, total.num_failures, total.num_none_requests), (12, 6, 4));
        assert_eq!(total.response_times, BTreeMap::from([(12, 6), (150, 2)]));
        assert_eq!(total.num_reqs_per_sec, BTreeMap::from([(100, 6), (101, 6)]));
        assert_eq!((kind.name.as_str(), kind.num_requests, kind.total_content_length), ("/", 12, 78));
        assert!((total.total_response_time / 366.0 - 1.0).abs() < 1e-3, "{}", total.total_response_time);
        assert_eq!(errors["GET./.timeout"].occurrences, 2);
        assert_eq!(errors["GET./.connect"].occurrences, 4);
        let (kinds, total, errors) = statistics.take(103.0);
        assert!(kinds.is_empty() && errors.is_empty());
        assert_eq!((total.num_requests, total.start_time), (0, 102.0));
    }
}
