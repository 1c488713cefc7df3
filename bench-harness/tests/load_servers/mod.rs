//! Small blocking servers that behave, or misbehave, in one known way each.

#![allow(dead_code, reason = "each test program uses some of them")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use covet_bench::load::{Extent, LoadPlan, NoProgress, TargetUrl, allowed_cpus, run};
use covet_bench::record::RunRecord;

/// A server with a thread for each connection.
pub(crate) struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicU64>,
}

impl Server {
    /// Listens on a free port and hands each connection to `serve`.
    pub(crate) fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (stop, accepted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopping, counter, serve) = (stop.clone(), accepted.clone(), Arc::new(serve));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stopping.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                counter.fetch_add(1, Ordering::SeqCst);
                let serve = serve.clone();
                thread::spawn(move || {
                    // A generator that ends its run resets what is in flight; no read may hang for ever.
                    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
                    let _ = stream.set_nodelay(true);
                    serve(stream);
                });
            }
        });
        Self { address, stop, accepted }
    }

    /// A server that calls `answer` for each request with the stream to answer on, until it returns `false`.
    pub(crate) fn per_request(answer: impl Fn(&mut TcpStream) -> bool + Send + Sync + 'static) -> Self {
        Self::start(move |mut stream| {
            let mut received = Vec::new();
            loop {
                let requests = match read_requests(&mut stream, &mut received) {
                    Some(requests) => requests,
                    None => return,
                };
                for _ in 0..requests {
                    if !answer(&mut stream) {
                        return;
                    }
                }
            }
        })
    }

    /// A server that sends what `answer` makes of each request, which is its head, an end of line and its body; `None` ends
    /// the connection.
    pub(crate) fn per_text(answer: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self::start(move |mut stream| {
            let mut received = Vec::new();
            while let Some(text) = read_text(&mut stream, &mut received) {
                let Some(bytes) = answer(&text) else { return };
                if stream.write_all(&bytes).is_err() {
                    return;
                }
            }
        })
    }

    /// A server that answers each request with these bytes.
    pub(crate) fn answering(bytes: &'static [u8]) -> Self {
        Self::per_request(move |stream| stream.write_all(bytes).is_ok())
    }

    pub(crate) fn url(&self) -> TargetUrl {
        TargetUrl::parse(&format!("http://{}/path", self.address)).expect("an address makes a URL")
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }

    /// A closed-loop plan of `connections` on one core for `millis`, without warm-up.
    pub(crate) fn plan(&self, connections: usize, millis: u64) -> LoadPlan {
        LoadPlan {
            connections,
            warmup: Duration::ZERO,
            extent: Extent { duration: Some(Duration::from_millis(millis)), requests: None },
            ..LoadPlan::closed(self.url(), vec![last_cpu()])
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // The accepting thread looks at the flag when somebody connects.
        let _ = TcpStream::connect(self.address);
    }
}

/// Reads at least one whole request head; `None` at the end of the connection.
pub(crate) fn read_requests(stream: &mut TcpStream, received: &mut Vec<u8>) -> Option<usize> {
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).ok().filter(|&count| count > 0)?;
        received.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(received).into_owned();
        if let Some(end) = text.rfind("\r\n\r\n") {
            let requests = text.matches("\r\n\r\n").count();
            received.drain(..end + 4);
            return Some(requests);
        }
    }
}

/// Reads a request: its head, an end of line and its body; `None` at the end of the connection.
pub(crate) fn read_text(stream: &mut TcpStream, received: &mut Vec<u8>) -> Option<String> {
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&received[..end]).into_owned();
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            let whole = end + 4 + length.map_or(0, |length| length.parse().expect("a number"));
            if received.len() >= whole {
                let body = String::from_utf8_lossy(&received[end + 4..whole]).into_owned();
                received.drain(..whole);
                return Some(format!("{head}\n{body}"));
            }
        }
        let count = stream.read(&mut buffer).ok().filter(|&count| count > 0)?;
        received.extend_from_slice(&buffer[..count]);
    }
}

/// An answer with this body.
pub(crate) fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

pub(crate) const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

pub(crate) fn last_cpu() -> usize {
    *allowed_cpus().last().expect("a process has a CPU")
}

/// Makes a run, of whose requests none may be lost.
pub(crate) fn measure(plan: &LoadPlan) -> RunRecord {
    let record = run(plan, &NoProgress).expect("the run begins");
    assert_accounts_close(&record);
    record
}

/// The longest that the generator was held up in a run by time whose server keeps up, or that the machine was beside it:
/// what was due before the window, and is sent in it, is as much as became due in this time.
pub(crate) fn held_up(record: &RunRecord) -> Duration {
    let hiccup = record.platform.as_ref().map_or(0, |platform| platform.hiccups.max());
    let late = record.lateness.as_ref().map_or(0, |late| late.max());
    let opened_late = record.conditions.duration.saturating_sub(record.elapsed);
    record.longest_pause.max(Duration::from_nanos(hiccup.max(late))).max(opened_late)
}

/// Whether the generator had its CPU nearly always when it was ready to run, by the kernel's own count.
pub(crate) fn had_its_cpu(record: &RunRecord) -> bool {
    record.waited.iter().all(|&share| share < 0.02) && record.longest_pause < Duration::from_millis(20)
}

/// No request may be lost, whatever the server does.
pub(crate) fn assert_accounts_close(record: &RunRecord) {
    assert_eq!(
        record.in_flight_at_start + record.sent,
        record.completed + record.failed + record.in_flight_at_end,
        "{}",
        record.to_text()
    );
    let timeouts = record.errors.timeout;
    assert_eq!(record.response.len(), record.completed + timeouts, "{}", record.to_text());
    let censored = record.in_flight_at_end + record.queued_at_end + record.cut_off;
    assert_eq!(record.censored.len(), censored, "{}", record.to_text());
    let interval_sum: u64 = record.intervals.iter().map(|interval| interval.completed).sum();
    assert_eq!(interval_sum, record.completed);
}
