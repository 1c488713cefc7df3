//! The main job and its failures, as a user meets them.

mod folder;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use folder::Folder;

const COVET_BENCH: &str = env!("CARGO_BIN_EXE_covet-bench");

fn covet_bench(args: &[&str]) -> Output {
    Command::new(COVET_BENCH).args(args).env("COLUMNS", "100").output().expect("the binary runs")
}

#[track_caller]
fn fails_in_one_line(output: &Output, status: i32, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert!(stderr.starts_with("covet-bench: "), "{stderr}");
    assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{stderr:?} lacks {word:?}");
    }
}

#[test]
fn a_claim_file_that_is_not_there_is_named() {
    let output = covet_bench(&["--claim", "/nonexistent/claim.toml"]);
    fails_in_one_line(&output, 2, &["/nonexistent/claim.toml", "cannot be read", "--claim"]);
}

#[test]
fn a_wrong_claim_file_is_explained_before_anything_is_measured() {
    let folder = Folder::new("claim");
    let file = folder.0.join("claim.toml");
    fs::write(&file, "schema = 1\nname = \"x\"\nvalue = \"fast\"\n").expect("the file is written");
    let started = Instant::now();
    let output = covet_bench(&["--claim", file.to_str().expect("UTF-8"), "--out", folder.as_str()]);
    fails_in_one_line(&output, 2, &["claim.toml, line 3", "`value`", "covetpy.toml"]);
    // The job that would follow takes half a minute.
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

#[test]
fn a_report_that_cannot_be_written_is_an_early_error() {
    let folder = Folder::new("occupied");
    let file = folder.0.join("file");
    fs::write(&file, "not a folder").expect("the file is written");
    let started = Instant::now();
    let output = covet_bench(&["--out", file.to_str().expect("UTF-8")]);
    assert!(started.elapsed() < Duration::from_secs(15), "before anything is measured");
    fails_in_one_line(&output, 1, &["the report cannot be written to", "--out"]);
}

#[test]
fn a_layer_without_a_measurement_is_said_and_exits_with_98() {
    let folder = Folder::new("network");
    let claim = network_claim(&folder.0);
    let output = covet_bench(&["--short", "--claim", &claim, "--out", folder.as_str()]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(98), "{stdout}");
    assert!(stdout.contains("no measurement of HTTP over a network"), "{stdout}");
    let output = covet_bench(&["verify", &claim, "--short", "--out", folder.as_str()]);
    assert_eq!(output.status.code(), Some(98));
}

/// A claim that no layer of this machine can speak for.
fn network_claim(folder: &Path) -> String {
    let text = "schema = 1\nname = \"a network\"\nvalue = 1\nunit = \"requests\"\ntolerance = 0\n\
        [source]\nproject = \"p\"\ndocument = \"d\"\nquotes = []\n\
        [taken_in]\nlayer = \"http-network\"\ndepth = 1\nwhy = []\n\
        [[read_as]]\nlayer = \"http-network\"\ndepth = 1\nwhy = \"w\"\n";
    let file = folder.join("network.toml");
    fs::write(&file, text).expect("the file is written");
    file.to_str().expect("UTF-8").to_owned()
}

#[test]
fn help_names_the_exit_statuses() {
    let output = covet_bench(&["--help"]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success());
    for word in ["serve", "null", "run", "peers", "--short", "--claim", "96 mis-specified", "98 inconclusive"]
    {
        assert!(stdout.contains(word), "{stdout} lacks {word}");
    }
}

#[test]
fn an_unknown_option_is_a_usage_error() {
    assert_eq!(covet_bench(&["--fast"]).status.code(), Some(2));
    assert_eq!(covet_bench(&["--short", "serve"]).status.code(), Some(2));
}

#[test]
fn the_short_job_judges_every_layer_and_writes_its_report() {
    let folder = Folder::new("short");
    let output = covet_bench(&["--short", "--out", folder.as_str()]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    if cores < 2 {
        assert_eq!(output.status.code(), Some(98), "{stderr}");
        assert!(stdout.contains("one core only"), "{stdout}");
    } else {
        assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
        assert!(stdout.contains("Latency at "), "{stdout}");
    }
    for words in ["MIS-SPECIFIED", "route match in process", "depth 16", "covetpy", "784,921"] {
        assert!(stdout.to_lowercase().contains(&words.to_lowercase()), "{stdout} lacks {words}");
    }
    let folders: Vec<_> = fs::read_dir(&folder.0).expect("the folder is there").collect();
    assert_eq!(folders.len(), 1);
    let folder = folders.into_iter().next().expect("one").expect("readable").path();
    let html = fs::read_to_string(folder.join("report.html")).expect("the page is written");
    assert!(html.contains("<svg") && html.len() < 300_000, "{} bytes", html.len());
    let json = fs::read_to_string(folder.join("report.json")).expect("the data are written");
    let json: serde_json::Value = serde_json::from_str(&json).expect("the data are JSON");
    assert_eq!(json["schema"], "covet-bench.report/1");
    assert_eq!(json["overall"]["verdict"], "mis-specified");
    assert_eq!(json["layers"].as_array().expect("a list").len(), 3);
    assert_eq!(json["layers"][0]["runs"].as_array().expect("a list").len(), 3);
}

#[test]
fn on_one_core_it_does_what_one_core_can_and_says_what_it_cannot() {
    let folder = Folder::new("one-core");
    let output = Command::new("taskset")
        .args(["-c", "0", COVET_BENCH, "--short", "--out", folder.as_str()])
        .env("COLUMNS", "100")
        .output()
        .expect("taskset is there");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(98), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    assert!(stdout.contains("one core only") && stdout.contains("Give it two cores"), "{stdout}");
    let folder = fs::read_dir(&folder.0).expect("the folder is there").next().expect("a report");
    let json = fs::read_to_string(folder.expect("readable").path().join("report.json")).expect("the data");
    let json: serde_json::Value = serde_json::from_str(&json).expect("the data are JSON");
    let runs: Vec<usize> =
        (0..3).map(|layer| json["layers"][layer]["runs"].as_array().expect("a list").len()).collect();
    assert_eq!(runs, [3, 0, 0], "matching needs one core; a server and its load need two");
    assert_eq!(json["latency"], serde_json::Value::Null);
    // The layer that the figure was taken in is measured, so what the claim is worth is known all the same.
    assert_eq!(json["overall"]["verdict"], "mis-specified");
}

#[test]
fn an_interrupted_job_leaves_no_server_behind() {
    let folder = Folder::new("interrupted");
    // A shell's background job has SIGINT ignored, and so would its children.
    let mut job = Command::new("env")
        .args(["--default-signal=INT", COVET_BENCH, "--out", folder.as_str()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let wanted = if thread::available_parallelism().map_or(1, usize::from) >= 2 { 2 } else { 0 };
    let mut servers = BTreeSet::new();
    let end = Instant::now() + Duration::from_secs(60);
    while servers.len() < wanted && Instant::now() < end {
        servers = children(job.id());
        thread::sleep(Duration::from_millis(10));
    }
    let pid = rustix::process::Pid::from_child(&job);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("the job is there");
    let status = job.wait().expect("the job ends");
    assert!(!status.success());
    assert_eq!(servers.len(), wanted, "the servers were seen");
    let end = Instant::now() + Duration::from_secs(60);
    while servers.iter().any(|&server| alive(server)) {
        assert!(Instant::now() < end, "servers {servers:?} outlived the job");
        thread::sleep(Duration::from_millis(10));
    }
}

fn children(pid: u32) -> BTreeSet<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|child| child.parse().ok()).filter(|&child| serves(child)).collect()
}

/// Whether a process is one of the servers and no longer a copy of the job.
fn serves(pid: u32) -> bool {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    arguments.split(|byte| *byte == 0).any(|argument| argument == b"--listen")
}

/// A zombie waits for its new parent only, and is as good as gone.
fn alive(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}
