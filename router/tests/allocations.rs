//! How often a request makes the router allocate.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use covet_http::{Body, HeaderMap, Method, Request, Response, Service};
use covet_router::{Json, Next, Path, Result, Router, State};
use serde::Serialize;

/// The system's allocator, with a count of the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending has no count left, and its allocations are nobody's.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is passed on to `System` unchanged, which keeps the contract of the trait; the
// counter is thread-local without a destructor and does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`, which is that of `System.alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` came from `System` through this allocator, with this layout.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: `block` came from `System` through this allocator, with this layout.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ROUNDS: u64 = 1000;

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
    let before = ALLOCATIONS.get();
    for _ in 0..ROUNDS {
        drop(answer(&router, request()));
    }
    (ALLOCATIONS.get() - before) as f64 / ROUNDS as f64
}

#[test]
fn the_counter_counts() {
    let before = ALLOCATIONS.get();
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(ALLOCATIONS.get() - before, 1);
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
        let before = ALLOCATIONS.get();
        let mut calls: Vec<_> =
            (0..count).map(|_| Box::pin(router.call(Request::new(head.clone(), Body::empty())))).collect();
        assert!(calls.iter_mut().all(|call| call.as_mut().poll(&mut cx).is_pending()));
        drop(calls);
        // The vector and the boxes of this test are not the router's.
        ALLOCATIONS.get() - before - 1 - count as u64
    };
    assert!(round(8) > 0);
    assert_eq!(round(8), 0);
}
