//! What handlers are given.

use std::collections::HashMap;
use std::rc::Rc;

use bytes::Bytes;
use covet_http::{Body, HeaderMap, Method, Request, Version};
use covet_router::test_client::TestClient;
use covet_router::{Error, Extension, Form, Json, Path, Query, Result, Router, State, post};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize, Debug, PartialEq)]
struct Item {
    name: String,
    count: u32,
}

#[derive(Deserialize, Debug)]
#[serde(rename_all = "lowercase")]
enum Colour {
    Red,
    Blue,
}

#[derive(Deserialize)]
struct Named {
    b: Option<u8>,
    a: String,
}

fn path_client() -> TestClient<Router> {
    TestClient::new(
        Router::new()
            .get("/one/{a}", async |Path(a): Path<String>| a)
            .get("/int/{a}", async |Path(a): Path<i8>| a.to_string())
            .get("/float/{a}", async |Path(a): Path<f64>| a.to_string())
            .get("/bool/{a}", async |Path(a): Path<bool>| a.to_string())
            .get("/char/{a}", async |Path(a): Path<char>| a.to_string())
            .get("/enum/{a}", async |Path(a): Path<Colour>| format!("{a:?}"))
            .get("/single/{a}", async |Path((a,)): Path<(u64,)>| a.to_string())
            .get("/tuple/{a}/{b}", async |Path((a, b)): Path<(String, u8)>| format!("{a} {b}"))
            .get("/vec/{a}/{b}", async |Path(all): Path<Vec<String>>| all.join(" "))
            .get("/struct/{a}/{b}", async |Path(n): Path<Named>| format!("{} {:?}", n.a, n.b))
            .get("/map/{a}/{b}", async |Path(all): Path<HashMap<String, u8>>| {
                (all["a"] + all["b"]).to_string()
            })
            .get("/rest/{*a}", async |Path(a): Path<String>| a)
            .get("/none", async |Path(()): Path<()>| "unit")
            .get("/wrong/{a}", async |Path(_): Path<(u8, u8)>| "")
            .get("/absent/{a}", async |Path(_): Path<Item>| "")
            .get("/optional/{a}", async |a: Option<Path<u8>>| format!("{:?}", a.map(|a| a.0)))
            .get("/result/{a}", async |a: Result<Path<u8>>| {
                a.map_or_else(|e| e.status().to_string(), |_| "".into())
            }),
    )
}

#[test]
fn path_parameters_take_many_forms() {
    let client = path_client();
    for (path, text) in [
        ("/one/a%20b%2Fc+d", "a b/c+d"),
        ("/one/%C3%A9", "é"),
        ("/int/-128", "-128"),
        ("/int/%31", "1"),
        ("/float/1.5", "1.5"),
        ("/bool/true", "true"),
        ("/char/%E2%82%AC", "€"),
        ("/enum/blue", "Blue"),
        ("/enum/red", "Red"),
        ("/single/18446744073709551615", "18446744073709551615"),
        ("/tuple/x/7", "x 7"),
        ("/vec/x/y", "x y"),
        ("/struct/x/7", "x Some(7)"),
        ("/map/1/2", "3"),
        ("/rest/a/b%2Fc/", "a/b/c/"),
        ("/none", "unit"),
        ("/optional/9", "Some(9)"),
        ("/optional/x", "None"),
        ("/result/x", "400 Bad Request"),
    ] {
        let answer = client.get(path).send();
        assert_eq!((answer.status().as_u16(), answer.text()), (200, text), "{path}");
    }
}

#[test]
fn a_bad_parameter_is_the_clients_fault_and_named() {
    let client = path_client();
    for (path, part) in [
        ("/int/128", "`a` is not a valid i8"),
        ("/int/x", "`a` is not a valid i8"),
        ("/one/%FF", "`a` is not UTF-8"),
        ("/one/%4", "`a` has a `%`"),
        ("/char/ab", "`a` is not a valid char"),
        ("/enum/green", "`a` is not valid"),
        ("/tuple/x/300", "`b` is not a valid u8"),
        ("/struct/x/y", "`b` is not a valid u8"),
    ] {
        let answer = client.get(path).send();
        assert_eq!(answer.status(), 400, "{path}");
        assert!(answer.text().contains(part), "{path}: {}", answer.text());
    }
}

#[test]
fn a_type_that_does_not_fit_the_route_is_the_programs_fault() {
    let client = path_client();
    for path in ["/wrong/1", "/absent/1"] {
        let answer = client.get(path).send();
        assert_eq!(answer.status(), 500, "{path}");
        assert_eq!(answer.text(), r#"{"title":"Internal Server Error","status":500}"#);
    }
}

#[test]
fn queries_and_forms_are_url_encoded() {
    let router = Router::new()
        .get("/", async |Query(item): Query<Item>| Json(item))
        .post("/", async |Form(item): Form<Item>| Json(item));
    let client = TestClient::new(router);
    let item = Item { name: "a b&c".into(), count: 3 };
    assert_eq!(client.get("/?count=3&name=a+b%26c").send().json::<Item>(), item);
    assert_eq!(client.get("/?count=3").send().status(), 400);
    assert_eq!(client.get("/").send().status(), 400);
    let form = |kind: &'static str, body: &'static str| {
        client.post("/").header("content-type", kind).body(body).send()
    };
    let kind = "application/x-www-form-urlencoded";
    assert_eq!(form(kind, "name=a+b%26c&count=3").json::<Item>(), item);
    assert_eq!(form("Application/X-WWW-Form-UrlEncoded; charset=utf-8", "name=x&count=1").status(), 200);
    assert_eq!(form(kind, "name=x").status(), 422);
    assert_eq!(form("text/plain", "name=x&count=1").status(), 415);
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Basket {
    items: Vec<Item>,
}

#[test]
fn what_does_not_fit_its_type_is_named_with_its_place() {
    let router = Router::new()
        .get("/", async |Query(item): Query<Item>| Json(item))
        .post("/form", async |Form(item): Form<Item>| Json(item))
        .post("/", async |Json(basket): Json<Basket>| Json(basket));
    let client = TestClient::new(router);
    let detail = |answer: covet_router::test_client::TestResponse| {
        answer.json::<serde_json::Value>()["detail"].as_str().expect("a detail").to_owned()
    };

    let query = detail(client.get("/?name=x&count=many").send());
    assert_eq!(query, "the query is not valid: `count`: invalid digit found in string");
    let absent = detail(client.get("/?count=1").send());
    assert_eq!(absent, "the query is not valid: missing field `name`");
    let form = client.post("/form").header("content-type", "application/x-www-form-urlencoded");
    let form = detail(form.body("name=x&count=-1").send());
    assert_eq!(form, "the form is not valid: `count`: invalid digit found in string");

    let json = |body: &'static str| {
        let request = client.post("/").header("content-type", "application/json");
        detail(request.body(body).send())
    };
    let wrong = json(r#"{"items":[{"name":"a","count":1},{"name":"b","count":"2"}]}"#);
    assert!(
        wrong.starts_with("the JSON body is not valid: `items[1].count`: invalid type: string"),
        "{wrong}"
    );
    assert!(wrong.contains("line 1 column"), "{wrong}");
    let absent = json(r#"{"items":[{"name":"a"}]}"#);
    assert!(absent.starts_with("the JSON body is not valid: `items[0]`: missing field `count`"), "{absent}");
}

#[test]
fn json_is_checked_for_type_syntax_and_shape() {
    let client = TestClient::new(Router::new().post("/", async |Json(item): Json<Item>| Json(item)));
    let send = |kind: &'static str, body: &'static str| {
        client.post("/").header("content-type", kind).body(body).send()
    };
    let item = Item { name: "x".into(), count: 1 };
    assert_eq!(client.post("/").json(&item).send().json::<Item>(), item);
    assert_eq!(send("application/vnd.shop+json; charset=utf-8", r#"{"name":"x","count":1}"#).status(), 200);
    assert_eq!(send("application/json", r#"{"name":"#).status(), 400);
    assert_eq!(send("application/json", "").status(), 400);
    let torn = send("application/json", "{").text().to_owned();
    assert!(torn.contains("is not valid: EOF while parsing"), "there is no path to name: {torn}");
    assert_eq!(send("application/json", r#"{"name":"x","count":-1}"#).status(), 422);
    assert_eq!(send("text/plain", r#"{"name":"x","count":1}"#).status(), 415);
    assert_eq!(client.post("/").body(r#"{"name":"x","count":1}"#).send().status(), 415);
}

#[test]
fn what_describes_itself_is_one_parameter_or_all_by_name() {
    async fn show(Path(value): Path<serde_json::Value>) -> Json<serde_json::Value> {
        Json(value)
    }
    let client = TestClient::new(Router::new().get("/one/{id}", show).get("/two/{b}/{a}", show));
    assert_eq!(client.get("/one/7%20up").send().text(), r#""7 up""#);
    assert_eq!(client.get("/two/x/1").send().text(), r#"{"a":"1","b":"x"}"#);
}

#[test]
fn what_stays_behind_when_the_request_is_taken_knows_its_connection() {
    let hook = |_: Error, request: &Request| covet_http::Response::new(format!("{:?}", request.peer_addr()));
    let router = Router::new()
        .get("/", async |_: Request| -> Result<()> { Err(Error::not_found()) })
        .layer(async |mut request: Request, next: covet_router::Next| {
            request.set_peer_addr(([192, 0, 2, 1], 5).into());
            Ok(next.run(request).await)
        })
        .on_error(hook);
    assert_eq!(TestClient::new(router).get("/").send().text(), "Some(192.0.2.1:5)");
}

#[test]
fn raw_bodies() {
    let client = TestClient::new(
        Router::new()
            .post("/bytes", async |body: Bytes| body.len().to_string())
            .post("/text", async |body: String| body)
            .post("/body", async |body: Body| body),
    );
    assert_eq!(client.post("/bytes").body(vec![0; 10]).send().text(), "10");
    assert_eq!(client.post("/text").body("é").send().text(), "é");
    assert_eq!(client.post("/text").body(vec![0xff]).send().status(), 400);
    assert_eq!(client.post("/body").body("streamed").send().text(), "streamed");
    assert_eq!(client.post("/text").send().text(), "");
}

#[test]
fn the_body_limit_holds_and_the_nearest_wins() {
    let len = async |body: Bytes| body.len().to_string();
    let inner = Router::new().post("/inner", len).route("/path", post(len).body_limit(30)).body_limit(20);
    let client = TestClient::new(
        Router::new()
            .post("/default", len)
            .merge(Router::new().post("/ten", len).body_limit(10))
            .nest("/n", inner)
            .post("/stream", async |body: Body| body),
    );
    let status = |path: &str, size: usize| client.post(path).body(vec![b'x'; size]).send().status().as_u16();
    for (path, limit) in [("/ten", 10), ("/n/inner", 20), ("/n/path", 30), ("/default", 2 * 1024 * 1024)] {
        assert_eq!(status(path, limit), 200, "{path}");
        assert_eq!(status(path, limit + 1), 413, "{path}");
    }
    assert_eq!(status("/stream", 3 * 1024 * 1024), 200);
}

#[test]
fn the_whole_request_leaves_the_rest_for_the_others() {
    #[allow(clippy::too_many_arguments, reason = "a handler may have twelve")]
    async fn all(
        before: Method,
        request: Request,
        Path(id): Path<u32>,
        Query(query): Query<HashMap<String, String>>,
        State(state): State<Rc<str>>,
        headers: HeaderMap,
        method: Method,
        version: Version,
        Extension(number): Extension<u64>,
        missing: Option<Extension<String>>,
        refused: Result<Json<()>, Error>,
        last: Option<Query<Item>>,
    ) -> String {
        let mut request = request;
        let body = request.take_body().collect(100).await.unwrap();
        let body = std::str::from_utf8(&body).unwrap();
        assert!(missing.is_none() && refused.is_err() && last.is_none() && before == method);
        assert_eq!(request.param("id"), Some("7"));
        assert_eq!(request.extensions().unwrap().get::<u64>(), Some(&number));
        format!("{method} {version:?} {id} {} {state} {:?} {number} {body}", query["q"], headers["x-y"])
    }
    // `Json` and `Request` both take the body, so the former cannot be in `all`; see below.
    #[allow(clippy::too_many_arguments, reason = "a handler may have twelve")]
    async fn twelve(
        before: Method,
        request: Request,
        path: Path<u32>,
        query: Query<HashMap<String, String>>,
        state: State<Rc<str>>,
        headers: HeaderMap,
        method: Method,
        version: Version,
        extension: Extension<u64>,
        missing: Option<Extension<String>>,
        bad_query: Result<Query<Item>, Error>,
        last: Option<Query<Item>>,
    ) -> String {
        let refused = bad_query.map(|_| Json(()));
        all(before, request, path, query, state, headers, method, version, extension, missing, refused, last)
            .await
    }
    let client = TestClient::new(Router::new().post("/{id}", twelve).with_state(Rc::from("state")));
    let answer = client.post("/7?q=z").header("X-Y", "v").extension(5_u64).body("payload").send();
    assert_eq!(answer.text(), r#"POST HTTP/1.1 7 z state "v" 5 payload"#);
}

#[test]
fn changed_fields_are_seen_by_extractors_after_the_request() {
    async fn show(_: Request, headers: HeaderMap) -> String {
        format!("{:?}", headers["x-a"])
    }
    let router =
        Router::new().get("/", show).layer(async |mut request: Request, next: covet_router::Next| {
            request.headers_mut().insert("x-a", "changed".parse()?);
            Ok(next.run(request).await)
        });
    assert_eq!(TestClient::new(router).get("/").header("x-a", "sent").send().text(), "\"changed\"");
}

#[test]
fn a_missing_extension_is_an_internal_error() {
    let client = TestClient::new(Router::new().get("/", async |Extension(_): Extension<u8>| ""));
    let answer = client.get("/").send();
    assert_eq!(answer.status(), 500);
    assert!(!answer.text().contains("u8"), "the type is for the log alone");
}

proptest! {
    #[test]
    fn every_text_survives_the_path(text in "\\PC{1,20}") {
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let client = TestClient::new(Router::new().get("/x/{a}/y", async |Path(a): Path<String>| a));
        let answer = client.get(&format!("/x/{encoded}/y")).send();
        prop_assert_eq!(answer.text(), text);
    }
}
