//! Requests that differ from one to the next.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

use crate::clock::Random;

/// Why a template cannot be used.
#[derive(Debug, Error)]
pub enum TemplateError {
    /// What stands between braces is not one of the fields.
    #[error(
        "`{{{{{0}}}}}` is not a field: write {{{{seq}}}}, {{{{random:1..1000}}}}, {{{{hex:16}}}}, {{{{uuid}}}} or \
         {{{{line:FILE}}}}"
    )]
    Field(String),
    /// Braces are opened and not closed.
    #[error("a `{{{{` has no `}}}}` after it")]
    Unclosed,
    /// The file of lines cannot be read.
    #[error("the lines of {path} cannot be read")]
    Lines {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// No step before this one takes out such a value.
    #[error(
        "`{{{{value:{0}}}}}` is taken out of no answer: add it to the `extract` of a step of the scenario"
    )]
    Value(String),
    /// The file has no line.
    #[error("{0} has no line to send")]
    NoLines(PathBuf),
}

/// A text with fields in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    Literal(Bytes),
    /// The number of the request, from 0, that no other request of the run has.
    Sequence,
    /// A whole number, both ends included.
    Random {
        low: u64,
        high: u64,
    },
    /// So many hexadecimal digits.
    Hex(usize),
    /// A random UUID (RFC 9562, version 4).
    Uuid,
    /// A line of a file, in the order of the requests.
    Line(Arc<Vec<Bytes>>),
    /// What the session took out of an earlier answer, by its place among the values.
    Value(usize),
    /// The same in a request's target.
    TargetValue(usize),
    /// The length of the body.
    BodyLength,
}

/// What stands for the length of the body in a head that [`Template::parse`] reads.
pub(super) const BODY_LENGTH: &str = "{{\0length}}";

impl Template {
    /// A text without fields.
    pub(super) fn literal(text: impl Into<Bytes>) -> Self {
        Self { parts: vec![Part::Literal(text.into())] }
    }

    /// This head with the field that tells the length of its body before the empty line at its end.
    pub(super) fn with_length(mut self) -> Self {
        if let Some(Part::Literal(head)) = self.parts.pop() {
            let fields = head.slice(..head.len().saturating_sub(2));
            let name = Bytes::from_static(b"Content-Length: ");
            let end = Bytes::from_static(b"\r\n\r\n");
            let parts = [Part::Literal(fields), Part::Literal(name), Part::BodyLength, Part::Literal(end)];
            self.parts.extend(parts);
        }
        self
    }

    /// Finds the fields in a text, in which `values` can be named.
    pub(super) fn parse(text: &[u8], values: &[String]) -> Result<Self, TemplateError> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some(open) = memchr::memmem::find(rest, b"{{") {
            if open > 0 {
                parts.push(Part::Literal(Bytes::copy_from_slice(&rest[..open])));
            }
            let after = &rest[open + 2..];
            let close = memchr::memmem::find(after, b"}}").ok_or(TemplateError::Unclosed)?;
            parts.push(Part::parse(&String::from_utf8_lossy(&after[..close]), values)?);
            rest = &after[close + 2..];
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(Bytes::copy_from_slice(rest)));
        }
        Ok(Self { parts })
    }

    /// The lines of a file, one for each request in turn.
    pub(super) fn lines(path: &Path) -> Result<Self, TemplateError> {
        Ok(Self { parts: vec![Part::Line(read_lines(path)?)] })
    }

    /// The same text as the target of a request, in which what is filled in is percent-encoded where it would end the target
    /// or break the line (RFC 3986, section 2.1); what is encoded already stays as it is.
    pub(super) fn in_target(mut self) -> Self {
        for part in &mut self.parts {
            match part {
                Part::Value(place) => *part = Part::TargetValue(*place),
                Part::Line(lines) => {
                    let encode = |line: &Bytes| {
                        let mut encoded = Vec::with_capacity(line.len());
                        percent_encode(&mut encoded, line);
                        encoded.into()
                    };
                    *part = Part::Line(Arc::new(lines.iter().map(encode).collect()));
                }
                _ => {}
            }
        }
        self
    }

    /// This text, and then another.
    pub(super) fn then(mut self, other: Self) -> Self {
        self.parts.extend(other.parts);
        self
    }

    /// Whether every request is the same.
    pub(super) fn is_constant(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Literal(_) | Part::BodyLength))
    }

    /// Appends the text for request number `sequence`, with a body of `body` bytes.
    pub(super) fn render(
        &self,
        out: &mut Vec<u8>,
        sequence: u64,
        body: usize,
        random: &mut Random,
        values: &[Vec<u8>],
    ) {
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.extend_from_slice(text),
                Part::Sequence => decimal(out, sequence),
                Part::Random { low, high } => decimal(out, random.between(*low, *high)),
                Part::Hex(digits) => hex(out, *digits, random),
                Part::Uuid => uuid(out, random),
                Part::Line(lines) => {
                    out.extend_from_slice(&lines[(sequence % lines.len() as u64) as usize]);
                }
                Part::Value(place) => out.extend_from_slice(values.get(*place).map_or(&[], Vec::as_slice)),
                Part::TargetValue(place) => {
                    percent_encode(out, values.get(*place).map_or(&[], Vec::as_slice));
                }
                Part::BodyLength => decimal(out, body as u64),
            }
        }
    }
}

impl Part {
    fn parse(field: &str, values: &[String]) -> Result<Self, TemplateError> {
        let bad = || TemplateError::Field(field.to_owned());
        match field.split_once(':') {
            None => match field.trim() {
                "seq" => Ok(Self::Sequence),
                "uuid" => Ok(Self::Uuid),
                _ if format!("{{{{{field}}}}}") == BODY_LENGTH => Ok(Self::BodyLength),
                _ => Err(bad()),
            },
            Some(("random", range)) => {
                let (low, high) = range.split_once("..").ok_or_else(bad)?;
                match (low.trim().parse(), high.trim().parse()) {
                    (Ok(low), Ok(high)) if low <= high => Ok(Self::Random { low, high }),
                    _ => Err(bad()),
                }
            }
            Some(("hex", digits)) => match digits.trim().parse() {
                Ok(digits @ 1..=4096) => Ok(Self::Hex(digits)),
                _ => Err(bad()),
            },
            Some(("value", name)) => {
                let place = values.iter().position(|value| value == name.trim());
                place.map(Self::Value).ok_or_else(|| TemplateError::Value(name.trim().to_owned()))
            }
            Some(("line", path)) => read_lines(Path::new(path.trim())).map(Self::Line),
            Some(_) => Err(bad()),
        }
    }
}

fn read_lines(path: &Path) -> Result<Arc<Vec<Bytes>>, TemplateError> {
    let bytes = fs::read(path).map_err(|source| TemplateError::Lines { path: path.to_owned(), source })?;
    let lines: Vec<Bytes> = bytes
        .split(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.is_empty())
        .map(Bytes::copy_from_slice)
        .collect();
    if lines.is_empty() {
        return Err(TemplateError::NoLines(path.to_owned()));
    }
    Ok(Arc::new(lines))
}

fn percent_encode(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        match byte.is_ascii_graphic() && byte != b'#' {
            true => out.push(byte),
            false => out.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]),
        }
    }
}

fn decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn hex(out: &mut Vec<u8>, digits: usize, random: &mut Random) {
    let (mut bits, mut left) = (0, 0);
    for _ in 0..digits {
        if left == 0 {
            (bits, left) = (random.bits(), 16);
        }
        out.push(b"0123456789abcdef"[(bits & 15) as usize]);
        bits >>= 4;
        left -= 1;
    }
}

fn uuid(out: &mut Vec<u8>, random: &mut Random) {
    for (group, digits) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if group > 0 {
            out.push(b'-');
        }
        let start = out.len();
        hex(out, digits, random);
        match group {
            2 => out[start] = b'4',
            3 => out[start] = b"89ab"[random.between(0, 3) as usize],
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str, sequence: u64) -> String {
        let mut out = Vec::new();
        Template::parse(text.as_bytes(), &[]).unwrap().render(
            &mut out,
            sequence,
            7,
            &mut Random::new(3, 0),
            &[],
        );
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_are_filled_in() {
        assert_eq!(rendered("/a/{{seq}}?b={{seq}}", 1203), "/a/1203?b=1203");
        assert_eq!(rendered("none", 5), "none");
        assert_eq!(rendered(BODY_LENGTH, 0), "7");
        for sequence in 0..50 {
            let value: u64 = rendered("{{random:10..12}}", sequence).parse().unwrap();
            assert!((10..=12).contains(&value));
        }
        assert_eq!(rendered("{{random:7..7}}", 0), "7");
        assert_eq!(rendered("{{hex:4096}}", 0).len(), 4096);
        let hex = rendered("{{hex:33}}", 0);
        assert!(hex.len() == 33 && hex.bytes().all(|b| b.is_ascii_hexdigit()), "{hex}");
        let uuid = rendered("{{uuid}}", 0);
        assert!(
            uuid.len() == 36 && uuid.as_bytes()[14] == b'4' && b"89ab".contains(&uuid.as_bytes()[19]),
            "{uuid}"
        );
    }

    #[test]
    fn lines_come_in_turn() {
        let path = std::env::temp_dir().join(format!("covet-lines-{}", std::process::id()));
        fs::write(&path, "one\r\ntwo\n\nthree").unwrap();
        let field = format!("<{{{{line:{}}}}}>", path.display());
        assert_eq!([0, 1, 2, 3].map(|n| rendered(&field, n)), ["<one>", "<two>", "<three>", "<one>"]);
        fs::write(&path, "\n").unwrap();
        assert!(matches!(Template::lines(&path), Err(TemplateError::NoLines(_))));
        fs::remove_file(&path).unwrap();
        assert!(matches!(Template::lines(&path), Err(TemplateError::Lines { .. })));
    }

    #[test]
    fn what_is_no_field_is_named() {
        for text in
            ["{{x}}", "{{random:5..1}}", "{{random:1}}", "{{hex:0}}", "{{hex:4097}}", "{{hex:x}}", "{{a:b}}"]
        {
            let error = Template::parse(text.as_bytes(), &[]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{text}` is not a field")), "{error}");
        }
        assert!(matches!(Template::parse(b"{{seq", &[]), Err(TemplateError::Unclosed)));
    }
}
