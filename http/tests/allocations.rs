//! What a connection allocates: nothing per request, and little to keep.

#[path = "../../runtime/tests/counting_allocator/mod.rs"]
mod counting_allocator;

use std::rc::Rc;

use covet_http::h1::{Exchange, Head, Limits, ResponseEncoder, decode_request};
use covet_http::{Body, Request, Response};

const PLAINTEXT: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: tfb-server\r\n\
    Accept: text/plain,text/html;q=0.9,application/xhtml+xml;q=0.9,application/xml;q=0.8,*/*;q=0.7\r\n\
    Connection: keep-alive\r\n\r\n";

/// Decodes, reads and answers one request, as a server does.
fn exchange(head: &mut Rc<Head>, limits: &Limits, encoder: &ResponseEncoder, out: &mut Vec<u8>) {
    let unique = Rc::get_mut(head).expect("the request before was dropped");
    decode_request(PLAINTEXT, unique, limits).expect("the request is valid");
    let request = Request::new(Rc::clone(head), Body::empty());
    assert_eq!((request.path(), request.field("host")), ("/plaintext", Some(&b"tfb-server"[..])));
    assert_eq!(request.fields().count(), 3);
    let answer = Exchange::of(head);
    drop(request);
    let response = Response::new("Hello, World!").with_content_type("text/plain");
    out.clear();
    encoder.encode(&response, answer, out);
}

#[test]
fn an_exchange_allocates_nothing_once_the_head_has_its_memory() {
    for memo in [true, false] {
        let limits = Limits { memo, ..Limits::default() };
        let (encoder, mut out) = (ResponseEncoder::default(), Vec::with_capacity(4096));
        let mut head = Rc::new(Head::new());
        exchange(&mut head, &limits, &encoder, &mut out);
        let before = counting_allocator::calls();
        for _ in 0..100 {
            exchange(&mut head, &limits, &encoder, &mut out);
        }
        assert_eq!(counting_allocator::calls() - before, 0, "memo: {memo}");
    }
}

#[test]
fn a_kept_head_is_small_and_a_shrunk_one_owns_nothing() {
    let before = counting_allocator::live();
    let mut head = Head::new();
    decode_request(PLAINTEXT, &mut head, &Limits::default()).expect("the request is valid");
    let kept = counting_allocator::live() - before;
    assert!(kept as usize + size_of::<Head>() < 500, "{kept} bytes of heap");
    head.shrink();
    assert_eq!(counting_allocator::live(), before);
}
