//! The generator against servers that do what servers do wrong.

mod load_servers;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use covet_bench::load::{Extent, LoadError, LoadPlan, NoProgress, TargetUrl, run};
use covet_bench::record::{GuardOutcome, RunRecord};
use load_servers::{OK, Server, had_its_cpu, read_requests};
use rustix::net::sockopt::set_socket_linger;

/// Makes the coming close a reset instead of an end of stream.
fn reset(stream: &TcpStream) {
    set_socket_linger(stream, Some(Duration::ZERO)).expect("a TCP socket can linger");
}

/// Makes a run, which no server may hold up.
fn measure(plan: &LoadPlan) -> RunRecord {
    let began = Instant::now();
    let record = load_servers::measure(plan);
    let allowed = plan.warmup + plan.extent.duration.expect("tests run by time") + Duration::from_secs(5);
    assert!(began.elapsed() < allowed, "the run took {:?}", began.elapsed());
    record
}

#[test]
fn a_server_that_closes_in_the_middle_of_an_answer() {
    let server = Server::per_request(|stream| {
        let _ = stream.write_all(&OK[..OK.len() - 2]);
        false
    });
    let record = measure(&server.plan(4, 1000));
    assert_eq!(record.completed, 0);
    assert!(record.errors.early_close >= 4, "{:?}", record.errors);
    assert!(record.reconnects > 0 && server.accepted() > 4, "connections are opened again");
    assert!(server.accepted() < 1500, "with a pause, not in a hot loop: {}", server.accepted());
    assert!(!record.is_valid());
}

#[test]
fn an_answer_that_was_cut_is_no_beginning_of_the_next_connections() {
    let connections = AtomicU64::new(0);
    let server = Server::start(move |mut stream| {
        let is_first = connections.fetch_add(1, Ordering::SeqCst) == 0;
        let mut received = Vec::new();
        while read_requests(&mut stream, &mut received).is_some() {
            let whole = if is_first { &OK[..OK.len() - 2] } else { OK };
            if stream.write_all(whole).is_err() || is_first {
                return;
            }
        }
    });
    let plan = server.plan(1, 10_000);
    let extent = Extent { requests: Some(20), ..plan.extent };
    let record = measure(&LoadPlan { extent, ..plan });
    assert_eq!((record.completed, record.errors.early_close), (19, 1), "{}", record.to_text());
    assert!(*record.first_byte == *record.service, "all of them came in one piece: {}", record.to_text());
}

#[test]
fn a_server_that_accepts_and_closes() {
    let server = Server::start(drop::<TcpStream>);
    let record = measure(&server.plan(2, 1000));
    assert_eq!(record.completed, 0);
    assert!(record.errors.early_close + record.errors.reset > 0, "{:?}", record.errors);
}

#[test]
fn a_server_that_answers_garbage() {
    let server = Server::answering(b"220 mail.example ESMTP\r\n");
    let record = measure(&server.plan(2, 1000));
    assert_eq!(record.completed, 0);
    assert!(record.errors.malformed > 0, "{:?}", record.errors);
    assert_eq!(record.errors.first.as_deref(), Some("malformed: not an HTTP/1 status line"));
}

#[test]
fn a_server_that_answers_twice() {
    let server = Server::per_request(|stream| stream.write_all(&[OK, OK].concat()).is_ok());
    let record = measure(&server.plan(1, 1000));
    assert!(record.errors.malformed > 0, "{:?}", record.errors);
    assert!(record.errors.first.as_deref().is_some_and(|first| first.contains("a response to no request")));
}

#[test]
fn a_server_that_resets() {
    let server = Server::per_request(|stream| {
        reset(stream);
        false
    });
    let record = measure(&server.plan(2, 1000));
    assert_eq!(record.completed, 0);
    assert!(record.errors.reset > 0, "{:?}", record.errors);
}

#[test]
fn a_server_that_never_answers() {
    let server = Server::per_request(|_| true);
    // Time for ten timeouts in a row on each, of which two are asked for.
    let plan = LoadPlan { timeout: Duration::from_millis(100), ..server.plan(3, 1500) };
    let record = measure(&plan);
    assert_eq!(record.completed, 0);
    assert!(record.errors.timeout >= 6, "each connection times out again and again: {:?}", record.errors);
    assert!(record.response.min() >= 99_900_000, "timeouts are recorded at their age");
    assert!(record.in_flight_at_end > 0, "what still waits at the end is recorded too");
    assert!(!record.is_valid());
}

#[test]
fn a_server_that_stops_answering_after_a_while() {
    let served = AtomicU64::new(0);
    let server = Server::per_request(move |stream| {
        served.fetch_add(1, Ordering::SeqCst) >= 100 || stream.write_all(OK).is_ok()
    });
    let plan = LoadPlan { timeout: Duration::from_millis(100), ..server.plan(2, 1500) };
    let record = measure(&plan);
    assert_eq!(record.completed, 100);
    assert!(record.errors.timeout > 0);
    let (lower, upper) = record.quantile_bounds(0.99);
    assert!(lower >= Duration::from_millis(99) && upper.is_none(), "{lower:?} {upper:?}");
}

#[test]
fn a_server_that_dribbles_byte_by_byte() {
    let server = Server::per_request(|stream| {
        OK.iter().all(|byte| {
            thread::sleep(Duration::from_micros(50));
            stream.write_all(std::slice::from_ref(byte)).is_ok()
        })
    });
    let record = measure(&server.plan(2, 500));
    assert!(record.completed > 0);
    assert_eq!(record.errors.total(), 0, "{:?}", record.errors);
}

#[test]
fn a_server_that_closes_after_each_answer_as_it_said() {
    let server = Server::per_request(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
        false
    });
    let record = measure(&server.plan(4, 500));
    assert!(record.completed > 20, "{}", record.to_text());
    assert_eq!(record.errors.total(), 0, "{:?}", record.errors);
    assert!(record.reconnects + 4 >= record.completed);
    let closure = record.guards().into_iter().find(|guard| guard.name == "closure").expect("it applies");
    assert!(
        closure.outcome == GuardOutcome::Passed || !had_its_cpu(&record),
        "time without a connection is no lost time: {closure:?}"
    );
}

#[test]
fn a_server_whose_bodies_end_with_the_connection() {
    let server = Server::per_request(|stream| {
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nold but valid");
        false
    });
    let record = measure(&server.plan(2, 1000));
    assert!(record.completed > 5, "{}", record.to_text());
    assert_eq!(record.errors.total(), 0, "{:?}", record.errors);
}

#[test]
fn a_server_that_answers_errors() {
    let server = Server::answering(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    let record = measure(&server.plan(2, 1000));
    assert_eq!(record.completed, 0);
    assert!(record.errors.unexpected_status > 0);
    assert_eq!(record.status[5], record.errors.unexpected_status);
    assert_eq!(record.errors.first.as_deref(), Some("unexpected status: 503"));
    assert!(!record.is_valid());

    let mut plan = server.plan(2, 1000);
    plan.expect.status = Some(503);
    let expected = measure(&plan);
    assert!(expected.completed > 0 && expected.errors.total() == 0, "{}", expected.to_text());
}

#[test]
fn a_server_whose_answers_change_their_length() {
    let count = AtomicU64::new(0);
    let server = Server::per_request(move |stream| {
        let odd = count.fetch_add(1, Ordering::SeqCst) % 2 == 1;
        let longer = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello!";
        stream.write_all(if odd { longer } else { OK }).is_ok()
    });
    let record = measure(&server.plan(1, 1000));
    assert!(record.errors.unexpected_length > 0 && record.completed > 0, "{:?}", record.errors);

    let mut plan = server.plan(1, 1000);
    plan.expect.same_length = false;
    assert_eq!(measure(&plan).errors.total(), 0);
}

#[test]
fn a_server_that_goes_away_during_the_run() {
    let server = Server::answering(OK);
    let plan = server.plan(2, 600);
    let running = thread::spawn(move || measure(&plan));
    thread::sleep(Duration::from_millis(200));
    // The listener closes; the threads of open connections go on.
    drop(server);
    let record = running.join().expect("the run does not panic");
    assert!(record.completed > 0);
}

#[test]
fn a_server_that_is_not_there() {
    let server = Server::answering(OK);
    let mut plan = server.plan(2, 1000);
    // Nothing listens on the discard port of a loopback address that nobody uses.
    plan.url = TargetUrl::parse("http://127.9.9.9:9/").expect("a valid URL");
    let began = Instant::now();
    let error = run(&plan, &NoProgress).expect_err("nothing listens there");
    assert!(matches!(error, LoadError::Connect { .. }), "{error:?}");
    assert!(error.to_string().contains("127.9.9.9:9"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_server_that_sends_more_than_it_reads() {
    // It answers without reading, so its answers come before requests and the rest never fits.
    let server = Server::start(|mut stream| {
        let mut first = [0; 1];
        if stream.read_exact(&mut first).is_ok() {
            while stream.write_all(OK).is_ok() {}
        }
    });
    let record = measure(&server.plan(2, 1000));
    assert!(record.errors.malformed > 0, "{:?}", record.errors);
}
