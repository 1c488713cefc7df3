//! Following redirects (RFC 9110 section 15.4).

use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE,
    COOKIE, EXPECT, HOST, HeaderName, LAST_MODIFIED, LOCATION, PROXY_AUTHORIZATION, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use url::Url;

use super::Redirects;

/// Why a redirect is not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedirectError {
    /// There are too many in a row.
    #[error("more than {limit} redirects in a row: see client::Redirects")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// The same request was sent before.
    #[error("it leads back to {url}, where it came from")]
    Loop {
        /// Where it leads.
        url: String,
    },
    /// Location is no URL, or not one of http or https.
    #[error("its Location `{location}` can't be followed: {problem}")]
    Location {
        /// What it says.
        location: String,
        /// What is wrong.
        problem: String,
    },
    /// It leads from https to http.
    #[error(
        "it leads from https to {url}, which anybody on the way can read: see client::Redirects::to_plain"
    )]
    ToPlain {
        /// Where it leads.
        url: String,
    },
    /// It asks for the body again, which was a stream and is gone.
    #[error(
        "{0} asks for the request's body again, which was a stream and can't be sent twice: give it as bytes"
    )]
    Body(StatusCode),
}

/// What is sent next.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) url: Url,
    pub(super) method: Method,
    pub(super) keeps_body: bool,
}

/// What an answer leads to; `None` if it is the answer.
pub(super) fn next(
    policy: &Redirects,
    method: &Method,
    url: &Url,
    status: StatusCode,
    fields: &HeaderMap,
) -> Result<Option<Next>, RedirectError> {
    if policy.limit == 0 || !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = fields.get(LOCATION) else { return Ok(None) };
    let target = resolve(url, location)?;
    if url.scheme() == "https" && target.scheme() == "http" && !policy.to_plain {
        return Err(RedirectError::ToPlain { url: super::url::shown(&target) });
    }
    let becomes_get = match status.as_u16() {
        // What 301 and 302 do to other methods than POST nobody agrees on, so these stay (as in the fetch standard).
        301 | 302 => *method == Method::POST,
        303 => *method != Method::GET && *method != Method::HEAD,
        _ => false,
    };
    let method = if becomes_get { Method::GET } else { method.clone() };
    Ok(Some(Next { url: target, method, keeps_body: !becomes_get }))
}

fn resolve(base: &Url, location: &HeaderValue) -> Result<Url, RedirectError> {
    let text = String::from_utf8_lossy(location.as_bytes());
    let refused = |problem: String| RedirectError::Location { location: text.clone().into_owned(), problem };
    let mut target = base.join(&text).map_err(|error| refused(error.to_string()))?;
    if !matches!(target.scheme(), "http" | "https") {
        return Err(refused(format!("its scheme is {}", target.scheme())));
    }
    #[cfg(not(feature = "tls"))]
    if target.scheme() == "https" {
        return Err(refused("https takes the feature `tls` of covet-http".to_owned()));
    }
    // Whoever redirects has no business in choosing who we are. Both fail only for URLs without a host.
    let _ = (target.set_username(""), target.set_password(None));
    if target.fragment().is_none() && base.fragment().is_some() {
        target.set_fragment(base.fragment());
    }
    Ok(target)
}

/// Whether two URLs are of one origin: scheme, host and port.
pub(super) fn same_origin(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin()
}

/// Removes what must not go to another origin.
pub(super) fn drop_credentials(fields: &mut HeaderMap) {
    remove(fields, &[AUTHORIZATION, COOKIE, HOST, PROXY_AUTHORIZATION]);
}

/// Removes what spoke of a body that is not sent any more (RFC 9110 section 15.4).
pub(super) fn drop_content_fields(fields: &mut HeaderMap) {
    remove(
        fields,
        &[
            CONTENT_ENCODING,
            CONTENT_LANGUAGE,
            CONTENT_LENGTH,
            CONTENT_LOCATION,
            CONTENT_TYPE,
            EXPECT,
            LAST_MODIFIED,
            TRANSFER_ENCODING,
        ],
    );
    fields.remove("digest");
    fields.remove("content-digest");
}

fn remove(fields: &mut HeaderMap, names: &[HeaderName]) {
    for name in names {
        fields.remove(name);
    }
}

#[cfg(test)]
#[path = "redirect_tests.rs"]
mod tests;
