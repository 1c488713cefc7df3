use super::*;
use proptest::prelude::*;

const LIMIT: usize = 64 * 1024;

fn decode(bytes: &[u8]) -> Result<DecodedResponse, ResponseHeadError> {
    decode_response_head(bytes, &Method::GET, LIMIT)
}

fn head_of(bytes: &[u8]) -> ResponseHead {
    match decode(bytes) {
        Ok(DecodedResponse::Complete { head, consumed }) => {
            assert_eq!(consumed, bytes.len(), "the whole input is one head");
            head
        }
        other => panic!("{:?} gave {other:?}", String::from_utf8_lossy(bytes)),
    }
}

fn error_of(bytes: &[u8]) -> ResponseHeadError {
    decode(bytes).expect_err("must be refused")
}

#[test]
fn a_plain_head_has_status_length_and_keep_alive() {
    let head = head_of(b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 13\r\n\r\n");
    let expected = ResponseHead {
        status: 200,
        minor_version: 1,
        framing: ResponseFraming::Length(13),
        keep_alive: true,
    };
    assert_eq!(head, expected);
}

#[test]
fn consumed_stops_before_the_body() {
    let bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
    assert!(matches!(decode(bytes), Ok(DecodedResponse::Complete { consumed: 38, .. })));
}

#[test]
fn connections_close_as_the_version_and_the_options_say() {
    let cases: [(&[u8], bool); 6] = [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", false),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: foo, CLOSE\r\n\r\n", false),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n", true),
        (b"HTTP/1.1 200 OK\r\n\r\n", false),
    ];
    for (bytes, keep_alive) in cases {
        assert_eq!(head_of(bytes).keep_alive, keep_alive, "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn responses_without_a_body_ignore_length_fields() {
    for status in ["100 Continue", "204 No Content", "304 Not Modified"] {
        let bytes = format!("HTTP/1.1 {status}\r\nContent-Length: 9\r\n\r\n");
        assert_eq!(head_of(bytes.as_bytes()).framing, ResponseFraming::None);
    }
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
    let decoded = decode_response_head(bytes, &Method::HEAD, LIMIT).unwrap();
    let DecodedResponse::Complete { head, .. } = decoded else { panic!("{decoded:?}") };
    assert_eq!((head.framing, head.keep_alive), (ResponseFraming::None, true));
}

#[test]
fn interim_responses_are_told_from_a_switch_of_protocol() {
    assert!(head_of(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n").is_interim());
    let switch = head_of(b"HTTP/1.1 101 Switching Protocols\r\n\r\n");
    assert!(!switch.is_interim() && !switch.keep_alive);
}

#[test]
fn framing_follows_rfc_9112_section_6_3() {
    let framing = |fields: &str| head_of(format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_bytes()).framing;
    assert_eq!(framing("Transfer-Encoding: chunked\r\n"), ResponseFraming::Chunked);
    assert_eq!(framing("Transfer-Encoding: gzip, Chunked\r\n"), ResponseFraming::Chunked);
    assert_eq!(
        framing("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"),
        ResponseFraming::Chunked
    );
    assert_eq!(framing("Transfer-Encoding: gzip\r\n"), ResponseFraming::UntilClose);
    assert_eq!(framing(""), ResponseFraming::UntilClose);
    assert_eq!(framing("Content-Length:  18446744073709551615 \r\n"), ResponseFraming::Length(u64::MAX));
}

#[test]
fn ambiguous_lengths_are_refused() {
    let error = |fields: &str| error_of(format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_bytes());
    for fields in [
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: 0x1\r\n",
        "Content-Length:\r\n",
        "Content-Length: 18446744073709551616\r\n",
    ] {
        assert_eq!(error(fields), ResponseHeadError::ContentLength, "{fields}");
    }
    assert_eq!(
        error("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
        ResponseHeadError::AmbiguousLength
    );
    for fields in [
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: ,\r\n",
    ] {
        assert_eq!(error(fields), ResponseHeadError::TransferEncoding, "{fields}");
    }
    assert_eq!(
        error_of(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ResponseHeadError::TransferEncoding
    );
}

#[test]
fn what_is_not_a_response_is_refused_at_once() {
    for bytes in
        [&b"SSH-2.0-OpenSSH_9.2\r\n"[..], b"\r\nHTTP/1.1 200 OK\r\n\r\n", b"\0", b"HTTP/2.0 200 OK\r\n"]
    {
        assert_eq!(error_of(bytes), ResponseHeadError::StatusLine, "{}", String::from_utf8_lossy(bytes));
    }
    for bytes in [&b"HTTP/1.1 20 OK\r\n\r\n"[..], b"HTTP/1.1 2x0 OK\r\n\r\n", b"HTTP/1.1 099 No\r\n\r\n"] {
        assert_eq!(error_of(bytes), ResponseHeadError::StatusLine, "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn malformed_field_lines_are_refused() {
    for lines in [
        "A : b\r\n\r\n",
        "A: b\r\n folded\r\n\r\n",
        "A: b\rc\r\n\r\n",
        "A: b\nC: d\r\n\r\n",
        "A: b\r\n\n",
        "A: \0\r\n\r\n",
        ": b\r\n\r\n",
        "no colon\r\n\r\n",
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{lines}");
        assert_eq!(error_of(bytes.as_bytes()), ResponseHeadError::FieldLine, "{lines:?}");
    }
    assert_eq!(error_of(b"HTTP/1.1 200 OK\n\n"), ResponseHeadError::FieldLine);
}

#[test]
fn size_and_number_of_fields_are_bounded() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(MAX_RESPONSE_FIELDS + 1));
    assert_eq!(error_of(many.as_bytes()), ResponseHeadError::TooManyFields);
    let endless = format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(100));
    assert_eq!(
        decode_response_head(endless.as_bytes(), &Method::GET, 100),
        Err(ResponseHeadError::TooLarge { limit: 100 })
    );
    let whole = format!("{endless}\r\n\r\n");
    assert_eq!(
        decode_response_head(whole.as_bytes(), &Method::GET, 100),
        Err(ResponseHeadError::TooLarge { limit: 100 })
    );
}

proptest! {
    #[test]
    fn every_proper_prefix_of_a_head_is_partial(
        status in 100_u16..1000,
        reason in "[ -~]{0,20}",
        fields in prop::collection::vec(("x-[a-z]{1,8}", "[!-~]{0,20}"), 0..8),
        length in any::<u32>(),
    ) {
        let mut bytes = format!("HTTP/1.1 {status} {reason}\r\n");
        for (name, value) in &fields {
            bytes.push_str(&format!("{name}: {value}\r\n"));
        }
        bytes.push_str(&format!("Content-Length: {length}\r\n\r\n"));
        let bytes = bytes.into_bytes();
        for end in 0..bytes.len() {
            prop_assert_eq!(decode(&bytes[..end]), Ok(DecodedResponse::Partial));
        }
        let head = head_of(&bytes);
        prop_assert_eq!(head.status, status);
        if status >= 200 && status != 204 && status != 304 {
            prop_assert_eq!(head.framing, ResponseFraming::Length(u64::from(length)));
        }
    }

    #[test]
    fn no_input_makes_it_panic_or_read_past_the_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut whole = b"HTTP/1.1 200 OK\r\n".to_vec();
        whole.extend_from_slice(&bytes);
        for input in [&bytes, &whole] {
            if let Ok(DecodedResponse::Complete { consumed, .. }) = decode(input) {
                prop_assert!(consumed <= input.len());
                prop_assert!(input[..consumed].ends_with(b"\r\n\r\n"));
            }
        }
    }
}
