//! How much memory of a server one hostile client can hold on to, in each of the ways there are.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../runtime/tests/counting_allocator/mod.rs"]
mod counting_allocator;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use covet_http::server::{Config, Timeouts, serve};
use covet_http::{Body, Request, Response, service_fn};
use covet_runtime::net::TcpListener;
use covet_runtime::{CoreSet, Runtime};

/// Held by the test that measures.
static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Bytes that the server's thread has allocated and not freed, as its handler last saw them.
static SEEN: AtomicIsize = AtomicIsize::new(0);

static LARGE: [u8; 8 << 20] = [b'x'; 8 << 20];

async fn service(request: Request) -> Response {
    match request.path() {
        "/live" => SEEN.store(counting_allocator::live(), Ordering::SeqCst),
        "/live-without-spares" => {
            covet_runtime::buf::release();
            SEEN.store(counting_allocator::live(), Ordering::SeqCst);
        }
        "/never" => std::future::pending().await,
        "/large" => return Response::new(Body::from_static(&LARGE)),
        _ => {}
    }
    Response::new("Hello, World!")
}

/// No time runs out here: on a slow machine those that were measured first would be gone before the last of them is there.
const NEVER: Duration = Duration::from_secs(3600);

fn patient() -> Config {
    let timeouts = Timeouts { head: NEVER, idle: NEVER, body: NEVER, write: NEVER, ..Timeouts::default() };
    Config { timeouts, ..Config::default() }
}

fn start(config: Config) -> (Runtime, SocketAddr) {
    let (send, receive) = mpsc::channel();
    let runtime = Runtime::builder()
        .cores(CoreSet::count(1))
        .start(move |_core| {
            let (send, config) = (send.clone(), config.clone());
            async move {
                let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
                send.send(listener.local_addr().unwrap()).unwrap();
                serve(listener, Rc::new(service_fn(service)), config).await;
            }
        })
        .unwrap();
    (runtime, receive.recv().unwrap())
}

/// A client's side of a connection, in the clear or not.
trait Connection: Read + Write {
    fn socket(&self) -> &TcpStream;
}

impl Connection for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

/// Asks the server how much it has allocated.
fn live(control: &mut dyn Connection) -> isize {
    ask(control, "/live")
}

/// How much the server has allocated once everybody else has gone, without the core's spare buffers: those would hide what
/// the next ones take.
fn at_rest(control: &mut dyn Connection) -> isize {
    let (mut last, mut same) = (0, 0);
    // A machine that is slow has the last of them go later.
    for _ in 0..200 {
        std::thread::sleep(Duration::from_millis(100));
        let now = ask(control, "/live-without-spares");
        same = if now == last { same + 1 } else { 0 };
        if same == 3 {
            break;
        }
        last = now;
    }
    last
}

fn ask(control: &mut dyn Connection, target: &str) -> isize {
    control.write_all(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).unwrap();
    let mut buffer = [0; 1024];
    assert!(control.read(&mut buffer).unwrap() > 0);
    SEEN.load(Ordering::SeqCst)
}

/// Sends as much as the server and the kernels take, and no more.
fn stuff(stream: &mut dyn Connection, start: &[u8], piece: &[u8], most: usize) {
    stream.write_all(start).unwrap();
    stream.socket().set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut sent = 0;
    while sent < most {
        match stream.write(&piece[..piece.len().min(most - sent)]) {
            Ok(count) => sent += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            // It has been refused.
            Err(_) => break,
        }
    }
}

/// What the documentation states (docs/http-defence.md): the most that any client can pin, and an idle one.
const ANY: isize = 512 * 1024;
const IDLE: isize = 1536;

/// What any open connection holds, and one whose client has sent much that waits: less would mean that nothing is counted.
const SOME: isize = 256;
const MUCH: isize = 16 * 1024;

type Attack = (&'static str, isize, usize, fn(&mut dyn Connection));

/// What a count with this bound must reach at least.
fn least(bound: isize) -> isize {
    if bound < MUCH { SOME } else { MUCH }
}

/// What is wrong with a measured number of bytes.
fn judge(name: &str, each: isize, bound: isize) -> Option<String> {
    println!("{name}: {each} bytes each");
    match each {
        each if each > bound => Some(format!("{name}: {each} bytes, more than {bound}")),
        each if each < least(bound) => Some(format!("{name}: {each} bytes, less than {}", least(bound))),
        _ => None,
    }
}

const ATTACKS: [Attack; 8] = [
    ("idle after a request", IDLE, 400, |stream| {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: idle\r\nAccept: */*\r\n\r\n").unwrap();
        assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
    }),
    ("silent", IDLE, 400, |_stream| {}),
    ("a head without an end", ANY, 20, |stream| {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n").unwrap();
        for _ in 0..64 {
            stream.write_all(format!("X-A: {}\r\n", "y".repeat(1000)).as_bytes()).unwrap();
        }
    }),
    ("a whole head of the greatest size, and a handler that waits", ANY, 20, |stream| {
        let field = format!("X-A: {}\r\n", "y".repeat(600));
        stream
            .write_all(format!("GET /never HTTP/1.1\r\nHost: h\r\n{}\r\n", field.repeat(98)).as_bytes())
            .unwrap();
    }),
    ("requests behind one that is not answered", ANY, 20, |stream| {
        let piece = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(1000);
        stuff(stream, b"GET /never HTTP/1.1\r\nHost: h\r\n\r\n", &piece, 32 << 20);
    }),
    ("a body that is not read", ANY, 20, |stream| {
        let piece = [b'z'; 64 * 1024];
        stuff(
            stream,
            b"POST /never HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n",
            &piece,
            2_000_000,
        );
    }),
    ("answers that are not read", ANY, 20, |stream| {
        let piece = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(1000);
        stuff(stream, b"", &piece, 64 << 20);
    }),
    ("large answers that are not read", ANY, 20, |stream| {
        let piece = b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n".repeat(1000);
        stuff(stream, b"", &piece, 64 << 20);
    }),
];

/// What each of so many holds, once it has given back what it will: an idle connection does so after a second, if the
/// machine has the time.
fn settled(control: &mut dyn Connection, before: isize, count: usize, bound: isize) -> isize {
    std::thread::sleep(Duration::from_millis(1500));
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let each = (live(control) - before) / count as isize;
        if (least(bound)..=bound).contains(&each) || Instant::now() > end {
            return each;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Makes each attack many times over. Returns those that pin more than is stated, or less than there must be.
fn measure<C: Connection>(
    address: SocketAddr,
    attacks: &[Attack],
    connect: impl Fn(SocketAddr) -> C,
) -> Vec<String> {
    let mut control = connect(address);
    control.socket().set_nodelay(true).unwrap();
    let mut failures = Vec::new();
    for (name, bound, count, attack) in attacks {
        let before = at_rest(&mut control);
        let mut streams: Vec<C> = (0..*count).map(|_| connect(address)).collect();
        streams.iter_mut().for_each(|stream| attack(stream));
        let each = settled(&mut control, before, *count, *bound);
        failures.extend(judge(name, each, *bound));
    }
    failures
}

#[test]
fn no_client_pins_more_than_is_stated() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let (runtime, address) = start(patient());
    let failures = measure(address, &ATTACKS, |address| TcpStream::connect(address).unwrap());
    assert!(failures.is_empty(), "{failures:#?}");
    runtime.shutdown(Duration::ZERO);
    let _ = runtime.join();
}

#[cfg(feature = "tls")]
mod tls {
    use std::sync::Arc;

    use covet_http::tls::{Certificate, Config as Tls};
    use rustls::{ClientConfig, ClientConnection, RootCertStore};

    use super::*;

    /// As stated for TLS. What AWS-LC allocates for keys is C's, and not counted here.
    const ANY_TLS: isize = ANY + 128 * 1024;
    const IDLE_TLS: isize = 4 * 1024;

    /// Writes without ever waiting for something to read, unlike a stream of rustls.
    struct Client {
        session: ClientConnection,
        socket: TcpStream,
    }

    impl Write for Client {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.flush()?;
            let count = self.session.writer().write(bytes)?;
            match self.flush() {
                Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
                _ => Ok(count),
            }
        }

        fn flush(&mut self) -> std::io::Result<()> {
            while self.session.wants_write() {
                self.session.write_tls(&mut self.socket)?;
            }
            Ok(())
        }
    }

    impl Read for Client {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            loop {
                match self.session.reader().read(buffer) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    outcome => return outcome,
                }
                self.session.read_tls(&mut self.socket)?;
                self.session.process_new_packets().map_err(std::io::Error::other)?;
            }
        }
    }

    impl Connection for Client {
        fn socket(&self) -> &TcpStream {
            &self.socket
        }
    }

    /// Of those who have made a handshake, beside the attacks that need no TLS.
    const RECORD: Attack = ("a record without an end", ANY_TLS, 20, |stream| {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
        let mut raw = stream.socket();
        raw.write_all(&[0x17, 3, 3, 0x41, 0]).unwrap();
        raw.write_all(&[0; 0x40ff]).unwrap();
    });

    /// Of those who make none.
    const HANDSHAKES: [Attack; 2] = [
        ("silence where a handshake should be", IDLE_TLS, 200, |_stream| {}),
        ("a hello without an end", ANY_TLS, 20, |stream| {
            // A message of 60,000 bytes, in records of 16 KiB.
            let hello = [&[1, 0, 0xea, 0x60, 3, 3][..], &[7; 59_000]].concat();
            for part in hello.chunks(16 * 1024) {
                let header = [0x16, 3, 1, (part.len() >> 8) as u8, part.len() as u8];
                // It may be refused before all of it is there.
                let _ = stream.write_all(&[&header, part].concat());
            }
        }),
    ];

    #[test]
    fn no_client_pins_more_than_is_stated_through_tls() {
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = Certificate::pem(made.cert.pem(), made.signing_key.serialize_pem());
        // The process keeps the session, also where the kernel could.
        let tls = Tls::builder().certificate(certificate).kernel_tls(false).handshake_timeout(NEVER);
        let (runtime, address) = start(Config { tls: Some(tls.build().unwrap()), ..patient() });
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
        let config = Arc::new(config);
        let connect = |address| {
            let mut socket = TcpStream::connect(address).unwrap();
            let mut session = ClientConnection::new(config.clone(), "localhost".try_into().unwrap()).unwrap();
            session.complete_io(&mut socket).unwrap();
            Client { session, socket }
        };
        let attacks = ATTACKS.iter().map(|(name, bound, count, attack)| {
            (*name, if *bound == IDLE { IDLE_TLS } else { ANY_TLS }, *count / 2, *attack)
        });
        let attacks: Vec<Attack> = attacks.collect();
        let mut failures = measure(address, &[RECORD], connect);
        let mut control = connect(address);
        for (name, bound, count, attack) in HANDSHAKES {
            let before = at_rest(&mut control);
            let mut streams: Vec<TcpStream> =
                (0..count).map(|_| TcpStream::connect(address).unwrap()).collect();
            streams.iter_mut().for_each(|stream| attack(stream));
            let each = settled(&mut control, before, count, bound);
            failures.extend(judge(name, each, bound));
        }
        drop(control);
        failures.extend(measure(address, &attacks, connect));
        assert!(failures.is_empty(), "{failures:#?}");
        runtime.shutdown(Duration::ZERO);
        let _ = runtime.join();
    }
}
