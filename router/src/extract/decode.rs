//! Percent-decoding (RFC 3986 §2.1).

use std::borrow::Cow;

/// Why a text cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("has a `%` that two hexadecimal digits do not follow")]
    Escape,
    #[error("is not UTF-8 once decoded")]
    Utf8,
}

/// Resolves the escapes of `text`; borrowed if it has none.
///
/// `+` stays `+`: only forms write a space so, paths do not.
pub(crate) fn percent_decode(text: &str) -> Result<Cow<'_, str>, DecodeError> {
    // A loop, as most values are short: to set a search up costs more than they do.
    let Some(first) = text.bytes().position(|byte| byte == b'%') else { return Ok(Cow::Borrowed(text)) };
    let (plain, mut rest) = text.as_bytes().split_at(first);
    let mut decoded = Vec::with_capacity(text.len());
    decoded.extend_from_slice(plain);
    while let Some((&byte, tail)) = rest.split_first() {
        if byte != b'%' {
            decoded.push(byte);
            rest = tail;
            continue;
        }
        let ([high, low], tail) = tail.split_first_chunk().ok_or(DecodeError::Escape)?;
        decoded.push(digit(*high)? << 4 | digit(*low)?);
        rest = tail;
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| DecodeError::Utf8)
}

fn digit(byte: u8) -> Result<u8, DecodeError> {
    let value = char::from(byte).to_digit(16).ok_or(DecodeError::Escape)?;
    Ok(value as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_without_escapes_is_borrowed() {
        assert!(matches!(percent_decode("a+b/ä"), Ok(Cow::Borrowed("a+b/ä"))));
    }

    #[test]
    fn escapes_are_resolved_once() {
        assert_eq!(percent_decode("%2Fa%2fb%25%32%35").unwrap(), "/a/b%25");
        assert_eq!(percent_decode("%C3%A4x").unwrap(), "äx");
    }

    #[test]
    fn what_cannot_be_decoded_is_refused() {
        for text in ["%", "%4", "a%zz", "%+1", "%4g", "%é"] {
            assert_eq!(percent_decode(text), Err(DecodeError::Escape), "{text}");
        }
        for text in ["%FF", "%C3", "a%80b", "%ED%A0%80"] {
            assert_eq!(percent_decode(text), Err(DecodeError::Utf8), "{text}");
        }
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(text in any::<String>(), escape in any::<u64>()) {
            let encoded: String = text
                .bytes()
                .enumerate()
                .map(|(at, byte)| match byte {
                    b'%' | 0x80.. => format!("%{byte:02X}"),
                    _ if escape >> (at % 64) & 1 == 1 => format!("%{byte:02x}"),
                    _ => char::from(byte).to_string(),
                })
                .collect();
            prop_assert_eq!(percent_decode(&encoded).unwrap(), text);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[%0-9a-fé]{0,12}") {
            let _ = percent_decode(&text);
        }
    }
}
