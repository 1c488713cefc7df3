//! Middleware: order, reach, and what passes through it.

use std::cell::RefCell;
use std::rc::Rc;

use covet_http::{HeaderValue, Request, Response, StatusCode};
use covet_router::test_client::TestClient;
use covet_router::{Error, Next, Path, Result, Router, get, post};

type Trace = Rc<RefCell<Vec<String>>>;

/// A middleware that writes down when it is entered and left.
fn noting(trace: &Trace, name: &'static str) -> impl AsyncFn(Request, Next) -> Result<Response> + 'static {
    let trace = trace.clone();
    async move |request: Request, next: Next| {
        trace.borrow_mut().push(format!("{name}>"));
        let response = next.run(request).await;
        trace.borrow_mut().push(format!("<{name}"));
        Ok(response)
    }
}

fn sent(client: &TestClient<Router>, trace: &Trace, path: &str) -> (u16, String) {
    trace.borrow_mut().clear();
    let status = client.get(path).send().status().as_u16();
    (status, trace.borrow().join(" "))
}

#[test]
fn the_last_added_is_the_outermost_and_routers_enclose_paths() {
    let trace = Trace::default();
    let inner = Router::new()
        .route("/x", get(async || "").layer(noting(&trace, "path")))
        .layer(noting(&trace, "inner"))
        .get("/late", async || "");
    let router = Router::new()
        .layer(noting(&trace, "first"))
        .nest("/in", inner)
        .get("/y", async || "")
        .layer(noting(&trace, "last"));
    let client = TestClient::new(router);
    let all = "last> first> inner> path> <path <inner <first <last";
    assert_eq!(sent(&client, &trace, "/in/x"), (200, all.into()));
    assert_eq!(sent(&client, &trace, "/in/late"), (200, "last> first> inner> <inner <first <last".into()));
    assert_eq!(sent(&client, &trace, "/in/nope"), (404, "last> first> inner> <inner <first <last".into()));
    assert_eq!(sent(&client, &trace, "/y"), (200, "last> first> <first <last".into()));
    assert_eq!(sent(&client, &trace, "/nope"), (404, "last> first> <first <last".into()));
    trace.borrow_mut().clear();
    assert_eq!(client.post("/in/x").send().status(), 405);
    assert_eq!(trace.borrow().join(" "), all);
}

#[test]
fn merging_keeps_layers_to_their_own_routes() {
    let trace = Trace::default();
    let other = Router::new().get("/x", async || "").layer(noting(&trace, "other"));
    let client = TestClient::new(Router::new().get("/y", async || "").merge(other));
    assert_eq!(sent(&client, &trace, "/x").1, "other> <other");
    assert_eq!(sent(&client, &trace, "/y").1, "");
    assert_eq!(sent(&client, &trace, "/nope"), (404, "".into()));
}

#[test]
fn layers_lie_around_the_fallbacks_within_however_routers_are_put_together() {
    let trace = Trace::default();
    let deep = || Router::new().fallback(async || "deep").layer(noting(&trace, "deep"));
    let middle = || Router::new().nest("/b", deep()).layer(noting(&trace, "middle"));
    let nested = TestClient::new(Router::new().nest("/a", middle()));
    assert_eq!(sent(&nested, &trace, "/a/b/nope"), (200, "middle> deep> <deep <middle".into()));
    assert_eq!(sent(&nested, &trace, "/a/nope"), (404, "middle> <middle".into()));
    let merged = TestClient::new(Router::new().merge(middle()));
    assert_eq!(sent(&merged, &trace, "/b/nope"), (200, "middle> deep> <deep <middle".into()));
    assert_eq!(sent(&merged, &trace, "/nope"), (404, "".into()));
    let given = TestClient::new(Router::new().get("/x", async || "").merge(deep()));
    assert_eq!(sent(&given, &trace, "/nope"), (200, "deep> <deep".into()));
    assert_eq!(sent(&given, &trace, "/x"), (200, "".into()));
}

#[test]
fn the_405_of_a_path_that_is_given_in_parts_has_the_layers_of_the_first() {
    let trace = Trace::default();
    let router = Router::new()
        .route("/x", get(async || "").layer(noting(&trace, "first")))
        .route("/x", post(async || "").layer(noting(&trace, "second")));
    let client = TestClient::new(router);
    assert_eq!(client.post("/x").send().status(), 200);
    assert_eq!(trace.take().join(" "), "second> <second");
    let refused = client.delete("/x").send();
    assert_eq!((refused.status().as_u16(), refused.header("allow")), (405, Some("GET, HEAD, POST")));
    assert_eq!(trace.take().join(" "), "first> <first");
}

#[test]
fn a_middleware_may_answer_by_itself_or_fail() {
    async fn guard(request: Request, next: Next) -> Result<Response> {
        match request.field("x-role") {
            Some(b"admin") => Ok(next.run(request).await),
            Some(_) => Err(StatusCode::FORBIDDEN.into()),
            None => Ok(Response::with_status(StatusCode::UNAUTHORIZED)),
        }
    }
    async fn mark(request: Request, next: Next) -> Result<Response> {
        let mut response = next.run(request).await;
        response.headers_mut().insert("x-seen", HeaderValue::from_static("1"));
        Ok(response)
    }
    let client = TestClient::new(Router::new().get("/", async || "in").layer(guard).layer(mark));
    let with_role = |role: &'static str| client.get("/").header("x-role", role).send();
    assert_eq!(with_role("admin").text(), "in");
    assert_eq!(with_role("guest").header("content-type"), Some("application/problem+json"));
    for (answer, status) in
        [(with_role("guest"), 403), (client.get("/").send(), 401), (client.get("/no").send(), 401)]
    {
        assert_eq!((answer.status().as_u16(), answer.header("x-seen")), (status, Some("1")));
    }
}

#[test]
fn middleware_finds_the_parameters_and_may_try_twice() {
    let router = Router::new().get("/u/{id}", async || StatusCode::SERVICE_UNAVAILABLE).layer(
        async |request: Request, next: Next| {
            let id = request.param("id").map(str::to_owned).unwrap_or_default();
            let again = Request::new(request.head().clone(), covet_http::Body::empty());
            let first = next.clone().run(request).await;
            let second = next.run(again).await;
            assert_eq!(first.status(), second.status());
            Ok(Response::new(id))
        },
    );
    let client = TestClient::new(router);
    assert_eq!(client.get("/u/7").send().text(), "7");
}

#[test]
fn a_cancelled_request_drops_its_handler() {
    use covet_http::Service;
    use std::task::{Context, Waker};

    let held = Rc::new(());
    let router = Router::new().get("/", {
        let held = held.clone();
        async move || {
            let _held = held.clone();
            std::future::pending::<()>().await;
        }
    });
    let router = router.layer(async |request, next: Next| Ok(next.run(request).await));
    router.prepare();
    let idle = Rc::strong_count(&held);
    for _ in 0..3 {
        let request = Request::builder("GET", "/").body(()).unwrap();
        let mut call = Box::pin(router.call(request));
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert!(Rc::strong_count(&held) > idle);
        drop(call);
        // The block that served keeps a copy of the handler, but nothing of the request.
        assert!(Rc::strong_count(&held) <= idle + 1);
    }
    drop(router);
    assert_eq!(Rc::strong_count(&held), 1);
}

#[test]
fn a_panic_passes_the_hook_and_the_layers_and_leaves_the_route_in_order() {
    let text = Rc::new(RefCell::new(String::new()));
    let told = text.clone();
    let hook = move |error: Error, request: &Request| {
        *told.borrow_mut() = std::error::Error::source(&error).unwrap().to_string();
        let mut response = Response::new(format!("{} hooked", request.path()));
        response.set_status(error.status());
        response
    };
    let buggy = async |Path(at): Path<String>| {
        // Before the first wait and after it.
        if at == "late" {
            covet_runtime::yield_now().await;
        }
        if at != "not" {
            panic!("{at}");
        }
        "fine"
    };
    let router = Router::new()
        .get("/{at}", buggy)
        .layer(async |request: Request, next: Next| {
            let mut response = next.run(request).await;
            response.headers_mut().insert("x-layer", HeaderValue::from_static("1"));
            Ok(response)
        })
        .on_error(hook);
    let client = TestClient::new(router);
    covet_runtime::block_on(async move {
        for at in ["early", "not", "late", "not", "early"] {
            let answer = client.get(&format!("/{at}")).send_async().await;
            assert_eq!(answer.header("x-layer"), Some("1"));
            match at {
                "not" => assert_eq!(answer.text(), "fine"),
                _ => {
                    assert_eq!(
                        (answer.status().as_u16(), answer.text()),
                        (500, format!("/{at} hooked").as_str())
                    );
                    assert_eq!(*text.borrow(), format!("a panic: {at}"));
                }
            }
        }
    })
    .unwrap();
}

/// What a hook of the tests below makes of an error: where, and why.
fn told(at: &'static str) -> impl Fn(Error, &Request) -> Response {
    move |error, request| {
        let cause = std::error::Error::source(&error).map(|source| source.to_string());
        let mut response = Response::new(format!("{at}: {} {}", request.path(), cause.unwrap_or_default()));
        response.set_status(error.status());
        response
    }
}

#[test]
fn a_panic_passes_a_hook_without_layers() {
    let router = Router::new()
        .route("/near", get(async || -> &'static str { panic!("near") }).on_error(told("path")))
        .get("/far", async || -> &'static str { panic!("{}", 1 + 1) })
        .on_error(told("router"));
    let client = TestClient::new(router);
    for (path, text) in [("/near", "path: /near a panic: near"), ("/far", "router: /far a panic: 2")] {
        let answer = client.get(path).send();
        assert_eq!((answer.status().as_u16(), answer.text()), (500, text));
    }
}

#[test]
fn a_panic_of_the_outermost_layer_passes_the_hook() {
    let router = Router::new()
        .get("/", async || "fine")
        .layer(async |request: Request, next: Next| {
            let response = next.run(request).await;
            assert!(response.status().is_success(), "of the layer {}", response.status());
            panic!("of the layer")
        })
        .on_error(told("router"));
    let client = TestClient::new(router);
    for (path, status, text) in [
        ("/", 500, "router: / a panic: of the layer"),
        ("/none", 500, "router: /none a panic: of the layer 404 Not Found"),
    ] {
        let answer = client.get(path).send();
        assert_eq!((answer.status().as_u16(), answer.text()), (status, text));
    }
    // One that panics before it has made its future.
    let panics =
        |_request: Request, _next: Next| -> std::future::Ready<Result<Response>> { panic!("at once") };
    let router = Router::new().get("/", async || "fine").layer(panics).on_error(told("router"));
    assert_eq!(TestClient::new(router).get("/").send().text(), "router: / a panic: at once");
}

#[test]
fn a_panic_of_a_layer_passes_the_layers_around_it() {
    let router = Router::new()
        .get("/", async || "fine")
        .layer(async |request: Request, next: Next| {
            let response = next.run(request).await;
            std::panic::panic_any(response.status().as_u16())
        })
        .layer(async |request: Request, next: Next| {
            let mut response = next.run(request).await;
            response.headers_mut().insert("x-layer", HeaderValue::from_static("1"));
            Ok(response)
        });
    let client = TestClient::new(router);
    for _ in 0..2 {
        let answer = client.get("/").send();
        assert_eq!((answer.status().as_u16(), answer.header("x-layer")), (500, Some("1")));
        assert_eq!(
            answer.text(),
            r#"{"title":"Internal Server Error","status":500}"#,
            "its value is kept back"
        );
    }
}
