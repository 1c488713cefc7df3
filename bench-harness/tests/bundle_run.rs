//! `covet-bench run --out` against a real server: the bundle, its schemas, and a disk that refuses it.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail as loudly as it does")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use covet_bench::bundle::Bundle;
use disturbed::expect_status;
use folder::Folder;
use null::Null;
use serde_json::Value;

mod disturbed;
mod folder;
mod null;
mod schema;

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_covet-bench")).args(arguments).output().unwrap()
}

/// Makes a short run into `out`; whether it is valid depends on the machine.
fn run(url: &str, out: &str, more: &[&str]) -> Output {
    let arguments = ["run", url, "-c", "4", "-d", "1200ms", "--warmup", "50ms", "-o", out];
    let output = bench(&[&arguments, more].concat());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    expect_status(&output, 0);
    assert!(text.contains("manifest SHA-256"), "{text}");
    output
}

fn json(path: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_bundle_holds_what_was_printed_and_follows_its_schemas() {
    let (null, folder) = (Null::start(&[]), Folder::new("whole"));
    for (name, rate) in [("closed", &[][..]), ("open", &["-R", "2000"])] {
        let out = folder.path(name);
        let printed = run(&null.url, &out, &[rate, &["--output-format", "json"]].concat());
        let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
        let bundle = Bundle::read(Path::new(&out)).unwrap();
        let result = json(bundle.folder.join("result.json"));
        assert_eq!(result["runs"][0], printed);
        schema::check("run-1", &printed);
        schema::check("result-1", &result);
        schema::check("manifest-1", &json(bundle.folder.join("manifest.json")));
        let log = bundle.log(1, "response").unwrap().unwrap();
        let logged: u64 = log.iter().map(|interval| interval.hist.len()).sum();
        assert_eq!(Some(logged), printed["response"]["count"].as_u64());
        assert_eq!(bundle.series(1).contains(&"lateness".to_owned()), name == "open");
    }
    let (a, b) = (folder.path("closed"), folder.path("open"));
    let refused = bench(&["compare", &a, &b]);
    assert_eq!(refused.status.code(), Some(2), "a closed and an open loop");
    let compared =
        bench(&["compare", &a, &b, "--force", "--gate", "p50:+900000%", "--output-format", "json"]);
    assert_eq!(compared.status.code(), Some(0), "{}", String::from_utf8_lossy(&compared.stderr));
    schema::check("comparison-1", &serde_json::from_slice(&compared.stdout).unwrap());
}

/// The schemas, OpenMetrics and OTLP are read by the tools of those who defined them.
#[test]
fn others_read_what_is_written_and_exported() {
    let (null, folder) = (Null::start(&[]), Folder::new("readers"));
    let out = folder.path("runs");
    run(&null.url, &out, &["-R", "2000", "--repeats", "2"]);
    for form in ["openmetrics", "otlp"] {
        let exported = bench(&["export", form, &out]);
        assert!(matches!(exported.status.code(), Some(0 | 97)), "{exported:?}");
        fs::write(folder.path(form), exported.stdout).unwrap();
    }
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = tests.join("../target/test-tools/bin/python");
    assert!(python.exists(), "{} is missing: run scripts/install-test-tools", python.display());
    let read = Command::new(python)
        .arg(tests.join("tests/readers.py"))
        .arg(tests.join("../docs/bench/schema"))
        .args([&out, &folder.path("openmetrics"), &folder.path("otlp")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[&read.stdout[..], &read.stderr].concat()).into_owned();
    assert!(read.status.success() && said.contains("2 runs agree"), "{said}");
}

#[test]
fn the_python_and_the_java_tool_read_the_interval_logs() {
    let (null, folder) = (Null::start(&[]), Folder::new("hdr"));
    let out = folder.path("runs");
    run(&null.url, &out, &["-R", "2000", "--repeats", "2"]);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let python = root.join("target/test-tools/bin/python");
    assert!(python.exists(), "{} is missing: run scripts/install-test-tools", python.display());
    let jar = Path::new("/usr/share/java/hdrhistogram.jar");
    assert!(jar.exists(), "{} is missing: run scripts/install-test-tools", jar.display());
    let mut check = Command::new(python);
    check.arg(root.join("scripts/check-hlog.py")).arg(&out).env("HDR_JAVA", jar);
    let output = check.output().unwrap();
    let text = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{text}");
    for run in 1..=2 {
        for series in ["response", "service", "lateness", "generator_lateness", "censored", "connect"] {
            let line = format!("run-{run}.{series}.hlog: ");
            let line = text.lines().find(|told| told.contains(&line)).unwrap_or_else(|| panic!("{text}"));
            assert!(line.ends_with(", as Java reads it"), "{line}");
        }
    }
    // What is compared can differ.
    let result = Path::new(&out).join("result.json");
    let count = json(&result)["runs"][1]["response"]["count"].to_string();
    let other =
        fs::read_to_string(&result).unwrap().replace(&format!("\"count\": {count},"), "\"count\": 7,");
    fs::write(&result, other).unwrap();
    let python = root.join("target/test-tools/bin/python");
    let output = Command::new(python).arg(root.join("scripts/check-hlog.py")).arg(&out).output().unwrap();
    assert!(!output.status.success(), "{output:?}");
}

#[test]
fn runs_and_comparisons_have_pages() {
    let (null, folder) = (Null::start(&[]), Folder::new("pages"));
    let (out, page) = (folder.path("runs"), folder.path("run.html"));
    run(&null.url, &out, &["-R", "2000", "--repeats", "2", "--html", &page]);
    let made = fs::read_to_string(&page).unwrap();
    for part in
        ["Heat map", "class=\"ribbon s2\"", "run-2.lateness.hlog", "Throughput over time", "punctuality"]
    {
        assert!(made.contains(part), "{part}");
    }
    let exported = bench(&["export", "html", &out]);
    let exported = String::from_utf8(exported.stdout).unwrap();
    assert_eq!(exported, made, "the page of the runs is that of their bundle");
    let compared = bench(&["compare", &out, &out, "--force", "--html", &page, "--gate", "p50:+5%"]);
    assert!(matches!(compared.status.code(), Some(0 | 98)), "{compared:?}");
    assert!(fs::read_to_string(&page).unwrap().contains("Shift of each percentile"));
    let nowhere = folder.path("no/such.html");
    for command in [&["run", "http://127.0.0.1:9/"][..], &["ab", "--a", "http://127.0.0.1:9/", "--aa"]] {
        let output = bench(&[command, &["--html", &nowhere]].concat());
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("such.html cannot be written"), "{text}");
    }
}

#[test]
fn a_folder_that_exists_is_refused_before_the_run() {
    let folder = Folder::new("exists");
    // Nothing listens there, so it would fail otherwise if it ran.
    let output = bench(&["run", "http://127.0.0.1:9/", "-o", &folder.path("")]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("exists already"), "{text}");
    let output = bench(&["run", "http://127.0.0.1:9/", "-o", "/proc/nowhere/runs"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("cannot create /proc/nowhere") && text.contains("that you may create"), "{text}");
    let out = folder.path("new");
    let output = bench(&["run", "http://127.0.0.1:9/", "-o", &out]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!Path::new(&out).exists(), "a run that was not made leaves nothing");
}

#[test]
fn a_disk_that_refuses_the_bundle_does_not_lose_the_run() {
    let (null, folder) = (Null::start(&[]), Folder::new("full"));
    let out = folder.path("out");
    // A file may have 1 KiB; without the signal a write beyond it is an error, as on a full disk.
    let command = format!(
        "trap '' XFSZ; ulimit -f 1; exec {} run {} -c 2 -d 300ms --warmup 0 -o {out}",
        env!("CARGO_BIN_EXE_covet-bench"),
        null.url
    );
    let output = Command::new("bash").args(["-c", &command]).output().unwrap();
    let (text, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(text.contains("requests/s") && text.contains("verdict"), "{text}");
    assert!(error.contains("cannot write") && error.contains("File too large"), "{error}");
    assert!(!Path::new(&out).exists(), "what is not whole is not left");
}

#[test]
fn exports_of_a_run_judge_thresholds() {
    let (null, folder) = (Null::start(&[]), Folder::new("export"));
    let out = folder.path("run");
    run(&null.url, &out, &[]);
    let valid = Bundle::read(Path::new(&out)).unwrap().runs[0].valid;
    for (form, part) in [
        ("junit", "<testsuite name=\"run\""),
        ("markdown", "### run: "),
        ("openmetrics", "# TYPE covet_bench_response_seconds histogram"),
        ("otlp", "\"resourceMetrics\""),
    ] {
        let output = bench(&["export", form, &out, "--threshold", "rate>0", "--threshold", "errors<=100%"]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains(part), "{text}");
        assert_eq!(output.status.code(), Some(if valid { 0 } else { 97 }));
    }
    let output = bench(&["export", "junit", &out, "--threshold", "p50<1ns"]);
    assert_eq!(output.status.code(), Some(if valid { 99 } else { 97 }));
    let output = bench(&["export", "junit", &out, "--threshold", "p50<1"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn another_tools_result_becomes_a_bundle_with_its_biases() {
    let folder = Folder::new("import");
    let out = folder.path("wrk");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/import/wrk.txt");
    let output = bench(&["import", "wrk", file, "-o", &out]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("44 requests/s") && text.contains("bias       wrk fills"), "{text}");
    let result = json(Path::new(&out).join("result.json"));
    schema::check("result-1", &result);
    schema::check("run-1", &result["runs"][0]);
    let output = bench(&["import", "oha", file, "-o", &folder.path("oha")]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("this is not oha's output: it is not JSON"), "{error}");
    assert!(!Path::new(&folder.path("oha")).exists());
}
