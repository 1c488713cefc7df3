//! The times of answers that come in pieces, or not at all.

use std::io::Write;
use std::thread;
use std::time::Duration;

use crate::load_servers::{OK, Server, measure, read_requests};

#[test]
fn the_first_byte_comes_before_the_rest() {
    let server = Server::start(|mut stream| {
        let mut received = Vec::new();
        while let Some(requests) = read_requests(&mut stream, &mut received) {
            for _ in 0..requests {
                let (head, body) = OK.split_at(OK.len() - 2);
                if stream.write_all(head).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(40));
                if stream.write_all(body).is_err() {
                    return;
                }
            }
        }
    });
    let record = measure(&server.plan(4, 1000));
    assert!(record.errors.total() == 0 && record.completed > 20, "{}", record.to_text());
    assert_eq!(record.first_byte.len(), record.service.len());
    let whole = record.service.quantile(0.5);
    let first = record.first_byte.quantile(0.5);
    assert!(first + Duration::from_millis(15) < whole, "{first:?} {whole:?}");
}

#[test]
fn requests_that_a_reset_cut_off_are_kept_with_their_age() {
    let server = Server::start(|mut stream| {
        let mut received = Vec::new();
        if read_requests(&mut stream, &mut received).is_some() {
            thread::sleep(Duration::from_millis(30));
        }
    });
    let record = measure(&server.plan(2, 500));
    assert!(record.cut_off > 2 && record.completed == 0, "{}", record.to_text());
    assert_eq!(record.censored.len(), record.cut_off + record.in_flight_at_end);
    assert!(record.censored.quantile(0.5) >= Duration::from_millis(29), "{}", record.to_text());
}
