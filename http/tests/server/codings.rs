//! Bodies whose content coding turns out to be wrong: whose fault it is, and what becomes of the answer.

use bytes::Bytes;
use covet_http::compress::{ContentCoding, Limits, decode_body, decode_request};
use covet_http::server::{Counts, Event};
use covet_http::{Body, BoxError, Request, Response};
use futures_core::Stream;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::harness::{Client, Server, config};
use super::log;

/// `hello` by gzip, without the check of its end.
const CUT: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\x07\x00";
const GARBAGE: &[u8] = b"this is no gzip";

/// Its bytes, and its end only when they have left.
struct Once(Option<&'static [u8]>, bool);

impl Stream for Once {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(bytes) = self.0.take() {
            return Poll::Ready(Some(Ok(Bytes::from_static(bytes))));
        }
        if !std::mem::replace(&mut self.1, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(None)
    }
}

async fn service(mut request: Request) -> Response {
    match request.path() {
        "/echo" => {
            decode_request(&mut request, &Limits::default()).unwrap();
            Response::new(request.take_body())
        }
        "/forgiving" => {
            decode_request(&mut request, &Limits::default()).unwrap();
            match request.body_mut().collect(1000).await {
                Ok(_) => Response::new("decoded"),
                Err(error) => Response::new(error.to_string()),
            }
        }
        path => {
            let content = if path == "/garbage" { GARBAGE } else { CUT };
            // The request's own body was read, and there was nothing wrong with it.
            let _ = request.body_mut().collect(1000).await;
            let upstream = Body::stream(Once(Some(content), false));
            Response::new(decode_body(upstream, &[ContentCoding::Gzip], &Limits::default()).unwrap())
        }
    }
}

fn server() -> (Server, Counts) {
    log::listen();
    let config = config();
    let counts = config.counts.clone();
    (Server::with(config, service), counts)
}

fn post(path: &str, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), content].concat()
}

#[test]
fn what_the_client_has_encoded_wrongly_is_refused_as_its_fault() {
    let (server, counts) = server();
    let mut client = Client::connect(&server);
    client.send(&post("/echo", GARBAGE));
    let answer = client.answer();
    assert_eq!((answer.status, answer.field("connection")), (400, Some("close")));

    // Once there is something of the answer, it ends where it is, without a last chunk and in order.
    let mut client = Client::connect(&server);
    client.send(&post("/echo", &CUT[..CUT.len() - 1]));
    client.end();
    let rest = client.rest();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "it looks whole: {}", rest.escape_ascii());
    assert_eq!(counts.get(Event::BodyFailed), 0);

    // A handler that reads it may go on, and so does the connection.
    let mut client = Client::connect(&server);
    client.send(&post("/forgiving", GARBAGE));
    assert!(client.answer().text().contains("could not be decoded"));
    client.send(&post("/forgiving", GARBAGE));
    assert!(client.answer().text().contains("could not be decoded"));
    assert_eq!(counts.get(Event::BodyFailed), 0);
}

#[test]
fn what_another_server_has_encoded_wrongly_is_not_the_clients_fault() {
    let (server, counts) = server();
    let mut client = Client::connect(&server);
    client.send(&post("/garbage", b"abc"));
    let answer = client.answer();
    assert_eq!((answer.status, answer.field("connection")), (502, Some("close")));
    assert_eq!(counts.get(Event::BodyFailed), 1);
    assert!(log::warnings_with(&["failed before it began", "could not be decoded"]) >= 1);

    let mut client = Client::connect(&server);
    client.send(&post("/cut", b"abc"));
    assert!(client.is_reset(), "it must not be taken for whole");
    assert_eq!(counts.get(Event::BodyFailed), 2);
    assert!(log::warnings_with(&["broke off", "could not be decoded"]) >= 1);
}
