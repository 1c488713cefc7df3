use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use covet_http::client::{Cause, Client, Timeouts};
use covet_http::{Body, BoxError, HeaderMap, HeaderValue};
use futures_core::Stream;
use http_body::Frame;

use crate::script::{Script, run};

/// A stream of these pieces.
pub(crate) struct Pieces(VecDeque<&'static str>);

impl Pieces {
    pub(crate) fn of(pieces: &[&'static str]) -> Pieces {
        Pieces(pieces.iter().copied().collect())
    }
}

impl Stream for Pieces {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.pop_front().map(|piece| match piece {
            "!" => Err("the source failed".into()),
            piece => Ok(Bytes::from_static(piece.as_bytes())),
        }))
    }
}

/// A body with trailers.
struct Trailing(u8);

impl http_body::Body for Trailing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0 += 1;
        Poll::Ready(match self.0 {
            1 => Some(Ok(Frame::data(Bytes::from_static(b"data")))),
            2 => {
                let mut fields = HeaderMap::new();
                fields.insert("x-sum", HeaderValue::from_static("7"));
                Some(Ok(Frame::trailers(fields)))
            }
            _ => None,
        })
    }
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[test]
fn streams_are_sent_in_chunks_with_their_trailers() {
    let server = Script::start(|_, mut peer| {
        peer.until(b"transfer-encoding: chunked\r\n\r\n").unwrap();
        let body = peer.until(b"0\r\n\r\n").unwrap();
        assert_eq!(body, b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n");
        peer.send(OK);
        peer.until(b"transfer-encoding: chunked\r\n\r\n").unwrap();
        assert_eq!(peer.until(b"7\r\n\r\n").unwrap(), b"4\r\ndata\r\n0\r\nx-sum: 7\r\n\r\n");
        peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-back: 8\r\n\r\n");
        peer.request();
    });
    run(async {
        let client = Client::new();
        let body = Body::stream(Pieces::of(&["a", "bc"]));
        client.post(server.url("/")).body(body).send().await.unwrap().text().await.unwrap();
        let body = Body::from_http_body(Trailing(0));
        let mut response = client.post(server.url("/")).body(body).send().await.unwrap();
        while response.chunk().await.unwrap().is_some() {}
        assert_eq!(response.take_trailers().unwrap()["x-back"], "8");
        assert_eq!(client.idle_connections(), 1);
    });
}

#[test]
fn a_source_that_fails_closes_the_connection() {
    let server = Script::start(|_, mut peer| {
        peer.until(b"1\r\na\r\n").unwrap();
        assert!(peer.is_ended());
    });
    run(async {
        let client = Client::new();
        let body = Body::stream(Pieces::of(&["a", "!"]));
        let error = client.post(server.url("/")).body(body).send().await.unwrap_err();
        assert!(matches!(error.cause(), Cause::Body(_)), "{error}");
        assert!(error.to_string().contains("the source failed"), "{error}");
        assert_eq!(client.idle_connections(), 0);
    });
}

#[test]
fn content_waits_for_100_continue() {
    let server = Script::start(|_, mut peer| {
        let head = peer.until(b"\r\n\r\n").unwrap();
        assert!(head.windows(20).any(|window| window == b"expect: 100-continue"));
        peer.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        assert_eq!(peer.exactly(1), None, "the body has to wait");
        peer.stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(peer.exactly(4).unwrap(), b"body");
        peer.send(OK);
    });
    let silent = Script::start(|_, mut peer| {
        peer.until(b"\r\n\r\n").unwrap();
        assert_eq!(peer.exactly(4).unwrap(), b"body");
        peer.send(OK);
    });
    let refusing = Script::start(|number, mut peer| {
        let head = peer.until(b"\r\n\r\n").unwrap();
        match number {
            0 => {
                peer.send(b"HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n");
            }
            _ => {
                assert!(!head.windows(6).any(|window| window == b"expect"));
                assert_eq!(peer.exactly(4).unwrap(), b"body");
                peer.send(OK);
            }
        }
    });
    let (tell, is_sent) = channel();
    let final_answer = Script::start(move |_, mut peer| {
        peer.until(b"\r\n\r\n").unwrap();
        peer.send(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno");
        // Known when the connection ends.
        tell.send(peer.exactly(1).is_some()).unwrap();
    });
    run(async {
        let timeouts = Timeouts { expect_continue: Duration::from_millis(400), ..Timeouts::default() };
        let client = Client::builder().timeouts(timeouts).build();
        let patient = Client::builder()
            .timeouts(Timeouts { expect_continue: Duration::from_secs(60), ..Timeouts::default() })
            .build();
        for (client, server) in [(&patient, &server), (&client, &silent), (&patient, &refusing)] {
            let response = client.put(server.url("/")).expect_continue().body("body").send().await.unwrap();
            assert_eq!(response.text().await.unwrap(), "ok");
        }
        let idle = patient.idle_connections();
        let refused = patient.put(final_answer.url("/")).expect_continue().body("body").send().await.unwrap();
        assert_eq!(refused.text().await.unwrap(), "no");
        assert_eq!(patient.idle_connections(), idle, "its body was promised and not sent");
    });
    assert!(!is_sent.recv().unwrap());
}

/// Zeros without end, counted as they are taken.
struct Zeros(Arc<AtomicU64>);

impl Stream for Zeros {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.fetch_add(64 * 1024, Ordering::SeqCst);
        Poll::Ready(Some(Ok(Bytes::from_static(&[0; 64 * 1024]))))
    }
}

#[test]
fn a_server_that_does_not_read_holds_the_source_back() {
    // Its end would be a failure of another kind.
    let (end, ended) = channel::<()>();
    let ended = Mutex::new(ended);
    let server = Script::start(move |_, mut peer| {
        peer.until(b"\r\n\r\n").unwrap();
        let _ = ended.lock().unwrap().recv();
    });
    let taken = Arc::new(AtomicU64::new(0));
    run(async {
        let timeouts = Timeouts { idle: Duration::from_millis(300), ..Timeouts::default() };
        let client = Client::builder().timeouts(timeouts).build();
        let body = Body::stream(Zeros(taken.clone()));
        let error = client.post(server.url("/")).body(body).send().await.unwrap_err();
        assert!(error.is_timeout(), "{error}");
    });
    drop(end);
    // The buffers of both sockets, and no more.
    assert!(taken.load(Ordering::SeqCst) < 64 << 20, "{taken:?}");
}

#[test]
fn a_refusal_is_heard_before_all_was_sent() {
    let (end, ended) = channel::<()>();
    let ended = Mutex::new(ended);
    let server = Script::start(move |_, mut peer| {
        peer.until(b"\r\n\r\n").unwrap();
        peer.send(b"HTTP/1.1 413 Content Too Large\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno");
        // An end with so much unread would be a reset.
        let _ = ended.lock().unwrap().recv();
    });
    run(async {
        let client = Client::new();
        let body = Body::stream(Zeros(Arc::default()));
        let response = client.post(server.url("/")).body(body).send().await.unwrap();
        assert_eq!(response.status(), 413);
        assert_eq!(response.text().await.unwrap(), "no");
        assert_eq!(client.idle_connections(), 0);
    });
    drop(end);
}
