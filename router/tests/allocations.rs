//! How often a request makes the router allocate.

#[path = "../../runtime/tests/counting_allocator/mod.rs"]
mod counting_allocator;

use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use covet_http::{Body, HeaderMap, Method, Request, Response, Service};
use covet_router::{Json, Next, Path, Result, Router, State};
use serde::Serialize;

const ROUNDS: usize = 1000;

#[derive(Serialize)]
struct Message {
    message: &'static str,
}

fn router() -> Router {
    async fn pass(request: Request, next: Next) -> Result<Response> {
        Ok(next.run(request).await)
    }
    let layered = Router::new().get("/layered", async || "Hello, World!").layer(pass);
    Router::new()
        .get("/plaintext", async || "Hello, World!")
        .get("/user/{id}", async |Path(id): Path<u64>| if id == 42 { "found" } else { "other" })
        .get("/text/{id}", async |Path(id): Path<String>| id)
        .get("/state", async |State(state): State<Rc<u32>>| if *state == 7 { "seven" } else { "other" })
        .get("/json", async || Json(Message { message: "Hello, World!" }))
        .get("/json/long", async || Json([[7_u64; 30]; 30]))
        .get("/request", async |request: Request| request.path().len().to_string())
        .get("/headers", async |headers: HeaderMap| if headers.is_empty() { "none" } else { "some" })
        .merge(layered)
        .with_state(Rc::new(7))
}

fn answer(router: &Router, request: Request) -> Response {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(router.call(request)).poll(&mut cx) {
        Poll::Ready(response) => response,
        Poll::Pending => panic!("no handler of this test waits"),
    }
}

/// Allocations per request for `target`, after one request that warmed the route up.
fn per_request(target: &str) -> f64 {
    let router = router();
    let head = {
        let request = Request::builder(Method::GET, target).header("Host", "localhost").body(Body::empty());
        request.expect("a legal request").head().clone()
    };
    let request = || Request::new(head.clone(), Body::empty());
    assert_eq!(answer(&router, request()).status(), 200, "{target}");
    let before = counting_allocator::calls();
    for _ in 0..ROUNDS {
        drop(answer(&router, request()));
    }
    (counting_allocator::calls() - before) as f64 / ROUNDS as f64
}

#[test]
fn the_counter_counts() {
    let before = counting_allocator::calls();
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(counting_allocator::calls() - before, 1);
}

#[test]
fn a_request_allocates_nothing_in_the_router() {
    for target in ["/plaintext", "/user/42", "/state", "/layered"] {
        assert_eq!(per_request(target), 0.0, "{target}");
    }
}

#[test]
fn what_a_handler_makes_is_all_that_is_allocated() {
    // One for the text of the parameter, which becomes the body.
    assert_eq!(per_request("/text/abc"), 1.0);
    // One for the serialised document.
    assert_eq!(per_request("/json"), 1.0);
    // One for the answer's text: the request itself is taken without a copy.
    assert_eq!(per_request("/request"), 1.0);
}

#[test]
fn a_document_is_serialised_into_a_buffer_of_its_cores_pool() {
    // The first request has grown the buffer that the others find.
    for target in ["/json", "/json/long"] {
        let allocations = covet_runtime::block_on(async move { per_request(target) });
        assert_eq!(allocations.expect("a core starts"), 0.0, "{target}");
    }
}

#[test]
fn the_header_map_is_built_only_for_who_asks() {
    assert!(per_request("/headers") > 0.0);
}

#[test]
fn requests_in_flight_together_allocate_once_each() {
    let router = Router::new().get("/", async || {
        std::future::pending::<()>().await;
    });
    let request = Request::builder(Method::GET, "/").body(Body::empty()).unwrap();
    let head = request.head().clone();
    let mut cx = Context::from_waker(Waker::noop());
    let mut round = |count: usize| {
        let before = counting_allocator::calls();
        let mut calls: Vec<_> =
            (0..count).map(|_| Box::pin(router.call(Request::new(head.clone(), Body::empty())))).collect();
        assert!(calls.iter_mut().all(|call| call.as_mut().poll(&mut cx).is_pending()));
        drop(calls);
        // The vector and the boxes of this test are not the router's.
        counting_allocator::calls() - before - 1 - count
    };
    assert!(round(8) > 0);
    assert_eq!(round(8), 0);
}
