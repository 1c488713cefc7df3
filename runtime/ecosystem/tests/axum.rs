//! The axum example, asked over real sockets by a client that is not ours, and by hyper.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, and so do the helpers they share")]

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Duration;

use covet_runtime::compat::hyper::CoreExecutor;
use covet_runtime::net::{ListenOptions, TcpListener, TcpStream};
use covet_runtime::{Runtime, block_on, compat, spawn};
use http_body_util::{BodyExt as _, Empty};

#[path = "../examples/axum_on_covet.rs"]
mod axum_on_covet;

/// One request on a connection of its own; head and body of the answer.
fn ask(address: SocketAddr, request: &str) -> (String, Vec<u8>) {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    let body = answer.split_off(end + 4);
    (String::from_utf8(answer).unwrap(), body)
}

#[test]
fn a_router_with_its_middleware_runs_on_every_core() {
    let tokio = compat::tokio::helper().unwrap();
    let (told, addresses) = mpsc::channel();
    let runtime = Runtime::builder()
        .beside_tokio(tokio.handle())
        .start(move |_| {
            let told = told.clone();
            async move {
                // A port for each core, so that each is asked for certain.
                let listener =
                    TcpListener::bind_with(([127, 0, 0, 1], 0).into(), &ListenOptions::default()).unwrap();
                told.send(listener.local_addr().unwrap()).unwrap();
                axum_on_covet::serve(listener, axum_on_covet::app(Duration::from_secs(1))).await;
            }
        })
        .unwrap();
    let cores = covet_runtime::CoreSet::all().resolve().unwrap().len();
    let addresses: Vec<SocketAddr> = addresses.iter().take(cores).collect();
    assert_eq!(addresses.len(), cores);
    for address in addresses {
        let (head, body) =
            ask(address, "GET /hello/you HTTP/1.1\r\nhost: a\r\norigin: b\r\nconnection: close\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        assert!(head.contains("access-control-allow-origin: *"), "{head}");
        assert_eq!(body, b"hello, you\n");
        let (head, body) = ask(
            address,
            "GET /text HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\nconnection: close\r\n\r\n",
        );
        assert!(head.contains("content-encoding: gzip"), "{head}");
        assert!(body.len() < 2_000, "{} bytes are not compressed", body.len());
        let (head, body) = ask(
            address,
            "POST /sum HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\
             connection: close\r\n\r\n[1,20,21]",
        );
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(body, b"42");
        let (head, _) = ask(address, "GET /never HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 504"), "{head}");
        let status = block_on(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(CoreExecutor, stream).await.unwrap();
            spawn(connection).detach();
            let request = http::Request::get("http://a/hello/h2").body(Empty::<bytes::Bytes>::new()).unwrap();
            let response = sender.send_request(request).await.unwrap();
            let status = response.status();
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello, h2\n");
            status
        });
        assert_eq!(status.unwrap(), 200);
    }
    runtime.shutdown(Duration::from_secs(20));
    runtime.join().unwrap();
}
