//! URLs of requests.

use http::Uri;
use url::{Position, Url};

use super::Cause;

/// What a request can be addressed to: text, a [`Url`], or a [`Uri`] of the `http` crate.
///
/// Text is read as browsers read it (the WHATWG URL standard): what must be percent-encoded is, and names in other
/// scripts become their ASCII form.
pub trait IntoUrl: sealed::Sealed {
    /// The URL.
    ///
    /// # Errors
    /// [`Cause::Url`] when it is none, is relative, or has another scheme than `http` and `https`.
    fn into_url(self) -> Result<Url, Cause>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for &str {}
    impl Sealed for String {}
    impl Sealed for &String {}
    impl Sealed for super::Url {}
    impl Sealed for &super::Url {}
    impl Sealed for super::Uri {}
}

impl IntoUrl for &str {
    fn into_url(self) -> Result<Url, Cause> {
        let refused = |problem: String| Cause::Url { text: self.to_owned(), problem };
        let url = Url::parse(self).map_err(|error| match error {
            url::ParseError::RelativeUrlWithoutBase => {
                refused("it has no scheme: write http:// or https:// in front of it".to_owned())
            }
            error => refused(error.to_string()),
        })?;
        check(url)
    }
}

impl IntoUrl for String {
    fn into_url(self) -> Result<Url, Cause> {
        self.as_str().into_url()
    }
}

impl IntoUrl for &String {
    fn into_url(self) -> Result<Url, Cause> {
        self.as_str().into_url()
    }
}

impl IntoUrl for Url {
    fn into_url(self) -> Result<Url, Cause> {
        check(self)
    }
}

impl IntoUrl for &Url {
    fn into_url(self) -> Result<Url, Cause> {
        check(self.clone())
    }
}

impl IntoUrl for Uri {
    fn into_url(self) -> Result<Url, Cause> {
        self.to_string().as_str().into_url()
    }
}

fn check(url: Url) -> Result<Url, Cause> {
    let problem = match url.scheme() {
        "http" => return Ok(url),
        #[cfg(feature = "tls")]
        "https" => return Ok(url),
        #[cfg(not(feature = "tls"))]
        "https" => {
            "https takes the feature `tls` of covet-http, which this program was built without".to_owned()
        }
        scheme => format!("the scheme `{scheme}` is not supported: http and https are"),
    };
    Err(Cause::Url { text: shown(&url), problem })
}

/// The URL as it may be shown: without a password, and without the fragment, which is never sent.
pub(super) fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    if url.password().is_some() {
        // It fails only for URLs that have no host, and those have no password.
        let _ = shown.set_password(Some("***"));
    }
    shown.set_fragment(None);
    shown.into()
}

/// The value of Host: the port only where it is not the scheme's.
pub(super) fn authority(url: &Url) -> &str {
    &url[Position::BeforeHost..Position::AfterPort]
}

/// Path and query (origin-form, RFC 9112 section 3.2.1).
pub(super) fn origin_form(url: &Url) -> &str {
    &url[Position::BeforePath..Position::AfterQuery]
}

/// The URL as a forward proxy is asked for it (absolute-form, RFC 9112 section 3.2.2).
pub(super) fn absolute_form(url: &Url) -> String {
    format!("{}://{}{}", url.scheme(), authority(url), origin_form(url))
}
