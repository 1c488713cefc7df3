//! hyper 1 and h2, client and server, on our cores and sockets.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, and so do the helpers they share")]

use std::cell::Cell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use covet_runtime::compat::hyper::{CoreExecutor, CoreTimer};
use covet_runtime::net::{TcpListener, TcpStream};
use covet_runtime::{block_on, spawn, time};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, client, server};

/// Answers with what it was asked, and counts on this core only: the service is not `Send`.
async fn answer(
    request: Request<Incoming>,
    count: Rc<Cell<u32>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    count.set(count.get() + 1);
    let path = request.uri().path().to_owned();
    if path == "/slow" {
        time::sleep(Duration::from_millis(20)).await;
    }
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let mut text = path.into_bytes();
    text.extend_from_slice(&body);
    Ok(Response::new(Full::new(text.into())))
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn post(path: &str, body: Vec<u8>) -> Request<Full<Bytes>> {
    Request::post(path).header("host", "here").body(Full::new(body.into())).unwrap()
}

#[test]
fn http1_runs_unchanged() {
    block_on(async {
        let count = Rc::new(Cell::new(0));
        let (listener, address) = listen();
        let counted = count.clone();
        spawn(async move {
            loop {
                let stream = listener.accept().await.unwrap();
                let count = counted.clone();
                spawn(async move {
                    server::conn::http1::Builder::new()
                        .timer(CoreTimer)
                        .serve_connection(stream, service_fn(move |request| answer(request, count.clone())))
                        .await
                })
                .detach();
            }
        })
        .detach();
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) = client::conn::http1::handshake(stream).await.unwrap();
        spawn(connection).detach();
        for size in [0, 10, 100_000, 1_000_000] {
            let response = sender.send_request(post("/a", vec![7; size])).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body.len(), size + 2);
            sender.ready().await.unwrap();
        }
        assert_eq!(count.get(), 4);
    })
    .unwrap();
}

#[test]
fn the_timer_ends_a_head_that_does_not_come() {
    block_on(async {
        let (listener, address) = listen();
        let server = spawn(async move {
            let stream = listener.accept().await.unwrap();
            server::conn::http1::Builder::new()
                .timer(CoreTimer)
                .header_read_timeout(Duration::from_millis(30))
                .serve_connection(stream, service_fn(|request| answer(request, Rc::default())))
                .await
        });
        let client = TcpStream::connect(address).await.unwrap();
        client.write_all("GET / HTTP/1.1\r\nhost: ").await.0.unwrap();
        assert!(server.await.unwrap().unwrap_err().is_timeout());
    })
    .unwrap();
}

#[test]
fn http2_runs_unchanged_with_many_streams() {
    block_on(async {
        let count = Rc::new(Cell::new(0));
        let (listener, address) = listen();
        let counted = count.clone();
        spawn(async move {
            let stream = listener.accept().await.unwrap();
            server::conn::http2::Builder::new(CoreExecutor)
                .timer(CoreTimer)
                .keep_alive_interval(Duration::from_millis(50))
                .serve_connection(stream, service_fn(move |request| answer(request, counted.clone())))
                .await
        })
        .detach();
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = client::conn::http2::handshake(CoreExecutor, stream).await.unwrap();
        spawn(connection).detach();
        let mut all = Vec::new();
        for number in 0..50 {
            let mut sender = sender.clone();
            all.push(spawn(async move {
                let path = if number % 2 == 0 { "http://here/slow" } else { "http://here/quick" };
                let response = sender.send_request(post(path, vec![1; 20_000])).await.unwrap();
                response.into_body().collect().await.unwrap().to_bytes().len()
            }));
        }
        for one in all {
            assert!(one.await.unwrap() >= 20_005);
        }
        assert_eq!(count.get(), 50);
    })
    .unwrap();
}

#[test]
fn h2_itself_runs_on_the_traits_of_tokio() {
    block_on(async {
        let (listener, address) = listen();
        let server = spawn(async move {
            let mut connection = h2::server::handshake(listener.accept().await.unwrap()).await.unwrap();
            let (request, mut respond) = connection.accept().await.unwrap().unwrap();
            assert_eq!(request.uri().path(), "/h2");
            let mut body = respond.send_response(http::Response::new(()), false).unwrap();
            body.send_data(Bytes::from_static(b"over h2"), true).unwrap();
            // To be polled until the peer is done.
            assert!(connection.accept().await.is_none());
        });
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
        let driven = spawn(connection);
        let request = http::Request::get("http://here/h2").body(()).unwrap();
        let (response, _) = client.send_request(request, true).unwrap();
        let mut body = response.await.unwrap().into_body();
        let bytes = body.data().await.unwrap().unwrap();
        assert_eq!(&bytes[..], b"over h2");
        body.flow_control().release_capacity(bytes.len()).unwrap();
        drop((client, body));
        driven.await.unwrap().unwrap();
        server.await.unwrap();
    })
    .unwrap();
}
