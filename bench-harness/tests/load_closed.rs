//! The closed loop against servers of known behaviour.

mod load_servers;

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use covet_bench::load::{Extent, LoadPlan, RequestOptions};
use covet_bench::record::{Guard, GuardOutcome};
use covet_http::Method;
use load_servers::{OK, Server, had_its_cpu, last_cpu, measure};

#[test]
fn a_sound_server_gives_a_valid_record() {
    let server = Server::answering(OK);
    let plan = LoadPlan { warmup: Duration::from_millis(200), ..server.plan(8, 1300) };
    let record = measure(&plan);
    assert!(record.completed > 100 && record.errors.total() == 0, "{}", record.to_text());
    assert_eq!(record.status[2], record.completed);
    assert_eq!(record.bytes_in, record.completed * OK.len() as u64);
    let is_free = had_its_cpu(&record);
    assert!((record.little_closure - 1.0).abs() < 0.03 || !is_free, "{}", record.to_text());
    assert_eq!(record.intervals.len(), 2);
    // It opens and ends later than asked by what kept the generator from it.
    assert!(record.elapsed >= Duration::from_millis(1290) || !is_free, "{}", record.to_text());
    assert!(record.elapsed >= Duration::from_millis(1100), "{}", record.to_text());
    assert!(record.elapsed < Duration::from_millis(1500) || !is_free, "{}", record.to_text());
    assert!(record.generator_cpu > Duration::ZERO && record.busiest() <= 1.01, "{}", record.to_text());
    let of_the_machine =
        |guard: &Guard| !is_free && ["pauses", "closure", "throttling"].contains(&guard.name);
    let failed = |guard: &Guard| guard.outcome == GuardOutcome::Failed && !of_the_machine(guard);
    assert!(!record.guards().iter().any(failed), "{}", record.to_text());
    assert_eq!(server.accepted(), 8, "connections are kept");
}

#[test]
fn a_known_delay_is_recovered() {
    let delay = Duration::from_millis(25);
    let server = Server::per_request(move |stream| {
        thread::sleep(delay);
        stream.write_all(OK).is_ok()
    });
    let record = measure(&server.plan(4, 1500));
    let p50 = record.quantile(0.5);
    assert!(Duration::from_nanos(record.response.min()) >= delay.mul_f64(0.999), "never less than the delay");
    // A server of sleeping threads wakes late where others run, and so does the generator.
    assert!(p50 < delay.mul_f64(1.4) || !had_its_cpu(&record), "p50 {p50:?} of a delay of {delay:?}");
    assert!(p50 < delay * 10, "p50 {p50:?} of a delay of {delay:?}");
    let ideal = 4.0 / (record.response.mean() / 1e9);
    assert!((record.rate() / ideal - 1.0).abs() < 0.25, "{} /s, ideal {ideal}", record.rate());
}

#[test]
fn pipelined_requests_are_answered_in_batches() {
    let server = Server::answering(OK);
    let record = measure(&LoadPlan { pipeline: 16, ..server.plan(2, 500) });
    assert!(record.completed > 100 && record.errors.total() == 0, "{}", record.to_text());
    assert_eq!(record.in_flight_at_end, 32, "every slot of both connections is in use");
}

#[test]
fn a_run_by_count_sends_exactly_that_many() {
    let server = Server::answering(OK);
    for (warmup, pipeline) in [(0, 1), (50, 1), (0, 7)] {
        let plan = LoadPlan {
            warmup: Duration::from_millis(warmup),
            pipeline,
            extent: Extent { duration: None, requests: Some(1000) },
            ..server.plan(3, 0)
        };
        let record = measure(&plan);
        assert_eq!(record.completed, 1000, "{}", record.to_text());
        assert_eq!(record.in_flight_at_end, 0);
    }
}

#[test]
fn two_threads_split_connections_and_requests() {
    let server = Server::answering(OK);
    let plan = LoadPlan {
        cpus: vec![last_cpu(), last_cpu()],
        extent: Extent { duration: None, requests: Some(501) },
        ..server.plan(5, 0)
    };
    let record = measure(&plan);
    assert_eq!(record.completed, 501);
    assert_eq!(record.busy.len(), 2);
    assert_eq!(server.accepted(), 5);
    let guard =
        record.guards().into_iter().find(|guard| guard.name == "oversubscription").expect("it applies");
    assert_eq!(guard.outcome, GuardOutcome::Failed, "two threads on one CPU prove nothing");
    assert!(!record.is_valid());
}

#[test]
fn chunked_answers_are_whole_answers() {
    let server = Server::answering(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nT: v\r\n\r\n",
    );
    let record = measure(&LoadPlan { pipeline: 3, ..server.plan(2, 1000) });
    assert!(record.completed > 10 && record.errors.total() == 0, "{}", record.to_text());
}

#[test]
fn answers_to_head_have_no_body() {
    let server = Server::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    let mut plan = server.plan(2, 1000);
    plan.request.method = Method::HEAD;
    let record = measure(&plan);
    assert!(record.completed > 10 && record.errors.total() == 0, "{}", record.to_text());
}

#[test]
fn answers_larger_than_any_buffer_are_counted_whole() {
    const BODY: usize = 3_000_000;
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n").into_bytes();
    answer.resize(answer.len() + BODY, b'x');
    let size = answer.len() as u64;
    let server = Server::per_request(move |stream| stream.write_all(&answer).is_ok());
    let plan = LoadPlan { extent: Extent { duration: None, requests: Some(40) }, ..server.plan(4, 0) };
    let record = measure(&plan);
    assert_eq!((record.completed, record.bytes_in), (40, 40 * size), "{}", record.to_text());
}

#[test]
fn method_fields_and_body_arrive_as_asked() {
    let server = Server::start(|mut stream| {
        let expected =
            b"PUT /path HTTP/1.1\r\nHost: example.org\r\nX-One: 1\r\nContent-Length: 4\r\n\r\nbody";
        let mut request = vec![0; expected.len()];
        while stream.read_exact(&mut request).is_ok() {
            let answer =
                if request == expected { OK } else { b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n" };
            if stream.write_all(answer).is_err() {
                return;
            }
        }
    });
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let plan = LoadPlan {
        request: RequestOptions {
            method: Method::PUT,
            fields: vec![field("Host", "example.org"), field("X-One", "1")],
            body: b"body".to_vec().into(),
            template: false,
        },
        ..server.plan(2, 1000)
    };
    let record = measure(&plan);
    assert!(record.completed > 10 && record.errors.total() == 0, "{}", record.to_text());
}
