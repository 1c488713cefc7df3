//! Errors: what the client sees, and the one place that all of them pass.

use covet_http::{HeaderValue, Request, Response, StatusCode};
use covet_router::test_client::TestClient;
use covet_router::{Error, IntoResponse, Json, Next, Path, Result, Router, get};
use serde_json::json;

#[test]
fn a_problem_document_has_what_was_set_and_no_source() {
    let error = Error::new(StatusCode::CONFLICT)
        .with_type("https://example.com/taken")
        .with_title("Taken")
        .with_detail("The name is \"taken\".")
        .with_member("name", "bob")
        .with_member("status", 200)
        .with_member("name", "ann")
        .with_header(http::header::RETRY_AFTER, HeaderValue::from_static("5"))
        .with_source("secret".to_owned());
    assert_eq!(error.to_string(), "409 Taken: The name is \"taken\".");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "secret");
    let client = TestClient::new(Router::new().get("/", {
        let error = std::rc::Rc::new(std::cell::Cell::new(Some(error)));
        async move || -> Result<()> { Err(error.take().unwrap()) }
    }));
    let answer = client.get("/").send();
    assert_eq!(answer.status(), 409);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.header("retry-after"), Some("5"));
    let expected = r#"{"type":"https://example.com/taken","title":"Taken","status":409,"detail":"The name is \"taken\".","name":"ann"}"#;
    assert_eq!(answer.text(), expected);
}

#[test]
fn internal_errors_do_not_show_their_cause() {
    async fn io() -> Result<()> {
        Err(std::io::Error::other("password in clear"))?;
        Ok(())
    }
    async fn boxed() -> Result<()> {
        let error: covet_router::BoxError = "password in clear".into();
        Err(error)?
    }
    let client = TestClient::new(Router::new().get("/io", io).get("/boxed", boxed));
    for path in ["/io", "/boxed"] {
        let answer = client.get(path).send();
        assert_eq!(
            answer.json::<serde_json::Value>(),
            json!({"title": "Internal Server Error", "status": 500})
        );
    }
}

#[test]
fn errors_of_files_and_of_tasks_are_internal() {
    async fn file() -> Result<()> {
        covet_runtime::fs::read("/no/such/file").await?;
        Ok(())
    }
    async fn task() -> Result<()> {
        let task = covet_runtime::spawn(std::future::pending::<()>());
        task.cancel();
        task.await?;
        Ok(())
    }
    let client = TestClient::new(Router::new().get("/file", file).get("/task", task));
    covet_runtime::block_on(async move {
        for path in ["/file", "/task"] {
            let answer = client.get(path).send_async().await;
            assert_eq!((answer.status().as_u16(), answer.text().contains("file")), (500, false), "{path}");
        }
    })
    .unwrap();
}

#[test]
fn a_status_may_be_set_afterwards() {
    let late = async || -> Result<()> { Err(Error::internal("secret").with_status(StatusCode::BAD_GATEWAY)) };
    let answer = TestClient::new(Router::new().get("/", late)).get("/").send();
    assert_eq!(answer.status(), 502);
    assert_eq!(answer.json::<serde_json::Value>(), json!({"title": "Bad Gateway", "status": 502}));
}

#[test]
fn every_failure_passes_the_hook() {
    fn hook(error: Error, request: &Request) -> Response {
        let text = format!("{} {} {}", error.status().as_u16(), request.method(), request.path());
        let mut response = Response::new(text);
        response.set_status(error.status());
        for (name, value) in error.headers() {
            response.headers_mut().insert(name, value.clone());
        }
        response
    }
    async fn refuse(_: Request, _: Next) -> Result<Response> {
        Err(StatusCode::UNAUTHORIZED.into())
    }
    let router = Router::new()
        .get("/num/{n}", async |Path(_): Path<u8>| "")
        .post("/json", async |Json(()): Json<()>| "")
        .post("/text", async |_: String| "")
        .get("/handler", async || -> Result<()> { Err(StatusCode::IM_A_TEAPOT.into()) })
        .get("/taken", async |_: Request| -> Result<()> { Err(StatusCode::GONE.into()) })
        .get("/response", async || ([("bad name", "x")], ()))
        .route("/layer", get(async || "").layer(refuse))
        .body_limit(3)
        .on_error(hook);
    let client = TestClient::new(router);
    for (answer, text) in [
        (client.get("/nope").send(), "404 GET /nope"),
        (client.delete("/json").send(), "405 DELETE /json"),
        (client.get("/num/x").send(), "400 GET /num/x"),
        (client.post("/json").body("{}").send(), "415 POST /json"),
        (client.post("/text").body("long").send(), "413 POST /text"),
        (client.get("/handler").send(), "418 GET /handler"),
        (client.get("/taken").send(), "410 GET /taken"),
        (client.get("/response").send(), "500 GET /response"),
        (client.get("/layer").send(), "401 GET /layer"),
    ] {
        assert_eq!(answer.text(), text);
        assert_eq!(answer.status().as_str(), &text[..3]);
    }
    assert_eq!(client.delete("/json").send().header("allow"), Some("POST"));
}

#[test]
fn the_nearest_hook_wins() {
    let hook = |name: &'static str| move |_: Error, _: &Request| Response::new(name);
    let fail = async || -> Result<()> { Err(Error::not_found()) };
    let inner = Router::new().get("/x", fail).on_error(hook("inner"));
    let path = get(fail).on_error(hook("path"));
    let client = TestClient::new(
        Router::new().nest("/in", inner).get("/y", fail).route("/z", path).on_error(hook("outer")),
    );
    for (path, name) in
        [("/in/x", "inner"), ("/in/nope", "inner"), ("/y", "outer"), ("/nope", "outer"), ("/z", "path")]
    {
        assert_eq!(client.get(path).send().text(), name, "{path}");
    }
    assert_eq!(client.post("/z").send().text(), "path");
}

#[test]
fn a_result_may_have_an_error_that_is_a_response() {
    async fn text(Path(ok): Path<bool>) -> Result<&'static str, (StatusCode, &'static str)> {
        if ok { Ok("fine") } else { Err((StatusCode::CONFLICT, "clash")) }
    }
    let client = TestClient::new(Router::new().get("/{ok}", text));
    assert_eq!(client.get("/true").send().text(), "fine");
    let clash = client.get("/false").send();
    assert_eq!((clash.status().as_u16(), clash.text()), (409, "clash"));
    assert!(Error::not_found().into_response().is_err());
}
