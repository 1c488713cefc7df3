//! The `Form` extractor.

use covet_http::{Request, StatusCode};
use serde::de::DeserializeOwned;

use super::FromRequest;
use super::body::{gather, media_type};
use super::misfit;
use crate::error::{Error, Result};
use crate::state::RouteContext;

/// A form in the body, deserialised from `application/x-www-form-urlencoded`.
///
/// Fails with 415 if the body is of another type or in another character encoding than UTF-8, 413 if
/// it is over the route's body limit or has more pairs than [`FormLimits`] allows, 422 if it does
/// not fit `T`, with the field's name. As the URL standard has it, escapes that are no UTF-8 become U+FFFD, and a `%` that
/// begins no escape stands for itself.
///
/// ```
/// use covet_router::{Form, Router, test_client::TestClient};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Login { name: String }
///
/// async fn login(Form(login): Form<Login>) -> String {
///     format!("welcome {}", login.name)
/// }
///
/// let client = TestClient::new(Router::new().post("/login", login));
/// let form = client.post("/login").header("content-type", "application/x-www-form-urlencoded");
/// assert_eq!(form.body("name=Ann+B").send().text(), "welcome Ann B");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form<T>(pub T);

/// The bounds on a form besides its length; a middleware that leaves them in the request's extensions
/// sets them for the routes behind it.
///
/// ```
/// use covet_http::Request;
/// use covet_router::extract::FormLimits;
/// use covet_router::{Form, Next, Router, test_client::TestClient};
///
/// let router = Router::new()
///     .post("/", async |Form(pairs): Form<Vec<(String, String)>>| pairs.len().to_string())
///     .layer(async |mut request: Request, next: Next| {
///         request.extensions_mut().insert(FormLimits { pairs: 2 });
///         Ok(next.run(request).await)
///     });
/// let client = TestClient::new(router);
/// let form = client.post("/").header("content-type", "application/x-www-form-urlencoded");
/// assert_eq!(form.body("a=1&b=2&c=3").send().status(), 413);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FormLimits {
    /// Number of pairs of name and value; beyond, 413. Default 1,000.
    pub pairs: usize,
}

impl Default for FormLimits {
    fn default() -> Self {
        Self { pairs: 1_000 }
    }
}

impl<S, T: DeserializeOwned> FromRequest<S> for Form<T> {
    const TAKES_BODY: bool = true;

    async fn from_request(request: &mut Request, context: &RouteContext<S>) -> Result<Self> {
        if !media_type(request)
            .is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-www-form-urlencoded"))
        {
            return Err(Error::new(StatusCode::UNSUPPORTED_MEDIA_TYPE)
                .with_detail("the body must be of the type application/x-www-form-urlencoded"));
        }
        if !is_utf8(request) {
            return Err(Error::new(StatusCode::UNSUPPORTED_MEDIA_TYPE)
                .with_detail("the form must be in the character encoding UTF-8"));
        }
        let limits = request.extensions().and_then(|extensions| extensions.get::<FormLimits>());
        let most = limits.copied().unwrap_or_default().pairs;
        let bytes = gather(request, context).await?;
        let pairs = bytes.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()).count();
        if pairs > most {
            return Err(Error::new(StatusCode::PAYLOAD_TOO_LARGE)
                .with_detail(format!("the form has more than {most} pairs")));
        }
        serde_urlencoded::from_bytes(&bytes).map(Self).map_err(|error| {
            Error::new(StatusCode::UNPROCESSABLE_ENTITY)
                .with_detail(format!("the form is not valid: {}", explain_form::<T>(&bytes, &error)))
        })
    }
}

/// What is wrong with URL-encoded pairs that are no `T`, and where.
pub(super) fn explain_form<T: DeserializeOwned>(pairs: &[u8], error: &serde_urlencoded::de::Error) -> String {
    misfit::explain::<T, _>(error, serde_urlencoded::Deserializer::new(form_urlencoded::parse(pairs)))
}

/// Whether the Content-Type names no other character encoding. The type defines none at all, and
/// everybody means UTF-8.
fn is_utf8(request: &Request) -> bool {
    let value = request.field("content-type").and_then(|value| std::str::from_utf8(value).ok());
    let mut parameters = value.unwrap_or_default().split(';').skip(1).filter_map(|part| part.split_once('='));
    parameters.all(|(name, value)| {
        let charset = value.trim().trim_matches('"');
        !name.trim().eq_ignore_ascii_case("charset")
            || charset.eq_ignore_ascii_case("utf-8")
            || charset.eq_ignore_ascii_case("utf8")
    })
}
