//! Request heads: the memo, limits and any split must not change what is accepted, and nothing may panic.

use covet_http::h1::{Decoded, Head, Limits, decode_request};

use crate::{Signature, signature, splits};

pub fn check(input: &[u8]) -> Signature {
    let (_, bytes) = splits::parts(input);
    let with = Limits { request_line: 200, head: 2000, fields: 20, ..Limits::default() };
    let without = Limits { memo: false, ..with.clone() };

    // The first decode fills the memo that the second may use.
    let mut remembering = Head::new();
    let first = decode_request(bytes, &mut remembering, &with);
    if first == Ok(Decoded::Partial) {
        remembering.clear();
    }
    let second = decode_request(bytes, &mut remembering, &with);
    let mut plain = Head::new();
    let expected = decode_request(bytes, &mut plain, &without);
    assert_eq!(first, expected);
    assert_eq!(second, expected);

    if let Ok(Decoded::Complete { consumed }) = expected {
        assert!(consumed <= bytes.len());
        assert!(bytes[..consumed].ends_with(b"\r\n\r\n"));
        assert!(!plain.path().is_empty());
        assert_eq!(plain.target(), remembering.target());
        assert_eq!(plain.framing(), remembering.framing());
        assert_eq!(plain.headers(), remembering.headers());
        assert_eq!(plain.fields().count(), plain.headers().len());
        // None of these may depend on what is behind the head.
        let mut alone = Head::new();
        assert_eq!(decode_request(&bytes[..consumed], &mut alone, &with), expected);
        assert_eq!(alone.target(), plain.target());
    }

    let [part, _] = splits::halves(input);
    let mut pieces = Head::new();
    let mut decoded = decode_request(part, &mut pieces, &with);
    if decoded == Ok(Decoded::Partial) {
        decoded = decode_request(bytes, &mut pieces, &with);
    }
    match expected {
        // Of several faults another may be found first, or one only at the head's end.
        Err(_) => assert!(!matches!(decoded, Ok(Decoded::Complete { .. }))),
        expected => assert_eq!(decoded, expected),
    }
    match expected {
        Ok(Decoded::Partial) => 0,
        Ok(Decoded::Complete { .. }) => signature((
            format!("{:?}", plain.framing()),
            plain.method().as_str().len().min(8),
            plain.fields().count(),
            plain.query().is_some(),
            plain.authority().map(|authority| authority.len().min(4)),
            (plain.keep_alive(), plain.expect_continue(), plain.upgrade(), plain.is_https_target()),
        )),
        Err(error) => signature(error.to_string()),
    }
}
