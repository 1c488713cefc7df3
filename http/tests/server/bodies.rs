//! Request and answer bodies.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use covet_http::server::Event;
use covet_http::{Body, BodyError, BodySource, Request, Response};

use super::harness::{Client, Server, config};
use super::log;
use super::server;

#[test]
fn bodies_of_either_framing_come_back() {
    let server = server();
    let mut client = Client::connect(&server);
    for path in ["/collect", "/echo"] {
        client.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello").as_bytes());
        assert_eq!(client.answer().text(), "hello", "{path}");
        client.send(
            format!("POST {path} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nT: 1\r\n\r\n")
                .as_bytes(),
        );
        assert_eq!(client.answer().text(), "hello", "{path}");
        client.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n").as_bytes());
        assert_eq!(client.answer().text(), "", "{path}");
    }
}

#[test]
fn a_large_body_is_streamed_through() {
    let server = server();
    let mut client = Client::connect(&server);
    let body: Vec<u8> = (0..1_500_000u32).map(|n| (n % 251) as u8).collect();
    client
        .send(format!("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes());
    let mut sender = Client::clone_of(&client);
    let sent = body.clone();
    let thread = std::thread::spawn(move || sender.send(&sent));
    let answer = client.answer();
    thread.join().unwrap();
    assert!(answer.body == body, "{} of {} bytes came back", answer.body.len(), body.len());
    assert_eq!(client.get("/plain").status, 200);
}

#[test]
fn pipelined_bodies_stay_apart() {
    let server = server();
    let mut client = Client::connect(&server);
    let mut batch = Vec::new();
    for n in 0..20 {
        let body = format!("body number {n}");
        let path = if n % 2 == 0 { "/collect" } else { "/echo" };
        batch.extend_from_slice(
            format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                .as_bytes(),
        );
    }
    client.send(&batch);
    for n in 0..20 {
        assert_eq!(client.answer().text(), format!("body number {n}"));
    }
}

#[test]
fn an_unread_body_is_thrown_away_or_ends_the_connection() {
    let server = server();
    let mut client = Client::connect(&server);
    client.send(b"POST /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloGET /plain HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.answer().text(), "ignored");
    assert_eq!(client.answer().text(), "Hello, World!");

    client.send(b"POST /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.text().as_str(), answer.field("connection")), ("ignored", Some("close")));
    client.try_send(&vec![0; 200_000]);
    client.end();
    assert!(client.is_at_end(), "the answer is not lost to a reset");
}

#[test]
fn a_client_that_expects_100_gets_it_when_the_body_is_wanted() {
    let server = server();
    let mut client = Client::connect(&server);
    for path in ["/collect", "/echo"] {
        client.send(
            format!("POST {path} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
                .as_bytes(),
        );
        assert_eq!(client.head().status, 100, "{path}");
        client.send(b"hello");
        assert_eq!(client.answer().text(), "hello", "{path}");
    }
    client.send(b"POST /ignore HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
    assert!(client.is_at_end());
}

#[test]
fn streams_are_chunked_or_end_with_the_connection() {
    let server = server();
    let mut client = Client::connect(&server);
    let answer = client.get("/stream");
    assert_eq!((answer.field("transfer-encoding"), answer.text().as_str()), (Some("chunked"), "0,1,2,3,4,"));
    assert_eq!(client.get("/plain").status, 200);
    client.send(b"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let answer = client.head();
    assert_eq!((answer.field("transfer-encoding"), answer.field("connection")), (None, Some("close")));
    assert_eq!(client.rest(), b"0,1,2,3,4,");
}

#[test]
fn a_stream_that_breaks_off_does_not_look_whole() {
    let server = server();
    let mut client = Client::connect(&server);
    client.send(b"GET /broken HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.head().status, 200);
    assert!(client.is_reset());
}

#[test]
fn a_large_answer_arrives_whole() {
    let server = server();
    let mut client = Client::connect(&server);
    for _ in 0..2 {
        let answer = client.get("/big");
        assert_eq!(answer.body.len(), 3 << 20);
        assert!(answer.body.iter().all(|&byte| byte == b'x'));
    }
}

/// The body of another server's answer, that fails like this, behind a piece if it has begun.
struct Upstream {
    error: Cell<Option<BodyError>>,
    begins: Cell<bool>,
    waited: Cell<bool>,
}

impl BodySource for Upstream {
    fn poll_chunk(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if self.begins.take() {
            return Poll::Ready(Some(Ok(Bytes::from_static(b"piece"))));
        }
        // What is there leaves meanwhile, but not where nothing is.
        if !self.waited.replace(true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.error.take().map(Err))
    }

    fn remaining(&self) -> Option<u64> {
        None
    }
}

#[test]
fn the_failure_of_anothers_body_is_not_the_clients() {
    async fn pass_on(mut request: Request) -> Response {
        let _ = request.body_mut().collect(100).await;
        let error = match request.path() {
            "/cut" => BodyError::Incomplete,
            "/late" => BodyError::TimedOut,
            "/failed" => BodyError::Io(io::ErrorKind::ConnectionReset.into()),
            "/mine" => BodyError::Source("the stream of this very test".into()),
            _ => BodyError::TooLarge { limit: 1 },
        };
        let begins = request.query() == Some("begun");
        let upstream = Upstream {
            error: Cell::new(Some(error)),
            begins: Cell::new(begins),
            // A failure at once finds the head unsent.
            waited: Cell::new(!begins),
        };
        Response::new(Body::incoming(Rc::new(upstream), None))
    }
    log::listen();
    let config = config();
    let counts = config.counts.clone();
    let server = Server::with(config, pass_on);
    let mut failures = 0;
    for (path, status) in [("/cut", 502), ("/late", 504), ("/failed", 502), ("/mine", 500), ("/large", 502)] {
        for head in ["GET", "POST"] {
            let content = if head == "POST" { "Content-Length: 3\r\n\r\nabc" } else { "\r\n" };
            let mut client = Client::connect(&server);
            client.send(format!("{head} {path} HTTP/1.1\r\nHost: h\r\n{content}").as_bytes());
            let answer = client.answer();
            assert_eq!((answer.status, answer.field("connection")), (status, Some("close")), "{head} {path}");
            let mut client = Client::connect(&server);
            client.send(format!("{head} {path}?begun HTTP/1.1\r\nHost: h\r\n{content}").as_bytes());
            assert!(client.is_reset(), "{head} {path}: it must not be taken for whole");
            failures += 2;
            assert_eq!(counts.get(Event::BodyFailed), failures, "{head} {path}");
        }
    }
    // Of what failed, the log has a line for each.
    for how in ["failed before it began", "broke off"] {
        assert_eq!(log::warnings_with(&[how, "the stream of this very test"]), 2, "{how}");
    }
}
