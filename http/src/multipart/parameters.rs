//! Parameters of Content-Type and Content-Disposition, as they are written in forms.

use std::borrow::Cow;

/// The value in front of the parameters, and the parameters.
pub(super) fn split(field: &[u8]) -> (&[u8], Parameters<'_>) {
    let end = memchr::memchr(b';', field).unwrap_or(field.len());
    (field[..end].trim_ascii(), Parameters { rest: &field[end..] })
}

/// The parameters of a field, as (name, value).
pub(super) struct Parameters<'a> {
    /// Empty, or beginning with a semicolon.
    rest: &'a [u8],
}

/// A name and a value without its quotes.
type Parameter<'a> = (&'a [u8], Cow<'a, [u8]>);

/// The rest is not made of parameters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl<'a> Parameters<'a> {
    /// The next parameter; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Parameter<'a>>, Malformed> {
        loop {
            let Some(rest) = self.rest.strip_prefix(b";") else {
                return if self.rest.is_empty() { Ok(None) } else { Err(Malformed) };
            };
            let rest = rest.trim_ascii_start();
            if rest.is_empty() || rest[0] == b';' {
                self.rest = rest;
                continue;
            }
            let end = rest.iter().position(|byte| b"=; \t\"".contains(byte)).ok_or(Malformed)?;
            let (name, behind) = rest.split_at(end);
            let value = behind.strip_prefix(b"=").filter(|_| !name.is_empty()).ok_or(Malformed)?;
            let (value, behind) = match value.strip_prefix(b"\"") {
                Some(quoted) => unquote(quoted)?,
                None => {
                    let end = value.iter().position(|byte| b"; \t\"".contains(byte)).unwrap_or(value.len());
                    (Cow::Borrowed(&value[..end]), &value[end..])
                }
            };
            self.rest = behind.trim_ascii_start();
            return Ok(Some((name, value)));
        }
    }
}

/// What is in a quoted string, and what is behind it.
///
/// A backslash escapes a quote or a backslash. Before anything else it stands for itself: browsers that send
/// `C:\dir\file` mean it.
fn unquote(quoted: &[u8]) -> Result<(Cow<'_, [u8]>, &[u8]), Malformed> {
    let plain = memchr::memchr2(b'"', b'\\', quoted).ok_or(Malformed)?;
    if quoted[plain] == b'"' {
        return Ok((Cow::Borrowed(&quoted[..plain]), &quoted[plain + 1..]));
    }
    let mut value = quoted[..plain].to_vec();
    let mut rest = &quoted[plain..];
    loop {
        rest = match rest {
            [b'"', rest @ ..] => return Ok((Cow::Owned(value), rest)),
            [b'\\', escaped @ (b'"' | b'\\'), rest @ ..] => {
                value.push(*escaped);
                rest
            }
            [byte, rest @ ..] => {
                value.push(*byte);
                rest
            }
            [] => return Err(Malformed),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(field: &str) -> Result<Vec<(String, String)>, Malformed> {
        let (_, mut parameters) = split(field.as_bytes());
        let mut found = Vec::new();
        while let Some((name, value)) = parameters.next()? {
            found.push((
                String::from_utf8_lossy(name).into_owned(),
                String::from_utf8_lossy(&value).into_owned(),
            ));
        }
        Ok(found)
    }

    #[test]
    fn parameters_are_tokens_or_quoted() {
        for (field, expected) in [
            ("form-data", vec![]),
            ("form-data;", vec![]),
            ("form-data; name=a", vec![("name", "a")]),
            ("form-data ;name=\"a b\" ; filename=\"c;d=e\"", vec![("name", "a b"), ("filename", "c;d=e")]),
            (r#"x; a="q\"uo\\te"; b="C:\dir\f""#, vec![("a", r#"q"uo\te"#), ("b", r"C:\dir\f")]),
            ("x; a=\"\"; b=", vec![("a", ""), ("b", "")]),
            ("x;;a=b;", vec![("a", "b")]),
        ] {
            let expected = expected.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())).collect();
            assert_eq!(all(field), Ok(expected), "{field}");
        }
        for field in
            ["x; a", "x; =b", "x; a=\"b", "x; a=\"b\\\"", "x; a=\"b\"c", "x; a =b", "x; a=b c", "x; a=b\"c\""]
        {
            assert_eq!(all(field), Err(Malformed), "{field}");
        }
    }
}
