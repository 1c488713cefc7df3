//! The end of a server.

use std::time::{Duration, Instant};

use super::harness::Client;
use super::server;

#[test]
fn requests_in_flight_finish_and_idle_connections_end() {
    let mut server = server();
    let mut busy = Client::connect(&server);
    let mut idle = Client::connect(&server);
    assert_eq!(idle.get("/plain").status, 200);
    busy.send(b"GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    std::thread::sleep(Duration::from_millis(5));
    let runtime = server.runtime.take().unwrap();
    let started = Instant::now();
    runtime.shutdown(Duration::from_secs(5));
    let answer = busy.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "later"));
    drop(busy);
    assert!(idle.is_at_end());
    drop(idle);
    runtime.join().unwrap();
    assert!(started.elapsed() < Duration::from_secs(4), "the deadline was waited for");
    assert!(std::net::TcpStream::connect(server.address).is_err(), "nobody listens any more");
}

#[test]
fn a_request_that_never_ends_is_cut_off_at_the_deadline() {
    let mut server = super::Server::start(|_request| std::future::pending::<covet_http::Response>());
    let mut client = Client::connect(&server);
    client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    std::thread::sleep(Duration::from_millis(20));
    let runtime = server.runtime.take().unwrap();
    let started = Instant::now();
    runtime.shutdown(Duration::from_millis(200));
    runtime.join().unwrap();
    assert!(started.elapsed() >= Duration::from_millis(200) && started.elapsed() < Duration::from_secs(3));
    assert!(client.rest().is_empty());
}
