//! JSON as a response.

use covet_http::{ContentType, Response};
use covet_runtime::buf::PoolBuf;
use serde::Serialize;

use super::{IntoResponse, typed};
use crate::error::Result;

/// JSON, in a request or in a response.
///
/// As an extractor it takes the body: `application/json` or a type ending in `+json`, otherwise it
/// fails with 415; with 413 if the body is over the limit, 400 if it is not JSON, 422 if it does
/// not fit `T`. As a response it is serialised; a value that cannot be is an error of status 500.
///
/// ```
/// use covet_router::{Json, Router, test_client::TestClient};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Point { x: i32, y: i32 }
///
/// async fn mirror(Json(point): Json<Point>) -> Json<Point> {
///     Json(Point { x: point.y, y: point.x })
/// }
///
/// let client = TestClient::new(Router::new().post("/mirror", mirror));
/// assert_eq!(client.post("/mirror").json(&Point { x: 1, y: 2 }).send().text(), r#"{"x":2,"y":1}"#);
/// assert_eq!(client.post("/mirror").body("x=1").send().status(), 415);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    #[inline]
    fn into_response(self) -> Result<Response> {
        let mut text = PoolBuf::take();
        serde_json::to_writer(&mut *text, &self.0)?;
        typed(text, ContentType::JSON)
    }
}
