//! Panics of everything that is the application's: its handlers, what they hold, its streams.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use covet_http::server::{Config, Counts, Event};
use covet_http::{Body, BoxError, Request, Response, StatusCode};
use futures_core::Stream;

use super::harness::{Client, Server, config, counting_stream};

/// Panics when it is dropped, not when it is polled.
struct Bomb {
    answers: bool,
}

impl Future for Bomb {
    type Output = Response;

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Response> {
        if self.answers { Poll::Ready(Response::new("before it")) } else { Poll::Pending }
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("in a destructor, on purpose");
    }
}

/// Gives a few pieces, then panics; also when it is dropped if `stays`.
struct Unsteady {
    pieces: usize,
    waited: bool,
    stays: bool,
}

impl Stream for Unsteady {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.pieces == 0 {
            assert!(self.stays, "in a stream, on purpose");
            return Poll::Ready(None);
        }
        // What is there leaves meanwhile.
        if !std::mem::replace(&mut self.waited, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        (self.pieces, self.waited) = (self.pieces - 1, false);
        Poll::Ready(Some(Ok(Bytes::from_static(b"piece"))))
    }
}

impl Drop for Unsteady {
    fn drop(&mut self) {
        assert!(!self.stays || std::thread::panicking(), "in the destructor of a stream, on purpose");
    }
}

enum Call {
    Bomb(Bomb),
    Now(Option<Response>),
}

impl Future for Call {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        match &mut *self {
            Call::Bomb(bomb) => Pin::new(bomb).poll(cx),
            Call::Now(response) => Poll::Ready(response.take().unwrap()),
        }
    }
}

fn service(request: Request) -> Call {
    let stream = |pieces, stays| Response::new(Body::stream(Unsteady { pieces, waited: false, stays }));
    Call::Now(Some(match request.path() {
        "/answers" => return Call::Bomb(Bomb { answers: true }),
        "/waits" => return Call::Bomb(Bomb { answers: false }),
        "/call" => panic!("in the call itself, on purpose"),
        "/caught" => caught(Response::new("of a panic")),
        "/caught/stream" => caught(Response::new(Body::stream(counting_stream(1)))),
        "/stream/0" => stream(0, false),
        "/stream/2" => stream(2, false),
        "/whole" => stream(2, true),
        _ => Response::new("here"),
    }))
}

/// What a service that catches its panics itself answers.
fn caught(mut response: Response) -> Response {
    response.set_status(StatusCode::INTERNAL_SERVER_ERROR);
    response.close_after_panic();
    response.close();
    response
}

fn server() -> (Server, Counts) {
    let config = Config { half_close: false, ..config() };
    let counts = config.counts.clone();
    (Server::with(config, service), counts)
}

fn becomes(counts: &Counts, event: Event, wanted: u64) {
    let begun = Instant::now();
    while counts.get(event) != wanted {
        assert!(begun.elapsed() < Duration::from_secs(20), "{event:?} does not become {wanted}: {counts:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_handler_whose_destructor_panics_is_answered_500_and_counted() {
    let (server, counts) = server();
    for (number, path) in ["/answers", "/call"].into_iter().enumerate() {
        let mut client = Client::connect(&server);
        client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.answer().text(), "here");
        let answer = client.get(path);
        assert_eq!((answer.status, answer.field("content-type")), (500, Some("application/problem+json")));
        assert!(client.is_at_end());
        assert_eq!(counts.get(Event::Panic), number as u64 + 1);
    }
    assert_eq!(Client::connect(&server).get("/").text(), "here");
}

#[test]
fn a_panic_that_the_service_caught_itself_is_counted_and_ends_the_connection() {
    let (server, counts) = server();
    let mut client = Client::connect(&server);
    client.send(b"GET /caught HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let answer = client.answer();
    assert_eq!(
        (answer.status, answer.field("connection"), answer.text()),
        (500, Some("close"), "of a panic".to_owned())
    );
    assert!(client.is_at_end(), "what is behind it is not answered");
    assert_eq!(counts.get(Event::Panic), 1);
    let mut client = Client::connect(&server);
    assert_eq!(client.get("/caught/stream").status, 500);
    assert!(client.is_at_end());
    assert_eq!(counts.get(Event::Panic), 2);
}

#[test]
fn a_dropped_handler_whose_destructor_panics_takes_nothing_with_it() {
    let (server, counts) = server();
    let mut client = Client::connect(&server);
    client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /waits HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.answer().text(), "here");
    // Its end counts as its going, and the connection ends in order behind what is answered.
    client.end();
    assert!(client.is_at_end());
    becomes(&counts, Event::Panic, 1);
    assert_eq!(counts.get(Event::Cancelled), 1);
    assert_eq!(Client::connect(&server).get("/").text(), "here");
}

#[test]
fn a_stream_that_panics_is_a_body_that_failed() {
    let (server, counts) = server();
    let mut client = Client::connect(&server);
    assert_eq!(client.get("/stream/0").status, 500, "nothing of the answer has left");
    assert!(client.is_at_end());
    // An end in order would be that of the content.
    for version in ["1.0", "1.1"] {
        let mut client = Client::connect(&server);
        client.send(format!("GET /stream/2 HTTP/{version}\r\nHost: h\r\n\r\n").as_bytes());
        assert!(client.is_reset(), "{version}");
    }
    assert_eq!((counts.get(Event::Panic), counts.get(Event::BodyFailed)), (3, 3));
    // So is one whose destructor does.
    let mut client = Client::connect(&server);
    client.send(b"GET /whole HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(client.is_reset());
    assert_eq!((counts.get(Event::Panic), counts.get(Event::BodyFailed)), (4, 4));
    assert_eq!(Client::connect(&server).get("/").text(), "here");
}
