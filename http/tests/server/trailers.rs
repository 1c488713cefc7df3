//! Trailers in both directions, and bodies of the ecosystem's kinds (RFC 9110 section 6.5, `http-body`).

use bytes::Bytes;
use covet_http::server::Config;
use covet_http::{Body, BodyError, HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full, Limited, StreamBody};

use super::harness::{Client, Server, counting_stream, failing_stream};

fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

fn shown(trailers: Option<HeaderMap>) -> String {
    let trailers = trailers.unwrap_or_default();
    trailers.iter().map(|(name, value)| format!("{name}={};", value.to_str().unwrap())).collect()
}

async fn service(mut request: Request) -> Response {
    match request.path() {
        "/read" => {
            let mut body = request.take_body();
            let content = Body::collect(&mut body, 100).await.unwrap();
            let trailers = shown(body.take_trailers());
            assert!(body.take_trailers().is_none() && body.is_empty(), "they are taken once");
            Response::new(format!("{} {trailers}", content.escape_ascii()))
        }
        // What `http-body-util` makes of our body.
        "/collected" => match request.take_body().collect().await {
            Ok(collected) => {
                let trailers = shown(collected.trailers().cloned());
                Response::new(format!("{} {trailers}", collected.to_bytes().escape_ascii()))
            }
            Err(error) => Response::with_status(error.status()),
        },
        "/limited" => match Limited::new(request.take_body(), 3).collect().await {
            Ok(_) => Response::new("short"),
            Err(error) => Response::new(format!("{error}; ours: {}", error.is::<BodyError>())),
        },
        // Straight through: the trailers of the request become those of the answer.
        "/echo" => Response::new(request.take_body()),
        "/rewrapped" => Response::new(Body::from_http_body(request.take_body())),
        "/trailers" => {
            let trailers = fields(&[
                ("x-sum", "17"),
                ("content-length", "5"),
                ("set-cookie", "a=b"),
                ("x-more", "a, b"),
                ("keep-alive", "x"),
            ]);
            let frames = StreamBody::new(counting_frames()).with_trailers(async { Some(Ok(trailers)) });
            // Which there may be, only the application knows (RFC 9110 section 6.6.2).
            let may_come = HeaderValue::from_static("x-sum, x-more");
            Response::new(Body::from_http_body(frames)).with_header(header::TRAILER, may_come)
        }
        "/full" => Response::new(Body::from_http_body(Full::new(Bytes::from_static(b"whole")))),
        "/empty" => Response::new(Body::from_http_body(http_body_util::Empty::<Bytes>::new())),
        "/broken" => Response::new(Body::from_http_body(Body::stream(failing_stream()))),
        _ => Response::new("?"),
    }
}

fn counting_frames() -> impl futures_core::Stream<Item = Result<Frame<Bytes>, std::io::Error>> {
    struct Frames<S>(S);
    impl<S, E> futures_core::Stream for Frames<S>
    where
        S: futures_core::Stream<Item = Result<Bytes, E>> + Unpin,
    {
        type Item = Result<Frame<Bytes>, std::io::Error>;
        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Self::Item>> {
            let item = std::task::ready!(std::pin::Pin::new(&mut self.0).poll_next(cx));
            std::task::Poll::Ready(item.map(|chunk| Ok(Frame::data(chunk.ok().unwrap()))))
        }
    }
    Frames(counting_stream(3))
}

fn server() -> Server {
    Server::with(Config::default(), service)
}

const TRAILED: &str = "2\r\nab\r\n0\r\nX-Sum: 7\r\nx-sum:8\r\nContent-Length: 99\r\n\r\n";

#[test]
fn trailers_of_a_request_are_read_apart_from_its_head() {
    let server = server();
    let mut client = Client::connect(&server);
    for path in ["/read", "/collected"] {
        client.send(
            format!("POST {path} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{TRAILED}")
                .as_bytes(),
        );
        assert_eq!(client.answer().text(), "ab x-sum=7;x-sum=8;content-length=99;", "{path}");
        client.send(
            format!("POST {path} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
                .as_bytes(),
        );
        assert_eq!(client.answer().text(), " ", "{path}");
        client.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab").as_bytes());
        assert_eq!(client.answer().text(), "ab ", "{path}");
    }
    client.send(b"POST /collected HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx");
    assert_eq!(client.answer().status, 400);
}

/// The raw answer to a request for this target with this TE field, on a connection of its own.
fn raw(server: &Server, target: &str, te: &str, content: &str) -> String {
    let mut client = Client::connect(server);
    client.send(
        format!(
            "POST {target} HTTP/1.1\r\nHost: h\r\n{te}Connection: close, TE\r\n\
             Transfer-Encoding: chunked\r\n\r\n{content}"
        )
        .as_bytes(),
    );
    let rest = String::from_utf8(client.rest()).unwrap();
    rest.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn trailers_are_sent_to_clients_that_keep_them() {
    let server = server();
    let data = "2\r\n0,\r\n2\r\n1,\r\n2\r\n2,\r\n";
    for (te, trailers) in [
        ("TE: trailers\r\n", "x-sum: 17\r\nx-more: a, b\r\n"),
        ("TE: deflate;q=0.5 , Trailers\r\n", "x-sum: 17\r\nx-more: a, b\r\n"),
        ("", ""),
        ("TE: deflate\r\n", ""),
        ("TE: nottrailers\r\n", ""),
    ] {
        assert_eq!(raw(&server, "/trailers", te, "0\r\n\r\n"), format!("{data}0\r\n{trailers}\r\n"), "{te}");
    }
    for target in ["/echo", "/rewrapped"] {
        let answer = raw(&server, target, "TE: trailers\r\n", TRAILED);
        assert_eq!(answer, "2\r\nab\r\n0\r\nx-sum: 7\r\nx-sum: 8\r\n\r\n", "{target}");
    }
    let mut client = Client::connect(&server);
    client.send(b"GET /trailers HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: close\r\n\r\n");
    assert_eq!(client.head().field("trailer"), Some("x-sum, x-more"), "as the application says");
    let mut client = Client::connect(&server);
    client.send(b"GET /trailers HTTP/1.0\r\nTE: trailers\r\n\r\n");
    assert_eq!(client.head().field("transfer-encoding"), None);
    assert_eq!(client.rest(), b"0,1,2,");
}

#[test]
fn bodies_of_the_ecosystem_are_sent_as_they_say() {
    let server = server();
    let mut client = Client::connect(&server);
    let answer = client.get("/full");
    assert_eq!((answer.field("content-length"), answer.text().as_str()), (Some("5"), "whole"));
    let answer = client.get("/empty");
    assert_eq!((answer.field("content-length"), answer.text().as_str()), (Some("0"), ""));
    client.send(b"POST /limited HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nabcd");
    assert_eq!(client.answer().text(), "length limit exceeded; ours: false");
    client.send(b"GET /broken HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.head().status, 200);
    assert!(client.is_reset());
}
