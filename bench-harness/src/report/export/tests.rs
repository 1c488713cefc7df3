use std::fs;
use std::time::{Duration, SystemTime};

use super::*;
use crate::bundle::sample::bundle;
use crate::verdict::threshold::Threshold;

/// Calls `check` with an exported bundle of two runs, the first of which has a failed guard.
fn with_exported(check: impl Fn(&Exported<'_>)) {
    let mut bundle = bundle("export", &[(4000, 1_000_000), (4100, 990_000)]);
    fs::remove_dir_all(&bundle.folder).unwrap();
    bundle.runs[0].guards[0].outcome = "failed".to_owned();
    bundle.runs[0].guards[0].detail = "a <b> & \"c\" | d\u{7}".to_owned();
    bundle.runs[0].valid = false;
    let thresholds =
        ["p99<5ms", "rate>=1m"].map(|text| text.parse::<Threshold>().unwrap().judge(&bundle.runs));
    check(&Exported { bundle: &bundle, name: "nightly".to_owned(), thresholds: thresholds.into() });
}

#[test]
fn junit_counts_errors_and_failures() {
    with_exported(|exported| {
        let xml = junit(exported);
        assert!(xml.contains("tests=\"4\" failures=\"1\" errors=\"1\" time=\"2.000\""), "{xml}");
        assert!(xml.contains("<error message=\"a &lt;b&gt; &amp; &quot;c&quot; | d\"/>"), "{xml}");
        assert!(xml.contains("name=\"threshold rate&gt;=1m\"><failure message=\"rate is"), "{xml}");
        assert_eq!(xml.matches("<testcase").count(), 4);
    });
}

#[test]
fn markdown_says_invalid_first() {
    with_exported(|exported| {
        let text = markdown(exported);
        assert!(text.starts_with("### nightly: **INVALID**"), "{text}");
        assert!(text.contains("| `p99<5ms` | ✅ passed |") && text.contains("❌ failed"), "{text}");
        assert!(text.contains("| 1 | 4,000/s |"), "{text}");
        assert!(
            text.contains("url http://127.0.0.1:8080/plaintext, loop closed, connections 8, pipeline 1, protocol HTTP/1.1\n"),
            "{text}"
        );
        assert!(text.contains("a &lt;b> & \"c\" \\| d"), "{text}");
    });
}

#[test]
fn openmetrics_has_cumulative_buckets_and_an_end() {
    with_exported(|exported| {
        let text = openmetrics(exported);
        assert!(text.ends_with("# EOF\n") && !text.contains("\n\n"), "{text}");
        let buckets: Vec<u64> = text
            .lines()
            .filter(|line| {
                line.starts_with("covet_bench_response_seconds_bucket") && line.contains("run=\"1\"")
            })
            .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
            .collect();
        assert!(buckets.is_sorted(), "{buckets:?}");
        assert_eq!(buckets.last(), Some(&4000));
        assert!(text.contains("covet_bench_response_seconds_count{bundle=\"nightly\""), "{text}");
        assert!(text.contains(
            "covet_bench_valid{bundle=\"nightly\",target=\"http://127.0.0.1:8080/plaintext\",run=\"1\"} 0"
        ));
        for line in text.lines().filter(|line| line.starts_with("# TYPE")) {
            assert_eq!(text.matches(line).count(), 1, "{line} twice");
        }
    });
}

#[test]
fn otlp_buckets_add_up() {
    with_exported(|exported| {
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let json = otlp(exported, end);
        let metrics = json["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array().unwrap();
        let response = metrics.iter().find(|metric| metric["name"] == "covet_bench.response").unwrap();
        let point = &response["histogram"]["dataPoints"][1];
        let counts = point["bucketCounts"].as_array().unwrap();
        assert_eq!(counts.len(), point["explicitBounds"].as_array().unwrap().len() + 1);
        let sum: u64 = counts.iter().map(|count| count.as_str().unwrap().parse::<u64>().unwrap()).sum();
        assert_eq!((sum.to_string().as_str(), 4100), (point["count"].as_str().unwrap(), sum));
        assert_eq!(point["timeUnixNano"], "100000000000");
        assert_eq!(point["startTimeUnixNano"], "99000000000");
        assert_eq!(metrics[0]["gauge"]["dataPoints"][0]["asDouble"], 4000.0);
    });
}
