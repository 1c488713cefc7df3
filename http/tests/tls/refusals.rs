//! Handshakes that fail, and what an operator is told of them.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use covet_http::server::Event;
use covet_http::tls::{self, ClientCertificates};
use rustls::ClientConfig;

use crate::authority::{Authority, Pair};
use crate::harness::{BOTH, Client, Server, client_config_of};
use crate::log;

/// What a client shows and trusts.
fn of(trusted: &Authority, shown: Option<&Pair>, versions: usize) -> ClientConfig {
    let config = client_config_of(trusted.roots(), &BOTH[versions..=versions]);
    let Some(pair) = shown else { return config };
    let (chain, key) = pair.client_auth();
    ClientConfig::builder_with_provider(config.crypto_provider().clone())
        .with_protocol_versions(&BOTH[versions..=versions])
        .unwrap()
        .with_root_certificates(trusted.roots())
        .with_client_auth_cert(chain, key)
        .unwrap()
}

/// Makes a handshake that must fail. Returns the address that the log names.
fn refused(server: &Server, config: ClientConfig) -> String {
    let mut client = Client::of(server, config, "localhost");
    let address = client.tls.sock.local_addr().unwrap().to_string();
    // With TLS 1.3 a client may write before it knows that it is refused.
    let _ = client.tls.write_all(b"GET /facts HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(client.tls.read(&mut [0; 16]).is_err());
    address
}

fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn handshakes_that_fail_over_certificates_are_counted_and_told_with_the_reason() {
    log::listen();
    let (authority, stranger) = (Authority::new(), Authority::called("another root"));
    let (local, good) = (authority.issue("local", &["localhost"]), authority.issue("client", &["client"]));
    let past = authority.issue_for_years("past", &["client"], 2001, 2002);
    let strange = stranger.issue("client", &["client"]);
    let clients = ClientCertificates::required(&authority.root_file);
    let builder = tls::Config::builder().certificate(local.files()).client_certificates(clients);
    let server = Server::start(&builder.build().unwrap());
    let mut failed = 0;
    for version in 0..BOTH.len() {
        for (config, told) in [
            (of(&authority, None, version), ["a client shows no certificate", "sent no certificates"]),
            (
                of(&authority, Some(&strange), version),
                ["a client's certificate is not good", "UnknownIssuer"],
            ),
            (of(&authority, Some(&past), version), ["a client's certificate is not good", "expired"]),
            (
                of(&stranger, Some(&good), version),
                ["does not accept the certificate of this server", "UnknownCA"],
            ),
        ] {
            let begun = Instant::now();
            let address = refused(&server, config);
            failed += 1;
            eventually("it is counted", || server.counts.get(Event::TlsHandshake) == failed);
            let times = format!("times={failed} ");
            let words = [told[0], told[1], &address, &times];
            eventually(&format!("the log has {words:?}"), || log::warnings_with(&words) == 1);
            // The log is told of the same trouble once in a second, which a slow machine may take for these two.
            let silent = refused(&server, of(&authority, None, version));
            failed += 1;
            eventually("it is counted", || server.counts.get(Event::TlsHandshake) == failed);
            assert!(log::warnings_with(&[&silent]) == 0 || begun.elapsed() > Duration::from_secs(1));
            std::thread::sleep(Duration::from_millis(1100));
        }
        let mut client = Client::of(&server, of(&authority, Some(&good), version), "localhost");
        assert_eq!(client.get("/later"), "later");
    }
    assert_eq!(server.counts.get(Event::TlsHandshake), failed, "those that succeed are not counted");
}

#[test]
fn handshakes_that_fail_otherwise_are_counted_only() {
    log::listen();
    let authority = Authority::new();
    let local = authority.issue("local", &["localhost"]);
    let builder = tls::Config::builder().certificate(local.files());
    let server = Server::start(&builder.handshake_timeout(Duration::from_secs(2)).build().unwrap());
    let counted = || (server.counts.get(Event::TlsHandshake), server.counts.get(Event::HeadTimeout));
    let mut plain = server.connect();
    let address = plain.local_addr().unwrap().to_string();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    eventually("no TLS at all", || counted() == (1, 0));
    assert_eq!(server.counts.get(Event::ProxyHeader), 0);
    // Those that look whether somebody is there have done nothing wrong.
    drop(server.connect());
    let silent = server.connect();
    eventually("a handshake that is too slow", || counted() == (1, 1));
    drop(silent);
    let mut client = Client::of(&server, client_config_of(authority.roots(), BOTH), "localhost");
    assert_eq!(client.get("/later"), "later");
    client.tls.sock.write_all(b"\x17\x03\x03\x00\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").unwrap();
    let _ = client.tls.read(&mut [0; 16]);
    // Also where no request has come yet.
    let mut client = Client::of(&server, client_config_of(authority.roots(), BOTH), "localhost");
    client.certificate();
    std::thread::sleep(Duration::from_millis(200));
    client.tls.sock.write_all(b"\x17\x03\x03\x00\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").unwrap();
    while client.tls.sock.read(&mut [0; 1024]).is_ok_and(|count| count > 0) {}
    assert_eq!(counted(), (1, 1), "what comes after a handshake is none");
    assert_eq!(log::warnings_with(&[&address]), 0);
}

#[test]
fn a_proxy_that_speaks_first_where_it_should_not_is_told() {
    log::listen();
    let authority = Authority::new();
    let local = authority.issue("local", &["localhost"]);
    let server = Server::start(&tls::Config::builder().certificate(local.files()).build().unwrap());
    let begun = Instant::now();
    for (number, header) in
        (1..).zip([&b"PROXY TCP4 192.0.2.9 198.51.100.7 4711 80\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"])
    {
        let mut proxy = server.connect();
        proxy.write_all(header).unwrap();
        let _ = proxy.read_to_end(&mut Vec::new());
        assert_eq!(server.counts.get(Event::ProxyHeader), number);
        let told = ["where none is taken", &proxy.local_addr().unwrap().to_string()];
        // The second time within a second is not told.
        let times = log::warnings_with(&told);
        let is_late = begun.elapsed() > Duration::from_secs(1);
        assert!(times == usize::from(number == 1) || is_late && times == 1, "{number}: {times}");
    }
}
