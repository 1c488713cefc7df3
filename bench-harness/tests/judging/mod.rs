//! What the tests of verdicts, memory and soaks share: the program, and servers of threads with any manners.

#![allow(dead_code, reason = "each test program uses a part of this")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use serde_json::Value;

/// A folder that is removed when the test ends.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new() -> Scratch {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("covet-verify-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder for the test");
        Scratch(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().expect("the path is UTF-8")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_covet-bench"));
    command.args(arguments).env("COLUMNS", "110").stdin(Stdio::null()).output().expect("the binary runs")
}

pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[track_caller]
pub(crate) fn fails_in_one_line(output: &Output, status: i32, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}{}", String::from_utf8_lossy(&output.stdout));
    assert!(stderr.starts_with("covet-bench: ") || stderr.starts_with("error: "), "{stderr}");
    assert!(stderr.starts_with("error: ") || stderr.trim_end().lines().count() == 1, "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{stderr:?} lacks {word:?}");
    }
}

pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// An address where nobody listens.
pub(crate) fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("some port is free")
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

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
pub(crate) const BROKEN: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nno";
