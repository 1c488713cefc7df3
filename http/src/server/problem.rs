//! What the server itself has to say to a client (RFC 9457).

use http::StatusCode;

use crate::{ContentType, Response};

/// A problem document with this status.
pub(super) fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let body = format!(
        r#"{{"type":"about:blank","title":"{title}","status":{},"detail":"{detail}"}}"#,
        status.as_u16()
    );
    let mut response = Response::new(body).with_content_type(ContentType::PROBLEM_JSON);
    response.set_status(status);
    response
}
