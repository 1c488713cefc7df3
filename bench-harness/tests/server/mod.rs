//! A `covet-bench serve` process for a test, and a plain client that sees the bytes.

#![allow(dead_code, reason = "each test program uses a part of this")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than any limit of the server's, so that a hang is a failure and not a stuck test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running server, killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// `covet-bench` with the given arguments.
pub(crate) fn covet_bench(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_covet-bench"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Server {
    /// Starts the reference service on core 0 and a free port, and waits for its line.
    pub(crate) fn start() -> Self {
        let mut command = covet_bench(&["serve", "--listen", "127.0.0.1:0", "--cores", "0"]);
        command.stderr(Stdio::inherit());
        Self::started(command)
    }

    /// As [`Server::start`], with a command of one's own.
    pub(crate) fn started(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the program runs");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let address = line
            .split_once("://")
            .and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok())
            .unwrap_or_else(|| panic!("no address in {line:?}"));
        Self { child, address }
    }

    /// As [`Server::started`], for one that listens at a path and not at an address.
    pub(crate) fn started_at_path(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the program runs");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        assert!(line.contains("unix:/"), "no path in {line:?}");
        Self { child, address: SocketAddr::from(([0, 0, 0, 0], 0)) }
    }

    /// Opens a connection.
    pub(crate) fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_nodelay(true).expect("an option can be set");
        Client { stream, received: Vec::new() }
    }

    /// Its piped standard error, to be read while it runs.
    pub(crate) fn take_stderr(&mut self) -> ChildStderr {
        self.child.stderr.take().expect("a pipe")
    }

    /// What it has written to a piped standard error, once it has ended.
    pub(crate) fn errors(&mut self) -> String {
        let mut text = String::new();
        self.take_stderr().read_to_string(&mut text).expect("text");
        text
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Memory that is resident now, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(path).expect("the server runs");
        let line = text.lines().find(|line| line.starts_with("VmRSS:")).expect("a line of status");
        let kib: u64 = line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a number");
        kib * 1024
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        let pid = Pid::from_raw(self.child.id() as i32).expect("a process id");
        kill_process(pid, Signal::TERM).expect("the server is there");
    }

    /// Waits until it ends.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the server does not end");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection that shows what arrives, byte by byte.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    received: Vec<u8>,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of a field, if it is there.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Client {
    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the server reads");
    }

    /// Sends bytes to a server that may have refused and closed already.
    pub(crate) fn send_if_open(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Reads a head, up to and with the empty line; `None` when the connection ends before its first byte.
    pub(crate) fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.received.drain(..end + 4).collect();
                return Some(String::from_utf8(head).expect("a head is text"));
            }
            if self.fill() == 0 {
                assert!(self.received.is_empty(), "cut off: {:?}", String::from_utf8_lossy(&self.received));
                return None;
            }
        }
    }

    /// Reads one answer with a Content-Length or chunked body.
    pub(crate) fn answer(&mut self) -> Answer {
        self.try_answer(true).expect("an answer before the end of the connection")
    }

    /// Reads the answer to a HEAD request.
    pub(crate) fn answer_to_head(&mut self) -> Answer {
        self.try_answer(false).expect("an answer before the end of the connection")
    }

    /// Reads one answer; `None` when the connection ends before its first byte.
    pub(crate) fn try_answer(&mut self, with_body: bool) -> Option<Answer> {
        let head = self.head()?;
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
        let mut answer = Answer { status, head, body: Vec::new() };
        if !with_body || matches!(status, 100..=199 | 204 | 304) {
            return Some(answer);
        }
        if let Some(length) = answer.field("content-length") {
            let length = length.parse().expect("a length");
            answer.body = self.take(length);
        } else if answer.field("transfer-encoding") == Some("chunked") {
            answer.body = self.chunks();
        } else {
            while self.fill() > 0 {}
            answer.body = std::mem::take(&mut self.received);
        }
        Some(answer)
    }

    /// Asserts that the connection ends and nothing more arrives on it.
    pub(crate) fn expect_end(&mut self) {
        while self.fill() > 0 {}
        assert!(self.received.is_empty(), "{:?}", String::from_utf8_lossy(&self.received));
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        while self.received.len() < length {
            assert!(self.fill() > 0, "the body ends after {} of {length} bytes", self.received.len());
        }
        self.received.drain(..length).collect()
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(end) = self.received.windows(2).position(|two| two == b"\r\n") {
                    break end;
                }
                assert!(self.fill() > 0, "the connection ends within a chunk");
            };
            let line: Vec<u8> = self.received.drain(..end + 2).collect();
            let size = std::str::from_utf8(&line[..end]).expect("a chunk size is text");
            let size = usize::from_str_radix(size, 16).expect("a chunk size is hexadecimal");
            let data = self.take(size + 2);
            assert_eq!(&data[size..], b"\r\n");
            if size == 0 {
                return body;
            }
            body.extend_from_slice(&data[..size]);
        }
    }

    fn fill(&mut self) -> usize {
        let mut piece = [0; 16 * 1024];
        match self.stream.read(&mut piece) {
            Ok(count) => {
                self.received.extend_from_slice(&piece[..count]);
                count
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("nothing arrives: {error}"),
        }
    }
}
