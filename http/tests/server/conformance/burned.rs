//! What other servers get wrong, or had to publish an advisory for: none of it may be true here.

use covet_http::h1::Limits;
use covet_http::server::Config;

use super::{Closed, Open, PROBE, check, check_each, get, post, server};
use crate::harness::{Client, Server};

#[test]
fn content_of_a_request_without_meaning_for_it_is_not_the_next_request() {
    check(&[
        (b"GET /target HTTP/1.1\r\nHost: h\r\nContent-Length: 36\r\n\r\nGET /target?smuggled HTTP/1.1\r\nX: y\r", &[200], Open),
        (b"DELETE /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nGET /", &[200], Open),
        (b"OPTIONS * HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\n", &[200], Open),
        (b"HEAD /target HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nGET /", &[200], Open),
        (b"TRACE /target HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nGET /", &[200], Open),
    ]);
}

#[test]
fn lengths_that_differ_or_hide_are_refused() {
    let requests: Vec<Vec<u8>> = [
        "Content-Length: 0\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 0\r\n",
        "Content-Length: 5\r\ncontent-length: 05\r\n",
        "Content-Length : 5\r\n",
        "Content-Length\t: 5\r\n",
        " Content-Length: 5\r\n",
        "Content_Length: 5\r\nContent-Length: +5\r\n",
        "Content-Length: 5\r\n X: y\r\n",
        "Content-Length:\r\n 5\r\n",
        "Content-Length: 5\rX: y\r\n",
        "Content-Length: 5\nX: y\r\n",
        "Content-Length: 1_0\r\n",
        "Content-Length: 1'0\r\n",
    ]
    .map(|lines| post(lines, "hello"))
    .into();
    check_each(&requests, 400, Closed);
}

#[test]
fn codings_that_hide_chunked_are_refused() {
    let requests: Vec<Vec<u8>> = [
        "Transfer-Encoding: \x0bchunked\r\n",
        "Transfer-Encoding: chunked\x0c\r\n",
        "Transfer-Encoding: 'chunked'\r\n",
        "Transfer-Encoding: chunked;\r\n",
        "Transfer-Encoding: chunked \u{a0}\r\n",
        "Transfer-Encoding: chu\0nked\r\n",
        "X: y\rTransfer-Encoding: chunked\r\n",
        "X: y\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity, chunked, identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-encoding: cow\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length:\r\n",
        "Transfer-Encoding:chunked\r\nContent-length:5\r\n",
    ]
    .map(|lines| post(lines, "0\r\n\r\n"))
    .into();
    check_each(&requests, 400, Closed);
}

#[test]
fn chunk_lines_that_readers_differ_about_are_refused() {
    let requests: Vec<Vec<u8>> = [
        // A line end in an extension that one reader sees and another does not.
        "5;\nGET /\r\n0\r\n\r\n",
        "5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n",
        "5;a\r\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0;\n\r\n",
        // Two bytes behind the data that are no line end.
        "5\r\nhelloXX0\r\n\r\n",
        "5\r\nhello\n\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        // Sizes that overflow in 32 or 64 bits.
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffffffffffffffffffff5\r\nhello\r\n0\r\n\r\n",
        "5_0\r\nhello\r\n0\r\n\r\n",
        "0x0\r\n\r\n",
        "-0\r\n\r\n",
        "\u{665}\r\nhello\r\n0\r\n\r\n",
        // The end without its own line end, and the next request at once.
        "0\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "0\r\n\r",
    ]
    .map(|content| post("Transfer-Encoding: chunked\r\n", content))
    .into();
    check_each(&requests, 400, Closed);
}

#[test]
fn expectations_that_hide_are_refused() {
    let requests: Vec<Vec<u8>> = [
        "Expect: y 100-continue\r\n",
        "Expect: 100-continue\r\nExpect: other\r\n",
        "Expect: 100-continue100\r\n",
        "Expect: \"100-continue\"\r\n",
        "Expect: 100\r\n",
    ]
    .map(get)
    .into();
    check_each(&requests, 417, Closed);
}

#[test]
fn protocols_older_than_1_1_are_not_offered_or_tunnelled() {
    check(&[
        (b"CONNECT h:1 HTTP/1.0\r\n\r\n", &[404], Closed),
        (b"GET /target HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", &[200], Closed),
        (b"GET /target HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n", &[200], Open),
    ]);
}

#[test]
fn a_pipeline_of_any_length_is_answered_whole() {
    let server = server();
    let mut client = Client::connect(&server);
    let count = 20_000;
    let mut sender = Client::clone_of(&client);
    let requests: String =
        (0..count).map(|n| format!("GET /target?{n} HTTP/1.1\r\nHost: h\r\n\r\n")).collect();
    let thread = std::thread::spawn(move || sender.send(requests.as_bytes()));
    for n in 0..count {
        assert_eq!(client.answer().text(), format!("/target?{n}"));
    }
    thread.join().unwrap();
    assert_eq!(client.get("/target?end").text(), "/target?end");
}

#[test]
fn names_longer_than_a_map_can_hold_do_not_end_the_core() {
    let config = Config { limits: Limits { head: 1 << 20, ..Limits::default() }, ..Config::default() };
    let count = |request: covet_http::Request| async move {
        covet_http::Response::new(request.headers().len().to_string())
    };
    let server = Server::with(config, count);
    for length in [65_534, 65_535, 65_536, 70_000, 262_144] {
        let mut client = Client::connect(&server);
        let request = format!("GET / HTTP/1.1\r\nHost: h\r\n{}: y\r\n\r\n", "x".repeat(length));
        client.try_send(request.as_bytes());
        let status = client.answer().status;
        assert!(status == 200 || (length > 60_000 && (400..=431).contains(&status)), "{length}: {status}");
        assert_eq!(Client::connect(&server).get("/target").text(), "1", "{length}");
    }
}

#[test]
fn a_length_that_nobody_has_memory_for_reserves_none() {
    let limits = Limits { body: u64::MAX, ..Limits::default() };
    let server =
        Server::with(Config { limits, ..Config::default() }, |mut request: covet_http::Request| async move {
            match request.body_mut().collect(usize::MAX).await {
                Ok(body) => covet_http::Response::new(body),
                Err(error) => covet_http::Response::with_status(error.status()),
            }
        });
    for length in ["9223372036854775807", "18446744073709551615", "4294967296"] {
        let mut client = Client::connect(&server);
        client
            .send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\nhello").as_bytes());
        client.end();
        assert_eq!(client.answer().status, 400, "{length}: what breaks off is not whole");
    }
    let mut client = Client::connect(&server);
    client.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffe\r\nhello");
    client.end();
    assert_eq!(client.answer().status, 400);
}

#[test]
fn refusals_explain_themselves_in_the_version_that_is_served() {
    let server = server();
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a b\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n",
        "GET https://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n",
    ] {
        let mut client = Client::connect(&server);
        client.send(request.as_bytes());
        let answer = client.answer();
        assert_eq!(answer.field("content-type"), Some("application/problem+json"), "{request}");
        assert!(answer.text().contains(&format!("\"status\":{}", answer.status)), "{request}");
    }
    for request in
        ["GET /target HTTP/1.0\r\n\r\n", "GET /target HTTP/1.9\r\nHost: h\r\nConnection: close\r\n\r\n"]
    {
        let mut client = Client::connect(&server);
        client.send(request.as_bytes());
        assert!(client.rest().starts_with(b"HTTP/1.1 200 OK\r\n"), "{request}");
    }
}

#[test]
fn an_idle_connection_that_the_client_closes_is_closed_at_once() {
    let server = server();
    for first in [&b""[..], PROBE, b"GET /tar"] {
        let mut client = Client::connect(&server);
        client.send(first);
        if first == PROBE {
            assert_eq!(client.answer().status, 200);
        }
        client.end();
        let started = std::time::Instant::now();
        assert!(client.is_at_end(), "{}", first.escape_ascii());
        assert!(started.elapsed() < std::time::Duration::from_secs(8), "the usual times are 10 s and more");
    }
}
