//! `covet-bench compare` and `covet-bench merge` as their users meet them, on bundles that the library wrote.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail as loudly as it does")]

mod folder;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use covet_bench::bundle::{Bundle, BundleWriter, RunDocument, Series};
use covet_bench::record::Hist;
use folder::Folder;
use serde_json::{Value, json};

/// Writes a bundle of runs with these rates and median times.
fn bundle(folder: &Folder, name: &str, pipeline: u64, runs: &[(u64, u64)]) -> String {
    let path = folder.0.join(name);
    let mut writer = BundleWriter::create(&path).unwrap();
    let mut documents = Vec::new();
    for (index, &(rate, nanos)) in runs.iter().enumerate() {
        let mut hist = Hist::new();
        (0..rate).for_each(|i| hist.record(Duration::from_nanos(nanos / 2 + nanos * i / rate), 1));
        let mut logs = writer.logs(index + 1);
        logs.add("response", 0, Duration::ZERO, Duration::from_secs(1), &hist);
        writer.add(logs.finish().unwrap());
        documents.push(document(rate, pipeline, &hist));
    }
    writer.finish(documents).unwrap();
    folder.path(name)
}

fn document(rate: u64, pipeline: u64, hist: &Hist) -> RunDocument {
    serde_json::from_value(json!({
        "schema": "covet-bench.run/1", "valid": true, "guards": [],
        "conditions": { "url": "http://127.0.0.1:1/", "connections": 8, "pipeline": pipeline },
        "elapsed_s": 1.0, "rate": rate, "requests": { "completed": rate, "failed": 0 },
        "response": Series::of(hist),
    }))
    .unwrap()
}

fn bench(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_covet-bench")).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.code(), text(stdout), text(stderr))
}

const BEFORE: [(u64, u64); 4] =
    [(20_000, 1_000_000), (20_200, 1_010_000), (19_800, 990_000), (20_100, 1_000_000)];
const AFTER: [(u64, u64); 4] =
    [(18_000, 1_200_000), (18_200, 1_190_000), (17_800, 1_210_000), (18_100, 1_200_000)];

#[test]
fn gates_decide_the_exit_status() {
    let folder = Folder::new("gates");
    let (a, b) = (bundle(&folder, "before", 1, &BEFORE), bundle(&folder, "after", 1, &AFTER));
    let (status, text, _) = bench(&["compare", &a, &b]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.starts_with("after (4 runs) against before (4 runs)"), "{text}");
    let (status, text, _) = bench(&["compare", &a, &b, "--gate", "p99:+5%", "--gate", "rate:-50%"]);
    assert_eq!(status, Some(99), "{text}");
    assert!(text.contains("gate       p99:+5% FAILED") && text.contains("rate:-50% passed"), "{text}");
    let (status, text, _) = bench(&["compare", &a, &b, "--gate", "p99:+20%"]);
    assert_eq!(status, Some(98), "{text}");
    let (status, text, _) = bench(&["compare", &b, &a, "--gate", "p99:+5%", "--output-format", "json"]);
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &json["gates"][0]["verdict"]), (Some(0), &json!("passed")));
    let (_, text, _) = bench(&["compare", &a, &b, "--output-format", "markdown"]);
    assert!(text.contains("| rate | 20,024/s |"), "{text}");
}

#[test]
fn different_conditions_are_refused_until_forced() {
    let folder = Folder::new("conditions");
    let (a, b) = (bundle(&folder, "a", 1, &BEFORE), bundle(&folder, "b", 16, &BEFORE));
    let (status, _, error) = bench(&["compare", &a, &b]);
    assert_eq!(status, Some(2), "{error}");
    assert!(error.contains("different conditions: pipeline is 1 and 16"), "{error}");
    let (status, text, _) = bench(&["compare", &a, &b, "--force"]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("warning    conditions differ: pipeline is 1 and 16"), "{text}");
}

#[test]
fn bad_input_is_told_in_one_line() {
    let folder = Folder::new("bad");
    let good = bundle(&folder, "good", 1, &BEFORE);
    fs::create_dir(folder.0.join("empty")).unwrap();
    for (path, status, part) in
        [(folder.path("missing"), 1, "No such file"), (folder.path("empty"), 2, "no manifest.json")]
    {
        let (code, _, error) = bench(&["compare", &good, &path]);
        assert_eq!(code, Some(status), "{error}");
        assert!(error.contains(part) && error.trim_end().lines().count() == 1, "{error}");
    }
    let log = Path::new(&good).join("run-1.response.hlog");
    let mut bytes = fs::read(&log).unwrap();
    let last = bytes.len() - 10;
    bytes[last] ^= 1;
    fs::write(&log, bytes).unwrap();
    let (code, _, error) = bench(&["compare", &good, &good]);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("run-1.response.hlog is damaged"), "{error}");
    let (code, _, error) = bench(&["compare", &good, &good, "--gate", "p99=5"]);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("p99:+5%"), "{error}");
}

#[test]
fn bundles_merge_and_are_never_overwritten() {
    let folder = Folder::new("merge");
    let (a, b) = (bundle(&folder, "a", 1, &[(1000, 500_000)]), bundle(&folder, "b", 1, &[(2000, 500_000)]));
    let out = folder.path("out");
    let (status, text, error) = bench(&["merge", &a, &b, "-o", &out]);
    assert_eq!(status, Some(0), "{error}");
    assert!(text.contains("run 1: 3,000 requests/s") && text.contains("SHA-256"), "{text}");
    assert_eq!(Bundle::read(Path::new(&out)).unwrap().runs[0].count("completed"), 3000);
    let (status, _, error) = bench(&["merge", &a, &b, "-o", &out]);
    assert_eq!(status, Some(2), "{error}");
    assert!(error.contains("exists already"), "{error}");
    let other = bundle(&folder, "c", 16, &[(2000, 500_000)]);
    let refused = folder.path("refused");
    let (status, _, error) = bench(&["merge", &a, &other, "-o", &refused]);
    assert_eq!(status, Some(2), "{error}");
    assert!(error.contains("pipeline") && !Path::new(&refused).exists(), "{error}");
    let (status, text, _) = bench(&["merge", "--repeats", &a, &b, "-o", &folder.path("repeats")]);
    assert_eq!(status, Some(0));
    assert!(text.contains("run 2: 2,000 requests/s"), "{text}");
}

/// Damage of one kind to bytes, at a place and with values that `random` chooses.
fn damaged(bytes: &[u8], random: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = random(bytes.len());
    match random(5) {
        0 => bytes[at] ^= 1 << random(8),
        1 => bytes.truncate(at),
        2 => (0..=random(20)).for_each(|_| bytes.insert(at, random(256) as u8)),
        3 => bytes.extend_from_within(at..),
        _ => {
            let digits: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at].is_ascii_digit()).collect();
            let number = ["99999999999999999999999", "-1", "1e400", "", "null"][random(5)];
            let at = digits[random(digits.len())];
            bytes.splice(at..=at, number.bytes());
        }
    }
    bytes
}

/// Behind a hash that is right, so that it is the reader of each file that meets the damage.
fn rehash(bundle: &Path, name: &str, bytes: &[u8]) {
    let path = bundle.join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    manifest["files"][name] = json!({ "bytes": bytes.len(), "sha256": hex });
    fs::write(path, manifest.to_string()).unwrap();
}

#[test]
fn damage_of_any_kind_is_one_line_and_no_panic() {
    let folder = Folder::new("damage");
    let good = bundle(&folder, "good", 1, &BEFORE[..2]);
    let claim = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../claims/covetpy.toml")).unwrap();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    };
    let mut refused = [0; 3];
    let mut told = |kind: usize, statuses: &[i32], arguments: &[&str]| {
        let (status, _, error) = bench(arguments);
        // Some damage leaves another bundle that is whole.
        if status == Some(0) {
            return;
        }
        refused[kind] += 1;
        assert!(status.is_some_and(|status| statuses.contains(&status)), "{arguments:?} {status:?}: {error}");
        assert!(error.starts_with("covet-bench: ") && error.trim_end().lines().count() == 1, "{error}");
    };
    for round in 0..48 {
        let bad = bundle(&folder, "bad", 1, &BEFORE[..2]);
        let name = ["manifest.json", "result.json", "run-1.response.hlog", "run-2.response.hlog"][round % 4];
        let file = Path::new(&bad).join(name);
        let bytes = damaged(&fs::read(&file).unwrap(), &mut random);
        fs::write(&file, &bytes).unwrap();
        if name != "manifest.json" {
            rehash(Path::new(&bad), name, &bytes);
        }
        told(0, &[1, 2], &["compare", &good, &bad, "--force"]);
        if name.ends_with("hlog") {
            let (log, out) = (file.display().to_string(), folder.path("imported"));
            told(1, &[1], &["import", "hlog", &log, "-o", &out]);
            let _ = fs::remove_dir_all(out);
        }
        let file = folder.path("claim.toml");
        fs::write(&file, damaged(&claim, &mut random)).unwrap();
        // Nobody listens there, so that a claim which is whole all the same is a failure at run time.
        let verify = ["verify", &file, "--url", "http://127.0.0.1:1/", "--out", &folder.path("reports")];
        told(2, &[1, 2], &verify);
        fs::remove_dir_all(bad).unwrap();
    }
    assert!(refused[0] > 15 && refused[1] > 8 && refused[2] == 48, "{refused:?} were refused");
}
