//! How much memory of a server one hostile client can hold on to, in each of the ways there are.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use covet_http::server::{Config, serve};
use covet_http::{Body, Request, Response, service_fn};
use covet_runtime::net::TcpListener;
use covet_runtime::{CoreSet, Runtime};

struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

/// Bytes that the server's thread has allocated and not freed, as its handler last saw them.
static SEEN: AtomicIsize = AtomicIsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged; the counter is a plain thread-local without a
// destructor, so counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.set(LIVE.get() + layout.size() as isize);
        // SAFETY: forwarded.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get() - layout.size() as isize);
        // SAFETY: forwarded.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LIVE.set(LIVE.get() + size as isize - layout.size() as isize);
        // SAFETY: forwarded.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static LARGE: [u8; 8 << 20] = [b'x'; 8 << 20];

async fn service(request: Request) -> Response {
    match request.path() {
        "/live" => SEEN.store(LIVE.get(), Ordering::SeqCst),
        "/never" => std::future::pending().await,
        "/large" => return Response::new(Body::from_static(&LARGE)),
        _ => {}
    }
    Response::new("Hello, World!")
}

fn start() -> (Runtime, SocketAddr) {
    let (send, receive) = mpsc::channel();
    let runtime = Runtime::builder()
        .cores(CoreSet::count(1))
        .start(move |_core| {
            let send = send.clone();
            async move {
                let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
                send.send(listener.local_addr().unwrap()).unwrap();
                serve(listener, Rc::new(service_fn(service)), Config::default()).await;
            }
        })
        .unwrap();
    (runtime, receive.recv().unwrap())
}

/// Asks the server how much it has allocated.
fn live(control: &mut TcpStream) -> isize {
    control.write_all(b"GET /live HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let mut buffer = [0; 1024];
    assert!(control.read(&mut buffer).unwrap() > 0);
    SEEN.load(Ordering::SeqCst)
}

/// Sends as much as the server and the kernels take, and no more.
fn stuff(stream: &mut TcpStream, start: &[u8], piece: &[u8], most: usize) {
    stream.write_all(start).unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
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
const IDLE: isize = 2048;

type Attack = fn(&mut TcpStream);

const ATTACKS: [(&str, isize, usize, Attack); 8] = [
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

#[test]
fn no_client_pins_more_than_is_stated() {
    let (runtime, address) = start();
    let mut control = TcpStream::connect(address).unwrap();
    control.set_nodelay(true).unwrap();
    let mut failures = Vec::new();
    for (name, bound, count, attack) in ATTACKS {
        for _ in 0..3 {
            live(&mut control);
        }
        let before = live(&mut control);
        let mut streams: Vec<TcpStream> = (0..count).map(|_| TcpStream::connect(address).unwrap()).collect();
        streams.iter_mut().for_each(attack);
        // Long enough for what an idle connection gives back to be given back.
        std::thread::sleep(Duration::from_millis(1500));
        let each = (live(&mut control) - before) / count as isize;
        println!("{name}: {each} bytes each");
        if each > bound {
            failures.push(format!("{name}: {each} bytes, more than {bound}"));
        }
        drop(streams);
        std::thread::sleep(Duration::from_millis(300));
    }
    assert!(failures.is_empty(), "{failures:#?}");
    drop(control);
    runtime.shutdown(Duration::ZERO);
    let _ = runtime.join();
}
