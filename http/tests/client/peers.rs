//! Servers and proxies of others: nginx, tinyproxy, Python.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use covet_http::client::{Client, Proxies, Proxy};
use socket2::{Domain, Socket, Type};

use crate::programs::missing;
use crate::script::{Script, run};

/// A program that listens, and a folder for it; both go with it.
pub(crate) struct Program {
    child: Child,
    folder: PathBuf,
    pub(crate) port: u16,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A port of this machine that nobody else is given: it is bound here, though nobody listens on it. A program that sets
/// SO_REUSEADDR, as servers do, can all the same (socket(7)).
struct Reserved {
    _socket: Socket,
    port: u16,
}

fn reserve() -> Reserved {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    Reserved { _socket: socket, port }
}

/// Waits until a program listens on a port.
fn wait_for(child: &mut Child, port: u16) {
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "{child:?} has ended with {ended:?} instead of listening on port {port}");
        assert!(begun.elapsed() < Duration::from_secs(60), "{child:?} does not listen on port {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Starts a program that `arguments` have listen on a port; says so and returns nothing where it is not installed.
pub(crate) fn start(name: &str, arguments: impl FnOnce(&PathBuf, u16) -> Vec<String>) -> Option<Program> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("covet-client-{name}-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let reserved = reserve();
    let port = reserved.port;
    let arguments = arguments(&folder, port);
    let started = Command::new(name)
        .args(arguments)
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let child = match started {
        Ok(child) => child,
        Err(error) => {
            missing(name, &error);
            return None;
        }
    };
    let mut program = Program { child, folder, port };
    wait_for(&mut program.child, port);
    Some(program)
}

#[test]
fn nginx_serves_us() {
    let nginx = start("nginx", |folder, port| {
        std::fs::write(folder.join("big"), vec![b'n'; 2 << 20]).unwrap();
        let root = folder.display();
        let text = format!(
            "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log;\n\
             events {{}}\nhttp {{ access_log off; client_body_temp_path {root}/b; proxy_temp_path {root}/p;\n\
             fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;\n\
             server {{ listen 127.0.0.1:{port}; root {root}; keepalive_timeout 1s;\n\
             location /moved {{ return 301 /big; }} location /text {{ return 200 text; }}\n\
             location /limited {{ client_max_body_size 1k; proxy_pass http://127.0.0.1:1; }} }} }}\n"
        );
        std::fs::write(folder.join("nginx.conf"), text).unwrap();
        ["-p", &root.to_string(), "-c", "nginx.conf"].map(str::to_owned).into()
    });
    let Some(nginx) = nginx else { return };
    run(async {
        let client = Client::new();
        let url = |path: &str| format!("http://127.0.0.1:{}{path}", nginx.port);
        for _ in 0..20 {
            let moved = client.get(url("/moved")).send().await.unwrap();
            assert_eq!(moved.bytes().await.unwrap().len(), 2 << 20);
        }
        assert_eq!(client.idle_connections(), 1);
        let too_large = client.put(url("/limited")).body(vec![0; 100_000]).send().await.unwrap();
        assert_eq!(too_large.status(), 413);
        drop(too_large);
        client.get(url("/text")).send().await.unwrap().text().await.unwrap();
        // Longer than nginx keeps it: the next request takes another connection, and nobody notices.
        covet_runtime::time::sleep(Duration::from_millis(2500)).await;
        let text = client.post(url("/text")).body("x").send().await.unwrap();
        assert_eq!(text.status(), 200);
    });
}

/// A proxy that wants `user` and `secret`.
pub(crate) fn tinyproxy() -> Option<Program> {
    start("tinyproxy", |folder, port| {
        let path = folder.join("tinyproxy.conf");
        let text = format!(
            "Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 10\nAllow 127.0.0.1\nBasicAuth user secret\n"
        );
        std::fs::write(&path, text).unwrap();
        vec!["-d".to_owned(), "-c".to_owned(), path.display().to_string()]
    })
}

#[test]
fn tinyproxy_forwards() {
    let Some(proxy) = tinyproxy() else { return };
    let server = Script::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", false);
    run(async {
        let through = |user: &str| {
            let proxy = Proxy::new(&format!("http://{user}127.0.0.1:{}", proxy.port)).unwrap();
            Client::builder().proxies(Proxies::all(proxy)).build()
        };
        let client = through("user:secret@");
        for _ in 0..3 {
            assert_eq!(client.get(server.url("/")).send().await.unwrap().text().await.unwrap(), "ok");
        }
        assert_eq!(through("").get(server.url("/")).send().await.unwrap().status(), 407);
    });
}

#[test]
fn python_serves_us() {
    let python = start("python3", |folder, port| {
        std::fs::write(folder.join("file"), b"by Python").unwrap();
        ["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()].map(str::to_owned).into()
    });
    let Some(python) = python else { return };
    run(async {
        let client = Client::new();
        for _ in 0..3 {
            let response = client.get(format!("http://127.0.0.1:{}/file", python.port)).send().await.unwrap();
            assert_eq!(response.text().await.unwrap(), "by Python");
        }
    });
}
