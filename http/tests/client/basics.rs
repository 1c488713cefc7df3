use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use covet_http::client::{Cause, Client, Phase, Timeouts};
use covet_http::{Body, Method, Request, Response, StatusCode, header, server, service_fn};
use covet_runtime::net::{TcpListener, UnixListener};
use covet_runtime::{CoreSet, Runtime};

use crate::script::{Script, run};

/// Our own server, which says what it was asked.
async fn service(mut request: Request) -> Response {
    let (method, target) = (request.method().clone(), request.target().to_owned());
    match request.path() {
        "/big" => Response::new(vec![b'x'; 3 << 20]),
        "/echo" => Response::new(request.take_body()),
        "/json" => Response::new(request.take_body()),
        "/204" => Response::with_status(StatusCode::NO_CONTENT),
        "/304" => Response::with_status(StatusCode::NOT_MODIFIED),
        "/500" => Response::with_status(StatusCode::INTERNAL_SERVER_ERROR),
        _ => Response::new(format!("{method} {target}")),
    }
}

pub(crate) fn start() -> (Runtime, String) {
    let (send, receive) = mpsc::channel();
    let runtime = Runtime::builder()
        .cores(CoreSet::count(1))
        .start(move |_core| {
            let send = send.clone();
            async move {
                let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
                send.send(listener.local_addr().unwrap()).unwrap();
                server::serve(listener, Rc::new(service_fn(service)), server::Config::default()).await;
            }
        })
        .unwrap();
    let address = receive.recv().unwrap();
    (runtime, format!("http://{address}"))
}

#[test]
fn our_own_server_answers_every_method() {
    let (_runtime, base) = start();
    run(async {
        let client = Client::new();
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS]
        {
            let response = client.request(method.clone(), format!("{base}/a?b=c")).send().await.unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(response.text().await.unwrap(), format!("{method} /a?b=c"));
        }
        let head = client.head(format!("{base}/big")).send().await.unwrap();
        assert_eq!(head.content_length(), Some(3 << 20));
        assert_eq!(head.bytes().await.unwrap().len(), 0);
        for (path, status) in [("/204", 204), ("/304", 304)] {
            let response = client.get(format!("{base}{path}")).send().await.unwrap();
            assert_eq!((response.status().as_u16(), response.bytes().await.unwrap().len()), (status, 0));
        }
        // All of it went over one connection.
        assert_eq!(client.idle_connections(), 1);
        let big = client.get(format!("{base}/big")).send().await.unwrap();
        assert!(big.is_on_reused_connection());
        assert_eq!(big.bytes().await.unwrap().len(), 3 << 20);
        let error = client.get(format!("{base}/500")).send().await.unwrap().error_for_status().unwrap_err();
        assert!(matches!(error.cause(), Cause::Status(StatusCode::INTERNAL_SERVER_ERROR)), "{error}");
    });
}

#[test]
fn bodies_go_there_and_come_back() {
    let (_runtime, base) = start();
    run(async {
        let client = Client::new();
        let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let limits = covet_http::client::Limits::default();
        assert!(limits.collected > 1 << 20);
        let sent = &large[..2_000_000];
        let response = client.post(format!("{base}/echo")).body(sent.to_vec()).send().await.unwrap();
        assert!(response.bytes().await.unwrap() == sent);
        let value = client.post(format!("{base}/json")).json(&["a", "b"]).send().await.unwrap();
        assert_eq!(value.json::<Vec<String>>().await.unwrap(), ["a", "b"]);
        let value = client.post(format!("{base}/json")).form(&[("a", "b c")]).query(&[("q", 1)]);
        assert_eq!(value.send().await.unwrap().text().await.unwrap(), "a=b+c");
        let request =
            http::Request::post(format!("{base}/echo")).body(Body::from("by the http crate")).unwrap();
        let answer: http::Response<Body> = client.execute(request).await.unwrap().into();
        assert_eq!(answer.into_body().collect(100).await.unwrap(), "by the http crate");
    });
}

#[test]
fn a_unix_socket_is_another_way() {
    let path = std::env::temp_dir().join(format!("covet-client-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    run(async {
        let listener = UnixListener::bind(&path).unwrap();
        let serving = covet_runtime::spawn(async move {
            let stream = listener.accept().await.unwrap();
            let request = stream.recv().await.unwrap();
            assert!(request.starts_with(b"GET /x HTTP/1.1\r\nHost: a.example\r\n"));
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec()).await.0.unwrap();
        });
        let client = Client::new();
        let response = client.get("http://a.example/x").unix_socket(&path).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "ok");
        serving.await.unwrap();
        let error =
            Client::builder().unix_socket("/nowhere/x").build().get("http://a/").send().await.unwrap_err();
        assert!(error.to_string().contains("/nowhere/x"), "{error}");
    });
    let _ = std::fs::remove_file(&path);
}

#[test]
fn errors_say_what_and_where() {
    run(async {
        let client = Client::new();
        for bad in ["example.org/x", "ftp://a/", "http://", "http://a:99999/"] {
            let error = client.get(bad).send().await.unwrap_err();
            assert!(matches!(error.cause(), Cause::Url { .. }) && error.phase() == Phase::Prepare, "{error}");
            assert!(error.to_string().contains(bad), "{error}");
        }
        let error = client.get("http://a/").header("a b", "c").send().await.unwrap_err();
        assert!(matches!(error.cause(), Cause::Field { .. }), "{error}");
        let error = client.get("http://a/").header("x", "a\r\nb: c").send().await.unwrap_err();
        assert!(matches!(error.cause(), Cause::Field { name } if name == "x"), "{error}");
        let error = client.get("http://u:secret@127.0.0.1:1/").send().await.unwrap_err();
        assert!(matches!(error.cause(), Cause::Connect(_)) && error.is_unsent(), "{error}");
        assert!(
            error.to_string().starts_with("GET http://u:***@127.0.0.1:1/: no connection:")
                || error.to_string().starts_with("GET http://127.0.0.1:1/: no connection:"),
            "{error}"
        );
        let error = client.request(Method::CONNECT, "http://127.0.0.1:1/").send().await.unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    });
}

#[test]
fn fields_can_t_change_the_framing() {
    let server = Script::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false);
    let (send, receive) = mpsc::channel();
    let spy = Script::start(move |_, mut peer| {
        while let Some(request) = peer.request() {
            send.send(request).unwrap();
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
    });
    run(async {
        let client = Client::new();
        let request = client
            .post(spy.url("/x"))
            .header(header::CONTENT_LENGTH, "1")
            .header(header::TRANSFER_ENCODING, "chunked")
            .header(header::CONNECTION, "upgrade, close")
            .header(header::UPGRADE, "x")
            .header(header::HOST, "other.example")
            .basic_auth("user", "password")
            .body("four");
        request.send().await.unwrap();
        let error = client.get(server.url("/")).header(header::HOST, "a b").send().await.unwrap_err();
        assert_eq!(error.phase(), Phase::Prepare, "{error}");
    });
    let request = receive.recv().unwrap();
    let (head, content) = request.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<&str> = head.lines().collect();
    assert_eq!(lines.remove(0), "POST /x HTTP/1.1");
    assert_eq!(lines.remove(0), "Host: other.example");
    lines.retain(|line| !line.starts_with("user-agent: covet/"));
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "accept: */*",
            "authorization: Basic dXNlcjpwYXNzd29yZA==",
            "connection: close",
            "content-length: 4"
        ]
    );
    assert_eq!(content, "four");
}

#[test]
fn each_time_has_an_end() {
    let silent = Script::start(|_, mut peer| {
        peer.request();
        peer.is_ended();
    });
    let slow = Script::start(|_, mut peer| {
        peer.request();
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc");
        peer.is_ended();
    });
    let dripping = Script::start(|_, mut peer| {
        peer.request();
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n");
        while peer.send(b"x") {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    // It takes no connection: its queue of them is full, and what else comes is not answered.
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    full.listen(0).unwrap();
    let address = full.local_addr().unwrap().as_socket().unwrap();
    let _queued = std::net::TcpStream::connect(address).unwrap();
    run(async {
        let short = Duration::from_millis(150);
        // One time is short, so that it is that one which ends it; what comes before it takes as long as it may.
        let with = |timeouts| Client::builder().timeouts(timeouts).build();
        let client = with(Timeouts { head: short, ..Timeouts::default() });
        let error = client.get(silent.url("/")).send().await.unwrap_err();
        assert!(error.is_timeout() && error.phase() == Phase::Head, "{error}");
        let client = with(Timeouts { idle: short, ..Timeouts::default() });
        let error = client.get(slow.url("/")).send().await.unwrap().bytes().await.unwrap_err();
        assert!(error.is_timeout() && error.phase() == Phase::Body, "{error}");
        let second = Duration::from_secs(1);
        let dripped =
            Client::new().get(dripping.url("/")).timeout(second).send().await.unwrap().bytes().await;
        assert!(dripped.as_ref().is_err_and(|error| error.is_timeout()), "{dripped:?}");
        let error = Client::new().get(silent.url("/")).timeout(short).send().await.unwrap_err();
        assert!(error.is_timeout(), "{error}");
        let client = with(Timeouts { connect: short, ..Timeouts::default() });
        let error = client.get(format!("http://{address}/")).send().await.unwrap_err();
        assert!(error.is_timeout() && error.is_unsent() && error.phase() == Phase::Connect, "{error}");
    });
}

#[test]
fn a_dropped_future_closes_the_connection() {
    let (send, receive) = mpsc::channel();
    let server = Script::start(move |_, mut peer| {
        peer.request();
        send.send(peer.is_ended()).unwrap();
    });
    run(async {
        let client = Client::new();
        let sending = client.get(server.url("/")).send();
        assert!(covet_runtime::time::timeout(Duration::from_millis(100), sending).await.is_err());
        covet_runtime::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(client.idle_connections(), 0);
        assert!(receive.recv_timeout(Duration::from_secs(60)).unwrap());
    });
}
