use std::time::{Duration, SystemTime};

use super::*;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/fixtures/import/", $name)).as_slice()
    };
}

fn quantile(run: &RunDocument, name: &str) -> Option<u64> {
    run.response.quantiles_ns.get(name).copied()
}

#[test]
fn wrk() {
    let run = read(Tool::Wrk, fixture!("wrk.txt")).unwrap();
    assert_eq!(run.conditions["url"], "http://127.0.0.1:18765/");
    assert_eq!((&run.conditions["threads"], &run.conditions["connections"]), (&json!(1), &json!(2)));
    assert_eq!((run.rate, run.count("completed"), run.count("failed")), (Some(43.76), 44, 0));
    assert_eq!((quantile(&run, "p50"), quantile(&run, "p99")), (Some(46_980_000), Some(51_970_000)));
    assert_eq!((run.response.mean_ns, run.response.max_ns), (44_870_000.0, 51_970_000));
    assert_eq!(run.elapsed_s, Some(1.01));
    let imported = run.imported.unwrap();
    assert_eq!(imported.tool, "wrk");
    assert!(imported.biases[0].contains("neither raw nor corrected"));
}

#[test]
fn statuses_that_are_errors_are_not_in_the_rate() {
    let run = read(Tool::Wrk, fixture!("wrk-404.txt")).unwrap();
    assert_eq!((run.rate, run.count("completed"), run.count("failed")), (Some(0.0), 0, 2090));
    assert_eq!(run.error_share(), Some(1.0));
}

#[test]
fn wrk2() {
    let run = read(Tool::Wrk2, fixture!("wrk2.txt")).unwrap();
    assert_eq!((run.rate, run.count("completed")), (Some(2000.28), 60_018));
    assert_eq!((quantile(&run, "p50"), quantile(&run, "p99.99")), (Some(6_670_000), Some(12_450_000)));
    assert_eq!(run.response.quantiles_ns.len(), 7, "{:?}", run.response.quantiles_ns);
}

#[test]
fn h2load() {
    let run = read(Tool::H2load, fixture!("h2load.txt")).unwrap();
    assert_eq!((run.rate, run.count("completed"), run.elapsed_s), (Some(46.0), 46, Some(1.0)));
    assert_eq!((run.response.min_ns, run.response.max_ns), (540_000, 47_990_000));
    assert_eq!(run.response.mean_ns, 42_540_000.0);
    assert_eq!((run.status["2xx"], run.bytes["in"]), (48, 9108));
    assert!(run.response.quantiles_ns.is_empty(), "this version prints none");
}

#[test]
fn oha() {
    let run = read(Tool::Oha, fixture!("oha.json")).unwrap();
    assert_eq!((run.count("completed"), run.count("failed")), (1_000_000, 1_000));
    assert_eq!(run.rate, Some(100_000.0), "validated responses only");
    assert_eq!((quantile(&run, "p99.9"), quantile(&run, "p99.99")), (Some(4_000_000), None));
    assert_eq!(run.status["5xx"], 600);
}

#[test]
fn outputs_with_errors_of_every_kind_that_a_tool_tells_apart() {
    let oha = read(Tool::Oha, fixture!("oha-errors.json")).unwrap();
    assert_eq!((oha.count("completed"), oha.count("failed"), oha.status["5xx"]), (561, 39, 20));
    assert_eq!((&oha.errors["timeout"], oha.errors_total), (&json!(7), 39));
    assert!((oha.rate.unwrap() - 561.0 / 7.157371023).abs() < 1e-9);
    assert!(quantile(&oha, "p99").unwrap() > quantile(&oha, "p50").unwrap());
    let h2load = read(Tool::H2load, fixture!("h2load-errors.txt")).unwrap();
    assert_eq!((h2load.count("completed"), h2load.count("failed"), h2load.status["5xx"]), (168, 132, 7));
    assert!((h2load.rate.unwrap() - 168.0 / 4.61).abs() < 1e-9, "without the seven that it counts");
    let wrk = read(Tool::Wrk, fixture!("wrk-errors.txt")).unwrap();
    assert_eq!((wrk.count("completed"), wrk.count("failed")), (200, 12));
    assert_eq!((&wrk.errors["read"], &wrk.errors["timeout"]), (&json!(4), &json!(1)));
    assert_eq!(wrk.errors["unexpected_status"], json!(7));
    assert!((wrk.rate.unwrap() - 200.0 / 3.05).abs() < 1e-9, "{wrk:?}");
}

#[test]
fn k6_in_both_forms() {
    let flat = read(Tool::K6, fixture!("k6.json")).unwrap();
    assert_eq!((flat.count("completed"), flat.count("failed")), (1093, 108));
    assert!((flat.rate.unwrap() - 398.997_032 * 1093.0 / 1201.0).abs() < 0.01, "validated responses only");
    assert!((flat.elapsed_s.unwrap() - 3.01).abs() < 0.01, "{:?}", flat.elapsed_s);
    assert_eq!((quantile(&flat, "p50"), quantile(&flat, "p99")), (Some(118_850), Some(3_291_322)));
    assert_eq!((quantile(&flat, "p99.9"), flat.response.max_ns), (Some(6_183_067), 7_840_282));
    assert_eq!((&flat.conditions["connections"], flat.bytes["in"]), (&json!(4), 160_666));
    let nested = read(Tool::K6, fixture!("k6-summary.json")).unwrap();
    assert_eq!((nested.count("completed"), nested.count("failed")), (1111, 108));
    // The summary says how long the test took; the rate of requests has it, too.
    assert!((nested.elapsed_s.unwrap() - 3.005_012).abs() < 1e-4, "{:?}", nested.elapsed_s);
    assert_eq!((quantile(&nested, "p50"), quantile(&nested, "p99")), (Some(98_148), Some(587_387)));
    assert_eq!((&nested.conditions["connections"], nested.bytes["in"]), (&json!(4), 163_006));
}

#[test]
fn vegeta() {
    let run = read(Tool::Vegeta, fixture!("vegeta.json")).unwrap();
    assert_eq!((run.rate, run.count("completed"), run.count("failed")), (Some(99.33994), 2990, 10));
    assert_eq!((quantile(&run, "p99"), run.response.mean_ns), (Some(38_901_234), 12_345_587.0));
    assert!((run.elapsed_s.unwrap() - 30.0988).abs() < 0.001);
    assert_eq!(run.status.get("0xx"), None);
    let mut older: Value = serde_json::from_slice(fixture!("vegeta.json")).unwrap();
    older.as_object_mut().unwrap().remove("throughput");
    let rate = read(Tool::Vegeta, older.to_string().as_bytes()).unwrap().rate.unwrap();
    assert!((rate / 99.33994 - 1.0).abs() < 1e-4, "{rate}");
}

#[test]
fn logs_of_other_units_and_tags() {
    let mut hist = Hist::new();
    (1..=1000).for_each(|v| hist.record(Duration::from_nanos(v), 1));
    let mut log = hlog::header("any", SystemTime::UNIX_EPOCH).into_bytes();
    for (tag, second) in [("a", 0), ("b", 0), ("a", 1)] {
        let start = Duration::from_secs(second);
        log.extend(hlog::line(tag, start, Duration::from_secs(1), &hist).unwrap());
    }
    let (run, intervals) = super::log(&log, 1000.0, None).unwrap();
    assert_eq!((run.response.count, intervals.len(), run.rate), (3000, 3, Some(1500.0)));
    let p50 = quantile(&run, "p50").unwrap() as f64;
    assert!((p50 / 500_000.0 - 1.0).abs() < 2e-3, "{p50}");
    assert!(run.response.histogram().unwrap().is_some(), "a log has everything");
    assert_eq!(super::log(&log, 1.0, Some("b")).unwrap().0.response.count, 1000);
    assert_eq!(super::log(&log, 1.0, Some("c")).unwrap_err(), ImportError::Tag("c".to_owned()));
}

#[test]
fn files_of_another_tool_are_refused_in_one_sentence() {
    for tool in [Tool::Wrk, Tool::Wrk2, Tool::Oha, Tool::K6, Tool::H2load, Tool::Vegeta] {
        for file in [b"".as_slice(), b"{}", b"null", b"hello\nworld\n", b"\xff\xfe", b"[1,2"] {
            let error = read(tool, file).unwrap_err().to_string();
            assert!(error.starts_with(&format!("this is not {}'s output", tool.name())), "{error}");
            assert_eq!(error.lines().count(), 1);
        }
    }
    assert!(read(Tool::Hlog, fixture!("wrk.txt")).is_err());
    assert!(read(Tool::Wrk, fixture!("h2load.txt")).is_err());
    assert!(read(Tool::Vegeta, fixture!("k6.json")).is_err());
}
