//! The end of a server.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use covet_http::{Request, Response};
use covet_runtime::{shutdown, time};

use super::harness::{Client, Server};

/// A server, and who is told that a handler has begun: one that goes on for a while after the shutdown's beginning, or
/// for ever.
fn start() -> (Server, Receiver<()>) {
    let (begin, begun) = channel();
    let server = Server::start(move |request: Request| {
        let begin = begin.clone();
        async move {
            if request.path() == "/at-once" {
                return Response::new("at once");
            }
            begin.send(()).unwrap();
            if request.path() == "/never" {
                std::future::pending::<()>().await;
            }
            shutdown::requested().await;
            time::sleep(Duration::from_millis(20)).await;
            Response::new("later")
        }
    });
    (server, begun)
}

#[test]
fn requests_in_flight_finish_and_idle_connections_end() {
    let (mut server, begun) = start();
    let mut busy = Client::connect(&server);
    let mut idle = Client::connect(&server);
    assert_eq!(idle.get("/at-once").status, 200);
    busy.send(b"GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    begun.recv().unwrap();
    let runtime = server.runtime.take().unwrap();
    let started = Instant::now();
    runtime.shutdown(Duration::from_secs(60));
    let answer = busy.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "later"));
    drop(busy);
    assert!(idle.is_at_end());
    drop(idle);
    runtime.join().unwrap();
    assert!(started.elapsed() < Duration::from_secs(50), "the deadline was waited for");
    assert!(std::net::TcpStream::connect(server.address).is_err(), "nobody listens any more");
}

#[test]
fn a_request_that_never_ends_is_cut_off_at_the_deadline() {
    let (mut server, begun) = start();
    let mut client = Client::connect(&server);
    client.send(b"GET /never HTTP/1.1\r\nHost: h\r\n\r\n");
    begun.recv().unwrap();
    let runtime = server.runtime.take().unwrap();
    let started = Instant::now();
    runtime.shutdown(Duration::from_millis(200));
    runtime.join().unwrap();
    assert!(started.elapsed() >= Duration::from_millis(200) && started.elapsed() < Duration::from_secs(60));
    assert!(client.rest().is_empty());
}
