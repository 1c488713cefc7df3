//! What handlers may return.

use std::borrow::Cow;

use bytes::Bytes;
use covet_http::{Body, Response, StatusCode};
use covet_router::test_client::TestClient;
use covet_router::{Html, IntoResponse, Json, Redirect, Router};

const TEXT: Option<&str> = Some("text/plain; charset=utf-8");
const BYTES: Option<&str> = Some("application/octet-stream");

fn check<R: IntoResponse + 'static>(make: fn() -> R, status: u16, kind: Option<&str>, body: &str) {
    let answer = TestClient::new(Router::new().get("/", async move || make())).get("/").send();
    assert_eq!(
        (answer.status().as_u16(), answer.header("content-type"), answer.text()),
        (status, kind, body)
    );
}

#[test]
fn every_kind_of_response() {
    check(|| (), 200, None, "");
    check(|| "text", 200, TEXT, "text");
    check(|| "text".to_owned(), 200, TEXT, "text");
    check(|| Cow::Borrowed("text"), 200, TEXT, "text");
    check(|| b"raw".to_vec(), 200, BYTES, "raw");
    check(|| Bytes::from_static(b"raw"), 200, BYTES, "raw");
    check(|| &b"raw"[..], 200, BYTES, "raw");
    check(|| Body::from("raw"), 200, None, "raw");
    check(|| StatusCode::ACCEPTED, 202, None, "");
    check(|| (StatusCode::CREATED, "made"), 201, TEXT, "made");
    check(|| (StatusCode::CREATED, [("content-type", "a/b")], "made"), 201, Some("a/b"), "made");
    check(|| Json(vec![1, 2]), 200, Some("application/json"), "[1,2]");
    check(|| Html("<p>"), 200, Some("text/html; charset=utf-8"), "<p>");
    check(|| Html(String::from("<p>")), 200, Some("text/html; charset=utf-8"), "<p>");
    check(|| Response::new("own"), 200, None, "own");
    check(|| http::Response::builder().status(299).body(Body::from("own")).unwrap(), 299, None, "own");
    check(
        || -> Result<_, StatusCode> { Ok((StatusCode::CREATED, Json(1))) },
        201,
        Some("application/json"),
        "1",
    );
    check(|| -> Result<(), _> { Err((StatusCode::GONE, "gone")) }, 410, TEXT, "gone");
}

#[test]
fn fields_replace_those_of_the_body_and_repeat_each_other() {
    let fields = async || ([("set-cookie", "a=1"), ("Set-Cookie", "b=2"), ("content-type", "x/y")], "text");
    let answer = TestClient::new(Router::new().get("/", fields)).get("/").send();
    let cookies: Vec<_> = answer.headers().get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(answer.headers().get_all("content-type").iter().count(), 1);
    assert_eq!(answer.header("content-type"), Some("x/y"));
}

#[test]
fn what_cannot_be_sent_is_an_internal_error() {
    struct Odd;
    impl serde::Serialize for Odd {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("odd"))
        }
    }
    let client = TestClient::new(
        Router::new()
            .get("/json", async || Json(Odd))
            .get("/name", async || ([("a b", "x")], ""))
            .get("/value", async || ([("a", "x\r\ny")], ""))
            .get("/redirect", async || Redirect::to("/a\nSet-Cookie: b")),
    );
    for path in ["/json", "/name", "/value", "/redirect"] {
        assert_eq!(client.get(path).send().status(), 500, "{path}");
    }
}

#[test]
fn redirects_have_a_status_and_a_place() {
    for (redirect, status) in [
        (Redirect::to("/next"), 303),
        (Redirect::temporary("/next".to_owned()), 307),
        (Redirect::permanent("/next"), 308),
    ] {
        let response = redirect.into_response().unwrap();
        assert_eq!((response.status().as_u16(), response.header("location")), (status, Some(&b"/next"[..])));
    }
}
