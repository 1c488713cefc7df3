//! Clients that go before they have their answer.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use covet_http::server::{Config, Event};
use covet_http::{Body, BoxError, Request, Response};
use futures_core::Stream;

use super::harness::{Client, Server, config};

/// Counts one up for as long as it lives.
struct Working(&'static AtomicUsize);

impl Working {
    fn on(count: &'static AtomicUsize) -> Working {
        count.fetch_add(1, Ordering::SeqCst);
        Working(count)
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A stream of which nothing ever comes.
struct Silent(#[expect(dead_code, reason = "it is there to be dropped")] Working);

impl Stream for Silent {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Pending
    }
}

fn start(config: Config, count: &'static AtomicUsize) -> Server {
    Server::with(config, move |mut request: Request| async move {
        let working = Working::on(count);
        match request.path() {
            "/stream" => return Response::new(Body::stream(Silent(working))),
            "/later" => covet_runtime::time::sleep(Duration::from_millis(300)).await,
            "/body" => {
                let _ = request.body_mut().collect(1 << 20).await;
                std::future::pending::<()>().await;
            }
            "/never" => std::future::pending().await,
            "/big" => return Response::new(vec![b'x'; 200_000]),
            _ => {}
        }
        Response::new("here")
    })
}

fn becomes(count: &AtomicUsize, wanted: usize) {
    let begun = Instant::now();
    while count.load(Ordering::SeqCst) != wanted {
        assert!(begun.elapsed() < Duration::from_secs(20), "it does not become {wanted}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_handler_of_a_client_that_resets_is_dropped() {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let server = start(config(), &COUNT);
    for request in [
        "GET /never HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /never HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /never HTTP/1.1\r\nHost: h\r\n\r\nGET /behind HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody",
        "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n",
    ] {
        let mut client = Client::connect(&server);
        client.send(request.as_bytes());
        becomes(&COUNT, 1);
        // Long enough for it to wait.
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(COUNT.load(Ordering::SeqCst), 1, "{request}");
        client.reset();
        becomes(&COUNT, 0);
    }
}

#[test]
fn an_end_is_no_going_unless_that_is_asked_for() {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /later HTTP/1.1\r\nHost: h\r\n\r\n";
    let server = start(config(), &COUNT);
    let mut client = Client::connect(&server);
    client.send(request);
    client.end();
    assert_eq!((client.answer().text(), client.answer().text()), ("here".to_owned(), "here".to_owned()));
    assert!(client.is_at_end());

    let server = start(Config { half_close: false, ..config() }, &COUNT);
    for request in ["GET /never HTTP/1.1\r\nHost: h\r\n\r\n", "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n"] {
        let mut client = Client::connect(&server);
        client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        client.send(request.as_bytes());
        assert_eq!(client.answer().text(), "here");
        becomes(&COUNT, 1);
        client.end();
        becomes(&COUNT, 0);
    }
    // What is answered at once is answered before the end is seen.
    let mut client = Client::connect(&server);
    client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    client.end();
    assert_eq!(client.answer().text(), "here");
}

#[test]
fn answers_before_the_one_that_is_dropped_are_not_lost() {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let config = Config { half_close: false, ..config() };
    let counts = config.counts.clone();
    let server = start(config, &COUNT);
    for (number, path) in ["/never", "/stream"].into_iter().enumerate() {
        let mut client = Client::connect(&server);
        client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /big HTTP/1.1\r\nHost: h\r\n\r\n");
        client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        // The large answer is on its way by then, and more of it than fits into the client's socket.
        becomes(&COUNT, 1);
        client.end();
        becomes(&COUNT, 0);
        assert_eq!(client.answer().text(), "here");
        assert_eq!(client.answer().body.len(), 200_000, "{path}");
        match path {
            // Its head may have left, but not the end of its content.
            "/stream" => assert!(!client.rest().ends_with(b"0\r\n\r\n")),
            _ => assert!(client.is_at_end()),
        }
        assert_eq!(counts.get(Event::Cancelled), number as u64 + 1);
    }
}

#[test]
fn what_is_pipelined_behind_a_slow_handler_is_served_after_it() {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let server = start(config(), &COUNT);
    let mut client = Client::connect(&server);
    client.send(b"GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    becomes(&COUNT, 1);
    let mut sender = Client::clone_of(&client);
    // More than is taken in while the handler works.
    let sending =
        std::thread::spawn(move || sender.send(&b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(10_000)));
    for number in 0..=10_000 {
        assert_eq!(client.answer().text(), "here", "{number}");
    }
    sending.join().unwrap();
}
