//! Clients that break off, dawdle, or speak something else.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use covet_http::tls;

use crate::authority::Authority;
use crate::harness::{Client, Server, client_config};
use crate::local;

/// A ClientHello as rustls makes it.
fn hello(authority: &Authority) -> Vec<u8> {
    let config = std::sync::Arc::new(client_config(authority.roots()));
    let mut client = rustls::ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

fn rest(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is an end as well.
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

#[test]
fn a_handshake_that_breaks_off_leaves_nothing_behind() {
    let (authority, server) = local();
    let hello = hello(&authority);
    for length in (0..hello.len()).step_by(7) {
        let mut stream = server.connect();
        stream.write_all(&hello[..length]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(&mut stream), b"", "after {length} bytes");
    }
    let mut whole = server.connect();
    whole.write_all(&hello).unwrap();
    whole.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut whole)[0], 22, "a handshake record");
    let mut client = Client::of(&server, client_config(authority.roots()), "localhost");
    assert_eq!(client.get("/later"), "later");
}

#[test]
fn a_handshake_may_come_byte_by_byte_but_not_for_ever() {
    let authority = Authority::new();
    let pair = authority.issue("local", &["localhost"]);
    let builder = tls::Config::builder().certificate(pair.files());
    let limit = Duration::from_secs(2);
    let server = Server::start(&builder.handshake_timeout(limit).build().unwrap());
    let hello = hello(&authority);
    let mut slow = server.connect();
    for byte in &hello {
        slow.write_all(&[*byte]).unwrap();
    }
    let mut answer = [0];
    slow.read_exact(&mut answer).unwrap();
    assert_eq!(answer[0], 22);
    // From here on both say nothing.
    let begun = Instant::now();
    let mut silent = server.connect();
    let mut half = server.connect();
    half.write_all(&hello[..100]).unwrap();
    for stream in [&mut slow, &mut silent, &mut half] {
        rest(stream);
    }
    // The time for a head is 10 s, and this machine may be busy.
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    // Nobody is cut off after the handshake for having had a short time for it.
    let mut client = Client::of(&server, client_config(authority.roots()), "localhost");
    client.tls.conn.complete_io(&mut client.tls.sock).unwrap();
    std::thread::sleep(limit + Duration::from_millis(50));
    assert_eq!(client.get("/later"), "later");
}

#[test]
fn a_handshake_that_drips_has_one_time_for_all_of_it() {
    let authority = Authority::new();
    let pair = authority.issue("local", &["localhost"]);
    let builder = tls::Config::builder().certificate(pair.files());
    let server = Server::start(&builder.handshake_timeout(Duration::from_millis(300)).build().unwrap());
    let hello = hello(&authority);
    let begun = Instant::now();
    let mut slow = server.connect();
    slow.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let ended = hello.iter().any(|byte| {
        let is_open = |error: &std::io::Error| {
            matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
        };
        slow.write_all(&[*byte]).is_err() || !slow.read(&mut [0]).is_err_and(|error| is_open(&error))
    });
    assert!(ended && begun.elapsed() < Duration::from_secs(9), "{ended} {:?}", begun.elapsed());
}

/// What the server says to such bytes before it ends the connection, which it must do long before any time is up.
fn answer_to(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let begun = Instant::now();
    let mut stream = server.connect();
    // It may end while this is being written.
    let _ = stream.write_all(bytes);
    let answer = rest(&mut stream);
    // The time for a handshake is 10 s.
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    answer
}

#[test]
fn records_and_messages_that_are_too_long_are_not_waited_for() {
    let (authority, server) = local();
    let record = |kind: u8, content: &[u8]| {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[kind, 3, 1], &length[..], content].concat()
    };
    let too_long = answer_to(&server, b"\x16\x03\x01\xff\xffx");
    assert_eq!((too_long[0], too_long.len()), (21, 7), "one alert record: {too_long:?}");
    // A ClientHello of 16 MiB, as its first bytes say.
    let mut endless = record(22, b"\x01\xff\xff\xff");
    for _ in 0..512 {
        endless.extend_from_slice(&record(22, &[0; 1 << 14]));
    }
    answer_to(&server, &endless);
    // Records that cost their sender next to nothing.
    answer_to(&server, &record(20, b"\x01").repeat(10_000));
    answer_to(&server, &record(22, b"").repeat(10_000));
    answer_to(&server, &record(21, b"\x01\x5a").repeat(10_000));
    let mut client = Client::of(&server, client_config(authority.roots()), "localhost");
    assert_eq!(client.get("/later"), "later");
}

#[test]
fn what_is_no_tls_gets_an_alert_and_plain_http_an_explanation() {
    let (_authority, server) = local();
    let mut garbage = server.connect();
    garbage.write_all(b"\xff\x03\x01\x00\x05hello").unwrap();
    let alert = rest(&mut garbage);
    assert_eq!((alert[0], alert.len()), (21, 7), "one alert record: {alert:?}");
    let mut plain = server.connect();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let answer = String::from_utf8(rest(&mut plain)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("use an https:// URL.\r\n"), "{answer}");
}

#[test]
fn a_record_that_was_tampered_with_ends_the_connection() {
    let (authority, server) = local();
    let mut client = Client::of(&server, client_config(authority.roots()), "localhost");
    assert_eq!(client.get("/later"), "later");
    client.tls.sock.write_all(b"\x17\x03\x03\x00\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").unwrap();
    let error = client.tls.read(&mut [0; 16]).unwrap_err().to_string();
    assert!(error.contains("BadRecordMac") || error.contains("DecryptError"), "{error}");
}

#[test]
fn a_body_that_is_cut_off_is_not_taken_for_whole() {
    let (authority, server) = local();
    let mut client = Client::of(&server, client_config(authority.roots()), "localhost");
    client.send(b"POST /collect HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    client.tls.sock.shutdown(Shutdown::Write).unwrap();
    assert!(client.answer().map_or(true, |content| content != b"abc"));
    let mut client = Client::of(&server, client_config(authority.roots()), "localhost");
    assert_eq!(client.get("/later"), "later");
}
