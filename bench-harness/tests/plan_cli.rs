//! `covet-bench plan` as its users meet it, on bundles that the library wrote.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail as loudly as it does")]

mod schema;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use covet_bench::bundle::{BundleWriter, RunDocument, Series};
use covet_bench::record::Hist;
use serde_json::{Value, json};

fn plan(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_covet-bench")).arg("plan").args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// A folder with a bundle of runs of ten seconds at these rates, removed when the test is over.
struct Runs(PathBuf);

impl Runs {
    fn new(name: &str, rates: &[u64]) -> Self {
        let path = std::env::temp_dir().join(format!("covet-plan-{}-{name}", std::process::id()));
        // A killed test of a process with the same number may have left it behind.
        let _ = fs::remove_dir_all(&path);
        let mut writer = BundleWriter::create(&path).unwrap();
        let mut documents = Vec::new();
        for (index, &rate) in rates.iter().enumerate() {
            let mut logs = writer.logs(index + 1);
            let mut all = Hist::new();
            for second in 0..10 {
                let mut hist = Hist::new();
                // Seconds differ by 2 % from one to the next.
                let count = rate + rate * (second % 2) / 50;
                (0..count).for_each(|i| hist.record(Duration::from_nanos(1_000_000 + i * 100), 1));
                logs.add("response", 0, Duration::from_secs(second), Duration::from_secs(1), &hist);
                all.add(&hist);
            }
            writer.add(logs.finish().unwrap());
            documents.push(document(rate, &all));
        }
        writer.finish(documents).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn document(rate: u64, hist: &Hist) -> RunDocument {
    serde_json::from_value(json!({
        "schema": "covet-bench.run/1", "valid": true, "guards": [],
        "conditions": { "url": "http://127.0.0.1:1/", "warmup": 2.5 },
        "elapsed_s": 10.0, "rate": rate as f64, "requests": { "completed": hist.len(), "failed": 0 },
        "response": Series::of(hist),
    }))
    .unwrap()
}

#[test]
fn a_plan_follows_from_earlier_runs() {
    let runs = Runs::new("earlier", &[10_000, 10_300, 9_800, 10_100, 9_900]);
    let output =
        plan(&["--detect", "2%", "--power", "0.8", "--from", runs.path(), "--output-format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    schema::check("plan-1", &printed);
    assert_eq!(printed["question"]["cost"], 3.0, "the warm-up and half a second");
    let rate = &printed["plans"][0];
    // R: sd(log(c(10000, 10300, 9800, 10100, 9900))) is 0.01913.
    let deviation = rate["levels"]["runs"].as_f64().unwrap().sqrt();
    assert!((deviation - 0.01913).abs() < 1e-5, "{deviation}");
    // Runs of 5 s vary by 0.01942: R's power.t.test(delta = log(1.02), sd = .01942, power = .8, strict = TRUE)$n is 16.1.
    assert!((rate["deviation"].as_f64().unwrap() - 0.01942).abs() < 1e-5, "{rate}");
    assert_eq!(rate["runs_apart"], 17, "{rate}");
    assert_eq!(printed["plans"][1]["metric"], "p99");

    let output = plan(&["--from", runs.path(), "--metric", "rate"]);
    let words = text(&output);
    assert!(words.contains("rate: 5 runs varied by 1.9 %"), "{words}");
    assert!(words.contains("covet-bench run --repeats 17 -d 5s on each side"), "{words}");
}

#[test]
fn without_runs_there_is_a_table() {
    let output = plan(&[]);
    let words = text(&output);
    assert_eq!(output.status.code(), Some(0), "{words}");
    // R: power.t.test(delta = log(1.02), sd = .02, power = .8, strict = TRUE)$n is 17.03, and with sd = .01 5.2.
    let row = |share: &str| {
        let line = words.lines().find(|line| line.trim_start().starts_with(share)).unwrap();
        line.split_whitespace().last().unwrap().to_owned()
    };
    assert_eq!((row("1.0 %").as_str(), row("2.0 %").as_str()), ("6", "18"), "{words}");
    let output = plan(&["--output-format", "json"]);
    schema::check("plan-1", &serde_json::from_slice(&output.stdout).unwrap());
}

#[test]
fn what_gives_no_plan_is_one_line() {
    let one = Runs::new("one", &[10_000]);
    for (arguments, said) in [
        (&["--from", one.path()][..], "no bundle has two runs with their rate"),
        (&["--detect", "0%"], "a difference of 0 takes for ever"),
        (&["--power", "1"], "is not between 0 and 1"),
        (&["--metric", "speed"], "unknown metric `speed`"),
        (&["--from", "/nowhere"], "/nowhere"),
    ] {
        let output = plan(arguments);
        let words = text(&output);
        assert!(words.contains(said), "{said}: {words}");
        let status = if arguments.contains(&"/nowhere") { 1 } else { 2 };
        assert_eq!(output.status.code(), Some(status), "{words}");
    }
}
