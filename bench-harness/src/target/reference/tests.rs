//! The contract of the reference service, route by route.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use covet_http::{Body, BodyError, BodySource, Method, Request, Response, Service, StatusCode};

use super::router;

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing here waits"),
    }
}

fn answer(method: Method, target: &str, body: Body) -> (StatusCode, Response, Vec<u8>) {
    let request = Request::builder(method, target).header("X-One", "1").body(body).expect("a valid request");
    block_on(async {
        let mut response = router().call(request).await;
        let mut bytes = Vec::new();
        let mut body = response.take_body();
        while let Some(piece) = body.chunk().await {
            bytes.extend_from_slice(&piece.expect("a whole body"));
        }
        (response.status(), response, bytes)
    })
}

fn get(target: &str) -> (StatusCode, Response, Vec<u8>) {
    answer(Method::GET, target, Body::empty())
}

/// A body that arrives in pieces, its length told or not.
struct Pieces {
    left: RefCell<VecDeque<&'static [u8]>>,
    fails: bool,
}

impl BodySource for Pieces {
    fn poll_chunk(&self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if self.fails {
            return Poll::Ready(Some(Err(BodyError::TooLarge { limit: 1 })));
        }
        Poll::Ready(self.left.borrow_mut().pop_front().map(|piece| Ok(Bytes::from_static(piece))))
    }

    fn remaining(&self) -> Option<u64> {
        Some(self.left.borrow().iter().map(|piece| piece.len() as u64).sum())
    }
}

fn incoming(pieces: &[&'static [u8]], length: Option<u64>, fails: bool) -> Body {
    Body::incoming(Rc::new(Pieces { left: RefCell::new(pieces.iter().copied().collect()), fails }), length)
}

#[test]
fn plaintext_is_thirteen_bytes_of_text() {
    let (status, response, body) = get("/plaintext");
    assert_eq!((status, body.as_slice()), (StatusCode::OK, &b"Hello, World!"[..]));
    assert_eq!(response.header("content-type").expect("a type"), b"text/plain");
}

#[test]
fn json_is_a_message() {
    let (status, response, body) = get("/json");
    assert_eq!((status, body.as_slice()), (StatusCode::OK, &br#"{"message":"Hello, World!"}"#[..]));
    assert_eq!(response.header("content-type").expect("a type"), b"application/json");
}

#[test]
fn user_answers_the_id() {
    assert_eq!(get("/user/42").2, b"42");
    assert_eq!(get("/user/a%20b").2, b"a b");
    assert_eq!(get("/user/").0, StatusCode::NOT_FOUND);
    assert_eq!(get("/user/1/2").0, StatusCode::NOT_FOUND);
}

#[test]
fn root_answers_ok_and_echoes() {
    assert_eq!(get("/").2, b"OK");
    assert_eq!(answer(Method::OPTIONS, "/", Body::empty()).2, b"OK");
    for method in [Method::POST, Method::PUT, Method::PATCH] {
        let (status, _, body) = answer(method, "/", Body::from("sent"));
        assert_eq!((status, body.as_slice()), (StatusCode::OK, &b"sent"[..]));
    }
    assert_eq!(answer(Method::HEAD, "/", Body::empty()).0, StatusCode::OK);
}

#[test]
fn echo_keeps_the_framing_of_what_it_got() {
    let pieces: [&[u8]; 3] = [b"one ", b"two ", b"three"];
    for length in [Some(13), None] {
        let request = Request::builder(Method::POST, "/echo").body(incoming(&pieces, length, false));
        block_on(async {
            let mut response = router().call(request.expect("a valid request")).await;
            assert_eq!(response.body().exact_length(), length);
            let body = response.take_body().collect(100).await.expect("a whole body");
            assert_eq!(body, b"one two three"[..]);
        });
    }
}

#[test]
fn a_body_refused_at_once_is_an_error_answer() {
    let (status, _, _) = answer(Method::POST, "/echo", incoming(&[b"x"], None, true));
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[test]
fn headers_lists_the_fields() {
    let (_, _, body) = get("/headers");
    let text = String::from_utf8(body).expect("text");
    assert!(text.lines().any(|line| line.eq_ignore_ascii_case("x-one: 1")), "{text}");
}

#[test]
fn bare_statuses_have_no_body() {
    for (target, wanted) in [("/204", StatusCode::NO_CONTENT), ("/304", StatusCode::NOT_MODIFIED)] {
        let (status, _, body) = get(target);
        assert_eq!((status, body.len()), (wanted, 0));
    }
}

#[test]
fn big_has_the_length_asked_for() {
    for n in [0, 1, 65_535, 65_536, 200_000] {
        let (status, _, body) = get(&format!("/big?n={n}"));
        assert_eq!((status, body.len()), (StatusCode::OK, n));
    }
    assert_eq!(get("/big").0, StatusCode::BAD_REQUEST);
    assert_eq!(get("/big?n=many").0, StatusCode::BAD_REQUEST);
    let request = Request::builder(Method::GET, format!("/big?n={}", u64::MAX)).body(Body::empty());
    let response = block_on(router().call(request.expect("a valid request")));
    assert_eq!(response.body().exact_length(), Some(u64::MAX));
}

#[test]
fn other_paths_and_methods_are_refused() {
    assert_eq!(get("/nothing").0, StatusCode::NOT_FOUND);
    let (status, mut response, _) = answer(Method::DELETE, "/", Body::empty());
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    let allow = response.headers_mut().get("allow").expect("a list").to_str().expect("text").to_owned();
    for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH"] {
        assert!(allow.split(", ").any(|one| one == method), "{method} in {allow}");
    }
}
