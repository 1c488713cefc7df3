//! `covet-bench memory` and `soak` on real servers.

mod folder;
mod judging;
mod observed;
mod schema;
mod server;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use folder::Folder;
use judging::{
    expect_exit, failed_checks, fails_in_one_line, is_debug, json, program, run, service, undisturbed,
};
use observed::await_load;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use server::Server;

#[test]
fn memory_is_read_of_any_process() {
    let server = Server::start();
    let (url, pid) = (format!("http://{}/plaintext", server.address), server.pid().to_string());
    let output = run(&[
        "memory",
        "--url",
        &url,
        "--pid",
        &pid,
        "-c",
        "300",
        "--repeats",
        "2",
        "--output-format",
        "json",
    ]);
    let result = json(&output);
    assert_eq!(output.status.code(), Some(0), "{result}");
    schema::check("memory-1", &result);
    let last = &result["runs"][1];
    assert_eq!(last["connections"], 300);
    let held = last["with_connections"].as_u64().expect("bytes");
    // Read at the same time as the kernel's own figure for the process, give or take what a turn of it moves.
    let now = server.resident();
    assert!(held.abs_diff(now) < now / 2, "{held} and {now}");
    let output = run(&["memory", "--url", &url, "--pid", "4194304", "-c", "5"]);
    fails_in_one_line(&output, 1, &["there is no process 4194304"]);
    let closing =
        service(|_| Some("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_owned()));
    let output = run(&["memory", "--url", &format!("http://{closing}/"), "-c", "5"]);
    fails_in_one_line(&output, 1, &["closes its connections"]);
}

#[test]
fn memory_of_connections_that_the_server_has_closed_is_no_figure() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut piece = [0; 1024];
                let _ = stream.read(&mut piece).and_then(|_| stream.write_all(judging::OK.as_bytes()));
                thread::sleep(Duration::from_millis(50));
            });
        }
    });
    let output = run(&["memory", "--url", &format!("http://{address}/"), "-c", "5"]);
    fails_in_one_line(&output, 1, &["5 of 5 connections were closed by the server", "time limit for idle"]);
}

/// A child that answers and, with an argument, keeps memory and descriptors for every request.
const PYTHON: &str = r#"
import os, socket, sys, threading
leak = int(sys.argv[2])
kept = []
def serve(connection):
    data = b""
    while True:
        piece = connection.recv(65536)
        if not piece: return
        data += piece
        while b"\r\n\r\n" in data:
            data = data.split(b"\r\n\r\n", 1)[1]
            if leak:
                kept.append(bytearray(b"x" * leak))
                if len(kept) % 200 == 0: kept.append(os.dup(1))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128)
while True:
    connection, _ = listener.accept()
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
"#;

fn soak(folder: &Folder, leak: u32) -> (Output, Value) {
    let output = undisturbed(|| soak_once(folder, leak));
    let result = json(&output);
    (output, result)
}

fn soak_once(folder: &Folder, leak: u32) -> Output {
    let script = folder.0.join("server.py");
    fs::write(&script, PYTHON).expect("the script is written");
    let command = format!("python3 {} {{port}} {leak}", script.display());
    let page = folder.0.join("soak.html");
    let output = run(&[
        "soak",
        "--server-cmd",
        &command,
        "-d",
        "4s",
        "-R",
        "500",
        "-c",
        "4",
        "--warmup",
        "1s",
        // A fifth and a quarter of what leaks; what a busy machine makes of a few pages and of a connection that is
        // opened anew in four seconds is less.
        "--limit",
        "1500MB",
        "--descriptor-limit",
        "2250",
        "--html",
        page.to_str().expect("UTF-8"),
        "--output-format",
        "json",
    ]);
    let result = json(&output);
    let page = fs::read_to_string(page).expect("the page is written");
    let word = match (output.status.code(), leak) {
        (Some(97), _) => ">INVALID<",
        (_, 0) => ">NO LEAK<",
        _ => ">LEAK<",
    };
    for part in [
        word,
        "Server's memory over time",
        "Server's descriptors over time",
        "Latency by percentile",
        "Guards",
    ] {
        assert!(page.contains(part), "{part}, of {:?}: {result}", output.status);
    }
    assert!(page.len() < 300_000 && !page.contains("<script") && !page.contains("NaN"), "{}", page.len());
    schema::check("soak-1", &result);
    schema::check("run-1", &result["run"]);
    output
}

#[test]
fn a_leak_is_found_and_its_absence_too() {
    let folder = Folder::new("soak");
    // 500 requests a second that keep 4,096 bytes each are 7.4 GB an hour.
    let (output, result) = soak(&folder, 4096);
    expect_exit(&output, 99, false);
    assert_eq!(result["memory"]["finding"], "leak", "{}", result["memory"]);
    let slope = result["memory"]["per_hour"].as_f64().expect("bytes per hour");
    assert!((2e9..14e9).contains(&slope), "{slope}");
    assert_eq!(result["descriptors"]["finding"], "leak", "{}", result["descriptors"]);
    let (output, result) = soak(&folder, 0);
    expect_exit(&output, 0, false);
    assert_eq!(result["memory"]["finding"], "no-leak", "{}", result["memory"]);
    let invalid = output.status.code() == Some(97);
    assert_eq!(result["finding"], if invalid { Value::Null } else { "no-leak".into() });
}

#[test]
fn a_soak_whose_load_stood_still_is_invalid_and_finds_nothing() {
    let folder = Folder::new("soak");
    let page = folder.0.join("soak.html");
    let frozen = |format: &str| {
        let arguments =
            ["soak", "-d", "4s", "-R", "500", "-c", "4", "--limit", "400GB", "--output-format", format];
        let process = Command::new(program())
            .args(arguments)
            .args(["--html", page.to_str().expect("UTF-8")])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let pid = Pid::from_child(&process);
        await_load(process.id());
        // After the warm-up of a second.
        thread::sleep(Duration::from_millis(2500));
        kill_process(pid, Signal::STOP).expect("it runs");
        thread::sleep(Duration::from_secs(1));
        kill_process(pid, Signal::CONT).expect("it stands still");
        process.wait_with_output().expect("it ends")
    };
    let output = frozen("json");
    let result = json(&output);
    assert_eq!(output.status.code(), Some(97), "{result}");
    schema::check("soak-1", &result);
    assert_eq!((&result["valid"], &result["finding"]), (&Value::Bool(false), &Value::Null));
    assert!(failed_checks(&result).contains(&"pauses".to_owned()), "{result}");
    let written = fs::read_to_string(&page).expect("the page is written");
    for part in [">INVALID<", "not judged", "longest pause"] {
        assert!(written.contains(part), "{part}");
    }
    assert!(!written.to_lowercase().contains("no leak<"), "nothing was found");
    let output = frozen("text");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(97), "{text}");
    assert!(text.starts_with("INVALID  ") && text.contains("memory      not judged"), "{text}");
    assert!(text.contains("FAILED      pauses: ") && !text.contains("NO LEAK"), "{text}");
}

#[test]
fn a_server_that_dies_ends_the_soak() {
    let folder = Folder::new("soak");
    let script = folder.0.join("mortal.py");
    fs::write(&script, judging::MORTAL).expect("the script is written");
    let command = format!("python3 {} {{port}} 600", script.display());
    let begun = Instant::now();
    let output = run(&["soak", "--server-cmd", &command, "-d", "10m", "-R", "300", "-c", "4"]);
    assert!(begun.elapsed() < Duration::from_secs(120), "ten minutes were asked for: {:?}", begun.elapsed());
    fails_in_one_line(&output, 1, &["the server ended with exit status: 3 while it was measured"]);
}

#[test]
fn a_soak_that_is_too_short_is_a_usage_error() {
    let output = run(&["soak", "-d", "300ms", "-c", "2", "--warmup", "100ms"]);
    fails_in_one_line(&output, 2, &["too few for a slope"]);
}

#[test]
fn the_cost_of_middleware_is_a_ratio_with_an_interval() {
    if judging::cores() < 2 {
        return;
    }
    let base = ["overhead", "middleware", "--layers", "200", "--pairs", "3", "-d", "300ms"];
    let as_json = [&base[..], &["--output-format", "json"]].concat();
    let output = undisturbed(|| run(&as_json));
    expect_exit(&output, 0, true);
    let result = json(&output);
    schema::check("overhead-1", &result);
    let ratio = result["ratio"]["estimate"].as_f64().expect("a number");
    // Two hundred middleware in a row are no small thing, in any build.
    assert!((1.2..100.0).contains(&ratio), "{result}");
    assert_eq!(result["with"]["server_cpu_us"].as_array().map(Vec::len), Some(3));
    assert_eq!(result["valid"], output.status.code() == Some(0));
    if is_debug() {
        assert!(failed_checks(&result).contains(&"build".to_owned()), "{result}");
    }
    // A limit that is exceeded, or that three pairs do not decide, is neither where a check failed.
    let output = undisturbed(|| run(&[&as_json[..], &["--limit", "5%"]].concat()));
    let ratio = &json(&output)["ratio"];
    let exceeded = ratio["lower"].as_f64().expect("a number") > 1.05;
    expect_exit(&output, if exceeded { 99 } else { 98 }, true);
    let output = run(&[&base[..], &["--limit", "5%"]].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("CPU per request") && text.contains("each "), "{text}");
    assert_eq!(text.starts_with("INVALID  200 middleware"), output.status.code() == Some(97), "{text}");
    assert_eq!(text.contains("not judged: a check failed"), output.status.code() == Some(97), "{text}");
    assert!(!is_debug() || text.contains("FAILED           build: "), "{text}");
}

#[test]
fn scenarios_that_the_server_side_does_not_have_are_said_to_be_missing() {
    for (part, word) in [("websocket", "WebSocket"), ("database", "database")] {
        let output = run(&["overhead", part]);
        fails_in_one_line(&output, 2, &[&format!("there is no {word} scenario yet")]);
    }
    fails_in_one_line(&run(&["overhead", "middleware", "--pairs", "0"]), 2, &["--pairs"]);
}

#[test]
fn the_cost_of_tls_is_measured_with_and_without_handshakes() {
    if judging::cores() < 2 {
        return;
    }
    let ratio = |more: &[&str]| {
        let base = ["overhead", "tls", "--pairs", "2", "-d", "400ms", "--output-format", "json"];
        let output = undisturbed(|| run(&[&base[..], more].concat()));
        expect_exit(&output, 0, true);
        let result = json(&output);
        assert_eq!(result["part"].as_str().map(|part| &part[..3]), Some("TLS"));
        result["ratio"]["estimate"].as_f64().expect("a number")
    };
    let (kept, anew) = (ratio(&[]), ratio(&["--requests-per-connection", "1", "--no-resume"]));
    // A whole handshake for each request costs more than its record.
    assert!(kept > 1.0 && anew > kept, "{kept} and {anew}");
}

#[test]
fn memory_is_not_read_over_tls() {
    let command = format!("{} serve --listen 127.0.0.1:{{port}} --tls-self-signed", program());
    let port = judging::free_port();
    let url = format!("https://127.0.0.1:{port}/plaintext");
    let output = run(&["memory", "--url", &url, "--server-cmd", &command, "-c", "5"]);
    fails_in_one_line(&output, 1, &["plain http", "https://127.0.0.1"]);
}
