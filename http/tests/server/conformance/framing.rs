//! RFC 9112 sections 6 and 7, RFC 9110 section 8.6: where content ends.

use super::{Closed, Open, check, check_each, post, server};
use crate::harness::Client;

/// A chunked POST with this content.
fn chunked(content: &str) -> Vec<u8> {
    post("Transfer-Encoding: chunked\r\n", content)
}

#[test]
fn content_length() {
    let served: Vec<Vec<u8>> = ["2", "02", " 2\t", "0000000000000000000000002"]
        .map(|length| post(&format!("Content-Length: {length}\r\n"), "ab"))
        .into();
    check_each(&served, 200, Open);
    let refused: Vec<Vec<u8>> = [
        "",
        "+2",
        "-2",
        "2 2",
        "0x2",
        "2,",
        ",2",
        "2;2",
        "2.0",
        "2e0",
        "2, 2",
        "2\r\nContent-Length: 2",
        "2, 3",
        "2\r\nContent-Length: 3",
        "18446744073709551616",
        "99999999999999999999999999999999",
        "\u{662}",
        "two",
        "2\0",
    ]
    .map(|length| post(&format!("Content-Length: {length}\r\n"), "ab"))
    .into();
    check_each(&refused, 400, Closed);
    check(&[
        (&post("Content-Length: 18446744073709551615\r\n", ""), &[413], Closed),
        (&post("Content-Length: 2097153\r\n", ""), &[413], Closed),
        // Without framing there is no content.
        (b"POST /collect HTTP/1.1\r\nHost: h\r\n\r\n", &[200], Open),
        (b"POST /collect HTTP/1.0\r\nContent-Length: 2\r\n\r\nab", &[200], Closed),
    ]);
}

#[test]
fn transfer_encoding() {
    let refused: Vec<Vec<u8>> = [
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: chunked\x0b\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: ,chunked\r\n",
        "Transfer-Encoding: chunked,\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Transfer\0-Encoding: chunked\r\n",
    ]
    .map(|lines| post(lines, "0\r\n\r\n"))
    .into();
    check_each(&refused, 400, Closed);
    check(&[
        (&post("Transfer-Encoding: Chunked\r\n", "0\r\n\r\n"), &[200], Open),
        (&post("tRANSFER-eNCODING:\t chunked \r\n", "1\r\na\r\n0\r\n\r\n"), &[200], Open),
        (&post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), &[501], Closed),
        (&post("Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), &[501], Closed),
        (b"POST /collect HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &[400], Closed),
        (
            b"POST /collect HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            &[400],
            Closed,
        ),
    ]);
}

#[test]
fn chunks_that_are_served() {
    let requests: Vec<Vec<u8>> = [
        "5\r\nhello\r\n0\r\n\r\n",
        "0005\r\nhello\r\n000\r\n\r\n",
        "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
        "1;a\r\nx\r\n0;b=c;d=\"e;f\"\r\n\r\n",
        "1 ;a\r\nx\r\n0\t; b\r\n\r\n",
        "1;\u{e9}\r\nx\r\n0\r\n\r\n",
        "0\r\nX: y\r\nContent-Length: 7\r\nTransfer-Encoding: gzip\r\n\r\n",
    ]
    .map(chunked)
    .into();
    check_each(&requests, 200, Open);
}

#[test]
fn chunks_that_are_refused() {
    let requests: Vec<Vec<u8>> = [
        "\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-1\r\nhello\r\n0\r\n\r\n",
        "5g\r\nhello\r\n0\r\n\r\n",
        "10000000000000000\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5;\0\r\nhello\r\n0\r\n\r\n",
        "0\r\n\n",
        "0\nX: y\r\n\r\n",
        "0\r\nX : y\r\n\r\n",
        "0\r\nX: y\r\n z\r\n\r\n",
        "0\r\nX: y\n\r\n",
        "0\r\nX\r\n\r\n",
        "0\r\nX: \0\r\n\r\n",
    ]
    .map(chunked)
    .into();
    check_each(&requests, 400, Closed);
}

#[test]
fn chunked_framing_is_bounded() {
    let extension = format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(5_000));
    let extensions = format!("1;{}\r\nx\r\n", "e".repeat(1_000)).repeat(20) + "0\r\n\r\n";
    let zeros = format!("{}1\r\nx\r\n0\r\n\r\n", "0".repeat(5_000));
    let trailers = format!("0\r\nX: {}\r\n\r\n", "y".repeat(9_000));
    let many = format!("0\r\n{}\r\n", "X: y\r\n".repeat(51));
    check(&[
        (&chunked(&extension), &[400], Closed),
        (&chunked(&extensions), &[400], Closed),
        (&chunked(&zeros), &[400], Closed),
        (&chunked(&trailers), &[431], Closed),
        (&chunked(&many), &[431], Closed),
    ]);
}

#[test]
fn content_that_breaks_off_is_not_taken_for_whole() {
    let server = server();
    for bytes in [
        &post("Content-Length: 5\r\n", "hell")[..],
        &chunked("5\r\nhello\r\n"),
        &chunked("5\r\nhello\r\n0\r\n"),
        &chunked("5\r\nhello\r\n0\r\nX: y\r\n"),
    ] {
        let mut client = Client::connect(&server);
        client.send(bytes);
        client.end();
        let answer = client.answer();
        assert_eq!((answer.status, answer.field("connection")), (400, Some("close")));
        assert!(client.is_at_end());
    }
}
