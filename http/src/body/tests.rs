use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::Waker;

use super::*;

struct Chunks(VecDeque<Result<Bytes, BoxError>>);

impl Stream for Chunks {
    type Item = Result<Bytes, BoxError>;
    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.pop_front())
    }
}

struct Script(RefCell<VecDeque<Result<Bytes, BodyError>>>);

impl BodySource for Script {
    fn poll_chunk(&self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        Poll::Ready(self.0.borrow_mut().pop_front())
    }
    fn remaining(&self) -> Option<u64> {
        Some(self.0.borrow().iter().flatten().map(|chunk| chunk.len() as u64).sum())
    }
}

fn chunks(parts: &[&'static str]) -> Chunks {
    Chunks(parts.iter().map(|part| Ok(Bytes::from_static(part.as_bytes()))).collect())
}

fn ready<F: Future>(future: F) -> F::Output {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut cx) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future is not ready"),
    }
}

#[test]
fn fixed_bodies_are_collected_whole() {
    let mut pooled = PoolBuf::take();
    pooled.extend_from_slice(b"hello");
    for mut body in [
        Body::from(pooled),
        Body::from("hello"),
        Body::from(&b"hello"[..]),
        Body::from(String::from("hello")),
        Body::from(b"hello".to_vec()),
        Body::from(Bytes::from_static(b"hello")),
    ] {
        assert_eq!(body.exact_length(), Some(5));
        assert_eq!(body.as_fixed(), Some(&b"hello"[..]));
        assert_eq!(ready(body.collect(5)).unwrap(), "hello");
        assert!(body.is_empty());
        assert!(ready(body.chunk()).is_none());
    }
}

#[test]
fn a_body_over_the_limit_is_refused() {
    let error = ready(Body::from("hello").collect(4)).unwrap_err();
    assert!(matches!(error, BodyError::TooLarge { limit: 4 }));
    assert_eq!(error.status(), 413);
    let error = ready(Body::stream(chunks(&["hel", "lo"])).collect(4)).unwrap_err();
    assert!(matches!(error, BodyError::TooLarge { limit: 4 }));
    assert_eq!(ready(Body::stream(chunks(&["hel", "lo"])).collect(5)).unwrap(), "hello");
}

#[test]
fn empty_chunks_of_a_stream_are_skipped() {
    let mut body = Body::stream(chunks(&["", "a", "", "b"]));
    assert_eq!(body.exact_length(), None);
    assert_eq!(ready(body.chunk()).unwrap().unwrap(), "a");
    assert_eq!(ready(body.chunk()).unwrap().unwrap(), "b");
    assert!(ready(body.chunk()).is_none());
    assert!(ready(body.chunk()).is_none());
}

#[test]
fn a_sized_stream_is_held_to_its_length() {
    let mut body = Body::sized_stream(3, chunks(&["ab", "c"]));
    assert_eq!(body.exact_length(), Some(3));
    assert_eq!(ready(body.collect(10)).unwrap(), "abc");
    let error = ready(Body::sized_stream(2, chunks(&["ab", "c"])).collect(10)).unwrap_err();
    assert!(matches!(error, BodyError::LengthMismatch { declared: 2, excess: true }));
    let error = ready(Body::sized_stream(4, chunks(&["ab", "c"])).collect(10)).unwrap_err();
    assert!(matches!(error, BodyError::LengthMismatch { declared: 4, excess: false }));
    assert_eq!(error.status(), 500);
}

#[test]
fn a_stream_failure_keeps_its_cause_and_ends_the_body() {
    let mut body = Body::stream(Chunks([Err("disk on fire".into())].into()));
    let error = ready(body.chunk()).unwrap().unwrap_err();
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "disk on fire");
    assert!(ready(body.chunk()).is_none());
}

#[test]
fn a_taken_body_fails_once_then_ends() {
    let mut body = Body::from("x");
    assert_eq!(body.take().as_fixed(), Some(&b"x"[..]));
    assert!(body.is_taken());
    assert!(matches!(ready(body.chunk()), Some(Err(BodyError::Taken))));
    assert!(ready(body.chunk()).is_none());
}

#[test]
fn an_incoming_body_reads_its_source() {
    let script = |parts: &[&'static str]| {
        Rc::new(Script(RefCell::new(
            parts.iter().map(|part| Ok(Bytes::from_static(part.as_bytes()))).collect(),
        )))
    };
    let mut body = Body::incoming(script(&["ab", "cd"]), Some(4));
    assert_eq!(body.exact_length(), Some(4));
    assert_eq!(ready(body.chunk()).unwrap().unwrap(), "ab");
    assert_eq!(body.exact_length(), Some(2));
    assert_eq!(ready(body.collect(2)).unwrap(), "cd");
    assert_eq!(Body::incoming(script(&["ab"]), None).exact_length(), None);
    let broken = Rc::new(Script(RefCell::new([Err(BodyError::Incomplete)].into())));
    assert!(matches!(ready(Body::incoming(broken, None).collect(9)), Err(BodyError::Incomplete)));
}

#[test]
fn a_body_is_an_http_body() {
    let mut body = Body::from("abc");
    assert_eq!(http_body::Body::size_hint(&body).exact(), Some(3));
    assert!(!http_body::Body::is_end_stream(&body));
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Some(Ok(frame))) = http_body::Body::poll_frame(Pin::new(&mut body), &mut cx) else {
        panic!("a fixed body is ready at once")
    };
    assert_eq!(frame.into_data().unwrap(), "abc");
    assert!(http_body::Body::is_end_stream(&body));
}

#[test]
fn a_body_is_compact() {
    assert!(size_of::<Body>() <= 40, "{}", size_of::<Body>());
}
