use super::*;
use crate::{HeaderName, HeaderValue};

#[test]
fn a_built_request_reads_back() {
    let request = Request::builder("POST", "/users/7?full=1")
        .header("Content-Type", "text/plain")
        .header("X-Twice", "a")
        .header("X-Twice", "b")
        .peer_addr("127.0.0.1:80".parse().unwrap())
        .body("hi")
        .unwrap();
    assert_eq!(request.method(), Method::POST);
    assert_eq!(request.version(), Version::HTTP_11);
    assert_eq!(request.target(), "/users/7?full=1");
    assert_eq!(request.path(), "/users/7");
    assert_eq!(request.query(), Some("full=1"));
    assert_eq!(request.field("CONTENT-TYPE"), Some(&b"text/plain"[..]));
    assert_eq!(request.field("x-twice"), Some(&b"a"[..]));
    assert_eq!(request.field("host"), None);
    assert_eq!(request.headers().get_all("x-twice").iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(request.fields().count(), 3);
    assert_eq!(request.peer_addr().unwrap().port(), 80);
    assert_eq!(request.body().as_fixed(), Some(&b"hi"[..]));
}

#[test]
fn targets_of_every_form_have_a_path() {
    let path = |method: &str, target: &str| {
        let request = Request::builder(method, target).body(()).unwrap();
        (
            request.path().to_owned(),
            request.query().map(str::to_owned),
            request.authority().map(str::to_owned),
        )
    };
    let all = |path: &str, query: Option<&str>, authority: Option<&str>| {
        (path.to_owned(), query.map(str::to_owned), authority.map(str::to_owned))
    };
    assert_eq!(path("GET", "/"), all("/", None, None));
    assert_eq!(path("GET", "/?"), all("/", Some(""), None));
    assert_eq!(path("GET", "/a?b?c"), all("/a", Some("b?c"), None));
    assert_eq!(path("OPTIONS", "*"), all("*", None, None));
    assert_eq!(path("GET", "http://h:1/a/b?c"), all("/a/b", Some("c"), Some("h:1")));
    assert_eq!(path("GET", "HTTPS://h"), all("/", None, Some("h")));
    assert_eq!(path("GET", "http://h?q"), all("/", Some("q"), Some("h")));
    assert_eq!(path("OPTIONS", "http://h"), all("*", None, Some("h")));
    assert_eq!(path("CONNECT", "h:443"), all("/", None, Some("h:443")));
}

#[test]
fn mistakes_are_reported_at_the_end() {
    let error = |builder: RequestBuilder| builder.body(()).unwrap_err();
    assert!(matches!(error(Request::builder("G T", "/")), RequestError::Method));
    assert!(matches!(error(Request::builder("GET", "no slash")), RequestError::Target { .. }));
    assert!(matches!(error(Request::builder("GET", "/ö")), RequestError::Target { .. }));
    assert!(matches!(error(Request::builder("GET", "*")), RequestError::Target { .. }));
    assert!(matches!(error(Request::builder("GET", "/").header("a b", "c")), RequestError::FieldName));
    let error = error(Request::builder("GET", "/").header("a", "b\r\nc").header("d e", "f"));
    assert!(matches!(error, RequestError::FieldValue { name } if name == "a"));
}

#[test]
fn changed_headers_hide_those_of_the_head() {
    let mut request = Request::builder("GET", "/").header("a", "1").header("b", "2").body(()).unwrap();
    request.headers_mut().insert("a", HeaderValue::from_static("3"));
    request.headers_mut().remove("b");
    request.headers_mut().insert(HeaderName::from_static("c"), HeaderValue::from_static("4"));
    assert_eq!(request.field("a"), Some(&b"3"[..]));
    assert_eq!(request.field("b"), None);
    assert_eq!(request.headers().len(), 2);
    assert_eq!(request.fields().collect::<Vec<_>>(), [("a", &b"3"[..]), ("c", &b"4"[..])]);
}

#[test]
fn a_request_survives_the_way_through_the_http_crate() {
    let mut request = Request::builder("PUT", "/a?b").header("x", "y").extension(5_u8).body("z").unwrap();
    request.headers_mut().insert("w", HeaderValue::from_static("v"));
    let converted = http::Request::<Body>::try_from(request).unwrap();
    assert_eq!(converted.uri().path(), "/a");
    assert_eq!(converted.headers().get("w").unwrap(), "v");
    let back = Request::try_from(converted).unwrap();
    assert_eq!((back.method(), back.target()), (&Method::PUT, "/a?b"));
    assert_eq!(back.field("x"), Some(&b"y"[..]));
    assert_eq!(back.extensions().unwrap().get::<u8>(), Some(&5));
    assert_eq!(back.body().as_fixed(), Some(&b"z"[..]));
    for (method, uri, target) in [
        ("CONNECT", "h:1", "h:1"),
        ("GET", "http://h/a", "http://h/a"),
        ("OPTIONS", "*", "*"),
        ("GET", "/", "/"),
    ] {
        let request = http::Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
        assert_eq!(Request::try_from(request).unwrap().target(), target);
    }
}

#[test]
fn a_taken_body_leaves_its_mark() {
    let mut request = Request::builder("GET", "/").body("z").unwrap();
    assert_eq!(request.take_body().as_fixed(), Some(&b"z"[..]));
    assert!(request.body().is_taken());
    request.set_body("again");
    assert_eq!(request.body().exact_length(), Some(5));
}

#[test]
fn a_request_is_compact() {
    assert!(size_of::<Request>() <= 128, "{}", size_of::<Request>());
}
