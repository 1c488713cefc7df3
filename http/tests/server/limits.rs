//! What a client may not do, and how long it may take.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use covet_http::Response;
use covet_http::h1::Limits;
use covet_http::server::{Config, Event, Timeouts};
use rustix::net::sockopt;

use super::harness::{Client, Server, config, hasty};
use super::{server, service};

#[test]
fn malformed_and_oversized_requests_are_refused_and_closed() {
    let server = server();
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(20_000));
    let long_head = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "a".repeat(70_000));
    let many_fields = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: y\r\n".repeat(101));
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: h\n\n", 400),
        ("GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        ("GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n", 413),
        (&long_target, 414),
        (&long_head, 431),
        (&many_fields, 431),
    ] {
        let mut client = Client::connect(&server);
        // One good request before it: its answer must come first.
        client.send(b"GET /plain HTTP/1.1\r\nHost: h\r\n\r\n");
        client.try_send(request.as_bytes());
        assert_eq!(client.answer().status, 200);
        let answer = client.answer();
        let shown = &request[..request.len().min(80)];
        assert_eq!((answer.status, answer.field("connection")), (status, Some("close")), "{shown:?}");
        assert_eq!(answer.field("content-type"), Some("application/problem+json"));
        client.end();
        assert!(client.is_at_end(), "{shown:?}");
    }
    assert_eq!(Client::connect(&server).get("/plain").status, 200);
}

#[test]
fn a_chunked_body_over_the_limit_is_413_and_a_malformed_one_400() {
    let server = server();
    let mut client = Client::connect(&server);
    client.send(b"POST /collect HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = [b"10000\r\n".to_vec(), vec![b'a'; 0x10000], b"\r\n".to_vec()].concat();
    for _ in 0..40 {
        if !client.try_send(&chunk) {
            break;
        }
    }
    assert_eq!(client.answer().status, 413);

    let mut client = Client::connect(&server);
    client.send(b"POST /collect HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n");
    assert_eq!(client.answer().status, 400);
    client.end();
    assert!(client.is_at_end());
}

#[test]
fn a_body_over_the_limit_that_is_echoed_cuts_its_answer_off() {
    let limits = Limits { body: 100_000, ..Limits::default() };
    // The sender may be kept from its CPU for a while, which is not what is tested.
    let timeouts = Timeouts { linger: Duration::from_secs(60), ..config().timeouts };
    let server = Server::with(Config { limits, timeouts, ..config() }, service);
    // No digit of a chunk's size.
    let chunk = [b"4000\r\n".to_vec(), vec![b'z'; 0x4000], b"\r\n".to_vec()].concat();
    let mut client = Client::connect(&server);
    client.send(b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut sender = Client::clone_of(&client);
    // It goes on sending, and all the same loses nothing of the answer.
    let sending = std::thread::spawn(move || (0..60).take_while(|_| sender.try_send(&chunk)).count());
    let head = client.head();
    assert_eq!((head.status, head.field("transfer-encoding")), (200, Some("chunked")));
    let rest = client.rest();
    let echoed = rest.iter().filter(|&&byte| byte == b'z').count();
    assert!((98_304..=100_000).contains(&echoed), "{echoed}");
    assert!(!rest.ends_with(b"0\r\n\r\n"), "it looks whole");
    assert_eq!(sending.join().unwrap(), 60);

    let mut client = Client::connect(&server);
    client.send(b"POST /echo HTTP/1.0\r\nContent-Length: 9\r\n\r\nhalf");
    client.end();
    assert_eq!(client.head().field("content-length"), Some("9"));
    assert_eq!(client.rest(), b"half");
}

#[test]
fn a_body_that_fails_before_its_echo_begins_is_answered_as_if_it_had_been_read() {
    let server = server();
    for (body, status) in [("xyz\r\n", 400), ("5;\nhello", 400)] {
        let mut client = Client::connect(&server);
        let request = format!("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        client.send(request.as_bytes());
        let answer = client.answer();
        assert_eq!((answer.status, answer.field("connection")), (status, Some("close")), "{body:?}");
        client.end();
        assert!(client.is_at_end());
    }
}

#[test]
fn a_body_that_fails_once_its_echo_has_begun_brings_no_second_answer() {
    let server = server();
    for (framing, rest) in [("Transfer-Encoding: chunked", "xyz\r\n"), ("Content-Length: 100", "")] {
        let mut client = Client::connect(&server);
        client.send(format!("POST /echo HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n").as_bytes());
        assert_eq!(client.head().status, 200);
        client.send(rest.as_bytes());
        client.end();
        let rest = client.rest();
        assert!(!rest.windows(7).any(|bytes| bytes == b"HTTP/1."), "{framing}: {}", rest.escape_ascii());
        assert!(!rest.ends_with(b"0\r\n\r\n"), "{framing}: it looks whole");
    }
}

/// How long the server kept the connection open that sends this, and what it answered, if anything.
fn time_until_end(server: &Server, send: &[u8]) -> (Duration, Option<u16>) {
    let started = Instant::now();
    let mut client = Client::connect(server);
    client.send(send);
    let rest = client.rest();
    let status = rest.get(9..12).and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
    (started.elapsed(), status)
}

#[test]
fn silent_slow_and_idle_clients_are_let_go() {
    type Time = fn(&mut Timeouts) -> &mut Duration;
    let limit = Duration::from_secs(1);
    // Each with the one time that is its own: another would keep it for longer than it is waited for here.
    let cases: [(&str, &[u8], Option<u16>, Time); 4] = [
        ("silent", b"", None, |times| &mut times.head),
        ("slow head", b"GET / HTT", Some(408), |times| &mut times.head),
        ("idle", b"GET /plain HTTP/1.1\r\nHost: h\r\n\r\n", Some(200), |times| &mut times.idle),
        (
            "slow body",
            b"POST /collect HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe",
            Some(408),
            |times| &mut times.body,
        ),
    ];
    for (name, send, status, time) in cases {
        let mut config = config();
        *time(&mut config.timeouts) = limit;
        let (elapsed, answered) = time_until_end(&Server::with(config, service), send);
        assert_eq!(answered, status, "{name}");
        // An idle wait may end an eighth early.
        assert!(elapsed > limit * 3 / 4, "{name}: after {elapsed:?}");
        assert!(elapsed < Duration::from_secs(30), "{name}: after {elapsed:?}");
    }
}

#[test]
fn a_trickled_head_has_its_time_as_a_whole() {
    let timeouts = Timeouts { head: Duration::from_secs(1), ..config().timeouts };
    let server = Server::with(Config { timeouts, ..config() }, service);
    let mut client = Client::connect(&server);
    let started = Instant::now();
    for byte in b"GET / HTTP/1.1\r\nHost: hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh".iter().cycle() {
        if !client.try_send(&[*byte]) || started.elapsed() > Duration::from_millis(1500) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(client.answer().status, 408);
}

#[test]
fn a_client_that_does_not_read_is_reset() {
    let timeouts = Timeouts { write: hasty().timeouts.write, ..config().timeouts };
    let config = Config { timeouts, ..config() };
    let counts = config.counts.clone();
    let server = Server::with(config, service);
    let mut client = Client::connect(&server);
    // More than the sockets hold, whatever this kernel lets them have.
    client.send(&b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n".repeat(100));
    let started = Instant::now();
    // Whoever began to read now might be served after all.
    while counts.get(Event::WriteTimeout) == 0 {
        assert!(started.elapsed() < Duration::from_secs(60), "it is waited for for ever");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(client.is_reset());
    assert_eq!(Client::connect(&server).get("/plain").status, 200);
}

#[test]
fn a_client_that_reads_slowly_but_steadily_is_served() {
    let timeouts = Timeouts { write: Duration::from_secs(2), ..config().timeouts };
    let server = Server::with(Config { timeouts, ..config() }, async |_| Response::new(vec![b'x'; 2 << 20]));
    let mut stream = TcpStream::connect(server.address).unwrap();
    sockopt::set_socket_recv_buffer_size(&stream, 16 * 1024).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
    let (mut part, mut received) = (vec![0; 64 * 1024], 0);
    loop {
        // It takes 64 KiB in far less than the time for them, and all of it in more.
        std::thread::sleep(Duration::from_millis(200));
        match stream.read_exact(&mut part) {
            Ok(()) => received += part.len(),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "after {received} bytes");
                break;
            }
        }
    }
    assert!(received >= 2 << 20);
}

#[test]
fn requests_per_connection_and_connections_are_bounded() {
    let server =
        Server::with(Config { requests_per_connection: 2, connections: Some(2), ..config() }, service);
    let mut first = Client::connect(&server);
    assert_eq!(first.get("/plain").field("connection"), None);
    assert_eq!(first.get("/plain").field("connection"), Some("close"));
    assert!(first.is_at_end());
    drop(first);

    let mut held: Vec<Client> = (0..2).map(|_| Client::connect(&server)).collect();
    held.iter_mut().for_each(|client| assert_eq!(client.get("/plain").status, 200));
    let mut third = Client::connect(&server);
    third.send(b"GET /plain HTTP/1.1\r\nHost: h\r\n\r\n");
    drop(held.pop());
    // Nothing else makes room while anybody waits for the answer.
    assert_eq!(third.answer().status, 200, "served when there is room");
}
