//! What the tests of verdicts, memory and soaks share: the program, and servers of threads with any manners.

#![allow(dead_code, reason = "each test program uses a part of this")]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use serde_json::Value;

/// The program that is tested: `COVET_BENCH` where `scripts/test` gives a release build, whose verdicts on speed count,
/// and else the one that cargo built with the tests.
pub(crate) fn program() -> String {
    std::env::var("COVET_BENCH").unwrap_or_else(|_| env!("CARGO_BIN_EXE_covet-bench").to_owned())
}

/// Whether the program is a debug build, all of whose figures of speed are INVALID.
pub(crate) fn is_debug() -> bool {
    cfg!(debug_assertions) && std::env::var_os("COVET_BENCH").is_none()
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.args(arguments).env("COLUMNS", "110").stdin(Stdio::null()).output().expect("the binary runs")
}

/// Checks that what else runs on the machine makes fail. Each other one that fails speaks of the load or the program.
const OF_THE_MACHINE: [&str; 7] =
    ["quiet machine", "interference", "pauses", "punctuality", "throttling", "canary", "closure"];

/// Checks that may fail of a debug build: which of its parts is the slowest is an accident.
const OF_THE_BUILD: [&str; 3] = ["build", "ceiling", "doubling"];

/// The checks that failed in a report, by name: those of all its layers, or its own.
pub(crate) fn failed_checks(report: &Value) -> Vec<String> {
    checks(report, |_, outcome| outcome == "failed")
}

/// The checks of a report whose name and outcome are as wished, by name.
fn checks(report: &Value, wished: impl Fn(&str, &Value) -> bool) -> Vec<String> {
    let lists = report["layers"].as_array().into_iter().flatten().chain([report]);
    let checks = lists.filter_map(|list| list["checks"].as_array()).flatten();
    let named = checks.filter_map(|check| Some((check["name"].as_str()?, &check["outcome"])));
    named.filter(|(name, outcome)| wished(name, outcome)).map(|(name, _)| name.to_owned()).collect()
}

/// What the machine did to a measurement, by the name of the check that tells of it. A verdict may also turn where others
/// only colour it: a server that lacks a twentieth of its core has not used it up.
fn disturbance(output: &Output) -> Vec<String> {
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    checks(&report, |name, outcome| match name {
        "quiet machine" => outcome != "passed",
        _ => outcome == "failed" && OF_THE_MACHINE.contains(&name),
    })
}

/// What `measure` puts out, once no check tells of what the machine did meanwhile: a release build is given six tries.
/// Of a debug build, which is tested beside others and proves nothing of speed, the first is taken.
#[track_caller]
pub(crate) fn undisturbed(measure: impl Fn() -> Output) -> Output {
    let mut disturbed = Vec::new();
    while disturbed.len() < 6 {
        let output = measure();
        let disturbance = disturbance(&output);
        if is_debug() || disturbance.is_empty() {
            return output;
        }
        disturbed.push(disturbance);
    }
    panic!("this machine is too busy for a verdict, in six tries: {disturbed:?}")
}

/// Whether a result is the expected one. One of speed is INVALID of a debug build, for that reason; and another reason of
/// the machine's is let pass of a debug build only.
#[track_caller]
pub(crate) fn expect_exit(output: &Output, status: i32, of_speed: bool) {
    let code = output.status.code();
    let told = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    let failed = if code == Some(97) { failed_checks(&json(output)) } else { Vec::new() };
    let for_build = failed.iter().any(|name| name == "build");
    assert_eq!(for_build, is_debug() && of_speed, "{code:?} {failed:?}: {told}");
    match code {
        Some(97) => {
            // A generator that stood still may find that answers took longer than it waits for them.
            let stood_still = failed.iter().any(|name| name == "pauses");
            let known = |name: &String| {
                OF_THE_MACHINE.contains(&name.as_str())
                    || OF_THE_BUILD.contains(&name.as_str())
                    || (stood_still && name == "errors")
            };
            assert!(is_debug() && !failed.is_empty() && failed.iter().all(known), "{failed:?}: {told}");
        }
        _ => assert_eq!(code, Some(status), "{told}"),
    }
}

pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[track_caller]
pub(crate) fn fails_in_one_line(output: &Output, status: i32, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}{}", String::from_utf8_lossy(&output.stdout));
    let lines: Vec<&str> = stderr.trim_end().lines().filter(|line| !line.is_empty()).collect();
    match lines[..] {
        [line] => assert!(line.starts_with("covet-bench: ") || line.starts_with("error: "), "{stderr}"),
        // What clap says of an argument: the line, perhaps what is possible or how to use it, and where to read more.
        [line, .., more] => {
            assert!(line.starts_with("error: ") && more.ends_with("try '--help'."), "{stderr}");
            assert!(lines.len() <= 4, "{stderr}");
        }
        [] => panic!("nothing is said"),
    }
    for word in words {
        assert!(stderr.contains(word), "{stderr:?} lacks {word:?}");
    }
}

pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// A port that nobody listened on a moment ago, for a program that is told where to listen.
pub(crate) fn free_port() -> u16 {
    let probe = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    probe.local_addr().expect("it is bound").port()
}

/// A server of threads that answers what `answer` makes of the number of the request, or hangs up for nothing.
pub(crate) fn service(answer: impl Fn(u64) -> Option<String> + Send + Sync + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let address = listener.local_addr().expect("it is bound");
    let number = std::sync::Arc::new(AtomicU64::new(0));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(stream), answer, number) = (stream, answer.clone(), number.clone()) else { continue };
            thread::spawn(move || converse(stream, &answer, &number));
        }
    });
    address
}

fn converse(mut stream: TcpStream, answer: &dyn Fn(u64) -> Option<String>, number: &AtomicU64) {
    let mut lines = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut line = String::new();
    loop {
        line.clear();
        match lines.read_line(&mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) if line != "\r\n" => continue,
            Ok(_) => {}
        }
        let Some(text) = answer(number.fetch_add(1, Ordering::Relaxed)) else { return };
        if stream.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

/// A process that answers so many requests and then exits with status 3, at the port that is its first argument, or a
/// free one that it prints.
pub(crate) const MORTAL: &str = r#"
import os, socket, sys, threading
left = [int(sys.argv[2])]
def serve(connection):
    data = b""
    while True:
        piece = connection.recv(65536)
        if not piece: return
        data += piece
        while b"\r\n\r\n" in data:
            data = data.split(b"\r\n\r\n", 1)[1]
            left[0] -= 1
            if left[0] < 0: os._exit(3)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128)
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"#;

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
pub(crate) const BROKEN: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nno";
