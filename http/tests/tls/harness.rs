//! Servers on cores of their own, and a blocking client.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use covet_http::server::{Config, Counts, Timeouts, serve};
use covet_http::{HeaderValue, Method, Request, Response, StatusCode, header, service_fn, tls};
use covet_runtime::net::TcpListener;
use covet_runtime::{CoreSet, Runtime};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) counts: Counts,
    _runtime: Runtime,
}

/// What was agreed on, as text: version, name, ALPN, whether it was resumed, certificates shown.
fn facts(request: &Request) -> String {
    let Some(tls) = request.tls() else { return "plain".to_owned() };
    let alpn = String::from_utf8_lossy(tls.alpn().unwrap_or_default());
    let name = tls.server_name().unwrap_or_default();
    format!("{:?} {name} {alpn} {} {}", tls.version(), tls.is_resumed(), tls.peer_certificates().len())
}

/// The client's certificate.
fn identity(request: &Request) -> Vec<u8> {
    request.tls().and_then(|tls| tls.peer_certificates().first()).map(|der| der.to_vec()).unwrap_or_default()
}

async fn service(mut request: Request) -> Response {
    match (request.method().clone(), request.path()) {
        (_, "/facts") => Response::new(facts(&request)),
        (_, "/who") => Response::new(identity(&request)),
        (_, "/big") => Response::new(vec![b'x'; 3 << 20]),
        (Method::POST, "/echo") => Response::new(request.take_body()),
        (Method::POST, "/collect") => match request.body_mut().collect(8 << 20).await {
            Ok(body) => Response::new(body),
            Err(error) => Response::with_status(error.status()),
        },
        (_, "/later") => {
            covet_runtime::time::sleep(Duration::from_millis(20)).await;
            Response::new("later")
        }
        (_, "/tunnel") => {
            let upgrade = request.upgrade().unwrap();
            covet_runtime::spawn(async move {
                let stream = upgrade.await.unwrap();
                let mut count = 0;
                let end = loop {
                    match stream.recv().await {
                        Ok(bytes) if bytes.is_empty() => break Ok(count),
                        Ok(bytes) => count += bytes.len(),
                        Err(error) => break Err(error.kind()),
                    }
                };
                stream.send(format!("{end:?}")).await.unwrap();
                stream.end().await.unwrap();
            })
            .detach();
            Response::with_status(StatusCode::SWITCHING_PROTOCOLS)
                .with_header(header::UPGRADE, HeaderValue::from_static("kind"))
        }
        _ => Response::with_status(StatusCode::NOT_FOUND),
    }
}

impl Server {
    pub(crate) fn start(tls: &tls::Config) -> Server {
        Server::with(tls, Timeouts::default())
    }

    pub(crate) fn with(tls: &tls::Config, timeouts: Timeouts) -> Server {
        let config = Config { tls: Some(tls.clone()), timeouts, ..Config::default() };
        let counts = config.counts.clone();
        let (send, receive) = mpsc::channel();
        let runtime = Runtime::builder()
            .cores(CoreSet::count(1))
            .start(move |_core| {
                let (send, config) = (send.clone(), config.clone());
                async move {
                    let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
                    send.send(listener.local_addr().unwrap()).unwrap();
                    serve(listener, Rc::new(service_fn(service)), config).await;
                }
            })
            .unwrap();
        Server { address: receive.recv().unwrap(), counts, _runtime: runtime }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }
}

pub(crate) const BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12, &rustls::version::TLS13];

pub(crate) fn client_config(roots: Arc<RootCertStore>) -> ClientConfig {
    client_config_of(roots, BOTH)
}

pub(crate) fn client_config_of(
    roots: Arc<RootCertStore>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

pub(crate) struct Client {
    pub(crate) tls: StreamOwned<ClientConnection, TcpStream>,
}

impl Client {
    pub(crate) fn new(config: &Arc<ClientConfig>, name: &str, address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_nodelay(true).unwrap();
        let connection = ClientConnection::new(config.clone(), name.to_owned().try_into().unwrap()).unwrap();
        Client { tls: StreamOwned::new(connection, stream) }
    }

    pub(crate) fn of(server: &Server, config: ClientConfig, name: &str) -> Client {
        Client::new(&Arc::new(config), name, server.address)
    }

    pub(crate) fn get(&mut self, target: &str) -> String {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        String::from_utf8(self.answer().unwrap()).unwrap()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.tls.write_all(bytes).unwrap();
        self.tls.flush().unwrap();
    }

    /// The content of the next answer.
    pub(crate) fn answer(&mut self) -> std::io::Result<Vec<u8>> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.tls.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let value = |name: &str| {
            head.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
        };
        if let Some(length) = value("content-length:") {
            let mut content = vec![0; length.parse().unwrap()];
            self.tls.read_exact(&mut content)?;
            return Ok(content);
        }
        assert_eq!(value("transfer-encoding:").as_deref(), Some("chunked"), "{head}");
        let mut content = Vec::new();
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                let mut byte = [0];
                self.tls.read_exact(&mut byte)?;
                line.push(byte[0]);
            }
            let length = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
            let start = content.len();
            content.resize(start + length + 2, 0);
            self.tls.read_exact(&mut content[start..])?;
            content.truncate(start + length);
            if length == 0 {
                return Ok(content);
            }
        }
    }

    /// The server's certificate, once the handshake is done.
    pub(crate) fn certificate(&mut self) -> Vec<u8> {
        self.tls.conn.complete_io(&mut self.tls.sock).unwrap();
        self.tls.conn.peer_certificates().unwrap()[0].to_vec()
    }
}
