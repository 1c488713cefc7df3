//! Each difference that is meant, by an input that shows it: one that hyper no longer shows is to be struck out.

use super::Difference::*;
use super::*;

fn difference(bytes: &[u8]) -> Option<Difference> {
    let covet = connection::converse(&[bytes], &limits());
    let hyper = peer::converse(bytes);
    compare(bytes, &covet, &hyper).unwrap_or_else(|reason| panic!("{reason}: {}", bytes.escape_ascii()))
}

fn post(lines: &str, content: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: h\r\n{lines}\r\n{content}").into_bytes()
}

#[test]
fn what_both_take_is_the_same() {
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"[..],
        b"GET http://a.example:80/b?c HTTP/1.1\r\nHost: h\r\nX:  y \r\nx:\xe9\r\n\r\n",
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n",
        b"CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
        &post("Content-Length: 2\r\n", "abGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        &post(
            "Transfer-Encoding: chunked\r\n",
            "1;a=b\r\nx\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        ),
        &post("Transfer-Encoding: chunked\r\n", "1\r\nxy"),
        &post("Content-Length: 5\r\n", "ab"),
    ] {
        assert_eq!(difference(bytes), None, "{}", bytes.escape_ascii());
    }
}

#[test]
fn each_difference_is_still_there() {
    let chunked = |content| post("Transfer-Encoding: chunked\r\n", content);
    for (bytes, expected) in [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), HostRules),
        (b"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n".to_vec(), HostRules),
        (b"GET / HTTP/1.1\r\nHost: u@h\r\n\r\n".to_vec(), HostRules),
        (b"GET * HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(), TargetForms),
        (b"GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(), TargetForms),
        (b"CONNECT / HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(), TargetForms),
        (b"CONNECT h:+1 HTTP/1.1\r\nHost: h:1\r\n\r\n".to_vec(), TargetForms),
        (b"GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(), TargetForms),
        (b"GET /a<b> HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(), TargetBytes),
        (b"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(), LeadingLines),
        (b"\nGET / HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(), LeadingLines),
        (b"GET / HTTP/1.1\r\nHost: h\n\r\n".to_vec(), BareLineFeed),
        (b"GET / HTTP/1.1\nHost: h\r\n\r\n".to_vec(), BareLineFeed),
        (b"GET / HTTP/1.2\r\nHost: h\r\n\r\n".to_vec(), LaterMinorVersion),
        (post("Content-Length: 2\r\nContent-Length: 2\r\n", "ab"), LengthSpelling),
        (post("Content-Length: 18446744073709551614\r\n", ""), LargestLengths),
        (post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), LengthBesideCoding),
        (post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), TransferCodings),
        (post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), TransferCodings),
        (post("Expect: x\r\n", ""), Expectations),
        (chunked("5;\0\r\nhello\r\n0\r\n\r\n"), ChunkSyntax),
        (chunked("5 \r\nhello\r\n0\r\n\r\n"), ChunkSyntax),
        (chunked("0\r\nX: y\r\n\nswallowed\r\n\r\n"), Trailers),
        (
            b"GET / HTTP/1.0\r\nConnection: keep-alive, \xff\r\n\r\nGET / HTTP/1.0\r\n\r\n".to_vec(),
            ConnectionOptions,
        ),
    ] {
        assert_eq!(difference(&bytes), Some(expected), "{}", bytes.escape_ascii());
    }
}
