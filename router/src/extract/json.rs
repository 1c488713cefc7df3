//! `Json` as an extractor.

use covet_http::{Request, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::FromRequest;
use super::body::{gather, media_type};
use super::misfit;
use crate::error::{Error, Result};
use crate::respond::Json;
use crate::state::RouteContext;

impl<S, T: DeserializeOwned> FromRequest<S> for Json<T> {
    const TAKES_BODY: bool = true;

    async fn from_request(request: &mut Request, context: &RouteContext<S>) -> Result<Self> {
        if !media_type(request).is_some_and(is_json) {
            return Err(Error::new(StatusCode::UNSUPPORTED_MEDIA_TYPE)
                .with_detail("the body must be of the type application/json"));
        }
        let bytes = gather(request, context).await?;
        serde_json::from_slice(&bytes).map(Json).map_err(|error| {
            let status = match error.classify() {
                Category::Data => StatusCode::UNPROCESSABLE_ENTITY,
                Category::Syntax | Category::Eof | Category::Io => StatusCode::BAD_REQUEST,
            };
            let misfit = misfit::explain::<T, _>(error, &mut serde_json::Deserializer::from_slice(&bytes));
            Error::new(status).with_detail(format!("the JSON body is not valid: {misfit}"))
        })
    }
}

/// `application/json`, or a type with the suffix `+json` (RFC 6839 §3.1).
fn is_json(media_type: &str) -> bool {
    let Some((kind, subtype)) = media_type.split_once('/') else { return false };
    let suffix = subtype.rsplit_once('+').map_or(subtype, |(_, suffix)| suffix);
    kind.eq_ignore_ascii_case("application") && suffix.eq_ignore_ascii_case("json")
}

#[cfg(test)]
mod tests {
    use super::is_json;

    #[test]
    fn json_types_are_told_from_others() {
        for good in
            ["application/json", "APPLICATION/JSON", "application/problem+json", "application/a+b+json"]
        {
            assert!(is_json(good), "{good}");
        }
        for bad in ["text/json", "application/jsonp", "application/xml", "json", "application/json+xml", ""] {
            assert!(!is_json(bad), "{bad}");
        }
    }
}
