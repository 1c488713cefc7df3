use super::*;

fn go(
    policy: &Redirects,
    method: &Method,
    from: &str,
    status: u16,
    location: &str,
) -> Result<Option<Next>, RedirectError> {
    let mut fields = HeaderMap::new();
    fields.insert(LOCATION, HeaderValue::from_bytes(location.as_bytes()).unwrap());
    next(policy, method, &Url::parse(from).unwrap(), StatusCode::from_u16(status).unwrap(), &fields)
}

#[test]
fn methods_change_as_the_status_says() {
    let policy = Redirects::default();
    let changed = |method: Method, status| {
        let next = go(&policy, &method, "http://a/b", status, "c").unwrap().unwrap();
        (next.method.to_string(), next.keeps_body)
    };
    for status in [301, 302] {
        assert_eq!(changed(Method::POST, status), ("GET".into(), false));
        assert_eq!(changed(Method::PUT, status), ("PUT".into(), true));
        assert_eq!(changed(Method::GET, status), ("GET".into(), true));
        assert_eq!(changed(Method::HEAD, status), ("HEAD".into(), true));
    }
    assert_eq!(changed(Method::PUT, 303), ("GET".into(), false));
    assert_eq!(changed(Method::HEAD, 303), ("HEAD".into(), true));
    for status in [307, 308] {
        assert_eq!(changed(Method::POST, status), ("POST".into(), true));
    }
    for status in [200, 300, 304, 305, 306, 404] {
        assert_eq!(go(&policy, &Method::GET, "http://a/", status, "/x").unwrap(), None);
    }
    assert_eq!(go(&Redirects::none(), &Method::GET, "http://a/", 302, "/x").unwrap(), None);
}

#[test]
fn locations_are_resolved() {
    let policy = Redirects::default();
    let to = |from: &str, location: &str| {
        go(&policy, &Method::GET, from, 302, location).map(|next| next.unwrap().url.to_string())
    };
    assert_eq!(to("http://a/b/c?d#e", "x").unwrap(), "http://a/b/x#e");
    assert_eq!(to("http://a/b/c#e", "/x?y#z").unwrap(), "http://a/x?y#z");
    assert_eq!(to("http://a/b/c", "?q").unwrap(), "http://a/b/c?q");
    assert_eq!(to("http://a/b/c", "//h:81/").unwrap(), "http://h:81/");
    assert_eq!(to("http://a/", "http://u:p@b/").unwrap(), "http://b/");
    assert_eq!(to("http://a/", "/\u{e9} x").unwrap(), "http://a/%C3%A9%20x");
    assert_eq!(to("http://a/", "..//..//x").unwrap(), "http://a//x");
    for bad in ["ftp://a/", "javascript:alert(1)", "http://", "file:///etc/passwd", "http://[::1/"] {
        assert!(matches!(to("http://a/", bad), Err(RedirectError::Location { .. })), "{bad}");
    }
}

#[test]
#[cfg(feature = "tls")]
fn the_way_to_plain_text_is_closed_unless_opened() {
    let policy = Redirects::default();
    let error = go(&policy, &Method::GET, "https://a/", 302, "http://a/").unwrap_err();
    assert!(matches!(error, RedirectError::ToPlain { .. }));
    let open = Redirects { to_plain: true, ..policy };
    assert!(go(&open, &Method::GET, "https://a/", 302, "http://a/").unwrap().is_some());
}

#[test]
fn what_belongs_to_another_origin_is_dropped() {
    let mut fields = HeaderMap::new();
    for name in [
        "authorization",
        "cookie",
        "host",
        "proxy-authorization",
        "accept",
        "content-type",
        "expect",
        "digest",
        "content-digest",
    ] {
        fields.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
    }
    drop_credentials(&mut fields);
    drop_content_fields(&mut fields);
    assert_eq!(fields.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    let same = |one: &str, other: &str| same_origin(&Url::parse(one).unwrap(), &Url::parse(other).unwrap());
    assert!(same("http://a/x", "http://A:80/y") && !same("http://a/", "https://a/"));
    assert!(!same("http://a/", "http://a:81/") && !same("http://a/", "http://b.a/"));
}
