//! What a request costs the allocator in the whole server, from the socket to the socket.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../runtime/tests/counting_allocator/mod.rs"]
mod counting_allocator;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use covet_http::server::{Config, serve};
use covet_http::{ContentType, Response, service_fn};
use covet_runtime::net::TcpListener;
use covet_runtime::{CoreSet, Runtime};

/// Allocations of the server's thread, as its handler last saw them.
static SEEN: AtomicUsize = AtomicUsize::new(0);

const REQUEST: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n";

fn start() -> (Runtime, SocketAddr) {
    let (send, receive) = mpsc::channel();
    let runtime = Runtime::builder()
        .cores(CoreSet::count(1))
        .start(move |_core| {
            let send = send.clone();
            async move {
                let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
                send.send(listener.local_addr().unwrap()).unwrap();
                let service = service_fn(|_request| async {
                    SEEN.store(counting_allocator::calls(), Ordering::SeqCst);
                    Response::new("Hello, World!").with_content_type(ContentType::TEXT)
                });
                serve(listener, Rc::new(service), Config::default()).await;
            }
        })
        .unwrap();
    (runtime, receive.recv().unwrap())
}

/// Sends `depth` requests at once and reads their answers, `rounds` times.
fn exchange(client: &mut TcpStream, depth: usize, rounds: usize) {
    let requests = REQUEST.repeat(depth);
    let mut buffer = [0; 16 * 1024];
    for _ in 0..rounds {
        client.write_all(&requests).unwrap();
        let mut text = Vec::new();
        while text.windows(13).filter(|window| window == b"Hello, World!").count() < depth {
            let count = client.read(&mut buffer).unwrap();
            assert!(count > 0, "the server closed");
            text.extend_from_slice(&buffer[..count]);
        }
    }
}

#[test]
fn a_request_on_a_warm_connection_allocates_nothing() {
    let (runtime, address) = start();
    let mut client = TcpStream::connect(address).unwrap();
    client.set_nodelay(true).unwrap();
    for depth in [1, 16] {
        exchange(&mut client, depth, 20);
        let before = SEEN.load(Ordering::SeqCst);
        // A head's Date changes once a second, which may write the encoder's small buffers anew, not grow them.
        exchange(&mut client, depth, 200);
        let after = SEEN.load(Ordering::SeqCst);
        assert_eq!(after - before, 0, "{} requests at depth {depth}", 200 * depth);
    }
    drop(client);
    runtime.shutdown(Duration::from_secs(2));
    runtime.join().unwrap();
}
