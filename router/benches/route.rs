//! What a request costs in the router: matching alone, and matching with a trivial handler.

use std::hint::black_box;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use covet_http::{Body, Method, Request, Response, Service};
use covet_router::{Next, Path, Router, State};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

async fn plaintext() -> &'static str {
    "Hello, World!"
}

async fn user(Path(_id): Path<u64>) -> &'static str {
    "user"
}

async fn user_text(Path(id): Path<String>) -> String {
    id
}

async fn with_state(State(state): State<Rc<u32>>) -> &'static str {
    if *state == 7 { "seven" } else { "other" }
}

async fn pass(request: Request, next: Next) -> covet_router::Result<Response> {
    Ok(next.run(request).await)
}

fn small() -> Router<Rc<u32>> {
    Router::new()
        .get("/plaintext", plaintext)
        .get("/json", plaintext)
        .get("/user/{id}", user)
        .get("/text/{id}", user_text)
        .get("/state", with_state)
        .post("/echo", async |body: Body| body)
        .get("/", plaintext)
}

fn hundred() -> Router<Rc<u32>> {
    (0..50).fold(small(), |router, number| {
        router
            .get(&format!("/api/v1/resource{number}/list"), plaintext)
            .get(&format!("/api/v1/resource{number}/item/{{id}}"), user)
    })
}

/// Polls once: no handler here waits.
fn answer(router: &Router, request: Request) -> Response {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(router.call(request)).poll(&mut cx) {
        Poll::Ready(response) => response,
        Poll::Pending => unreachable!("the handlers of this benchmark never wait"),
    }
}

fn serve(c: &mut Criterion) {
    let mut group = c.benchmark_group("serve");
    let mut run = |name: &str, router: &Router, path: &str| {
        let request = Request::builder(Method::GET, path).body(Body::empty()).expect("a legal request");
        let head = request.head().clone();
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter(|| answer(router, Request::new(black_box(&head).clone(), Body::empty())));
        });
    };
    let state = Rc::new(7);
    let router = small().with_state(state.clone());
    run("static", &router, "/plaintext");
    run("path_u64", &router, "/user/12345");
    run("path_string", &router, "/text/12345");
    run("state", &router, "/state");
    run("not_found", &router, "/nothing/here");
    let router = hundred().with_state(state.clone());
    run("hundred_static", &router, "/api/v1/resource37/list");
    run("hundred_param", &router, "/api/v1/resource37/item/12345");
    let router = small().layer(pass).with_state(state);
    run("static_one_layer", &router, "/plaintext");
}

fn matching(c: &mut Criterion) {
    let mut group = c.benchmark_group("match");
    let mut run = |name: &str, router: &Router<Rc<u32>>, path: &str| {
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter(|| router.match_route(black_box(&Method::GET), black_box(path)));
        });
    };
    run("static", &small(), "/plaintext");
    run("param", &small(), "/user/12345");
    run("hundred_static", &hundred(), "/api/v1/resource37/list");
    run("hundred_param", &hundred(), "/api/v1/resource37/item/12345");
}

/// What the request and its head cost without a router, to be subtracted from `serve`.
fn baseline(c: &mut Criterion) {
    let request = Request::builder(Method::GET, "/plaintext").body(Body::empty()).expect("a legal request");
    let head = request.head().clone();
    c.bench_function("baseline/request_and_response", |b| {
        b.iter(|| {
            let request = Request::new(black_box(&head).clone(), Body::empty());
            black_box(&request);
            Response::new("Hello, World!").with_content_type(covet_http::ContentType::TEXT)
        });
    });
}

criterion_group!(benches, serve, matching, baseline);
criterion_main!(benches);
