//! Response heads: their bytes, and what a client makes of them.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use covet_http::h1::encode::{LAST_CHUNK, encode_chunk};
use covet_http::h1::response::{DecodedResponse, ResponseFraming, ResponseHead, decode_response_head};
use covet_http::h1::{Encoded, Exchange, ResponseEncoder};
use covet_http::{
    Body, BoxError, ContentType, HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version,
};
use futures_core::Stream;
use proptest::prelude::*;
use proptest::sample::select;

struct Silent;

impl Stream for Silent {
    type Item = Result<Bytes, BoxError>;
    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(None)
    }
}

const GET: Exchange =
    Exchange { version: Version::HTTP_11, head: false, connect: false, upgrade: false, keep_alive: true };
const HEAD: Exchange = Exchange { head: true, ..GET };
const CONNECT: Exchange = Exchange { connect: true, ..GET };
const OFFER: Exchange = Exchange { upgrade: true, ..GET };
const OLD: Exchange = Exchange { version: Version::HTTP_10, ..GET };

fn encoder() -> ResponseEncoder {
    let mut encoder = ResponseEncoder::default();
    encoder.set_unix_second(784_111_777);
    encoder
}

fn encode(response: &Response, exchange: Exchange) -> (String, Encoded) {
    let mut out = b"before".to_vec();
    let encoded = encoder().encode(response, exchange, &mut out);
    let text = String::from_utf8(out).expect("the head is ASCII");
    (text.strip_prefix("before").expect("the head is appended").to_owned(), encoded)
}

fn text(response: &Response, exchange: Exchange) -> String {
    encode(response, exchange).0
}

fn kept(framing: ResponseFraming) -> Encoded {
    Encoded { framing, keep_alive: true, switches: false }
}

fn closed(framing: ResponseFraming) -> Encoded {
    Encoded { framing, keep_alive: false, switches: false }
}

const SWITCHED: Encoded = Encoded { framing: ResponseFraming::None, keep_alive: true, switches: true };

const START: &str = "HTTP/1.1 200 OK\r\nServer: covet\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

#[test]
fn a_small_fixed_answer() {
    let response = Response::new("Hello, World!").with_content_type("text/plain");
    let head = format!("{START}Content-Type: text/plain\r\nContent-Length: 13\r\n\r\n");
    assert_eq!(encode(&response, GET), (head.clone(), kept(ResponseFraming::Length(13))));
    assert_eq!(encode(&response, HEAD), (head, kept(ResponseFraming::None)));
}

#[test]
fn what_is_kept_ready_is_that_of_the_same_length_type_and_second() {
    let mut encoder = encoder();
    let mut check = |body: &'static str, kind: &'static str, second: u64, date: &str| {
        let mut out = Vec::new();
        encoder.set_unix_second(second);
        encoder.encode(&Response::new(body).with_content_type(kind), GET, &mut out);
        let length = body.len();
        let rest = format!("Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
        let expected =
            format!("HTTP/1.1 200 OK\r\nServer: covet\r\nDate: Sun, 06 Nov 1994 {date} GMT\r\n{rest}");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    };
    check("abc", "text/plain", 784_111_777, "08:49:37");
    check("abc", "application/json", 784_111_777, "08:49:37");
    check("abcd", "application/json", 784_111_777, "08:49:37");
    check("abcd", "application/json", 784_111_778, "08:49:38");
}

#[test]
fn the_date_and_the_server_name_are_the_encoders() {
    let response = Response::ok();
    let mut encoder = ResponseEncoder::new(None);
    let mut out = Vec::new();
    encoder.set_time(SystemTime::UNIX_EPOCH + Duration::from_millis(1_999));
    encoder.encode(&response, GET, &mut out);
    assert_eq!(
        out.escape_ascii().to_string(),
        r"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:01 GMT\r\nContent-Length: 0\r\n\r\n"
    );
    out.clear();
    encoder.set_time(SystemTime::UNIX_EPOCH + Duration::from_secs(2));
    encoder.encode(&response, GET, &mut out);
    assert!(out.escape_ascii().to_string().contains("00:00:02"));
}

#[test]
fn other_statuses_have_their_reason() {
    let response = Response::with_status(StatusCode::NOT_FOUND);
    let rest = START.strip_prefix("HTTP/1.1 200 OK\r\n").unwrap();
    assert_eq!(text(&response, GET), format!("HTTP/1.1 404 Not Found\r\n{rest}Content-Length: 0\r\n\r\n"));
    let response = Response::with_status(StatusCode::from_u16(599).unwrap());
    assert!(text(&response, GET).starts_with("HTTP/1.1 599 \r\nServer: covet\r\n"));
}

#[test]
fn rfc_9110_section_6_4_1_statuses_without_content() {
    let with = |status: u16| {
        let mut response = Response::new("body");
        response.set_status(StatusCode::from_u16(status).unwrap());
        response.headers_mut().insert("content-length", HeaderValue::from_static("7"));
        encode(&response, GET)
    };
    let (head, encoded) = with(204);
    assert_eq!(encoded, kept(ResponseFraming::None));
    assert!(!head.contains("Length") && !head.contains("Transfer"), "{head}");
    let (head, encoded) = with(304);
    assert_eq!(encoded, kept(ResponseFraming::None));
    assert!(head.ends_with("Content-Length: 7\r\n\r\n"), "{head}");
    let (head, encoded) = with(205);
    assert_eq!(encoded, kept(ResponseFraming::None));
    assert!(head.ends_with("Content-Length: 0\r\n\r\n"), "{head}");
    let (head, encoded) = with(103);
    assert_eq!(encoded, kept(ResponseFraming::None));
    assert!(head.starts_with("HTTP/1.1 500 ") && head.ends_with("Content-Length: 0\r\n\r\n"), "{head}");
    assert!(!text(&Response::with_status(StatusCode::NOT_MODIFIED), GET).contains("Length"));
}

#[test]
fn the_answer_to_head_tells_the_length_where_it_is_known() {
    assert!(!text(&Response::ok(), HEAD).contains("Length"));
    let length = (HeaderName::from_static("content-length"), HeaderValue::from_static("1234"));
    let response = Response::ok().with_header(length.0.clone(), length.1.clone());
    assert!(text(&response, HEAD).ends_with("Content-Length: 1234\r\n\r\n"));
    for none in ["+5", "-5", "5, 5", " 5", "", "18446744073709551616"] {
        let Ok(value) = HeaderValue::from_str(none) else { continue };
        assert!(
            !text(&Response::ok().with_header(length.0.clone(), value), HEAD).contains("Length"),
            "{none:?}"
        );
    }
    let response = Response::new("abc").with_header(length.0, length.1);
    assert!(text(&response, HEAD).ends_with("Content-Length: 3\r\n\r\n"));
    let (head, encoded) = encode(&Response::new(Body::stream(Silent)), HEAD);
    assert!(head.ends_with("Transfer-Encoding: chunked\r\n\r\n"), "{head}");
    assert_eq!(encoded, kept(ResponseFraming::None));
    let (head, encoded) = encode(&Response::new(Body::stream(Silent)), Exchange { head: true, ..OLD });
    assert!(!head.contains("Transfer") && !head.contains("Length"), "{head}");
    assert_eq!(encoded, kept(ResponseFraming::None));
}

#[test]
fn a_304_answer_tells_no_length_but_the_one_it_is_told() {
    let with = |response: Response| {
        let mut response = response;
        response.set_status(StatusCode::NOT_MODIFIED);
        response
    };
    for body in [Body::empty(), Body::from("abc"), Body::stream(Silent)] {
        let (head, encoded) = encode(&with(Response::new(body)), GET);
        assert!(!head.contains("Length") && !head.contains("Transfer"), "{head}");
        assert_eq!(encoded.framing, ResponseFraming::None);
    }
    let told =
        Response::new("abc").with_header(http_name("content-length"), HeaderValue::from_static("1234"));
    let (head, encoded) = encode(&with(told), GET);
    assert!(head.ends_with("Content-Length: 1234\r\n\r\n"), "{head}");
    assert_eq!(encoded.framing, ResponseFraming::None);
}

#[test]
fn streams_are_chunked_or_end_with_the_connection() {
    let response = Response::new(Body::stream(Silent));
    let (head, encoded) = encode(&response, GET);
    assert_eq!(head, format!("{START}Transfer-Encoding: chunked\r\n\r\n"));
    assert_eq!(encoded, kept(ResponseFraming::Chunked));
    let (head, encoded) = encode(&response, OLD);
    assert_eq!(head, format!("{START}Connection: close\r\n\r\n"));
    assert_eq!(encoded, closed(ResponseFraming::UntilClose));
    let (head, encoded) = encode(&Response::new(Body::sized_stream(9, Silent)), OLD);
    assert_eq!(head, format!("{START}Content-Length: 9\r\nConnection: keep-alive\r\n\r\n"));
    assert_eq!(encoded, kept(ResponseFraming::Length(9)));
}

#[test]
fn the_connection_is_closed_when_either_side_wishes() {
    let end = "Content-Length: 0\r\nConnection: close\r\n\r\n";
    let head = encode(&Response::ok(), Exchange { keep_alive: false, ..GET });
    assert_eq!(head, (format!("{START}{end}"), closed(ResponseFraming::Length(0))));
    let mut response = Response::ok();
    response.close();
    assert_eq!(text(&response, GET), format!("{START}{end}"));
    let close = HeaderValue::from_static("x, Close");
    assert_eq!(
        text(&Response::ok().with_header(http_name("connection"), close), GET),
        format!("{START}{end}")
    );
    assert_eq!(
        encode(&Response::with_status(StatusCode::FORBIDDEN), CONNECT).1,
        kept(ResponseFraming::Length(0))
    );
}

#[test]
fn rfc_9110_section_7_8_a_switch_of_protocols() {
    let mut response = Response::with_status(StatusCode::SWITCHING_PROTOCOLS);
    response.headers_mut().insert("upgrade", HeaderValue::from_static("websocket"));
    response.headers_mut().insert("content-length", HeaderValue::from_static("7"));
    let (head, encoded) = encode(&response, Exchange { keep_alive: false, ..OFFER });
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    assert!(head.contains("upgrade: websocket\r\n") && head.contains("Connection: upgrade\r\n"), "{head}");
    assert!(!head.contains("Length") && !head.contains("length") && !head.contains("close"), "{head}");
    assert_eq!(encoded, SWITCHED);
    // Nobody asked for it, an HTTP/1.0 client can't have, and it does not say what to.
    for (response, exchange) in [
        (&response, GET),
        (&response, Exchange { version: Version::HTTP_10, ..GET }),
        (&Response::with_status(StatusCode::SWITCHING_PROTOCOLS), OFFER),
    ] {
        let (head, encoded) = encode(response, exchange);
        assert!(head.starts_with("HTTP/1.1 500 "), "{head}");
        assert!(!encoded.switches);
    }
    let mut response = Response::with_status(StatusCode::UPGRADE_REQUIRED);
    response.headers_mut().insert("upgrade", HeaderValue::from_static("websocket"));
    for exchange in [GET, CONNECT] {
        assert!(text(&response, exchange).contains("Connection: upgrade\r\n"));
    }
}

#[test]
fn rfc_9110_section_9_3_6_a_tunnel_begins_behind_the_head() {
    for exchange in [CONNECT, Exchange { version: Version::HTTP_10, keep_alive: false, ..CONNECT }] {
        let response = Response::new("body").with_header(http_name("content-length"), "4".parse().unwrap());
        let (head, encoded) = encode(&response, exchange);
        assert_eq!((head, encoded), (format!("{START}\r\n"), SWITCHED));
        for status in [201, 204, 205, 206, 299] {
            let mut response = Response::new("body");
            response.set_status(StatusCode::from_u16(status).unwrap());
            let (head, encoded) = encode(&response, exchange);
            assert_eq!(encoded, SWITCHED, "{status}");
            assert!(!head.contains("Length") && !head.contains("Transfer"), "{head}");
        }
    }
}

#[test]
fn fields_of_the_encoder_are_never_doubled() {
    let mut response = Response::new("abc").with_content_type(ContentType::TEXT);
    for (name, value) in [
        ("content-length", "99"),
        ("content-length", "98"),
        ("transfer-encoding", "chunked"),
        ("connection", "keep-alive"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("date", "yesterday"),
        ("server", "mine"),
        ("x", "y"),
    ] {
        response.headers_mut().append(name, HeaderValue::from_static(value));
    }
    let head = text(&response, GET).to_lowercase();
    for line in ["date: yesterday", "server: mine", "x: y", "content-length: 3", "content-type: text/plain"] {
        assert_eq!(head.matches(line).count(), 1, "{line} in {head}");
    }
    for name in ["date:", "server:", "content-length:", "content-type:"] {
        assert_eq!(head.matches(name).count(), 1, "{name} in {head}");
    }
    assert!(!head.contains("chunked") && !head.contains("keep-alive") && !head.contains("covet"), "{head}");
    // One of the two by itself.
    for (name, other) in [("date", "server"), ("server", "date")] {
        let head = text(&Response::ok().with_header(http_name(name), HeaderValue::from_static("own")), GET);
        let head = head.to_lowercase();
        assert_eq!(head.matches(&format!("\r\n{name}: ")).count(), 1, "{head}");
        assert_eq!(head.matches(&format!("\r\n{other}: ")).count(), 1, "{head}");
        assert!(head.contains(&format!("\r\n{name}: own\r\n")), "{head}");
    }
}

fn http_name(name: &'static str) -> HeaderName {
    HeaderName::from_static(name)
}

fn body() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![Just(None), (0_u64..1 << 40).prop_map(Some)]
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    let name = select(vec![
        "content-length",
        "transfer-encoding",
        "connection",
        "date",
        "server",
        "content-type",
        "upgrade",
        "vary",
        "keep-alive",
        "trailer",
        "x-any",
    ]);
    let value = prop_oneof![
        select(vec!["0", "5", "+5", "1, 1", "chunked", "gzip", "close", "keep-alive", "upgrade, close", ""])
            .prop_map(HeaderValue::from_static),
        prop::collection::vec(prop_oneof![0x20_u8..0x7f, 0x80_u8..=0xff, Just(b'\t')], 0..20)
            .prop_map(|bytes| HeaderValue::from_bytes(&bytes).expect("these bytes are legal")),
    ];
    prop::collection::vec((name, value), 0..6).prop_map(|fields| {
        fields.into_iter().map(|(name, value)| (HeaderName::from_static(name), value)).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]

    #[test]
    fn a_client_understands_every_head_as_it_was_meant(
        status in 100_u16..600, length in body(), headers in prop::option::of(headers()), close in any::<bool>(),
        old in any::<bool>(), upgrade in any::<bool>(), keep_alive in any::<bool>(), kind in 0..3,
    ) {
        let mut response = Response::new(match length {
            None => Body::stream(Silent),
            Some(0) => Body::empty(),
            Some(length) => Body::sized_stream(length, Silent),
        });
        response.set_status(StatusCode::from_u16(status).unwrap());
        if let Some(headers) = headers {
            *response.headers_mut() = headers;
        }
        if close {
            response.close();
        }
        let version = if old { Version::HTTP_10 } else { Version::HTTP_11 };
        let exchange = Exchange { version, head: kind == 1, connect: kind == 2, upgrade, keep_alive };
        let method = [Method::GET, Method::HEAD, Method::CONNECT][kind as usize].clone();
        let mut out = Vec::new();
        let encoded = encoder().encode(&response, exchange, &mut out);
        let shown = out.escape_ascii().to_string();
        let Ok(DecodedResponse::Complete { head, consumed }) = decode_response_head(&out, &method, 1 << 16) else {
            return Err(TestCaseError::fail(shown));
        };
        prop_assert_eq!(consumed, out.len());
        let sent = if (100..200).contains(&status) && !encoded.switches { 500 } else { status };
        prop_assert!(status != 101 || !encoded.switches || upgrade);
        let tunnel = kind == 2 && (200..300).contains(&status);
        prop_assert_eq!(head.status, sent);
        if !tunnel && sent != 205 && sent == status {
            prop_assert_eq!(head.framing, encoded.framing, "{}", shown);
        }
        if sent != 101 && !tunnel {
            let as_seen = ResponseHead { keep_alive: encoded.keep_alive, ..head };
            prop_assert_eq!(head, as_seen, "{}", shown);
            prop_assert!(!encoded.keep_alive || (keep_alive && !close));
        }
    }

    #[test]
    fn an_answer_that_is_encoded_whole_is_its_head_and_its_body(
        status in prop_oneof![Just(200_u16), 200_u16..600], length in prop::option::of(0_usize..3000),
        headers in prop::option::of(headers()), typed in any::<bool>(), close in any::<bool>(),
        old in any::<bool>(), keep_alive in any::<bool>(), kind in 0..3,
    ) {
        let content: Vec<u8> = (0..length.unwrap_or(0)).map(|at| at as u8).collect();
        let mut response = Response::new(match length {
            None => Body::stream(Silent),
            Some(_) => Body::from(content.clone()),
        });
        response.set_status(StatusCode::from_u16(status).expect("it is in range"));
        if typed {
            response = response.with_content_type(ContentType::JSON);
        }
        if let Some(headers) = headers {
            *response.headers_mut() = headers;
        }
        if close {
            response.close();
        }
        let version = if old { Version::HTTP_10 } else { Version::HTTP_11 };
        let exchange = Exchange { version, keep_alive, ..[GET, HEAD, CONNECT][kind as usize] };
        let encoder = encoder();
        let (mut head, mut whole) = (b"before".to_vec(), b"before".to_vec());
        let apart = encoder.encode(&response, exchange, &mut head);
        // The second time what is kept ready may serve.
        for _ in 0..2 {
            whole.truncate(6);
            prop_assert_eq!(encoder.encode_whole(&response, exchange, &mut whole), apart);
            let mut expected = head.clone();
            if apart.framing != ResponseFraming::None && length.is_some() {
                expected.extend_from_slice(&content);
            }
            prop_assert_eq!(&whole, &expected);
        }
    }

    #[test]
    fn chunks_are_framed(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..5)) {
        let mut out = Vec::new();
        chunks.iter().for_each(|chunk| encode_chunk(chunk, &mut out));
        out.extend_from_slice(LAST_CHUNK);
        let mut expected = Vec::new();
        for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
            expected.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            expected.extend_from_slice(chunk);
            expected.extend_from_slice(b"\r\n");
        }
        expected.extend_from_slice(b"0\r\n\r\n");
        prop_assert_eq!(out, expected);
    }
}
