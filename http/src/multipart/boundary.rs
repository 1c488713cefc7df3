//! The boundary that a Content-Type names.

use super::MultipartError;
use super::parameters;

/// The most bytes that a boundary may have (RFC 2046 section 5.1.1).
const LONGEST: usize = 70;

/// The boundary of a body whose Content-Type this is.
///
/// # Errors
/// [`MultipartError::ContentType`] if it is not `multipart/form-data`; [`MultipartError::Boundary`] if the boundary is
/// missing, is there twice, or is not 1 to 70 characters of those that RFC 2046 section 5.1.1 lists.
pub fn boundary(content_type: &[u8]) -> Result<Vec<u8>, MultipartError> {
    let (kind, mut parameters) = parameters::split(content_type);
    if !kind.eq_ignore_ascii_case(b"multipart/form-data") {
        return Err(MultipartError::ContentType);
    }
    let mut boundary = None;
    while let Some((name, value)) = parameters.next().map_err(|_| MultipartError::Boundary)? {
        if name.eq_ignore_ascii_case(b"boundary") && boundary.replace(value).is_some() {
            return Err(MultipartError::Boundary);
        }
    }
    let boundary = boundary.ok_or(MultipartError::Boundary)?;
    let is_valid = (1..=LONGEST).contains(&boundary.len())
        && boundary.iter().all(|byte| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte))
        && boundary.last() != Some(&b' ');
    if is_valid { Ok(boundary.into_owned()) } else { Err(MultipartError::Boundary) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_are_found_and_checked() {
        let longest = format!("multipart/form-data; boundary={}", "a".repeat(70));
        for (content_type, expected) in [
            ("multipart/form-data; boundary=X", "X"),
            ("Multipart/Form-Data;charset=utf-8;BOUNDARY=\"a b'()+_,-./:=?\"", "a b'()+_,-./:=?"),
            ("multipart/form-data; boundary=----WebKitFormBoundaryAbC", "----WebKitFormBoundaryAbC"),
            (&longest, &longest[30..]),
        ] {
            assert_eq!(boundary(content_type.as_bytes()).unwrap(), expected.as_bytes(), "{content_type}");
        }
        for content_type in
            ["", "text/plain", "multipart/mixed; boundary=X", "multipart/form-dataX; boundary=X"]
        {
            let error = boundary(content_type.as_bytes()).unwrap_err();
            assert!(matches!(error, MultipartError::ContentType), "{content_type}");
            assert_eq!(error.status(), 415);
        }
        for parameters in [
            "".to_owned(),
            "; boundary".to_owned(),
            "; boundary=".to_owned(),
            "; boundary=\"\"".to_owned(),
            "; boundary=\"a \"".to_owned(),
            "; boundary=\"a\r\n\"".to_owned(),
            "; boundary=\"a".to_owned(),
            "; boundary=a; boundary=b".to_owned(),
            "; boundary=\u{e9}".to_owned(),
            format!("; boundary={}", "a".repeat(71)),
        ] {
            let error = boundary(format!("multipart/form-data{parameters}").as_bytes()).unwrap_err();
            assert!(matches!(error, MultipartError::Boundary), "{parameters}");
            assert_eq!(error.status(), 400);
        }
    }
}
