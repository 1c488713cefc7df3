//! Which handler answers: methods, 404, 405, HEAD, and how routers combine.

use covet_http::{Method, Response};
use covet_router::test_client::{TestClient, TestResponse};
use covet_router::{MethodRouter, Path, Router, any, get, post};
use proptest::prelude::*;

fn panic_message(build: impl FnOnce() -> Router + std::panic::UnwindSafe) -> String {
    let Err(panic) = std::panic::catch_unwind(build).map(drop) else { panic!("the router was built") };
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast::<&str>().expect("a panic with a text").to_string(),
    }
}

#[test]
fn a_path_without_a_route_is_not_found() {
    let client = TestClient::new(Router::new().get("/a", async || "a"));
    for path in ["/", "/a/", "/A", "/%61", "//a", "/a/b"] {
        let answer = client.get(path).send();
        assert_eq!(answer.status(), 404, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
    assert_eq!(client.get("/a?x=/b").send().text(), "a");
    assert_eq!(client.options("*").send().status(), 404);
}

#[test]
fn a_method_without_a_handler_is_not_allowed() {
    let router = Router::new().get("/a", async || "").delete("/a", async || "").options("/b", async || "");
    let client = TestClient::new(router.put("/b", async || ""));
    for (method, path, allow) in [
        (Method::POST, "/a", "DELETE, GET, HEAD"),
        (Method::OPTIONS, "/a", "DELETE, GET, HEAD"),
        (Method::TRACE, "/a", "DELETE, GET, HEAD"),
        (Method::HEAD, "/b", "OPTIONS, PUT"),
        (Method::from_bytes(b"PURGE").unwrap(), "/b", "OPTIONS, PUT"),
    ] {
        let answer = client.request(method.clone(), path).send();
        assert_eq!((answer.status().as_u16(), answer.header("allow")), (405, Some(allow)), "{method} {path}");
    }
}

#[test]
fn head_is_answered_by_get_with_its_length_and_no_body() {
    let client = TestClient::new(Router::new().get("/a", async || "hello"));
    let answer = client.head("/a").send();
    assert_eq!(
        (answer.status().as_u16(), answer.header("content-length"), answer.text()),
        (200, Some("5"), "")
    );
    let own = Router::new().get("/a", async || "hello").head("/a", async || ([("x-own", "1")], ()));
    assert_eq!(TestClient::new(own).head("/a").send().header("x-own"), Some("1"));
}

#[test]
fn any_answers_what_no_method_does() {
    let router: Router =
        Router::new().route("/a", any(async |method: Method| method.to_string()).get(async || "mine"));
    let client = TestClient::new(router);
    assert_eq!(client.get("/a").send().text(), "mine");
    assert_eq!(client.options("/a").send().text(), "OPTIONS");
    assert_eq!(client.request(Method::from_bytes(b"PURGE").unwrap(), "/a").send().text(), "PURGE");
}

#[test]
fn the_methods_of_a_path_may_be_given_apart() {
    let client = TestClient::new(
        Router::new()
            .get("/a", async || "get")
            .post("/a", async || "post")
            .route("/a", MethodRouter::new().on(Method::from_bytes(b"PURGE").unwrap(), async || "purge")),
    );
    assert_eq!(client.get("/a").send().text(), "get");
    assert_eq!(client.post("/a").send().text(), "post");
    assert_eq!(client.delete("/a").send().header("allow"), Some("GET, HEAD, POST, PURGE"));
}

#[test]
fn nesting_keeps_the_whole_path_and_adds_up_parameters() {
    async fn show(Path((tenant, id)): Path<(String, u32)>, request: covet_http::Request) -> String {
        format!("{tenant} {id} {}", request.path())
    }
    let users = Router::new().get("/", async || "list").get("/{id}", show);
    let router: Router = Router::new().nest("/t/{tenant}", Router::new().nest("/users", users));
    let client = TestClient::new(router);
    assert_eq!(client.get("/t/acme/users/7").send().text(), "acme 7 /t/acme/users/7");
    assert_eq!(client.get("/t/acme/users").send().text(), "list");
    assert_eq!(client.get("/t/acme/users/").send().status(), 404);
}

#[test]
fn unmatched_paths_go_to_the_nearest_fallback() {
    async fn tenant_fallback(Path(tenant): Path<String>) -> String {
        format!("nothing at {tenant}")
    }
    let tenant = Router::new().get("/users", async || "users").fallback(tenant_fallback);
    let router: Router = Router::new()
        .nest("/t/{tenant}", tenant)
        .nest("/plain", Router::new().get("/x", async || "x"))
        .fallback(async || "outer");
    let client = TestClient::new(router);
    assert_eq!(client.get("/t/acme/users").send().text(), "users");
    for path in ["/t/acme", "/t/acme/", "/t/acme/nope/x"] {
        assert_eq!(client.get(path).send().text(), "nothing at acme", "{path}");
    }
    for path in ["/t", "/t/", "/plain/y", "/"] {
        assert_eq!(client.get(path).send().text(), "outer", "{path}");
    }
    assert_eq!(client.post("/t/acme/users").send().status(), 405);
}

#[test]
fn routers_nested_at_one_prefix_live_together() {
    let open = Router::new()
        .get("/a", async || "a")
        .layer(async |request, next: covet_router::Next| Ok(next.run(request).await));
    let closed = Router::new().get("/b", async || "b").fallback(async || "closed");
    let client = TestClient::new(Router::new().nest("/api", open).nest("/api", closed));
    assert_eq!(client.get("/api/a").send().text(), "a");
    assert_eq!(client.get("/api/b").send().text(), "b");
    assert_eq!(client.get("/api/c").send().status(), 404);
}

#[test]
fn conflicts_name_both_routes() {
    let clash = || Router::new().get("/u/{id}", async || "").post("/u/{name}", async || "");
    assert_eq!(panic_message(clash), "the route `/u/{name}` conflicts with the route `/u/{id}`");
    let twice = || Router::new().get("/a", async || "").merge(Router::new().get("/a", async || ""));
    assert_eq!(panic_message(twice), "the route `GET /a` conflicts with the route `GET /a` added before");
    let nested = || Router::new().get("/a/b", async || "").nest("/a", Router::new().get("/b", async || ""));
    assert_eq!(
        panic_message(nested),
        "the route `GET /a/b` conflicts with the route `GET /a/b` added before"
    );
    let names = || Router::new().nest("/{id}", Router::new().get("/{id}", async || ""));
    assert_eq!(panic_message(names), "the path `/{id}/{id}` names the parameter `id` twice");
    assert_eq!(panic_message(|| Router::new().get("a", async || "")), "the path `a` does not begin with `/`");
    assert!(
        panic_message(|| Router::new().nest("/", Router::new().get("/", async || ""))).contains("prefix `/`")
    );
    assert_eq!(
        panic_message(|| Router::new().route("/", get(async || "").get(async || ""))),
        "the path has a handler for GET already"
    );
    let fallbacks = || {
        let other = Router::new().fallback(async || "");
        Router::new().fallback(async || "").merge(other)
    };
    assert_eq!(panic_message(fallbacks), "both of the merged routers have a fallback");
    let second = || Router::new().fallback(async || "").fallback(async || "");
    assert_eq!(panic_message(second), "the router has a fallback already");
}

#[test]
fn a_router_that_served_may_still_grow() {
    let router = Router::new().get("/a", async || "a");
    router.prepare();
    let router = router.route("/b", post(async || "b"));
    assert_eq!(TestClient::new(router).post("/b").send().text(), "b");
}

#[test]
fn whatever_a_router_that_served_is_given_holds() {
    let served = || {
        let router = Router::new().get("/a", async || "a").post("/a", async |body: String| body);
        router.prepare();
        router
    };
    let answer = |router, path: &str| TestClient::new(router).get(path).send().text().to_owned();
    assert_eq!(answer(served().fallback(async || "mine"), "/nope"), "mine");
    assert_eq!(answer(served().merge(Router::new().fallback(async || "theirs")), "/nope"), "theirs");
    assert_eq!(answer(served().nest("/n", Router::new().fallback(async || "area")), "/n/x"), "area");
    assert_eq!(answer(served().on_error(|_, _| Response::new("hook")), "/nope"), "hook");
    assert_eq!(answer(served().layer(async |_, _| Ok(Response::new("layer"))), "/a"), "layer");
    let limited = TestClient::new(served().body_limit(3));
    assert_eq!(limited.post("/a").body("long").send().status(), 413);
}

/// A route of the property tests: it answers with its number.
fn numbered(router: Router, pattern: &str, number: usize) -> Router {
    router.get(pattern, async move || number.to_string())
}

fn same(left: &TestResponse, right: &TestResponse) -> bool {
    left.status() == right.status()
        && left.bytes() == right.bytes()
        && left.header("allow") == right.header("allow")
}

/// Patterns that never conflict with each other: distinct static heads before any parameter.
const PATTERNS: [&str; 8] = ["/", "/a", "/a/{id}", "/a/{id}/b", "/c/{*rest}", "/c", "/{x}/d", "/e-{v}"];

proptest! {
    /// However routes are spread over merged or nested routers, the answers are those of one.
    #[test]
    fn merging_and_nesting_change_no_answer(
        side in proptest::collection::vec(0..3_usize, PATTERNS.len()),
        probes in proptest::collection::vec("(/(a|b|c|d|e-1|zz|)){1,4}", 1..20),
        method in prop_oneof![Just(Method::GET), Just(Method::HEAD), Just(Method::POST)],
    ) {
        let mut whole = Router::new();
        let mut flat = Router::new();
        let mut parts = [Router::new(), Router::new(), Router::new()];
        for (number, pattern) in PATTERNS.iter().enumerate() {
            whole = numbered(whole, pattern, number);
            let joined = format!("/p/{{q}}{}", if *pattern == "/" { "" } else { pattern });
            flat = numbered(flat, &joined, number);
            let part = std::mem::take(&mut parts[side[number]]);
            parts[side[number]] = numbered(part, pattern, number);
        }
        let [first, second, third] = parts;
        let merged = TestClient::new(first.merge(second.merge(third)));
        let whole = TestClient::new(whole);
        let flat = TestClient::new(flat);
        for path in &probes {
            let expected = whole.request(method.clone(), path).send();
            prop_assert!(same(&expected, &merged.request(method.clone(), path).send()), "{}", path);
        }
        let mut nested = Router::new();
        for part in 0..3 {
            let routes = PATTERNS.iter().enumerate().filter(|(number, _)| side[*number] == part);
            let part = routes.fold(Router::new(), |router, (number, pattern)| numbered(router, pattern, number));
            nested = nested.nest("/p/{q}", part);
        }
        let nested = TestClient::new(nested);
        for path in &probes {
            let path = format!("/p/v{path}");
            let expected = flat.request(method.clone(), &path).send();
            prop_assert!(same(&expected, &nested.request(method.clone(), &path).send()), "{}", path);
        }
    }
}
