//! Memory of a server with connections open, each of which has made a request.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::load::{self, TargetUrl};
use crate::read_some::read_some;
use crate::target::accounting::{self, Resident};

/// How long a connection and its answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections that are opened before the first of them is waited for: fewer than any server's backlog.
const BATCH: usize = 64;
/// How long the server's memory may take to come to rest, and what counts as rest.
const SETTLE: Duration = Duration::from_secs(3);
const REST: f64 = 0.002;
/// Descriptors that a process needs beside its connections.
const OTHER_DESCRIPTORS: u64 = 64;
/// An answer's head may be so long.
const LONGEST_HEAD: usize = 64 * 1024;

/// Resident memory of a server and its descendants, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Memory {
    /// Connections that were open, each with a request answered.
    pub connections: usize,
    /// Before the first of them, with one request answered.
    pub before: u64,
    /// With all of them open and idle.
    pub with_connections: u64,
    /// After they were closed.
    pub after: u64,
    /// Whether pages that the server's processes share are in these once; else they are upper bounds.
    pub shared_pages_once: bool,
}

/// What is to be said of memory in which shared pages count more than once.
pub const SHARED_OFTEN: &str = "pages that the server's processes share count once for each of them, since the kernel \
    does not tell their shares (/proc/PID/smaps_rollup): the memory is an upper bound";

impl Memory {
    /// What a connection costs: the growth over the connections.
    pub fn per_connection(&self) -> f64 {
        (self.with_connections as f64 - self.before as f64) / self.connections.max(1) as f64
    }
}

/// Whose limit it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// This process, which opens the connections.
    Ours,
    /// The server, which accepts them.
    Servers,
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Whose::Ours => "covet-bench",
            Whose::Servers => "the server",
        })
    }
}

/// Why memory could not be measured.
#[derive(Debug, Error)]
pub enum MemoryError {
    /// A limit on open files is in the way.
    #[error(
        "{connections} connections need {needed} open files of {whose}, whose limit (RLIMIT_NOFILE) is {limit}: run \
         `ulimit -n {needed}` in the shell that starts it, set LimitNOFILE={needed} in its unit, or ask for fewer \
         connections"
    )]
    OpenFiles {
        /// Whose limit.
        whose: Whose,
        /// Connections asked for.
        connections: usize,
        /// Descriptors needed.
        needed: u64,
        /// The limit.
        limit: u64,
    },
    /// The server is spoken to over TLS.
    #[error(
        "memory with connections open is read over plain http: give the server's http:// URL, and not {url}"
    )]
    Secure {
        /// The URL.
        url: String,
    },
    /// There is no local port left.
    #[error(
        "connection {number} of {connections} found no local port: widen net.ipv4.ip_local_port_range, or ask for \
         fewer connections"
    )]
    LocalPorts {
        /// Which connection, from 1.
        number: usize,
        /// Connections asked for.
        connections: usize,
    },
    /// A connection could not be opened, or its request was not answered.
    #[error("connection {number} of {connections} {what}")]
    Connection {
        /// Which connection, from 1.
        number: usize,
        /// Connections asked for.
        connections: usize,
        /// What happened.
        what: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// Connections did not stay open until the memory was read.
    #[error(
        "{closed} of {connections} connections were closed by the server before its memory was read: raise its time \
         limit for idle connections and its limit on connections, or ask for fewer"
    )]
    Closed {
        /// How many.
        closed: usize,
        /// Connections asked for.
        connections: usize,
    },
    /// The server's process is not there, or not known.
    #[error("the server's process cannot be seen: give its --pid, and run as its owner")]
    NoProcess(#[source] io::Error),
}

impl MemoryError {
    /// Whether this machine's limits, rather than the server, are in the way.
    pub fn is_of_this_machine(&self) -> bool {
        matches!(self, MemoryError::OpenFiles { .. } | MemoryError::LocalPorts { .. })
    }
}

/// Opens `connections` to the server of process `pid`, makes a request on each, and reads its memory before, while all
/// are open, and after.
///
/// # Errors
/// When a limit is too low, a connection is refused, not answered or not kept open, or the process is not there.
pub fn measure(url: &TargetUrl, pid: u32, connections: usize) -> Result<Memory, MemoryError> {
    if url.is_secure() {
        return Err(MemoryError::Secure { url: url.to_string() });
    }
    allow_open_files(connections)?;
    let failed = |number: usize, what: &str, source: io::Error| {
        diagnose(pid, number, connections, what.to_owned(), source)
    };
    let addresses = url.resolve().map_err(|error| failed(1, "has nowhere to go", error))?;
    let address =
        addresses.iter().copied().find(|address| TcpStream::connect_timeout(address, PATIENCE).is_ok());
    let nobody = || failed(1, "was refused", io::ErrorKind::ConnectionRefused.into());
    let address = address.ok_or_else(nobody)?;
    let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", url.target(), url.host_field());
    // What a server sets up for its first request is not a cost of the connections.
    drop(open(address, request.as_bytes(), 1, &failed)?);
    let shared_pages_once = Cell::new(true);
    let resident = || {
        let Resident { bytes, shared_once } = accounting::resident(pid).map_err(MemoryError::NoProcess)?;
        shared_pages_once.set(shared_pages_once.get() && shared_once);
        Ok(bytes)
    };
    let before = at_rest(resident)?;
    let mut held: Vec<TcpStream> = Vec::with_capacity(connections);
    while held.len() < connections {
        let batch = BATCH.min(connections - held.len());
        let first = held.len() + 1;
        for number in first..first + batch {
            held.push(ask(address, request.as_bytes(), number, &failed)?);
        }
        for (offset, stream) in held[first - 1..].iter_mut().enumerate() {
            answer(stream).map_err(|error| failed(first + offset, "was not answered", error))?;
        }
    }
    let with_connections = at_rest(resident)?;
    let closed = held.iter().filter(|stream| !is_open(stream)).count();
    if closed > 0 {
        return Err(MemoryError::Closed { closed, connections });
    }
    drop(held);
    let after = at_rest(resident)?;
    let shared_pages_once = shared_pages_once.get();
    Ok(Memory { connections, before, with_connections, after, shared_pages_once })
}

/// Whether the other side has neither closed the connection nor sent anything on it.
fn is_open(stream: &TcpStream) -> bool {
    let seen = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
    seen.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

type Failed<'a> = dyn Fn(usize, &str, io::Error) -> MemoryError + 'a;

fn open(
    address: SocketAddr,
    request: &[u8],
    number: usize,
    failed: &Failed<'_>,
) -> Result<TcpStream, MemoryError> {
    let mut stream = ask(address, request, number, failed)?;
    answer(&mut stream).map_err(|error| failed(number, "was not answered", error))?;
    Ok(stream)
}

/// Opens a connection and sends the request.
fn ask(
    address: SocketAddr,
    request: &[u8],
    number: usize,
    failed: &Failed<'_>,
) -> Result<TcpStream, MemoryError> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)
        .map_err(|error| failed(number, "was not accepted", error))?;
    let sent = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.write_all(request));
    sent.map_err(|error| failed(number, "could not be written to", error))?;
    Ok(stream)
}

/// Reads one answer, and fails where the connection does not stay open behind it.
fn answer(stream: &mut TcpStream) -> io::Result<()> {
    let wrong = |what: String| Err(io::Error::new(io::ErrorKind::InvalidData, what));
    let mut bytes = Vec::with_capacity(1024);
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if bytes.len() > LONGEST_HEAD {
            return wrong("the head of the answer does not end".to_owned());
        }
        fill(stream, &mut bytes)?;
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let status = text.split(' ').nth(1).unwrap_or_default();
    if !status.starts_with('2') {
        return wrong(format!("the answer is `{}`", text.lines().next().unwrap_or_default()));
    }
    let field =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    if field("connection").is_some_and(|value| value.contains("close")) {
        return wrong("the server closes its connections after each answer".to_owned());
    }
    let chunked = field("transfer-encoding").is_some_and(|value| value.ends_with("chunked"));
    match field("content-length").and_then(|value| value.parse::<usize>().ok()) {
        _ if chunked => {
            while !bytes[head - 2..].ends_with(b"\r\n0\r\n\r\n") {
                let keep = bytes.len().saturating_sub(16).max(head - 2);
                bytes.drain(head - 2..keep);
                fill(stream, &mut bytes)?;
            }
        }
        Some(length) => {
            let mut rest = length.saturating_sub(bytes.len() - head);
            while rest > 0 {
                bytes.clear();
                fill(stream, &mut bytes)?;
                rest = rest.saturating_sub(bytes.len());
            }
        }
        None if status == "204" => {}
        None => return wrong("the answer ends with the connection".to_owned()),
    }
    Ok(())
}

fn fill(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut piece = [0; 4096];
    match read_some(stream, &mut piece)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => {
            bytes.extend_from_slice(&piece[..count]);
            Ok(())
        }
    }
}

/// The memory once it no longer moves, or after [`SETTLE`].
fn at_rest(resident: impl Fn() -> Result<u64, MemoryError>) -> Result<u64, MemoryError> {
    let end = Instant::now() + SETTLE;
    let mut last = resident()?;
    loop {
        thread::sleep(Duration::from_millis(100));
        let now = resident()?;
        if (now as f64 - last as f64).abs() <= REST * last as f64 || Instant::now() >= end {
            return Ok(now);
        }
        last = now;
    }
}

/// What is behind a connection that failed: a limit, where one explains it.
fn diagnose(pid: u32, number: usize, connections: usize, what: String, source: io::Error) -> MemoryError {
    let needed = connections as u64 + OTHER_DESCRIPTORS;
    let open_files = |whose, limit| MemoryError::OpenFiles { whose, connections, needed, limit };
    let errno = |error: rustix::io::Errno| Some(error.raw_os_error());
    match source.raw_os_error() {
        code if code == errno(rustix::io::Errno::MFILE) => {
            return open_files(Whose::Ours, load::open_files_limit());
        }
        code if code == errno(rustix::io::Errno::ADDRNOTAVAIL) => {
            return MemoryError::LocalPorts { number, connections };
        }
        _ => {}
    }
    // A server at its limit leaves connections in the kernel's queue, or closes them.
    let limit = accounting::descriptor_limit(pid).ok().flatten();
    match limit.filter(|&limit| number as u64 + OTHER_DESCRIPTORS >= limit) {
        Some(limit) => open_files(Whose::Servers, limit),
        None => MemoryError::Connection { number, connections, what, source },
    }
}

/// Raises our own soft limit on open files as far as the connections need.
fn allow_open_files(connections: usize) -> Result<(), MemoryError> {
    let needed = connections as u64 + OTHER_DESCRIPTORS;
    let too_low = |limit| MemoryError::OpenFiles { whose: Whose::Ours, connections, needed, limit };
    load::allow_open_files(needed).map_err(too_low)
}
