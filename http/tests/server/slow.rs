//! Clients that are slow, or endless.

use std::time::{Duration, Instant};

use covet_http::server::{Config, Event, Timeouts};
use rustix::process::{Resource, getrlimit, setrlimit};

use super::harness::{Client, Server, config, hasty};
use super::{server, service};

/// Sends a piece again and again, until it is refused or `most` has passed; how long that was.
fn trickle(client: &mut Client, piece: &[u8], pause: Duration, most: Duration) -> Duration {
    let started = Instant::now();
    while started.elapsed() < most && client.try_send(piece) {
        std::thread::sleep(pause);
    }
    started.elapsed()
}

#[test]
fn a_body_that_never_pauses_but_is_too_slow_is_408() {
    // A byte every 20 ms is never silent for 300 ms, and is 50 bytes a second where 256 are asked for.
    let config =
        Config { timeouts: Timeouts { body: hasty().timeouts.body, ..config().timeouts }, ..config() };
    let counts = config.counts.clone();
    let server = Server::with(config, service);
    let started = Instant::now();
    let mut client = Client::connect(&server);
    client.send(b"POST /collect HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
    let mut other = Client::clone_of(&client);
    let sending = std::thread::spawn(move || {
        trickle(&mut other, b"x", Duration::from_millis(20), Duration::from_secs(30))
    });
    assert_eq!(client.answer().status, 408);
    assert!(started.elapsed() > Duration::from_millis(250) && started.elapsed() < Duration::from_secs(25));
    drop(client);
    sending.join().unwrap();
    assert_eq!(counts.get(Event::BodyTimeout), 1);
}

#[test]
fn a_body_that_is_fast_enough_may_take_longer_than_the_time_for_silence() {
    // A pause of this client's may be longer than it meant, when its machine is busy.
    let body = Duration::from_secs(2);
    let timeouts = Timeouts { body, body_rate: 100, ..config().timeouts };
    let server = Server::with(Config { timeouts, ..config() }, service);
    let mut client = Client::connect(&server);
    client.send(b"POST /collect HTTP/1.1\r\nHost: h\r\nContent-Length: 25000\r\n\r\n");
    let started = Instant::now();
    for _ in 0..25 {
        client.send(&[b'x'; 1000]);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(started.elapsed() > body);
    let answer = client.answer();
    assert_eq!((answer.status, answer.body.len()), (200, 25_000));
}

#[test]
fn a_reader_that_takes_a_little_now_and_then_is_cut_off() {
    let timeouts = Timeouts { write: hasty().timeouts.write, ..config().timeouts };
    let config = Config { timeouts, ..config() };
    let counts = config.counts.clone();
    let server = Server::with(config, service);
    let mut client = Client::connect(&server);
    client.send(&b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n".repeat(100));
    // 300 MiB, of which it reads a kilobyte every 20 ms: never idle, and never at its end.
    let started = Instant::now();
    while counts.get(Event::WriteTimeout) == 0 {
        assert!(started.elapsed() < Duration::from_secs(60), "it is served for ever");
        client.read_some(1024);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(client.is_reset());
}

#[test]
fn an_endless_head_is_refused_at_its_limit() {
    let config = config();
    let counts = config.counts.clone();
    let server = Server::with(config, service);
    let lines = "X-Endless: 0123456789012345678901234567890123456789\r\n".repeat(100);
    let cases = [
        ("GET / HTTP/1.1\r\nHost: h\r\n", lines.as_str()),
        ("GET / HTTP/1.1\r\nHost: h\r\nX: ", &"y".repeat(4096)),
    ];
    for (start, piece) in cases {
        let mut client = Client::connect(&server);
        client.send(start.as_bytes());
        let mut sent = 0;
        while sent < 64 << 20 && client.try_send(piece.as_bytes()) {
            sent += piece.len();
        }
        assert!(sent < 64 << 20, "it is read for ever");
    }
    let mut client = Client::connect(&server);
    client.send(format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}", "y".repeat(70_000)).as_bytes());
    assert_eq!(client.answer().status, 431, "it need not end to be refused");
    assert_eq!(counts.get(Event::Refused), 3);
}

#[test]
fn a_huge_pipeline_is_answered_in_order_as_fast_as_it_is_read() {
    const COUNT: usize = 20_000;
    let server = Server::with(config(), service);
    let mut client = Client::connect(&server);
    let mut other = Client::clone_of(&client);
    let sending = std::thread::spawn(move || {
        let requests: String =
            (0..COUNT).map(|n| format!("GET /target?{n} HTTP/1.1\r\nHost: h\r\n\r\n")).collect();
        other.send(requests.as_bytes());
    });
    for n in 0..COUNT {
        assert_eq!(client.answer().text(), format!("/target?{n}"));
    }
    sending.join().unwrap();
}

#[test]
fn an_endless_pipeline_that_is_not_read_stops_being_served() {
    let timeouts = Timeouts { write: hasty().timeouts.write, ..config().timeouts };
    let config = Config { timeouts, ..config() };
    let counts = config.counts.clone();
    let server = Server::with(config, service);
    let mut client = Client::connect(&server);
    let requests = b"GET /plain HTTP/1.1\r\nHost: h\r\n\r\n".repeat(1000);
    let started = Instant::now();
    let mut sent = 0_usize;
    while client.try_send(&requests) {
        sent += requests.len();
        assert!(started.elapsed() < Duration::from_secs(60) && sent < 256 << 20, "{sent} bytes were taken");
    }
    assert_eq!(counts.get(Event::WriteTimeout), 1);
    assert_eq!(Client::connect(&server).get("/plain").status, 200);
}

#[test]
fn clients_that_do_not_read_leave_the_receive_buffers_to_others() {
    // Each has more requests behind the answer that it does not read than are taken at a time.
    let builder = covet_runtime::Runtime::builder().recv_buffers(16, 4096);
    let server = Server::on(builder, config(), service);
    let requests = [
        b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n".repeat(20),
        b"GET /plain HTTP/1.1\r\nHost: h\r\n\r\n".repeat(5000),
        b"GET /stream HTTP/1.1\r\nHost: h\r\n\r\n".repeat(5000),
    ];
    let mut held = Vec::new();
    for request in requests.iter().cycle().take(48) {
        let mut client = Client::connect(&server);
        client.send_what_fits(request);
        held.push(client);
    }
    // Nobody reads, and no time runs out: this comes now or not before the client gives up.
    for _ in 0..5 {
        assert_eq!(Client::connect(&server).get("/plain").status, 200);
    }
}

#[test]
fn silence_is_counted_and_idling_is_not() {
    let second = Duration::from_secs(1);
    let timeouts = Timeouts { head: second, idle: second, ..config().timeouts };
    let config = Config { timeouts, ..config() };
    let counts = config.counts.clone();
    let server = Server::with(config, service);
    let mut idle = Client::connect(&server);
    assert_eq!(idle.get("/plain").status, 200);
    assert!(Client::connect(&server).is_at_end() && idle.is_at_end());
    assert_eq!(counts.get(Event::HeadTimeout), 1);
    let mut slow = Client::connect(&server);
    slow.send(b"GET /");
    assert_eq!(slow.answer().status, 408);
    assert_eq!(counts.get(Event::HeadTimeout), 2);
}

/// Lets this process have all the descriptors that it may have, of which a shell gives it a few. Returns how many.
fn descriptors() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    limit.maximum.map_or(usize::MAX, |most| most as usize)
}

#[test]
fn a_thousand_slow_clients_do_not_hold_up_the_others() {
    // Both ends of each are here, as are other tests' connections. A server takes half as many as there are descriptors.
    let count = (descriptors() / 4).min(1000);
    let server = server();
    let mut slow: Vec<Client> = (0..count).map(|_| Client::connect(&server)).collect();
    slow.iter_mut().for_each(|client| client.send(b"GET / HTTP/1.1\r\nHost: h\r\nX: "));
    let mut client = Client::connect(&server);
    // None of them is let go meanwhile: each of these comes now or not before the client gives up.
    for round in 0..20 {
        slow.iter_mut().skip(round * 50).take(50).for_each(|client| client.send(b"y"));
        assert_eq!(client.get("/plain").status, 200);
    }
}
