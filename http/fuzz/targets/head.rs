//! Request heads: the memo, limits and any split must not change what is accepted, and nothing may panic.
#![no_main]

use covet_http::h1::{Decoded, Head, Limits, decode_request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &[u8])| {
    let (split, bytes) = input;
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
    }

    let mut pieces = Head::new();
    let split = usize::from(split).min(bytes.len());
    let mut decoded = decode_request(&bytes[..split], &mut pieces, &with);
    if decoded == Ok(Decoded::Partial) {
        decoded = decode_request(bytes, &mut pieces, &with);
    }
    match expected {
        // Of several faults another may be found first, or one only at the head's end.
        Err(_) => assert!(!matches!(decoded, Ok(Decoded::Complete { .. }))),
        expected => assert_eq!(decoded, expected),
    }
});
