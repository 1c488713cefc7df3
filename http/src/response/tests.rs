use http::header::VARY;

use super::*;

#[test]
fn a_content_type_alone_makes_no_map() {
    let mut response = Response::new("hi");
    response.set_content_type("text/plain");
    assert!(response.headers().is_none());
    assert_eq!(response.header("CONTENT-TYPE"), Some(&b"text/plain"[..]));
    assert_eq!(response.header("vary"), None);
}

#[test]
fn the_map_takes_the_content_type_over() {
    let mut response = Response::ok().with_content_type(ContentType::JSON);
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    assert_eq!(response.headers().unwrap().get(CONTENT_TYPE).unwrap(), "application/json");
    assert!(response.fixed_content_type().is_none());
    response.set_content_type(ContentType::HTML);
    assert_eq!(response.header("content-type"), Some(&b"text/html; charset=utf-8"[..]));
    assert_eq!(response.header("vary"), Some(&b"accept"[..]));
    response.headers_mut().remove(CONTENT_TYPE);
    assert_eq!(response.header("content-type"), None);
}

#[test]
fn extensions_do_not_hide_the_content_type() {
    let mut response = Response::ok().with_content_type(ContentType::JSON);
    response.extensions_mut().insert(7_u8);
    assert_eq!(response.fixed_content_type(), Some(ContentType::JSON));
    assert_eq!(response.header("content-type"), Some(&b"application/json"[..]));
    let converted = http::Response::<Body>::from(response);
    assert_eq!(converted.extensions().get::<u8>(), Some(&7));
    assert_eq!(converted.headers().get(CONTENT_TYPE).unwrap(), "application/json");
}

#[test]
fn a_response_survives_the_way_through_the_http_crate() {
    let mut response = Response::with_status(StatusCode::CREATED).with_content_type("text/plain");
    response.set_body("made");
    response.close();
    let converted = http::Response::<Body>::from(response);
    assert_eq!(converted.headers().get("connection").unwrap(), "close");
    let back = Response::from(converted);
    assert_eq!(back.status(), StatusCode::CREATED);
    assert_eq!(back.header("content-type"), Some(&b"text/plain"[..]));
    assert_eq!(back.body().as_fixed(), Some(&b"made"[..]));
}

#[test]
#[should_panic(expected = "visible ASCII")]
fn a_content_type_cannot_split_the_response() {
    Response::ok().set_content_type("text/plain\r\nX: y");
}

#[test]
fn a_response_is_compact() {
    assert!(size_of::<Response>() <= 96, "{}", size_of::<Response>());
}
