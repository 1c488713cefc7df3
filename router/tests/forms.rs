//! Forms of both kinds, and bodies with content codings.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;

use bytes::Bytes;
use covet_http::multipart::Limits;
use covet_http::{Request, compress};
use covet_router::test_client::{TestClient, TestResponse};
use covet_router::{Form, Multipart, Next, Result, Router, middleware};
use proptest::prelude::*;

const KIND: &str = "application/x-www-form-urlencoded";

type Pairs = Vec<(String, String)>;

fn pairs_client() -> TestClient<Router> {
    let pairs = async |Form(pairs): Form<Pairs>| {
        pairs.iter().map(|(name, value)| format!("{name}={value};")).collect::<String>()
    };
    TestClient::new(Router::new().post("/", pairs).merge(Router::new().post("/ten", pairs).body_limit(10)))
}

fn post(client: &TestClient<Router>, kind: &'static str, body: impl Into<Bytes>) -> TestResponse {
    client.post("/").header("content-type", kind).body(body.into()).send()
}

#[test]
fn pairs_are_decoded_as_the_url_standard_has_it() {
    let client = pairs_client();
    for (body, pairs) in [
        ("", ""),
        ("a=b", "a=b;"),
        ("a", "a=;"),
        ("=b", "=b;"),
        ("a=b=c", "a=b=c;"),
        ("&&a=1&&b=2&", "a=1;b=2;"),
        ("a+b=c%20d%2B%26%3D", "a b=c d+&=;"),
        ("a=%C3%A9\u{e9}", "a=\u{e9}\u{e9};"),
        ("a=%", "a=%;"),
        ("a=%zz", "a=%zz;"),
        ("a=%FF", "a=\u{fffd};"),
        ("a=1&a=2", "a=1;a=2;"),
        ("a=1;b=2", "a=1;b=2;"),
    ] {
        assert_eq!(post(&client, KIND, body).text(), pairs, "{body}");
    }
}

#[test]
fn forms_are_bounded_and_in_utf_8() {
    let client = pairs_client();
    let many = |count: usize| Bytes::from("a=b&".repeat(count));
    assert_eq!(post(&client, KIND, many(1_000)).status(), 200);
    let answer = post(&client, KIND, many(1_001));
    assert_eq!(answer.status(), 413);
    assert!(answer.text().contains("more than 1000 pairs"), "{}", answer.text());
    let long = client.post("/ten").header("content-type", KIND).body("a=345678901");
    assert_eq!(long.send().status(), 413);
    for (kind, status) in [
        ("application/x-www-form-urlencoded; charset=UTF-8", 200),
        ("application/x-www-form-urlencoded;charset=\"utf-8\"; x=y", 200),
        ("application/x-www-form-urlencoded; x", 200),
        ("application/x-www-form-urlencoded; charset=iso-8859-1", 415),
        ("application/x-www-form-urlencoded; Charset=utf-16", 415),
        ("multipart/form-data; boundary=x", 415),
    ] {
        assert_eq!(post(&client, kind, "a=b").status(), status, "{kind}");
    }
}

async fn parts(mut form: Multipart) -> Result<String> {
    let mut seen = String::new();
    while let Some(mut part) = form.next_part().await? {
        let head = format!("{} {:?} {:?} ", part.name(), part.file_name(), part.content_type());
        seen += &head;
        match part.name() {
            "skip" => {}
            "file" => seen += &part.bytes(10).await?.len().to_string(),
            _ => seen += &part.text().await?,
        }
        seen.push(';');
    }
    Ok(seen)
}

fn form(parts: &[(&str, &str)]) -> String {
    let part = |(head, content): &(&str, &str)| {
        format!("--B\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
    };
    parts.iter().map(part).collect::<String>() + "--B--\r\n"
}

#[test]
fn a_form_with_files_is_read_part_by_part() {
    let client = TestClient::new(Router::new().post("/", parts));
    let kind = "multipart/form-data; boundary=B";
    let body = form(&[
        ("name=title", "a b"),
        ("name=skip; filename=x", "unread"),
        ("name=file; filename=\"f.bin\"\r\nContent-Type: image/png", "0123456789"),
        ("name=last", "\u{e9}"),
    ]);
    let seen = "title None None a b;skip Some(\"x\") None ;file Some(\"f.bin\") Some(\"image/png\") 10;last None None \u{e9};";
    assert_eq!(post(&client, kind, body).text(), seen);
    for (kind, body, status, detail) in [
        ("text/plain", form(&[]), 415, "multipart/form-data"),
        ("multipart/form-data", form(&[]), 400, "boundary"),
        (kind, form(&[])[..4].to_owned(), 400, "ends before"),
        (kind, form(&[("name=file", "01234567890")]), 413, "`file` is longer than the limit of 10"),
        (kind, form(&[("name=a\r\nContent-Type: text/plain; charset=latin1", "x")]), 400, "`a` is not UTF-8"),
        (kind, form(&[("name=a\r\nContent-Transfer-Encoding: base64", "x")]), 415, "transfer encoding"),
        (kind, form(&[("x=y", "")]), 400, "disposition"),
        (kind, form(&[("name=a", ""); 101]), 413, "more than 100 parts"),
        (kind, form(&[("name=a", &"x".repeat(2 << 20))]), 413, "limit of 2097152 bytes"),
    ] {
        let answer = post(&client, kind, body);
        assert_eq!(
            (answer.status().as_u16(), answer.text().contains(detail)),
            (status, true),
            "{}",
            answer.text()
        );
    }
    let invalid = [form(&[("name=a", "?")]).split_once('?').unwrap().0.as_bytes(), b"\xff\r\n--B--"].concat();
    assert_eq!(post(&client, kind, invalid).status(), 400);
}

#[test]
fn limits_of_forms_are_set_by_middleware() {
    let small = async |mut request: Request, next: Next| {
        request.extensions_mut().insert(Limits { parts: 1, ..Limits::default() });
        Ok(next.run(request).await)
    };
    let client = TestClient::new(Router::new().post("/", parts).layer(small));
    let kind = "multipart/form-data; boundary=B";
    assert_eq!(post(&client, kind, form(&[("name=a", "")])).status(), 200);
    assert_eq!(post(&client, kind, form(&[("name=a", ""), ("name=b", "")])).status(), 413);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn codings_are_taken_off_before_handlers_see_bodies() {
    let limits = compress::Limits { decoded: 100_000, ..compress::Limits::default() };
    let echo = async |request: Request| {
        let coded = request.field("content-encoding").is_some() || request.field("content-length").is_some();
        let mut request = request;
        let text = request.body_mut().collect(200_000).await?;
        Ok::<_, covet_router::Error>(format!("{coded} {}", text.escape_ascii()))
    };
    let router = Router::new()
        .post("/", echo)
        .post("/form", async |Form(pairs): Form<Pairs>| format!("{pairs:?}"))
        .merge(Router::new().post("/ten", async |body: Bytes| body).body_limit(10))
        .layer(middleware::decompress(limits));
    let client = TestClient::new(router);
    let send = |path: &str, coding: &'static str, body: Vec<u8>| {
        let request = client.post(path).header("content-type", KIND).header("content-encoding", coding);
        request.header("content-length", body.len().to_string()).body(body).send()
    };
    assert_eq!(send("/", "gzip", gzip(b"hello")).text(), "false hello");
    assert_eq!(send("/", "X-GZIP, identity", gzip(b"hello")).text(), "false hello");
    assert_eq!(send("/", "gzip, gzip", gzip(&gzip(b"hello"))).text(), "false hello");
    assert_eq!(send("/form", "gzip", gzip(b"a=b")).text(), r#"[("a", "b")]"#);
    let refused = |path: &str, coding, body, status: u16, detail: &str| {
        let answer = send(path, coding, body);
        assert_eq!(
            (answer.status().as_u16(), answer.text().contains(detail)),
            (status, true),
            "{}",
            answer.text()
        );
        // Whatever else in the workspace asks for has its codings in here as well.
        let codings = answer.header("accept-encoding");
        assert_eq!(codings.is_some(), status == 415, "{codings:?}");
        assert!(codings.is_none_or(|codings| codings.starts_with("gzip, deflate")), "{codings:?}");
    };
    refused("/", "compress", b"x".to_vec(), 415, "`compress` is not supported");
    refused("/", "gzip, gzip, gzip", gzip(b"x"), 415, "more than 2 codings");
    refused("/", "gzip", b"plain".to_vec(), 400, "no valid gzip");
    refused("/", "gzip", gzip(b"hello")[..10].to_vec(), 400, "breaks off");
    refused("/", "gzip", gzip(&[0; 100_001]), 413, "");
    refused("/ten", "gzip", gzip(b"01234567890"), 413, "limit of 10 bytes");
}

proptest! {
    #[test]
    fn every_pair_survives_the_form(pairs in proptest::collection::vec(("\\PC{0,10}", "\\PC{0,10}"), 0..10)) {
        let client = TestClient::new(Router::new().post("/", async |Form(pairs): Form<Pairs>| format!("{pairs:?}")));
        let body = serde_urlencoded::to_string(&pairs).unwrap();
        let answer = post(&client, KIND, body);
        prop_assert_eq!(answer.text(), format!("{pairs:?}"));
    }
}
