//! The head of a part.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::parameters;
use super::{Limits, MultipartError};

/// A part may never have more fields than this.
const MOST_FIELDS: usize = 64;

/// What is said of a part before its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartHead {
    name: String,
    file_name: Option<String>,
    headers: HeaderMap,
}

impl PartHead {
    /// Parses the field lines of a head and the empty line behind them.
    pub(super) fn parse(block: &[u8], limits: &Limits) -> Result<Self, MultipartError> {
        // A bare LF is no line end, whatever the parser below takes for one.
        if memchr::memchr_iter(b'\n', block).any(|at| at == 0 || block[at - 1] != b'\r') {
            return Err(MultipartError::Head);
        }
        let limit = limits.fields.min(MOST_FIELDS);
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let fields = match httparse::parse_headers(block, &mut fields[..limit]) {
            Ok(httparse::Status::Complete((consumed, fields))) if consumed == block.len() => fields,
            Err(httparse::Error::TooManyHeaders) => return Err(MultipartError::TooManyFields { limit }),
            _ => return Err(MultipartError::Head),
        };
        let mut headers = HeaderMap::with_capacity(fields.len());
        for field in fields {
            let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| MultipartError::Head)?;
            let value = HeaderValue::from_bytes(field.value).map_err(|_| MultipartError::Head)?;
            headers.append(name, value);
        }
        let (name, file_name) = disposition(&headers)?;
        if headers.get("content-transfer-encoding").is_some_and(|value| !is_identity(value.as_bytes())) {
            return Err(MultipartError::TransferEncoding);
        }
        Ok(Self { name, file_name, headers })
    }

    /// The name of the form's field.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the file as the client gave it; `None` if the part is no file.
    ///
    /// It is what somebody else wrote: it may hold paths, be empty, or be the name of a device. Never open a file by
    /// it; [`PartHead::safe_file_name`] is for showing and for choosing an extension.
    pub fn file_name(&self) -> Option<&str> {
        self.file_name.as_deref()
    }

    /// The last component of the file's name; `None` if that is empty, `.` or `..`, or has a control character.
    ///
    /// Both `/` and `\` separate components, and so does `:`, as in `C:name`.
    pub fn safe_file_name(&self) -> Option<&str> {
        let last = self.file_name.as_deref()?.rsplit(['/', '\\', ':']).next()?;
        let is_safe = !matches!(last, "" | "." | "..") && !last.contains(char::is_control);
        is_safe.then_some(last)
    }

    /// The Content-Type of the part, as sent; a part without one is plain text (RFC 7578 section 4.4).
    pub fn content_type(&self) -> Option<&str> {
        self.headers.get(http::header::CONTENT_TYPE)?.to_str().ok()
    }

    /// All fields of the part.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Whether the content is text in another character encoding than UTF-8 and its subset ASCII.
    pub(super) fn has_other_charset(&self) -> bool {
        let Some(content_type) = self.headers.get(http::header::CONTENT_TYPE) else { return false };
        let (_, mut parameters) = parameters::split(content_type.as_bytes());
        while let Ok(Some((name, value))) = parameters.next() {
            if name.eq_ignore_ascii_case(b"charset") {
                let known = [&b"utf-8"[..], b"utf8", b"us-ascii"];
                return !known.iter().any(|charset| value.eq_ignore_ascii_case(charset));
            }
        }
        false
    }
}

fn is_identity(encoding: &[u8]) -> bool {
    [&b"binary"[..], b"8bit", b"7bit"].iter().any(|known| encoding.eq_ignore_ascii_case(known))
}

/// The names of field and file in the one Content-Disposition.
fn disposition(headers: &HeaderMap) -> Result<(String, Option<String>), MultipartError> {
    let mut values = headers.get_all(http::header::CONTENT_DISPOSITION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(MultipartError::Disposition) };
    let (kind, mut parameters) = parameters::split(value.as_bytes());
    if !kind.eq_ignore_ascii_case(b"form-data") {
        return Err(MultipartError::Disposition);
    }
    let (mut name, mut file_name) = (None, None);
    while let Some((parameter, value)) = parameters.next().map_err(|_| MultipartError::Disposition)? {
        let place = match parameter {
            _ if parameter.eq_ignore_ascii_case(b"name") => &mut name,
            // `filename*` is not for forms (RFC 7578 section 4.2): were it heeded, two readers could see two names.
            _ if parameter.eq_ignore_ascii_case(b"filename") => &mut file_name,
            _ => continue,
        };
        let text = std::str::from_utf8(&value).map_err(|_| MultipartError::Disposition)?;
        if place.replace(unescape(text)).is_some() {
            return Err(MultipartError::Disposition);
        }
    }
    Ok((name.ok_or(MultipartError::Disposition)?, file_name))
}

/// Undoes what browsers do to names (WHATWG HTML, multipart form data): line ends and quotes are percent-encoded, and
/// nothing else is.
fn unescape(name: &str) -> String {
    if !name.contains('%') {
        return name.to_owned();
    }
    let mut plain = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find('%') {
        let (before, escape) = rest.split_at(at);
        plain.push_str(before);
        let character = match escape.get(1..3) {
            Some("22") => '"',
            Some(digits) if digits.eq_ignore_ascii_case("0d") => '\r',
            Some(digits) if digits.eq_ignore_ascii_case("0a") => '\n',
            _ => {
                plain.push('%');
                rest = &escape[1..];
                continue;
            }
        };
        plain.push(character);
        rest = &escape[3..];
    }
    plain + rest
}
