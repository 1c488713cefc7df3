//! The Range field (RFC 9110 section 14.1).

/// One range as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spec {
    /// From this position to that, both included.
    FromTo(u64, u64),
    /// From this position to the end.
    From(u64),
    /// So many bytes at the end.
    Last(u64),
}

/// The ranges of a Range field in bytes; `None` if it is in another unit, malformed or has more than `most`.
pub(super) fn parse(field: &[u8], most: usize) -> Option<Vec<Spec>> {
    let (unit, set) = field.split_at(memchr::memchr(b'=', field)?);
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let mut specs = Vec::new();
    for element in set[1..].split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
        // Empty elements of a list mean nothing (RFC 9110 section 5.6.1.2), and many of them are an attack.
        if element.is_empty() {
            continue;
        }
        if specs.len() == most {
            return None;
        }
        specs.push(spec(element)?);
    }
    (!specs.is_empty()).then_some(specs)
}

fn spec(element: &[u8]) -> Option<Spec> {
    let (first, last) = element.split_at(memchr::memchr(b'-', element)?);
    match (first, &last[1..]) {
        ([], last) => Some(Spec::Last(number(last)?)),
        (first, []) => Some(Spec::From(number(first)?)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::FromTo(first, last))
        }
    }
}

/// A decimal number; those that do not fit are as good as the largest that does.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
        Some(number.saturating_mul(10).saturating_add(u64::from(digit)))
    })
}

#[cfg(test)]
mod tests {
    use super::Spec::*;
    use super::*;

    #[test]
    fn ranges_are_read_to_the_letter() {
        for (field, specs) in [
            ("bytes=0-0", vec![FromTo(0, 0)]),
            ("Bytes=0-499, 500-,-7", vec![FromTo(0, 499), From(500), Last(7)]),
            ("bytes= , 1-2 ,\t,3-4,", vec![FromTo(1, 2), FromTo(3, 4)]),
            ("bytes=00-09", vec![FromTo(0, 9)]),
            ("bytes=-0", vec![Last(0)]),
            ("bytes=5-99999999999999999999999", vec![FromTo(5, u64::MAX)]),
            ("bytes=99999999999999999999999-", vec![From(u64::MAX)]),
        ] {
            assert_eq!(parse(field.as_bytes(), 3), Some(specs), "{field}");
        }
        for field in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=1",
            "bytes=2-1",
            "bytes=1 - 2",
            "bytes=1-2-3",
            "bytes=+1-2",
            "bytes=1-2;3-4",
            "bytes =1-2",
            "items=0-5",
            "bytes=0x1-2",
            "bytes=--1",
            "bytes=1-2,x",
            "bytes=0-1,2-3,4-5,6-7",
            "bytes=\u{661}-2",
        ] {
            assert_eq!(parse(field.as_bytes(), 3), None, "{field}");
        }
    }
}
