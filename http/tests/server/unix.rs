//! Serving Unix sockets, and several sockets at a time.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use covet_http::forwarded::{ForwardedFields, Forwarding};
use covet_http::proxy_protocol::ProxyProtocol;
use covet_http::server::{Config, Listener, serve};
use covet_http::{Networks, Request, Response, service_fn};
use covet_runtime::net::{TcpListener, UnixListener};
use covet_runtime::{CoreSet, Runtime};

use super::harness::{Client, Server, config};

async fn who(request: Request) -> Response {
    Response::new(format!("{:?} {:?}", request.peer_addr(), request.client().address))
}

fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("covet-http-{name}-{}", std::process::id()));
    // Of a process with the same number, on another day.
    let _ = std::fs::remove_file(&path);
    path
}

/// Serves at a path and at a port.
fn start(path: PathBuf, config: Config) -> Server {
    let (send, receive) = mpsc::channel();
    let runtime = Runtime::builder()
        .cores(CoreSet::count(1))
        .start(move |_core| {
            let (send, path, config) = (send.clone(), path.clone(), config.clone());
            async move {
                let tcp = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
                let address = tcp.local_addr().unwrap();
                let mut listener = Listener::from(UnixListener::bind(&path).unwrap());
                listener.add(tcp);
                send.send(address).unwrap();
                serve(listener, Rc::new(service_fn(who)), config).await;
            }
        })
        .unwrap();
    Server { address: receive.recv().unwrap(), runtime: Some(runtime) }
}

fn ask(path: &PathBuf, request: &str) -> String {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut client = Client::over_unix(stream);
    client.send(request.as_bytes());
    client.answer().text()
}

#[test]
fn a_path_and_a_port_are_served_together() {
    let path = path("both");
    let mut server = start(path.clone(), config());
    let output = Command::new("curl")
        .args(["--disable", "--noproxy", "*", "--silent", "--show-error", "--max-time", "60"])
        .arg("--unix-socket")
        .arg(&path)
        .arg("http://any.test/")
        .output()
        .expect("curl is there");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "None None", "{output:?}");
    for _ in 0..3 {
        assert!(Client::connect(&server).get("/").text().starts_with("Some(127.0.0.1:"));
        assert_eq!(ask(&path, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"), "None None");
    }
    let runtime = server.runtime.take().unwrap();
    runtime.shutdown(Duration::from_secs(5));
    runtime.join().unwrap();
    assert!(!path.exists(), "the path goes with the server");
}

#[test]
fn a_proxy_on_a_unix_socket_is_believed() {
    let path = path("believed");
    let forwarded = Some(Forwarding::new(Networks::default(), ForwardedFields::XForwarded));
    let _server = start(path.clone(), Config { forwarded, ..config() });
    let text = ask(&path, "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
    assert_eq!(text, "None Some(192.0.2.1)");
}

#[test]
fn the_proxy_protocol_names_clients_on_a_unix_socket() {
    let path = path("proxied");
    let proxy_protocol = ProxyProtocol::Required(Networks::default());
    let _server = start(path.clone(), Config { proxy_protocol, ..config() });
    let text = ask(&path, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(text, "Some(192.0.2.1:1) Some(192.0.2.1)");
}
