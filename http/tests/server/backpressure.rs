//! Whoever is slow at one end holds the other end back: what lies between them is bounded.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use covet_http::h1::Limits;
use covet_http::server::{Config, Timeouts};
use covet_http::{Body, BoxError, Request, Response};
use rustix::net::sockopt;

use super::harness::{Client, Server, config};

/// What is sent in all, far more than all buffers together.
const TOTAL: usize = 64 << 20;
/// What the two sockets and the server may hold. The server's own part is two pieces of 64 KiB; the kernel makes its
/// buffers larger than asked for, and up to megabytes at the server's end, where nothing was asked for: what is received
/// may take 32 MiB there with the defaults of newer kernels, and what is sent 4 MiB.
const HELD: usize = 40 << 20;

#[derive(Clone, Default)]
struct Watch {
    made: Arc<AtomicUsize>,
    taken: Arc<AtomicUsize>,
    /// The handler may go on.
    open: Arc<AtomicBool>,
}

/// Makes bytes as they are asked for, and counts them.
struct Counted {
    made: Arc<AtomicUsize>,
    piece: usize,
}

impl futures_core::Stream for Counted {
    type Item = Result<Bytes, BoxError>;
    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let before = self.made.fetch_add(self.piece, Ordering::SeqCst);
        Poll::Ready((before < TOTAL).then(|| Ok(Bytes::from(vec![b'x'; self.piece]))))
    }
}

async fn answer(watch: Watch, mut request: Request) -> Response {
    match request.path() {
        "/echo" => Response::new(request.take_body()),
        "/slow" => {
            let mut body = request.take_body();
            while let Some(chunk) = body.chunk().await {
                watch.taken.fetch_add(chunk.unwrap().len(), Ordering::SeqCst);
                while !watch.open.load(Ordering::SeqCst) {
                    covet_runtime::time::sleep(Duration::from_millis(10)).await;
                }
            }
            Response::new(watch.taken.load(Ordering::SeqCst).to_string())
        }
        path => {
            let piece = path[1..].parse().unwrap();
            Response::new(Body::stream(Counted { made: watch.made.clone(), piece }))
        }
    }
}

fn server(config: Config) -> (Server, Watch) {
    let watch = Watch::default();
    let theirs = watch.clone();
    (Server::with(config, move |request| answer(theirs.clone(), request)), watch)
}

/// The usual times, and bodies as large as the tests'.
fn generous() -> Config {
    Config { limits: Limits { body: u64::MAX, ..Limits::default() }, ..Config::default() }
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address).unwrap();
    sockopt::set_socket_send_buffer_size(&stream, 64 << 10).unwrap();
    sockopt::set_socket_recv_buffer_size(&stream, 64 << 10).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    stream
}

/// Waits until a count has not grown for a second, and returns it.
fn settled(mut count: impl FnMut() -> usize) -> usize {
    let (mut last, mut since) = (0, Instant::now());
    // A busy machine may take a while to begin.
    while since.elapsed() < Duration::from_secs(if last == 0 { 10 } else { 1 }) {
        std::thread::sleep(Duration::from_millis(20));
        let now = count();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    last
}

/// Sends zeros until nobody takes them for a second. Returns how many were taken.
fn send_until_blocked(stream: &mut TcpStream) -> usize {
    let piece = [0; 64 << 10];
    let mut sent = 0;
    while sent < TOTAL {
        match stream.write(&piece) {
            Ok(count) => sent += count,
            // The process was stopped, and goes on.
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                break;
            }
        }
    }
    sent
}

#[test]
fn a_slow_reader_holds_the_stream_back() {
    let (server, watch) = server(generous());
    for piece in [1000, 100_000] {
        watch.made.store(0, Ordering::SeqCst);
        let mut stream = connect(&server);
        stream
            .write_all(format!("GET /{piece} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").as_bytes())
            .unwrap();
        let made = settled(|| watch.made.load(Ordering::SeqCst));
        assert!(made > 0 && made < HELD, "{made} bytes were made for a client that reads none");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.len() > TOTAL, "{} bytes came", rest.len());
    }
}

#[test]
fn a_slow_handler_holds_the_client_back() {
    let (server, watch) = server(generous());
    let mut stream = connect(&server);
    stream
        .write_all(format!("POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: {TOTAL}\r\n\r\n").as_bytes())
        .unwrap();
    let sent = send_until_blocked(&mut stream);
    assert!(sent < HELD, "{sent} bytes were taken for a handler that reads none");
    assert!(watch.taken.load(Ordering::SeqCst) < 1 << 20);
    watch.open.store(true, Ordering::SeqCst);
    stream.set_write_timeout(None).unwrap();
    stream.write_all(&vec![0; TOTAL - sent]).unwrap();
    let mut text = [0; 512];
    let count = stream.read(&mut text).unwrap();
    assert!(text[..count].ends_with(TOTAL.to_string().as_bytes()), "{}", text[..count].escape_ascii());
}

#[test]
fn a_client_that_reads_nothing_of_its_echo_is_held_back() {
    let (server, _) = server(generous());
    let mut stream = connect(&server);
    stream
        .write_all(format!("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: {TOTAL}\r\n\r\n").as_bytes())
        .unwrap();
    let sent = send_until_blocked(&mut stream);
    assert!(sent < HELD, "{sent} bytes were taken from a client that reads none");
    stream.set_write_timeout(None).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let thread = std::thread::spawn(move || writer.write_all(&vec![0; TOTAL - sent]).unwrap());
    let (mut count, mut buffer) = (0, vec![0; 1 << 20]);
    while count < TOTAL {
        let more = stream.read(&mut buffer).unwrap();
        assert!(more > 0, "the answer ended after {count} bytes");
        count += more;
    }
    thread.join().unwrap();
}

#[test]
fn the_time_that_a_handler_takes_is_not_held_against_the_client() {
    let times = Timeouts { body: Duration::from_secs(2), body_rate: 1_000_000, ..config().timeouts };
    let (server, watch) = server(Config { timeouts: times, ..generous() });
    let mut client = Client::connect(&server);
    client.send(b"POST /slow HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n");
    assert_eq!(client.head().status, 100);
    client.send(b"abc");
    std::thread::sleep(Duration::from_millis(2600));
    client.send(b"def");
    watch.open.store(true, Ordering::SeqCst);
    assert_eq!(client.answer().text(), "6");
}
