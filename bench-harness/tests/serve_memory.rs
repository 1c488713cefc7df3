//! What many connections take, and that it is given back.

mod server;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use server::{Server, covet_bench};

const CONNECTIONS: usize = 10_000;
/// Descriptors that either process has beside its connections; a server keeps a tenth of its limit for other things.
const BESIDE: u64 = 2_000;

/// Raises the limit on open files, of this process and of those that it starts, and returns how many connections are
/// within it: fewer than asked for where the hard limit is below them and may not be raised.
fn connections_within_the_limit() -> usize {
    let needed = CONNECTIONS as u64 + BESIDE;
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.map(|hard| hard.max(needed));
    if setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard }).is_err() {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let within = CONNECTIONS.min(files as usize * 4 / 5);
    assert!(
        within >= 500,
        "a limit of {files} open files leaves too few connections to tell: raise `ulimit -n`"
    );
    within
}

/// Opens connections, and makes a request on each.
fn open(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut streams: Vec<TcpStream> = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = TcpStream::connect(address).expect("the server accepts");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("an option");
        stream
            .write_all(b"GET /headers HTTP/1.1\r\nHost: localhost\r\nUser-Agent: many\r\n\r\n")
            .expect("it reads");
        streams.push(stream);
        if streams.len().is_multiple_of(100) {
            streams.iter_mut().rev().take(100).for_each(read_answer);
        }
    }
    streams
}

fn read_answer(stream: &mut TcpStream) {
    let mut buffer = [0; 1024];
    let count = stream.read(&mut buffer).expect("an answer");
    assert!(buffer[..count].starts_with(b"HTTP/1.1 200 "), "{}", buffer[..count].escape_ascii());
}

#[test]
fn memory_of_ten_thousand_connections_goes_back_when_they_close() {
    let connections = connections_within_the_limit();
    let told = std::env::temp_dir().join(format!("covet-memory-{}", std::process::id()));
    let mut command = covet_bench(&["serve", "--listen", "127.0.0.1:0", "--cores", "0"]);
    command.stderr(std::fs::File::create(&told).expect("a file for the test"));
    let server = Server::started(command);
    // What a server has once it has served: its code is loaded, its pools are filled.
    drop(open(server.address, 100));
    std::thread::sleep(Duration::from_millis(1500));
    let before = server.resident();
    let streams = open(server.address, connections);
    let most = server.resident();
    drop(streams);
    // Held up, it looks the names of its functions up to tell of that, and keeps what it has read of them.
    let names = || {
        let said = std::fs::read_to_string(&told).unwrap_or_default();
        if said.contains(" has been held for ") { 24 << 20 } else { 0 }
    };
    let bound = || before + before / 5 + names();
    let end = Instant::now() + Duration::from_secs(180);
    let mut after = server.resident();
    while after > bound() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(100));
        after = server.resident();
    }
    println!("resident: {before} before, {most} with {connections} connections, {after} after");
    assert!(after <= bound(), "{before} before, {most} with {connections} connections, {after} after");
    let _ = std::fs::remove_file(&told);
    let mut again = open(server.address, 1);
    assert_eq!(again.len(), 1);
    drop(again.pop());
}

#[test]
fn a_server_that_ran_out_of_descriptors_goes_on_when_some_are_free_again() {
    // Room for some 40 connections, and no limit of the server's own before that.
    let mut command = std::process::Command::new("sh");
    command.arg("-c").arg("ulimit -n 64; exec \"$0\" \"$@\"").arg(env!("CARGO_BIN_EXE_covet-bench"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--cores", "0", "--max-per-core", "1000"]);
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    let server = Server::started(command);
    let mut streams: Vec<TcpStream> =
        (0..100).map(|_| TcpStream::connect(server.address).expect("the backlog has room")).collect();
    for stream in &mut streams {
        stream.write_all(b"GET /user/1 HTTP/1.1\r\nHost: h\r\n\r\n").expect("it is connected");
    }
    let mut served = Vec::new();
    let mut waiting = Vec::new();
    for mut stream in streams {
        let patience = if waiting.is_empty() { 2000 } else { 50 };
        stream.set_read_timeout(Some(Duration::from_millis(patience))).expect("an option");
        match stream.read(&mut [0; 512]) {
            Ok(count) if count > 0 => served.push(stream),
            _ => waiting.push(stream),
        }
    }
    assert!(served.len() >= 20 && !waiting.is_empty(), "{} were served at once", served.len());
    drop(served);
    while !waiting.is_empty() {
        // Those that are served make room for the others.
        let mut stream = waiting.remove(0);
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("an option");
        let count = stream.read(&mut [0; 512]).expect("it is served when there is room");
        assert!(count > 0);
    }
}

#[test]
fn nine_tenths_of_the_open_files_are_for_connections() {
    let mut command = std::process::Command::new("sh");
    command.arg("-c").arg("ulimit -n 400; exec \"$0\" \"$@\"").arg(env!("CARGO_BIN_EXE_covet-bench"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--cores", "0"]);
    command.stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut server = Server::started(command);
    let mut served = open(server.address, 360);
    let mut next = TcpStream::connect(server.address).expect("the backlog has room");
    next.write_all(b"GET /user/1 HTTP/1.1\r\nHost: h\r\n\r\n").expect("it is connected");
    next.set_read_timeout(Some(Duration::from_millis(500))).expect("an option");
    assert!(next.read(&mut [0; 512]).is_err(), "it waits in the backlog");
    drop(served.pop());
    next.set_read_timeout(Some(Duration::from_secs(30))).expect("an option");
    read_answer(&mut next);
    drop((served, next));
    server.terminate();
    assert!(server.wait().success());
    // That it waited at its limit is all that it tells of accepting.
    let told = server.errors();
    let mut counts = told.lines().filter(|line| line.contains(" accept_"));
    assert!(counts.all(|line| line.contains(" accept_paused ")), "it has run out of nothing: {told}");
    assert!(!told.contains("out of descriptors"), "{told}");
}
