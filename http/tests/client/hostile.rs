use std::time::Duration;

use covet_http::client::{Cause, Client, Limits, Timeouts};
use covet_http::h1::ResponseError;

use crate::script::{Script, run};

fn client() -> Client {
    let timeouts = Timeouts { head: Duration::from_secs(60), ..Timeouts::default() };
    Client::builder().timeouts(timeouts).build()
}

#[test]
fn what_is_no_response_is_an_error() {
    for answer in [
        &b"SSH-2.0-OpenSSH_9.6\r\n"[..],
        b"\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nspace : x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: b\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1, 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\na: b\r\n",
    ] {
        let server = Script::answering(answer, true);
        let error = run(async { client().get(server.url("/")).send().await.unwrap_err() });
        assert!(matches!(error.cause(), Cause::Response(_)), "{}: {error}", answer.escape_ascii());
        if answer.starts_with(b"HTTP/1.1 101") {
            let text = error.to_string();
            assert!(text.contains("switched to another protocol without having been asked"), "{text}");
        }
    }
}

#[test]
fn a_body_that_is_cut_or_malformed_is_an_error() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\n",
    ] {
        let server = Script::answering(answer, true);
        run(async {
            let client = client();
            let response = client.get(server.url("/")).send().await.unwrap();
            let error = response.bytes().await.unwrap_err();
            assert!(matches!(error.cause(), Cause::Body(_)), "{}: {error}", answer.escape_ascii());
            assert_eq!(client.idle_connections(), 0);
        });
    }
}

#[test]
fn a_body_to_the_end_of_the_connection_is_marked() {
    let server = Script::answering("HTTP/1.0 200 OK\r\n\r\nall of it", true);
    run(async {
        let client = client();
        let response = client.get(server.url("/")).send().await.unwrap();
        assert!(!response.is_delimited());
        assert_eq!(response.text().await.unwrap(), "all of it");
        assert_eq!(client.idle_connections(), 0);
    });
}

#[test]
fn endless_heads_and_interim_responses_are_cut_off() {
    let endless = Script::start(|_, mut peer| {
        peer.request();
        peer.send(b"HTTP/1.1 200 OK\r\n");
        while peer.send(&[b"a: ".as_slice(), &[b'x'; 500], b"\r\n"].concat()) {}
    });
    let interim = Script::start(|_, mut peer| {
        peer.request();
        while peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n") {}
    });
    run(async {
        let error = client().get(endless.url("/")).send().await.unwrap_err();
        assert!(matches!(error.cause(), Cause::Response(ResponseError::Head(_))), "{error}");
        let error = client().get(interim.url("/")).send().await.unwrap_err();
        assert!(matches!(error.cause(), Cause::Response(ResponseError::TooManyInterim)), "{error}");
    });
}

#[test]
fn interim_responses_and_folded_fields_are_passed_over() {
    let answer = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
        HTTP/1.1 200 OK\r\nfolded: a\r\n b\r\ncontent-length: 2\r\n\r\nok";
    let server = Script::answering(answer, false);
    run(async {
        let response = client().get(server.url("/")).send().await.unwrap();
        let folded: Vec<&str> =
            response.header("folded").unwrap().to_str().unwrap().split_whitespace().collect();
        assert_eq!(folded, ["a", "b"]);
        assert_eq!(response.text().await.unwrap(), "ok");
    });
}

#[test]
fn collectors_have_a_limit() {
    let server = Script::start(|_, mut peer| {
        peer.request();
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n");
        while peer.send(&[b'x'; 10_000]) {}
    });
    run(async {
        let limits = Limits { collected: 100_000, ..Limits::default() };
        let client = Client::builder().limits(limits).build();
        let error = client.get(server.url("/")).send().await.unwrap().bytes().await.unwrap_err();
        assert!(error.to_string().contains("100000"), "{error}");
    });
}

#[test]
fn more_than_was_asked_for_closes_the_connection() {
    let server =
        Script::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n", false);
    run(async {
        let client = client();
        for _ in 0..2 {
            let response = client.get(server.url("/")).send().await.unwrap();
            assert!(!response.is_on_reused_connection());
            assert_eq!(response.text().await.unwrap(), "ok");
            assert_eq!(client.idle_connections(), 0);
        }
    });
    assert_eq!(server.accepted(), 2);
}
