//! `covet-bench run` and `covet-bench null` as their users meet them.

mod disturbed;
mod null;
mod observed;

use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use disturbed::{expect_status, expect_told};
use null::Null;
use observed::await_load;
use rustix::process::{Pid, Signal, kill_process};

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_covet-bench")).args(arguments).output().expect("the binary runs")
}

/// Runs it and expects one line of error with this exit status.
fn error_line(arguments: &[&str], status: i32) -> String {
    let output = bench(arguments);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {text}");
    assert_eq!(text.trim_end().lines().count(), 1, "{arguments:?}: {text}");
    assert!(text.starts_with("covet-bench: "), "{text}");
    text
}

#[test]
fn the_null_server_and_the_generator_agree() {
    let null = Null::start(&["--body", "100"]);
    let output =
        bench(&["run", &null.url, "-c", "8", "-d", "1s", "--warmup", "50ms", "--output-format", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    assert_eq!(json["schema"], "covet-bench.run/1");
    assert_eq!(json["errors_total"], 0);
    let completed = json["requests"]["completed"].as_u64().expect("a count");
    assert!(completed > 100, "{completed}");
    assert_eq!(json["status"]["2xx"].as_u64(), Some(completed));
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n".len() as u64;
    assert_eq!(json["bytes"]["in"].as_u64(), Some(completed * (head + 100)));
    expect_status(&output, 0);
    assert_eq!(json["valid"], output.status.success());
}

#[test]
fn a_server_that_vanishes_makes_the_run_invalid_and_is_said_to_have_gone() {
    let null = Null::start(&[]);
    let runs = [&["-R", "200"][..], &[]].map(|more| {
        let run = ["run", &null.url, "-c", "4", "-d", "8s", "--warmup", "0", "--probes", "off"];
        let mut command = Command::new(env!("CARGO_BIN_EXE_covet-bench"));
        command.args(run).args(more).stdout(Stdio::piped()).spawn().expect("the binary runs")
    });
    runs.iter().for_each(|run| await_load(run.id()));
    thread::sleep(Duration::from_millis(2000));
    drop(null);
    for run in runs {
        let output = run.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(97), "{text}");
        assert!(text.contains("FAILED      responses: the server has gone: the last "), "{text}");
    }
}

#[test]
fn text_names_the_conditions_and_the_proof() {
    let null = Null::start(&[]);
    let output = bench(&["run", &null.url, "-n", "20k", "--pipeline", "16", "--warmup", "0"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in [
        "closed loop, 64 connections, depth 16, HTTP/1.1",
        "p99 ",
        "Little closure",
        "CPU per request",
        "verdict",
    ] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
    assert!(text.contains(": 20000 valid responses, 0 failed; "), "{text}");
}

/// The numbers of the line of requests before the bytes: sent, before, valid, failed, after.
fn told_requests(text: &str) -> [u64; 5] {
    let line = text.lines().find(|line| line.starts_with("  requests ")).expect("it tells the requests");
    let counts = line.split(';').next().expect("something comes first");
    let of = |word: &str| {
        let before = counts.split(word).next().filter(|before| before.len() < counts.len())?;
        before.split_whitespace().last()?.parse().ok()
    };
    [" sent", " in flight before", " valid response", " failed", " in flight after"]
        .map(|word| of(word).unwrap_or(0))
}

#[test]
fn requests_in_flight_at_both_edges_of_the_window_are_part_of_its_sum() {
    let null = Null::start(&["--delay", "2s"]);
    // The first request is sent before the window, its answer comes within it, and none is due in it; a second late, of
    // either, would do no harm.
    let slow = ["-R", "0.1", "-c", "1", "--warmup", "1s", "-d", "2s", "-T", "9s", "--probes", "off"];
    let closed = ["-c", "3", "--warmup", "1s", "-d", "2s", "-T", "9s", "--probes", "off"];
    for (more, before) in [(&slow[..], 1), (&closed[..], 3)] {
        let output = bench(&[&["run", &null.url], more].concat());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let [sent, early, valid, failed, after] = told_requests(&text);
        assert!(early == before && valid >= 1, "{text}");
        assert_eq!(sent + early, valid + failed + after, "{text}");
    }
}

#[test]
fn a_body_is_posted_unless_another_method_is_asked_for() {
    let null = Null::start(&[]);
    for (more, method) in
        [(&["--body", "hello"][..], "POST"), (&["--body", "hello", "-X", "GET"], "GET"), (&[], "GET")]
    {
        let line = ["run", &null.url, "-c", "1", "-n", "20", "--warmup", "0", "--output-format", "json"];
        let output = bench(&[&line, more].concat());
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
        assert_eq!(json["conditions"]["method"], method, "{more:?}");
        assert_eq!(json["requests"]["completed"], 20, "{more:?}");
    }
}

#[test]
fn what_a_load_asks_for_and_accepts_is_among_its_conditions() {
    let null = Null::start(&[]);
    let line = ["run", &null.url, "-c", "2", "-n", "20", "--warmup", "0", "--requests-per-connection", "1"];
    let more = ["-X", "POST", "-H", "X-A: 1", "--body", "hello", "--expect-status", "200"];
    let told = |form: &str, more: &[&str]| {
        let rest = ["--connection-rate", "200", "--no-validate-length", "--output-format", form];
        String::from_utf8_lossy(&bench(&[&line, more, &rest].concat()).stdout).into_owned()
    };
    let text = told("text", &more);
    for part in [
        "connections per second at most 200, ",
        "request with 1 field, a body of 5 bytes (",
        "accepted status 200, any length, ",
    ] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
    let conditions = |more: &[&str]| {
        let json: serde_json::Value = serde_json::from_str(&told("json", more)).expect("it prints JSON");
        json["conditions"].clone()
    };
    let (first, again, other) = (conditions(&more), conditions(&more), conditions(&[]));
    assert_eq!(first["request"], again["request"]);
    assert_eq!(
        (&first["connection_rate"], &first["accepted"]),
        (&200.0.into(), &"status 200, any length".into())
    );
    assert_eq!(other["request"], serde_json::Value::Null);
}

#[test]
fn more_threads_than_cpus_are_refused() {
    let line = error_line(&["run", "http://127.0.0.1:9/", "-t", "2", "--cpus", "0"], 2);
    assert!(line.contains("2 generator threads cannot share 1 CPU(s)"), "{line}");
    assert!(line.contains("Write --threads 1 or fewer"), "{line}");
}

#[test]
fn bad_arguments_are_told_in_one_line() {
    assert!(error_line(&["run", "localhost:80"], 2).contains("write http://localhost:80"));
    assert!(error_line(&["run", "ftp://localhost/"], 2).contains("write an http:// or https:// URL"));
    assert!(
        error_line(&["run", "https://localhost/", "--cacert", "/nonexistent"], 2)
            .contains("can't read roots /nonexistent")
    );
    assert!(
        error_line(&["run", "https://localhost/", "--cert", "/nonexistent", "--key", "/x"], 2)
            .contains("can't read certificate /nonexistent")
    );
    assert!(
        error_line(&["run", "https://localhost/", "--tls-min", "1.3", "--tls-max", "1.2"], 2)
            .contains("no version of TLS")
    );
    assert_eq!(bench(&["run", "https://localhost/", "--cert", "c.pem"]).status.code(), Some(2));
    assert!(error_line(&["run", "http://localhost:0/"], 2).contains("port `0`"));
    assert!(error_line(&["run", "http://127.0.0.1:9/", "-c", "0"], 2).contains("connection"));
    assert!(error_line(&["run", "http://127.0.0.1:9/", "-t", "0"], 2).contains("threads"));
    assert!(error_line(&["run", "http://127.0.0.1:9/", "-d", "0"], 2).contains("duration"));
    assert!(error_line(&["run", "http://127.0.0.1:9/", "-T", "0"], 2).contains("timeout"));
    assert!(error_line(&["run", "http://127.0.0.1:9/", "--pipeline", "0"], 2).contains("pipeline"));
    assert!(error_line(&["run", "http://127.0.0.1:9/", "--cpus", "0,x"], 2).contains("list of CPUs"));
    assert!(error_line(&["run", "http://127.0.0.1:9/", "--cpus", "1000"], 2).contains("CPU 1000"));
    assert!(error_line(&["run", "http://127.0.0.1:9/", "-X", "a b"], 2).contains("not a method"));
    assert!(
        error_line(&["run", "http://127.0.0.1:9/", "-H", "Content-Length: 1"], 2).contains("Content-Length")
    );
    assert!(
        error_line(&["run", "http://127.0.0.1:9/", "--bind", "192.0.2.1"], 2)
            .contains("cannot connect from 192.0.2.1")
    );
    assert!(
        error_line(&["run", "http://127.0.0.1:9/", "--bind", "::1"], 2)
            .contains("`127.0.0.1` has no address that ::1")
    );
    assert!(
        error_line(&["run", "http://127.0.0.1:9/", "--arrivals", "trace:/dev/zero"], 2)
            .contains("line 1 of the trace")
    );
}

#[test]
fn what_the_parser_of_arguments_refuses_is_one_line_too() {
    let url = "http://127.0.0.1:9/";
    let cases: [(&[&str], &str); 12] = [
        (&["runn"], "a similar subcommand exists: 'run'. See covet-bench --help"),
        (&["run"], "not provided: <URL>. See covet-bench run --help"),
        (&["run", url, "--conections", "5"], "a similar argument exists: '--connections'"),
        (&["run", url, "-R", "0"], "a rate must be above zero"),
        (&["run", url, "-R", "-5"], "no number here may be negative"),
        (&["run", url, "-d=-1s"], "it cannot be negative"),
        (&["run", url, "-n", "0"], "write 1 or more"),
        (&["run", url, "-n", "99999999999999999999"], "write a number from 1 to 10^15"),
        (&["run", url, "-c", "1e9"], "write a whole number"),
        (&["run", url, "--output-format", "yaml"], "[possible values: text, json, junit, markdown]"),
        (&["max", url], "not provided: --slo <OBJECTIVES>. See covet-bench max --help"),
        (&["null", "--listen", "80"], "write an address and a port, such as 127.0.0.1:8080"),
    ];
    for (arguments, part) in cases {
        let line = error_line(arguments, 2);
        assert!(line.contains(part), "{line}");
    }
    let help = bench(&["run", "--help"]);
    assert!(help.status.success() && help.stderr.is_empty() && !help.stdout.is_empty());
}

#[test]
fn a_server_that_is_not_there_is_told_in_one_line() {
    let line = error_line(&["run", "http://127.9.9.9:9/"], 1);
    assert!(line.contains("cannot connect to 127.9.9.9:9") && line.contains("refused"), "{line}");
    let line = error_line(&["run", "http://no-such-host.invalid/"], 1);
    assert!(line.contains("cannot resolve `no-such-host.invalid`"), "{line}");
}

#[test]
fn too_few_open_files_are_told_with_the_number_needed() {
    let binary = env!("CARGO_BIN_EXE_covet-bench");
    let output = Command::new("sh")
        .args(["-c", &format!("ulimit -n 200 && exec {binary} run http://127.0.0.1:9/ -c 1000 -t 1")])
        .output()
        .expect("a shell runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("limit is 200") && text.contains("ulimit -n 1080"), "{text}");
}

#[test]
fn a_generator_that_was_stopped_calls_its_own_run_invalid() {
    let null = Null::start(&[]);
    for rate in [&[][..], &["-R", "500"]] {
        let generator = Command::new(env!("CARGO_BIN_EXE_covet-bench"))
            .args(["run", &null.url, "-c", "4", "-d", "4s", "--warmup", "0"])
            .args(["--probes", "off"])
            .args(rate)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let pid = Pid::from_child(&generator);
        await_load(generator.id());
        thread::sleep(Duration::from_millis(700));
        kill_process(pid, Signal::STOP).expect("it runs");
        thread::sleep(Duration::from_millis(600));
        kill_process(pid, Signal::CONT).expect("it is stopped");
        let output = generator.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(97), "{text}");
        assert!(text.contains("pauses: the generator's longest pause was"), "{text}");
    }
}

#[test]
fn thresholds_are_judged_in_every_form() {
    let null = Null::start(&[]);
    let judged = |form: &str, limits: &[&str]| {
        let mut line =
            vec!["run", null.url.as_str(), "-c", "4", "-n", "2000", "--warmup", "0", "--output-format", form];
        for limit in limits {
            line.extend(["--threshold", limit]);
        }
        let output = bench(&line);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let kept = ["p50<5s", "errors<0.1%", "rate>=1"];
    let (status, text) = judged("text", &kept);
    expect_told(status, 0, &text, "");
    assert!(
        text.contains("threshold   passed p50<5s: p50 is ") && text.contains("passed rate>=1: "),
        "{text}"
    );
    let missed = ["p50<5s", "rate>=100m"];
    let (status, text) = judged("json", &missed);
    expect_told(status, 99, &text, "");
    let json: serde_json::Value = serde_json::from_str(&text).expect("it prints JSON");
    assert_eq!(
        (&json["thresholds"][0]["passed"], &json["thresholds"][1]["passed"]),
        (&true.into(), &false.into())
    );
    assert_eq!(json["thresholds"][1]["threshold"], "rate>=100m");
    let (_, text) = judged("junit", &missed);
    assert!(
        text.starts_with("<?xml") && text.contains("name=\"threshold rate&gt;=100m\"><failure"),
        "{text}"
    );
    let (_, text) = judged("markdown", &missed);
    assert!(text.contains("| `rate>=100m` | ❌ failed |") && text.contains("✅ passed"), "{text}");
    assert_eq!(bench(&["run", &null.url, "--threshold", "p99=5"]).status.code(), Some(2));
    assert_eq!(bench(&["run", &null.url, "--abort-on-fail"]).status.code(), Some(2));
}

#[test]
fn a_missed_threshold_ends_the_run_early_where_it_is_to() {
    let null = Null::start(&[]);
    let begun = std::time::Instant::now();
    let output = bench(&[
        "run",
        &null.url,
        "-c",
        "4",
        "-d",
        "600s",
        "--warmup",
        "0",
        "--repeats",
        "5",
        "--threshold",
        "p50<1ns",
        "--abort-on-fail",
    ]);
    // Of six hundred seconds, five times.
    assert!(begun.elapsed() < Duration::from_secs(120), "{:?}", begun.elapsed());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    expect_status(&output, 99);
    assert!(text.contains("ABORTED     p50<1ns after "), "{text}");
    assert_eq!(text.matches("ABORTED").count(), 1, "{text}");
}
