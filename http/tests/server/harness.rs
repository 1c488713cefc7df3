//! A server on a core of its own, and a blocking client that reads answers one at a time.

use std::cell::Cell;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use covet_http::server::{Config, Timeouts, serve};
use covet_http::{BoxError, Request, Response, service_fn};
use covet_runtime::net::TcpListener;
use covet_runtime::{Builder, CoreSet, Runtime};
use futures_core::Stream;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) runtime: Option<Runtime>,
}

/// Times that nothing here takes, however busy the machine is: most tests are not about them.
pub(crate) fn config() -> Config {
    let never = Duration::from_secs(300);
    let farewell = Duration::from_millis(100);
    let timeouts =
        Timeouts { head: never, idle: never, body: never, write: never, farewell, ..Timeouts::default() };
    Config { timeouts, ..Config::default() }
}

/// Short times, so that tests of them are short.
pub(crate) fn hasty() -> Config {
    let timeouts = Timeouts {
        head: Duration::from_millis(300),
        idle: Duration::from_millis(600),
        body: Duration::from_millis(300),
        write: Duration::from_millis(400),
        ..config().timeouts
    };
    Config { timeouts, ..Config::default() }
}

impl Server {
    pub(crate) fn start<F, Fut>(service: F) -> Server
    where
        F: Fn(Request) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Response> + 'static,
    {
        Server::with(config(), service)
    }

    pub(crate) fn with<F, Fut>(config: Config, service: F) -> Server
    where
        F: Fn(Request) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Response> + 'static,
    {
        Server::on(Runtime::builder(), config, service)
    }

    pub(crate) fn on<F, Fut>(builder: Builder, config: Config, service: F) -> Server
    where
        F: Fn(Request) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Response> + 'static,
    {
        let (send, receive) = mpsc::channel();
        let runtime = builder
            .cores(CoreSet::count(1))
            .start(move |_core| {
                let (send, config, service) = (send.clone(), config.clone(), service.clone());
                async move {
                    let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
                    send.send(listener.local_addr().unwrap()).unwrap();
                    serve(listener, Rc::new(service_fn(service)), config).await;
                }
            })
            .unwrap();
        Server { address: receive.recv().unwrap(), runtime: Some(runtime) }
    }
}

pub(crate) struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

impl Client {
    pub(crate) fn connect(server: &Server) -> Client {
        Client::over(TcpStream::connect(server.address).unwrap())
    }

    pub(crate) fn over(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, unread: Vec::new() }
    }

    /// The calls that a client makes are those of any stream socket.
    pub(crate) fn over_unix(stream: UnixStream) -> Client {
        Client { stream: TcpStream::from(OwnedFd::from(stream)), unread: Vec::new() }
    }

    /// Reads at most so many bytes, and forgets them.
    pub(crate) fn read_some(&mut self, most: usize) {
        let mut buffer = vec![0; most];
        let _ = self.receive(&mut buffer);
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends as much as the server takes without being read.
    pub(crate) fn send_what_fits(&mut self, bytes: &[u8]) {
        self.stream.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut rest = bytes;
        while let Ok(count @ 1..) = self.stream.write(rest) {
            rest = &rest[count..];
        }
    }

    /// Sends what the server may no longer want.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    pub(crate) fn end(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    pub(crate) fn get(&mut self, target: &str) -> Answer {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        self.answer()
    }

    /// A process that was stopped and goes on has its reads interrupted, where they have a timeout (signal(7)).
    fn receive(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }

    fn more(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        let count = self.receive(&mut buffer).unwrap_or(0);
        self.unread.extend_from_slice(&buffer[..count]);
        count > 0
    }

    /// The next answer's head, without content.
    pub(crate) fn head(&mut self) -> Answer {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(
                self.more(),
                "the connection ended within a head: {:?}",
                self.unread.escape_ascii().to_string()
            );
        };
        let head: Vec<u8> = self.unread.drain(..end).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let fields = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Answer { status, fields, body: Vec::new() }
    }

    /// The next final answer.
    pub(crate) fn answer(&mut self) -> Answer {
        let mut answer = self.head();
        if let Some(length) = answer.field("content-length") {
            let length: usize = length.parse().unwrap();
            while self.unread.len() < length {
                assert!(self.more(), "the connection ended within a body");
            }
            answer.body = self.unread.drain(..length).collect();
        } else if answer.field("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk() {
                answer.body.extend_from_slice(&chunk);
            }
        }
        answer
    }

    fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.unread.windows(2).position(|window| window == b"\r\n") {
                let line: Vec<u8> = self.unread.drain(..at + 2).collect();
                return String::from_utf8(line[..at].to_vec()).unwrap();
            }
            assert!(self.more(), "the connection ended within a line");
        }
    }

    fn chunk(&mut self) -> Option<Vec<u8>> {
        let length = usize::from_str_radix(&self.line(), 16).unwrap();
        while self.unread.len() < length {
            assert!(self.more(), "the connection ended within a chunk");
        }
        let data: Vec<u8> = self.unread.drain(..length).collect();
        assert_eq!(self.line(), "");
        (length > 0).then_some(data)
    }

    /// Ends the connection so that the server can't take it for an end in order.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// A second handle on the same connection, to send while the first receives.
    pub(crate) fn clone_of(other: &Client) -> Client {
        Client { stream: other.stream.try_clone().unwrap(), unread: Vec::new() }
    }

    /// Everything up to the end of the connection, however it ends.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.more() {}
        std::mem::take(&mut self.unread)
    }

    /// Whether nothing more comes but the end, in order.
    pub(crate) fn is_at_end(&mut self) -> bool {
        let mut buffer = [0; 1024];
        self.unread.is_empty() && matches!(self.receive(&mut buffer), Ok(0))
    }

    /// Whether the connection was cut off.
    pub(crate) fn is_reset(&mut self) -> bool {
        let mut buffer = [0; 64 * 1024];
        loop {
            match self.receive(&mut buffer) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    }
}

struct Numbers {
    next: Cell<u32>,
    end: u32,
    fails: bool,
    waited: Cell<bool>,
}

impl Stream for Numbers {
    type Item = Result<Bytes, BoxError>;

    /// Every other poll waits, so that the pieces go out one by one.
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.waited.replace(!self.waited.get()) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let number = self.next.get();
        if number == self.end {
            return Poll::Ready(self.fails.then(|| Err("the stream broke".into())));
        }
        self.next.set(number + 1);
        Poll::Ready(Some(Ok(Bytes::from(format!("{number},")))))
    }
}

pub(crate) fn counting_stream(end: u32) -> impl Stream<Item = Result<Bytes, BoxError>> {
    Numbers { next: Cell::new(0), end, fails: false, waited: Cell::new(false) }
}

pub(crate) fn failing_stream() -> impl Stream<Item = Result<Bytes, BoxError>> {
    Numbers { next: Cell::new(0), end: 2, fails: true, waited: Cell::new(false) }
}
