//! The rules of RFC 9112 on request heads, section by section.

use covet_http::h1::{Decoded, Framing, Head, HeadError, Limits, decode_request};
use covet_http::{Method, Version};

fn decode(bytes: &[u8]) -> Result<Head, HeadError> {
    let mut head = Head::new();
    match decode_request(bytes, &mut head, &Limits::default())? {
        Decoded::Complete { consumed } => assert_eq!(consumed, bytes.len(), "the whole input is one head"),
        Decoded::Partial => panic!("head is partial: {}", bytes.escape_ascii()),
    }
    Ok(head)
}

fn fields(lines: &str) -> Result<Head, HeadError> {
    decode(format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n").as_bytes())
}

fn status(bytes: &[u8]) -> u16 {
    decode(bytes).expect_err("the head is invalid").status().as_u16()
}

#[test]
fn section_2_2_empty_lines_before_the_request_are_skipped() {
    assert!(decode(b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").is_ok());
    assert_eq!(status(b"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
    assert_eq!(status(b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
    assert_eq!(status(b"\r\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
    let mut head = Head::new();
    for bytes in [&b""[..], b"\r", b"\r\n", b"\r\n\r\n"] {
        assert_eq!(decode_request(bytes, &mut head, &Limits::default()), Ok(Decoded::Partial));
    }
}

#[test]
fn section_2_2_bare_line_feeds_and_carriage_returns_are_refused() {
    for bytes in [
        &b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: b\nY: c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \n\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX:\n\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: b\n\n",
        b"GET / HTTP/1.1\r\n\nHost: a\r\n\r\n",
        b"GET / HTTP/1.0\r\n\n",
        b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
        b"GET /\rx HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        assert_eq!(status(bytes), 400, "{}", bytes.escape_ascii());
    }
}

#[test]
fn section_2_3_only_versions_1_0_and_1_1_are_served() {
    assert_eq!(decode(b"GET / HTTP/1.0\r\n\r\n").unwrap().version(), Version::HTTP_10);
    assert_eq!(status(b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505);
    assert_eq!(status(b"GET / HTTP/3.0\r\nHost: a\r\n\r\n"), 505);
    // RFC 9110 section 2.5: a later minor version is served as 1.1, with its rules.
    let head = decode(b"GET / HTTP/1.2\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!((head.version(), head.target(), head.keep_alive()), (Version::HTTP_11, "/", true));
    assert_eq!(status(b"GET / HTTP/1.9\r\n\r\n"), 400);
    assert_eq!(status(b"GET / HTTP/0.9\r\n\r\n"), 505);
    assert_eq!(status(b"GET /\r\n\r\n"), 400);
    assert_eq!(status(b"GET / HTTP/1\r\n\r\n"), 400);
    assert_eq!(status(b"GET / HTTPS/1.1\r\n\r\n"), 400);
}

#[test]
fn section_3_2_forms_of_the_target() {
    let head = decode(b"GET http://real:81/a?b HTTP/1.1\r\nHost: other\r\n\r\n").unwrap();
    assert_eq!((head.path(), head.query(), head.authority()), ("/a", Some("b"), Some("real:81")));
    assert_eq!(head.target(), "http://real:81/a?b");
    let head = decode(b"GET /a HTTP/1.1\r\nHost: here:1\r\n\r\n").unwrap();
    assert_eq!(head.authority(), Some("here:1"));
    let head = decode(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(head.path(), "*");
    let head = decode(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n").unwrap();
    assert_eq!((head.method(), head.path(), head.authority()), (&Method::CONNECT, "/", Some("a:443")));
    for line in [
        "GET *",
        "CONNECT /",
        "CONNECT a",
        "GET a:1",
        "GET a/b",
        "GET http://",
        "GET http://u@a/",
        "GET /a#b",
    ] {
        assert_eq!(status(format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()), 400, "{line}");
    }
}

#[test]
fn section_3_2_host_is_there_once_and_valid() {
    assert_eq!(decode(b"GET / HTTP/1.1\r\n\r\n").unwrap_err(), HeadError::HostMissing);
    assert_eq!(decode(b"GET http://a/ HTTP/1.1\r\n\r\n").unwrap_err(), HeadError::HostMissing);
    assert!(decode(b"GET / HTTP/1.0\r\n\r\n").is_ok());
    assert_eq!(decode(b"GET / HTTP/1.0\r\nHost: a\r\nhost: a\r\n\r\n").unwrap_err(), HeadError::HostRepeated);
    assert_eq!(fields("HOST: a\r\n").unwrap_err(), HeadError::HostRepeated);
    for host in
        ["", "a b", "a,b:x", "u@a", "a:99999", "http://a", "a/", "[::1", "\u{e4}", "a\tb", "a:1:2", ":80"]
    {
        let head = decode(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        assert_eq!(head.unwrap_err(), HeadError::Host, "{host}");
    }
    for host in ["a", "a:80", "a:", "[::1]:80", "1.2.3.4", "  a\t"] {
        assert!(decode(format!("GET / HTTP/1.1\r\nHost:{host}\r\n\r\n").as_bytes()).is_ok(), "{host}");
    }
}

#[test]
fn section_5_malformed_fields_are_refused() {
    for line in [
        "X : y\r\n",
        " X: y\r\n",
        "\tX: y\r\n",
        "X: y\r\n z\r\n",
        "X: y\r\n\tz\r\n",
        "X\r\n",
        ": y\r\n",
        "X: \0\r\n",
        "X: a\x01b\r\n",
        "X: a\x7fb\r\n",
        "X@: y\r\n",
        "X\u{e9}: y\r\n",
        "X: a\x0bb\r\n",
        "X\0: y\r\n",
        "(X): y\r\n",
    ] {
        assert_eq!(fields(line).unwrap_err().status(), 400, "{}", line.escape_debug());
    }
    let head = fields("X: \t a b \t\r\nY:\r\nx: c\r\nZ: \u{e9}\r\n").unwrap();
    assert_eq!(head.field("x"), Some(&b"a b"[..]));
    assert_eq!(head.field("Y"), Some(&b""[..]));
    assert_eq!(head.field("z"), Some("\u{e9}".as_bytes()));
    let all: Vec<_> = head.fields().map(|(name, _)| name).collect();
    assert_eq!(all, ["Host", "X", "Y", "x", "Z"]);
    assert_eq!(head.headers().get_all("x").iter().count(), 2);
}

#[test]
fn section_6_1_transfer_encoding_is_chunked_alone() {
    assert_eq!(fields("Transfer-Encoding: Chunked\r\n").unwrap().framing(), Framing::Chunked);
    for (lines, error) in [
        ("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", HeadError::AmbiguousFraming),
        ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", HeadError::AmbiguousFraming),
        ("Content-Length: 3\r\nTransfer-Encoding: nonsense\r\n", HeadError::AmbiguousFraming),
        ("Transfer-Encoding: chunked, chunked\r\n", HeadError::TransferEncoding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", HeadError::TransferEncoding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", HeadError::TransferEncoding),
        ("Transfer-Encoding: chunked, gzip\r\n", HeadError::TransferEncoding),
        ("Transfer-Encoding: gzip\r\n", HeadError::TransferEncoding),
        ("Transfer-Encoding: identity\r\n", HeadError::TransferEncoding),
        ("Transfer-Encoding: xchunked\r\n", HeadError::TransferEncoding),
        ("Transfer-Encoding: chunked;a=b\r\n", HeadError::TransferEncoding),
        ("Transfer-Encoding: \"chunked\"\r\n", HeadError::TransferEncoding),
        ("Transfer-Encoding:\r\n", HeadError::TransferEncoding),
        ("Transfer-Encoding: ,chunked\r\n", HeadError::TransferEncoding),
        ("Transfer-Encoding: chunked,\r\n", HeadError::TransferEncoding),
        ("Transfer-Encoding: gzip, chunked\r\n", HeadError::UnsupportedCoding),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", HeadError::UnsupportedCoding),
    ] {
        assert_eq!(fields(lines).unwrap_err(), error, "{}", lines.escape_debug());
    }
    assert_eq!(HeadError::UnsupportedCoding.status(), 501);
    assert_eq!(status(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
}

#[test]
fn section_6_2_content_length_is_one_number() {
    for (lines, length) in [
        ("Content-Length: 0\r\n", 0),
        ("content-length:\t42 \r\n", 42),
        ("Content-Length: 18446744073709551615\r\n", u64::MAX),
        ("Content-Length: 007\r\n", 7),
    ] {
        assert_eq!(fields(lines).unwrap().framing(), Framing::Length(length), "{lines}");
    }
    for value in [
        "",
        "+5",
        "-5",
        "5 5",
        "0x5",
        "5,",
        ",5",
        "5;5",
        "5.0",
        "1e3",
        "5, 5",
        "5\r\nContent-Length: 5",
        "5, 6",
        "18446744073709551616",
        "99999999999999999999999",
        "\u{661}",
        "five",
    ] {
        let error = fields(&format!("Content-Length: {value}\r\n")).unwrap_err();
        assert_eq!(error, HeadError::ContentLength, "{value}");
    }
    assert!(fields("Content-Length: 5\r\nX: y\r\nContent-Length: 6\r\n").is_err());
}

#[test]
fn section_6_3_no_framing_field_means_no_content() {
    assert_eq!(fields("").unwrap().framing(), Framing::None);
    assert!(Framing::None.is_empty() && Framing::Length(0).is_empty() && !Framing::Chunked.is_empty());
}

#[test]
fn section_9_3_connection_options() {
    let keeps = |version: &str, lines: &str| {
        decode(format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n").as_bytes()).unwrap().keep_alive()
    };
    assert!(keeps("1.1", "") && !keeps("1.0", ""));
    assert!(keeps("1.0", "Connection: Keep-Alive\r\n") && keeps("1.0", "Connection: x ,\tkeep-alive\r\n"));
    assert!(!keeps("1.1", "Connection: CLOSE\r\n") && !keeps("1.1", "Connection: upgrade, close\r\n"));
    assert!(!keeps("1.1", "Connection: keep-alive\r\nConnection: close\r\n"));
    assert!(!keeps("1.0", "Connection: close, keep-alive\r\n"));
    assert!(keeps("1.1", "Connection: not-close\r\n") && keeps("1.1", "Connection: \"close\"\r\n"));
    assert!(!keeps("1.0", "Connection: keep-alive-not\r\n"));
}

#[test]
fn rfc_9110_section_10_1_1_expect() {
    assert!(fields("Expect: 100-Continue\r\n").unwrap().expect_continue());
    assert!(!fields("").unwrap().expect_continue());
    assert_eq!(fields("Expect: 100-continue, other\r\n").unwrap_err().status(), 417);
    assert_eq!(fields("Expect: 200-ok\r\n").unwrap_err().status(), 417);
    assert!(!decode(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").unwrap().expect_continue());
}

#[test]
fn limits_hold_with_and_without_an_end() {
    let limits = Limits { request_line: 40, head: 120, fields: 3, ..Limits::default() };
    let decode = |bytes: &str| decode_request(bytes.as_bytes(), &mut Head::new(), &limits);
    let line = |target: usize| format!("GET /{} HTTP/1.1\r\n", "a".repeat(target - 1));
    let complete = |bytes: &str| Ok(Decoded::Complete { consumed: bytes.len() });
    // "GET " and " HTTP/1.1" are 13 bytes of the line.
    let longest = line(27) + "Host: a\r\n\r\n";
    assert_eq!(decode(&longest), complete(&longest));
    assert_eq!(decode(&(line(28) + "Host: a\r\n\r\n")), Err(HeadError::LineTooLong));
    assert_eq!(decode(&format!("GET /{}", "a".repeat(38))), Err(HeadError::LineTooLong));
    assert_eq!(HeadError::LineTooLong.status(), 414);
    // RFC 9112 section 3: a method that is longer than any that is implemented.
    assert_eq!(decode(&"G".repeat(42)), Err(HeadError::MethodTooLong));
    assert_eq!(HeadError::MethodTooLong.status(), 501);

    let of_length = |len: usize| {
        let head = line(1) + "Host: a\r\nX: ";
        let fill = len - head.len() - 4;
        head + &"x".repeat(fill) + "\r\n\r\n"
    };
    assert_eq!(decode(&of_length(120)), complete(&of_length(120)));
    assert_eq!(decode(&of_length(121)), Err(HeadError::HeadTooLong));
    assert_eq!(decode(&of_length(150)[..120]), Err(HeadError::HeadTooLong));
    assert_eq!(decode(&of_length(150)[..119]), Ok(Decoded::Partial));
    assert_eq!(HeadError::HeadTooLong.status(), 431);

    assert!(decode(&(line(1) + "Host: a\r\nB: c\r\nD: e\r\n\r\n")).is_ok());
    let many = line(1) + "Host: a\r\nB: c\r\nD: e\r\nF: g\r\n";
    assert_eq!(decode(&many), Err(HeadError::TooManyFields));
    assert_eq!(decode(&(many + "\r\n")), Err(HeadError::TooManyFields));
    assert_eq!(HeadError::TooManyFields.status(), 431);
}

#[test]
fn a_head_that_is_too_long_may_come_in_two_pieces() {
    let limits = Limits { head: 120, ..Limits::default() };
    let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\nY: z\r\nY: z\r\n\r\n", "x".repeat(100));
    for first in 1..120 {
        let mut head = Head::new();
        assert_eq!(decode_request(&bytes.as_bytes()[..first], &mut head, &limits), Ok(Decoded::Partial));
        assert_eq!(
            decode_request(bytes.as_bytes(), &mut head, &limits),
            Err(HeadError::HeadTooLong),
            "{first} bytes first"
        );
    }
}

#[test]
fn many_and_long_fields_are_decoded() {
    let lines: String = (0..99).map(|at| format!("X-{at}: {at}\r\n")).collect();
    assert_eq!(fields(&lines).unwrap().field("x-98"), Some(&b"98"[..]));
    assert_eq!(fields(&(lines + "Y: z\r\n")).unwrap_err(), HeadError::TooManyFields);
    let value = "v".repeat(60_000);
    assert_eq!(fields(&format!("X: {value}\r\n")).unwrap().field("x").unwrap().len(), 60_000);
    let limits = Limits { head: 200_000, ..Limits::default() };
    let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{}: b\r\n\r\n", "n".repeat(70_000));
    let error = decode_request(bytes.as_bytes(), &mut Head::new(), &limits).unwrap_err();
    assert_eq!(error.status(), 431);
}

#[test]
fn a_head_is_followed_by_what_is_not_its_own() {
    let bytes = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n";
    let mut head = Head::new();
    let decoded = decode_request(bytes, &mut head, &Limits::default()).unwrap();
    assert_eq!(decoded, Decoded::Complete { consumed: 48 });
    assert_eq!(&bytes[48..51], b"abc");
    assert_eq!(head.framing().length(), Some(3));
}

#[test]
fn a_head_can_be_forgotten() {
    let mut head = decode(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n").unwrap();
    head.clear();
    assert_eq!((head.target(), head.path(), head.fields().count()), ("", "/", 0));
    assert_eq!(head.framing(), Framing::None);
    head.shrink();
    assert_eq!(head.authority(), None);
    assert!(size_of::<Head>() <= 192, "{}", size_of::<Head>());
}
