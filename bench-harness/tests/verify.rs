//! `covet-bench verify` on real servers, and what it says when something is wrong.

mod folder;
mod judging;
mod nobody;
mod schema;
mod server;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use folder::Folder;
use judging::{
    BROKEN, MORTAL, OK, cores, expect_exit, fails_in_one_line, free_port, is_debug, json, program, run,
    service, undisturbed,
};
use nobody::nobody;
use server::Server;

fn claim_file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../claims").join(name);
    path.to_str().expect("UTF-8").to_owned()
}

/// A claim file with a line changed.
fn changed(folder: &Folder, name: &str, from: &str, to: &str) -> String {
    let text = fs::read_to_string(claim_file(name)).expect("the claim is there");
    let other = text.replacen(from, to, 1);
    assert_ne!(text, other, "the case replaces something: {from}");
    let path = folder.0.join("claim.toml");
    fs::write(&path, other).expect("the file is written");
    path.to_str().expect("UTF-8").to_owned()
}

/// One measurement at a time: side by side they are each other's noise.
static ALONE: Mutex<()> = Mutex::new(());

/// `verify` of a claim with short runs and JSON on standard output, once the machine let it be.
#[track_caller]
fn verify(claim: &str, folder: &Folder, more: &[&str]) -> Output {
    let base = ["verify", claim, "--short", "--out", folder.as_str(), "--output-format", "json"];
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    undisturbed(|| run(&[&base, more].concat()))
}

/// Whether a verdict is the expected one; see [`expect_exit`].
#[track_caller]
fn expect(output: &Output, status: i32, verdict: &str) {
    let report = json(output);
    schema::check("report-1", &report);
    let quantity = report["claim"]["quantity"].as_str().expect("a quantity");
    expect_exit(output, status, matches!(quantity, "rate" | "latency"));
    let found = report["overall"]["verdict"].as_str().expect("a verdict");
    let expected = if output.status.code() == Some(97) { "invalid" } else { verdict };
    assert_eq!(found, expected, "{}", report["overall"]["reason"]);
    for layer in report["layers"].as_array().expect("layers") {
        let judgement = &layer["judgement"];
        let invalid = judgement["verdict"] == "invalid";
        assert_eq!(invalid, layer["checks"].to_string().contains("\"failed\""), "{layer}");
        assert!(
            !invalid || judgement["probability"].is_null(),
            "what is invalid has no probability: {layer}"
        );
    }
}

#[test]
fn the_memory_of_the_reference_service_keeps_what_the_audit_wants() {
    let folder = Folder::new("verify");
    let claim = changed(&folder, "memory-200mb.toml", "connections = 10000", "connections = 500");
    let output = verify(&claim, &folder, &[]);
    let report = json(&output);
    expect(&output, 0, "confirmed");
    let layer = &report["layers"][0];
    let held = layer["figure"]["estimate"].as_f64().expect("bytes");
    assert!((2e6..190e6).contains(&held), "{held}");
    assert_eq!(layer["runs"].as_array().map(Vec::len), Some(3));
    assert!(report["overall"]["probability"].as_f64().expect("a probability") > 0.99, "{report}");
    assert_eq!(report["layers"][0]["judgement"]["probability"], report["overall"]["probability"]);
    let page = fs::read_dir(&folder.0).expect("the folder").flatten().find(|entry| entry.path().is_dir());
    let page = fs::read_to_string(page.expect("a report").path().join("report.html")).expect("a page");
    assert!(page.contains("at most 200 MB") && page.contains("CONFIRMED"), "{page}");
}

#[test]
fn memory_beyond_the_claim_is_refuted() {
    let folder = Folder::new("verify");
    let text = fs::read_to_string(claim_file("memory-200mb.toml")).expect("the claim is there");
    let text = text.replace("connections = 10000", "connections = 50").replace("value = 200", "value = 1");
    let claim = folder.0.join("tiny.toml");
    fs::write(&claim, text).expect("the file is written");
    let output = verify(claim.to_str().expect("UTF-8"), &folder, &[]);
    expect(&output, 99, "refuted");
}

#[test]
fn memory_beyond_the_limit_on_files_names_limit_and_remedy() {
    let folder = Folder::new("verify");
    let claim = claim_file("memory-500mb.toml");
    let line = format!(
        "ulimit -n 512; exec {} verify {claim} --short --out {} --output-format json",
        program(),
        folder.as_str()
    );
    let output = Command::new("sh").args(["-c", &line]).output().expect("a shell");
    expect(&output, 95, "not-reproducible-here");
    let reason = json(&output)["overall"]["reason"].as_str().expect("words").to_owned();
    for word in ["RLIMIT_NOFILE", "512", "ulimit -n 10064", "LimitNOFILE"] {
        assert!(reason.contains(word), "{reason} lacks {word}");
    }
}

#[test]
fn errors_are_counted_and_judged() {
    if cores() < 2 {
        return;
    }
    let folder = Folder::new("verify");
    let claim = claim_file("errors-1pct.toml");
    let good = service(|_| Some(OK.to_owned()));
    let output = verify(&claim, &folder, &["--url", &format!("http://{good}/"), "-d", "400ms"]);
    expect(&output, 0, "confirmed");
    let bad = service(|number| Some(if number % 10 == 0 { BROKEN } else { OK }.to_owned()));
    let output = verify(&claim, &folder, &["--url", &format!("http://{bad}/"), "-d", "400ms"]);
    expect(&output, 99, "refuted");
    let share = json(&output)["layers"][0]["figure"]["estimate"].as_f64().expect("a share");
    assert!((0.08..0.12).contains(&share), "{share}");
}

#[test]
fn latency_is_judged_at_each_quantile_that_it_may_mean() {
    if cores() < 2 {
        return;
    }
    let folder = Folder::new("verify");
    // One answer in twenty takes 60 ms: the median keeps the claim, and the 99th percentile does not.
    let uneven = service(|number| {
        thread::sleep(Duration::from_millis(if number % 20 == 0 { 60 } else { 1 }));
        Some(OK.to_owned())
    });
    let claim = changed(&folder, "latency-10ms.toml", "[stated]", "[measure]\nrate = 400\n[stated]");
    let output = verify(&claim, &folder, &["--url", &format!("http://{uneven}/"), "-d", "3s"]);
    let report = json(&output);
    let layers = report["layers"].as_array().expect("layers");
    assert_eq!(layers.len(), 2);
    let value = |layer: usize| layers[layer]["figure"]["estimate"].as_f64().expect("seconds");
    assert!(value(0) < 0.030 && value(1) > 0.050, "p50 {} p99 {}", value(0), value(1));
    expect(&output, 96, "mis-specified");
    if !is_debug() {
        let judgement = |layer: usize| &layers[layer]["judgement"];
        assert_eq!(
            (&judgement(0)["verdict"], &judgement(1)["verdict"]),
            (&"confirmed".into(), &"refuted".into())
        );
        let probability = |layer: usize| judgement(layer)["probability"].as_f64().expect("a probability");
        assert!(probability(0) > 0.975 && probability(1) < 0.025, "{} {}", probability(0), probability(1));
    }
}

#[test]
fn a_rate_is_judged_on_a_server_that_runs_and_on_one_that_is_started() {
    if cores() < 2 {
        return;
    }
    let folder = Folder::new("verify");
    let claim = changed(&folder, "rate-50k.toml", "value = 50000", "value = 10");
    let server = Server::start();
    let url = format!("http://{}/json", server.address);
    let output = verify(&claim, &folder, &["--url", &url, "--repeats", "2"]);
    expect(&output, 0, "confirmed");
    let report = json(&output);
    let layer = &report["layers"][0];
    // Found by its listening socket, its CPU time is known.
    assert!(layer["runs"][0]["server_cpu_us"].as_f64().is_some_and(|cpu| cpu > 0.0), "{layer}");
    assert!(
        layer["subject"].as_str().is_some_and(|text| text.contains(&format!("process {}", server.pid())))
    );
    assert!(layer["feasibility"]["traffic"]["response_bytes"].as_f64().is_some_and(|bytes| bytes > 50.0));
    let command = format!("{} serve --listen 127.0.0.1:{{port}}", program());
    let output = verify(&claim, &folder, &["--server-cmd", &command, "--repeats", "2"]);
    expect(&output, 0, "confirmed");
}

#[test]
fn a_server_is_judged_over_tls() {
    if cores() < 2 {
        return;
    }
    let folder = Folder::new("verify");
    let claim = claim_file("errors-1pct.toml");
    let port = free_port();
    let url = format!("https://127.0.0.1:{port}/plaintext");
    let command = format!("{} serve --listen 127.0.0.1:{{port}} --cores 0 --tls-self-signed", program());
    let output = verify(&claim, &folder, &["--url", &url, "--server-cmd", &command, "--insecure"]);
    expect(&output, 0, "confirmed");
    let conditions = json(&output)["layers"][0]["conditions"].to_string();
    assert!(conditions.contains("HTTP/1.1 over TLS"), "{conditions}");
    // Without --insecure its certificate convinces nobody, and no answer is no measurement.
    let output = verify(&claim, &folder, &["--url", &url, "--server-cmd", &command]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("certificate"), "{stderr}");
}

#[test]
fn cores_that_a_claim_states_and_the_server_lacks_are_noted() {
    if cores() < 2 {
        return;
    }
    let folder = Folder::new("verify");
    let claim = changed(&folder, "rate-50k.toml", "[stated]", "[stated]\ncores = 4096\nprotocol = \"HTTPS\"");
    let output = verify(&claim, &folder, &["--repeats", "2"]);
    let notes = json(&output)["notes"].to_string();
    assert!(notes.contains("The claim is of 4096 core(s) of the server"), "{notes}");
    assert!(notes.contains("The claim is of HTTPS"), "{notes}");
    assert_ne!(output.status.code(), Some(0), "what was not measured as claimed confirms nothing");
}

#[test]
fn a_claim_that_was_taken_in_another_layer_is_mis_specified_whatever_is_measured() {
    let folder = Folder::new("verify");
    let slow = service(|_| {
        thread::sleep(Duration::from_millis(20));
        Some(OK.to_owned())
    });
    let claim = claim_file("covetpy.toml");
    let base = ["verify", &claim, "--short", "--out", folder.as_str(), "--output-format", "json"];
    let output = run(&[&base[..], &["--url", &format!("http://{slow}/"), "--repeats", "2"]].concat());
    // No guard and no build changes that: the file alone decides it.
    assert_eq!(output.status.code(), Some(96), "{output:?}");
    let report = json(&output);
    assert_eq!(report["overall"]["verdict"], "mis-specified");
    let reason = report["overall"]["reason"].as_str().expect("words");
    assert!(reason.starts_with("The figure counts route match in process but is read as HTTP"), "{reason}");
}

/// A server that has a core and uses it up: 2 ms of work for each answer, one after another.
const BUSY: &str = r#"
import socket, sys, time, selectors
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=512)
waiting = selectors.DefaultSelector()
waiting.register(listener, selectors.EVENT_READ)
while True:
    for key, _ in waiting.select():
        if key.fileobj is listener:
            waiting.register(listener.accept()[0], selectors.EVENT_READ)
            continue
        try: data = key.fileobj.recv(65536)
        except OSError: data = b""
        if not data:
            waiting.unregister(key.fileobj); key.fileobj.close()
            continue
        for _ in range(data.count(b"\r\n\r\n")):
            end = time.thread_time() + 0.002
            while time.thread_time() < end: pass
            key.fileobj.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
"#;

#[test]
fn a_rate_is_refuted_where_the_server_has_used_up_its_core() {
    if cores() < 2 {
        return;
    }
    let folder = Folder::new("verify");
    let script = folder.0.join("busy.py");
    fs::write(&script, BUSY).expect("the script is written");
    // A rate that a server which does nothing would reach on any machine, and 2 ms of work would not.
    let claim = changed(&folder, "rate-50k.toml", "value = 50000", "value = 5000");
    let command = format!("python3 {} {{port}}", script.display());
    let output = verify(&claim, &folder, &["--server-cmd", &command, "-d", "1s"]);
    expect(&output, 99, "refuted");
    let layer = &json(&output)["layers"][0];
    let rate = layer["rate"]["estimate"].as_f64().expect("a rate");
    assert!((50.0..505.0).contains(&rate), "{rate}");
    if !is_debug() {
        assert_eq!(layer["limit"], "subject", "{layer}");
        assert!(layer["judgement"]["probability"].as_f64().expect("a probability") < 0.001, "{layer}");
    }
}

#[test]
fn a_server_that_is_slow_by_itself_is_not_refuted_without_proof() {
    if cores() < 2 {
        return;
    }
    let folder = Folder::new("verify");
    let sleepy = service(|_| {
        thread::sleep(Duration::from_millis(20));
        Some(OK.to_owned())
    });
    let output = verify(&claim_file("rate-50k.toml"), &folder, &["--url", &format!("http://{sleepy}/")]);
    // It has CPU to spare, and nothing here can tell whether more connections would make it faster.
    expect(&output, 98, "inconclusive");
}

#[test]
fn what_makes_no_sense_is_one_line() {
    let folder = Folder::new("verify");
    let claim = claim_file("rate-50k.toml");
    let gone = format!("http://{}/", nobody());
    let out = ["--out", folder.as_str()];
    let case = |more: &[&str]| run(&[&["verify", &claim][..], more, &out].concat());
    fails_in_one_line(&case(&["--repeats", "0"]), 2, &["--repeats", "2..=1000"]);
    fails_in_one_line(&case(&["--tolerance", "200%"]), 2, &["not a share"]);
    fails_in_one_line(&case(&["-d", "0"]), 2, &["measures nothing"]);
    fails_in_one_line(&case(&["--url", "ftp://x/"]), 2, &["--url cannot be loaded", "ftp"]);
    if cores() > 1 {
        fails_in_one_line(&case(&["--url", &gone]), 1, &["cannot connect to", "start the server"]);
        let ends = ["--server-cmd", "sh -c 'exit 3' {port}"];
        fails_in_one_line(&case(&ends), 1, &["ended with exit status: 3"]);
    }
    fails_in_one_line(&case(&["--pid", "1"]), 2, &["--url"]);
    fails_in_one_line(&case(&["--server-cmd", "true"]), 2, &["{port}"]);
    fails_in_one_line(&case(&["--cpus", "9999"]), 2, &["9999", "--cpus"]);
    fails_in_one_line(&run(&["verify", "/nowhere.toml"]), 2, &["/nowhere.toml", "cannot be read"]);
    let odd = changed(&folder, "rate-50k.toml", "[stated]", "[stated]\nprotocol = \"WebSocket\"");
    fails_in_one_line(&run(&["verify", &odd]), 2, &["`WebSocket` cannot be measured", "HTTP/1.1"]);
    fails_in_one_line(&run(&["soak"]), 2, &["--hours"]);
    fails_in_one_line(&run(&["soak", "--hours", "0"]), 2, &["above zero"]);
    fails_in_one_line(&run(&["memory", "--url", &gone, "-c", "5"]), 1, &["cannot connect to"]);
    fails_in_one_line(&run(&["memory", "-c", "0"]), 2, &["above zero"]);
}

/// A server that exits after so many answers, and its URL.
fn mortal(folder: &Folder, answers: u32) -> (std::process::Child, String) {
    let script = folder.0.join("mortal.py");
    fs::write(&script, MORTAL).expect("the script is written");
    let mut child = Command::new("python3")
        .arg(&script)
        .args(["0", &answers.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is there");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("it says where it listens");
    (child, format!("http://127.0.0.1:{}/", line.trim()))
}

#[test]
fn a_server_that_vanishes_is_said_to_have_gone() {
    if cores() < 2 {
        return;
    }
    let folder = Folder::new("verify");
    let (mut server, url) = mortal(&folder, 300);
    let claim = claim_file("rate-50k.toml");
    let output =
        run(&["verify", &claim, "--url", &url, "--repeats", "8", "-d", "1s", "--out", folder.as_str()]);
    let status = server.wait().expect("it has ended");
    assert_eq!(status.code(), Some(3), "it was loaded");
    fails_in_one_line(&output, 1, &["while it was measured"]);
}

#[test]
fn text_names_the_claim_and_the_probability() {
    let folder = Folder::new("verify");
    let claim = changed(&folder, "memory-500mb.toml", "connections = 10000", "connections = 64");
    let output = run(&["verify", &claim, "--repeats", "2", "--out", folder.as_str(), "--tolerance", "10%"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for words in
        ["at most 500 MB, tolerance 10.0 %", "a target, taken nowhere", "holds here with", "a connection"]
    {
        assert!(text.contains(words), "{text} lacks {words}");
    }
}
