//! TLS, spoken to by rustls, OpenSSL and curl over real sockets.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod authority;
mod certificates;
mod clients;
mod harness;
mod hostile;
mod kernel;
#[path = "../server/log.rs"]
mod log;
#[path = "../programs/mod.rs"]
mod programs;
mod refusals;
mod tools;

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use authority::Authority;
use covet_http::server::Timeouts;
use covet_http::tls;
use harness::{BOTH, Client, Server, client_config, client_config_of};

/// A server for `localhost`, and who vouches for it.
fn local() -> (Authority, Server) {
    let authority = Authority::new();
    let pair = authority.issue("local", &["localhost"]);
    let tls = tls::Config::builder().certificate(pair.files()).build().unwrap();
    let server = Server::start(&tls);
    (authority, server)
}

#[test]
fn a_handler_knows_what_was_agreed_on() {
    let (authority, server) = local();
    for (version, name) in BOTH.iter().zip(["Tls12", "Tls13"]) {
        let mut config = client_config_of(authority.roots(), &[version]);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut client = Client::of(&server, config, "localhost");
        assert_eq!(client.get("/facts"), format!("{name} localhost http/1.1 false 0"));
        assert_eq!(client.get("/later"), "later");
    }
    let mut silent = Client::of(&server, client_config(authority.roots()), "localhost");
    assert_eq!(silent.get("/facts"), "Tls13 localhost  false 0");
}

#[test]
fn a_target_may_say_https() {
    let (authority, server) = local();
    let mut client = Client::of(&server, client_config(authority.roots()), "localhost");
    assert_eq!(client.get("https://localhost/facts"), "Tls13 localhost  false 0");
}

#[test]
fn a_client_that_offers_only_other_protocols_is_refused() {
    let (authority, server) = local();
    let mut config = client_config(authority.roots());
    config.alpn_protocols = vec![b"spdy/3".to_vec()];
    let mut client = Client::of(&server, config, "localhost");
    let error = client.tls.conn.complete_io(&mut client.tls.sock).unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
}

#[test]
fn an_older_version_than_allowed_is_refused() {
    let authority = Authority::new();
    let pair = authority.issue("local", &["localhost"]);
    let builder = tls::Config::builder().certificate(pair.files());
    let server = Server::start(&builder.oldest_version(tls::Version::Tls13).build().unwrap());
    let mut old = Client::of(&server, client_config_of(authority.roots(), &BOTH[..1]), "localhost");
    let error = old.tls.conn.complete_io(&mut old.tls.sock).unwrap_err();
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");
}

#[test]
fn a_session_is_resumed_on_another_core() {
    let authority = Authority::new();
    let pair = authority.issue("local", &["localhost"]);
    let tls = tls::Config::builder().certificate(pair.files()).build().unwrap();
    // Each has a core of its own, which may be the same where there is only one.
    let servers = [Server::start(&tls), Server::start(&tls)];
    for version in BOTH {
        let config = Arc::new(client_config_of(authority.roots(), &[version]));
        let facts: Vec<String> = [0, 1, 0]
            .map(|core: usize| Client::new(&config, "localhost", servers[core].address).get("/facts"))
            .into();
        let resumed: Vec<bool> = facts.iter().map(|facts| facts.contains(" true ")).collect();
        assert_eq!(resumed, [false, true, true], "{facts:?}");
    }
    // A ticket is good for the configuration that made it, and no other.
    let other = tls::Config::builder().certificate(pair.files()).build().unwrap();
    let stranger = Server::start(&other);
    let config = Arc::new(client_config(authority.roots()));
    Client::new(&config, "localhost", servers[0].address).get("/facts");
    let facts = Client::new(&config, "localhost", stranger.address).get("/facts");
    assert!(facts.contains(" false "), "{facts}");
}

#[test]
fn large_bodies_pass_both_ways() {
    let (authority, server) = local();
    let body: Vec<u8> = (0..2_000_000_u32).map(|n| (n % 251) as u8).collect();
    for version in BOTH {
        let mut client = Client::of(&server, client_config_of(authority.roots(), &[version]), "localhost");
        assert_eq!(client.get("/big").len(), 3 << 20);
        let head = format!("POST /collect HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len());
        client.send(head.as_bytes());
        client.send(&body);
        assert!(client.answer().unwrap() == body, "collected");
        client.send(b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut back = Vec::new();
        // In turns, as nobody reads while this end writes.
        for piece in body[..200_000].chunks(20_000) {
            client.send(format!("{:x}\r\n", piece.len()).as_bytes());
            client.send(piece);
            client.send(b"\r\n");
            back.extend_from_slice(piece);
        }
        client.send(b"0\r\n\r\n");
        assert!(client.answer().unwrap() == back, "echoed");
    }
}

#[test]
fn pipelined_requests_in_one_record_are_answered_in_order() {
    let (authority, server) = local();
    let mut client = Client::of(&server, client_config(authority.roots()), "localhost");
    let mut batch = Vec::new();
    for _ in 0..20 {
        batch.extend_from_slice(
            b"GET /facts HTTP/1.1\r\nHost: h\r\n\r\nGET /later HTTP/1.1\r\nHost: h\r\n\r\n",
        );
        batch.extend_from_slice(b"POST /collect HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
    }
    client.send(&batch);
    for _ in 0..20 {
        assert_eq!(client.answer().unwrap(), b"Tls13 localhost  false 0");
        assert_eq!(client.answer().unwrap(), b"later");
        assert_eq!(client.answer().unwrap(), b"abc");
    }
}

#[test]
fn a_client_that_ends_its_side_still_gets_its_answers() {
    let (authority, server) = local();
    let mut client = Client::of(&server, client_config(authority.roots()), "localhost");
    assert_eq!(client.get("/later"), "later");
    client.send(b"GET /later HTTP/1.1\r\nHost: h\r\n\r\nGET /big HTTP/1.1\r\nHost: h\r\n\r\n");
    client.tls.conn.send_close_notify();
    client.tls.flush().unwrap();
    assert_eq!(client.answer().unwrap(), b"later");
    assert_eq!(client.answer().unwrap().len(), 3 << 20);
    // rustls reports an end without close_notify as an error.
    assert_eq!(client.tls.read(&mut [0; 16]).unwrap(), 0);
}

#[test]
fn a_client_whose_tcp_ends_without_a_word_still_gets_the_answers_to_whole_requests() {
    let authority = Authority::new();
    let pair = authority.issue("local", &["localhost"]);
    for kernel in [true, false] {
        let tls = tls::Config::builder().certificate(pair.files()).kernel_tls(kernel).build().unwrap();
        let server = Server::start(&tls);
        for first in ["", "GET /later HTTP/1.1\r\nHost: h\r\n\r\n"] {
            let mut client = Client::of(&server, client_config(authority.roots()), "localhost");
            client.send(format!("{first}GET /later HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
            client.send(b"GET /big HTTP/1.1\r\nHost: h\r\n\r\nPOST /echo HTTP/1.1\r\nHost: h\r\n");
            client.tls.sock.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(client.answer().unwrap(), b"later");
            if !first.is_empty() {
                assert_eq!(client.answer().unwrap(), b"later");
            }
            assert_eq!(client.answer().unwrap().len(), 3 << 20);
            // The server ends in order for its part, and what has not come whole has no answer.
            assert_eq!(client.tls.read(&mut [0; 16]).unwrap(), 0);
        }
    }
}

#[test]
fn behind_a_switch_only_the_alert_is_an_end() {
    let (authority, server) = local();
    for announced in [true, false] {
        let mut client = Client::of(&server, client_config(authority.roots()), "localhost");
        client.send(b"GET /tunnel HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: kind\r\n\r\n");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.tls.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", head.escape_ascii());
        client.send(b"some bytes");
        if announced {
            client.tls.conn.send_close_notify();
            client.tls.flush().unwrap();
        }
        client.tls.sock.shutdown(std::net::Shutdown::Write).unwrap();
        let mut said = String::new();
        client.tls.read_to_string(&mut said).unwrap();
        assert_eq!(said, if announced { "Ok(10)" } else { "Err(UnexpectedEof)" });
    }
}

#[test]
fn every_end_in_order_is_announced() {
    let authority = Authority::new();
    let pair = authority.issue("local", &["localhost"]);
    let tls = tls::Config::builder().certificate(pair.files()).build().unwrap();
    let second = Duration::from_secs(1);
    let server = Server::with(&tls, Timeouts { idle: second, ..Timeouts::default() });
    let mut idle = Client::of(&server, client_config(authority.roots()), "localhost");
    assert_eq!(idle.get("/later"), "later");
    let begun = Instant::now();
    let mut last = Client::of(&server, client_config(authority.roots()), "localhost");
    last.send(b"GET /later HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert_eq!(last.answer().unwrap(), b"later");
    assert_eq!(last.tls.read(&mut [0; 16]).unwrap(), 0, "after the last answer");
    assert_eq!(idle.tls.read(&mut [0; 16]).unwrap(), 0, "after the idle time");
    let mut refused = Client::of(&server, client_config(authority.roots()), "localhost");
    refused.send(b"GET / HTTP/1.1\r\n\r\n");
    let mut answer = Vec::new();
    refused.tls.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 400 "), "after a refusal: {}", answer.escape_ascii());
    // The time for a head, 10 s, is not the one that counts between requests.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

#[test]
fn keys_may_be_refreshed_in_between() {
    let authority = Authority::new();
    let pair = authority.issue("local", &["localhost"]);
    let builder = tls::Config::builder().certificate(pair.files());
    let server = Server::start(&builder.kernel_tls(false).build().unwrap());
    let mut client = Client::of(&server, client_config_of(authority.roots(), &BOTH[1..]), "localhost");
    for _ in 0..3 {
        assert_eq!(client.get("/later"), "later");
        client.tls.conn.refresh_traffic_keys().unwrap();
    }
    assert_eq!(client.get("/later"), "later");
}
