//! The proxy of the examples, and forwarding from socket to socket, between real sockets.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, and so do the helpers they share")]

#[expect(dead_code, reason = "its main is not called here")]
#[path = "../examples/proxy.rs"]
mod proxy;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::time::Duration;

use covet_runtime::net::{TcpListener, TcpStream};
use covet_runtime::{block_on, spawn, spawn_blocking, time};

/// Runs blocking clients and servers against a proxy on this thread's core.
fn with_proxy(splice: bool, upstream: SocketAddr, clients: impl FnOnce(SocketAddr) + Send + 'static) {
    block_on(async move {
        let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let serving = spawn(proxy::serve(listener, upstream.to_string(), splice));
        spawn_blocking(move || clients(address)).await.unwrap();
        serving.cancel();
    })
    .unwrap();
}

fn connect(address: SocketAddr) -> StdStream {
    let stream = StdStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// Answers with all it got, backwards, once the client has finished sending: it needs the half-close to come through,
/// and not to be taken for the end.
fn answer_backwards(listener: StdListener, connections: usize) {
    for _ in 0..connections {
        let (mut stream, _) = listener.accept().unwrap();
        std::thread::spawn(move || {
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            all.reverse();
            stream.write_all(&all).unwrap();
        });
    }
}

#[test]
fn both_directions_and_their_ends_come_through() {
    for splice in [false, true] {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        let upstream = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || answer_backwards(listener, 8));
        with_proxy(splice, upstream, |address| {
            let clients: Vec<_> = (0..8usize)
                .map(|number| {
                    std::thread::spawn(move || {
                        let question: Vec<u8> =
                            (0..number * 700_000 + 5).map(|n| (n * 31 + number) as u8).collect();
                        let mut stream = connect(address);
                        stream.write_all(&question).unwrap();
                        stream.shutdown(Shutdown::Write).unwrap();
                        let mut answer = Vec::new();
                        stream.read_to_end(&mut answer).unwrap();
                        answer.reverse();
                        assert!(answer == question, "{} bytes came back of {}", answer.len(), question.len());
                    })
                })
                .collect();
            clients.into_iter().for_each(|client| client.join().unwrap());
        });
        server.join().unwrap();
    }
}

#[test]
fn an_upstream_that_is_not_there_is_a_reset() {
    // At an address of this test's own, where nobody else takes the port that becomes free.
    let nobody = StdListener::bind("127.0.0.34:0").unwrap().local_addr().unwrap();
    with_proxy(false, nobody, |address| {
        let error = connect(address).read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn an_upstream_that_breaks_off_is_no_ordinary_end() {
    for splice in [false, true] {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        let upstream = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"half an ans").unwrap();
            stream.read_exact(&mut [0]).unwrap();
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        });
        with_proxy(splice, upstream, |address| {
            let mut stream = connect(address);
            stream.read_exact(&mut [0; 11]).unwrap();
            stream.write_all(b"x").unwrap();
            let error = stream.read(&mut [0]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        });
        server.join().unwrap();
    }
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap())
}

#[test]
fn what_was_received_before_is_not_left_behind() {
    block_on(async {
        let (source, from) = pair().await;
        let (to, sink) = pair().await;
        source.write_all("first").await.0.unwrap();
        assert_eq!(&from.recv().await.unwrap()[..], b"first");
        source.write_all(vec![5; 300_000]).await.0.unwrap();
        // Some of it waits in the core's buffers by now.
        time::sleep(Duration::from_millis(20)).await;
        let forwarding = spawn(async move {
            let count = from.forward(&to).await.unwrap();
            to.shutdown(Shutdown::Write).await.unwrap();
            count
        });
        source.shutdown(Shutdown::Write).await.unwrap();
        let mut got = 0;
        loop {
            let bytes = sink.recv().await.unwrap();
            if bytes.is_empty() {
                break;
            }
            got += bytes.len();
        }
        assert_eq!((got, forwarding.await.unwrap()), (300_000, 300_000));
    })
    .unwrap();
}

#[test]
fn a_sink_that_does_not_read_holds_the_source_back_and_nobody_else() {
    block_on(async {
        let (source, from) = pair().await;
        let (to, sink) = pair().await;
        let forwarding = spawn(async move { from.forward(&to).await });
        let writing = spawn(async move { source.write_all(vec![1; 64 << 20]).await.0 });
        for _ in 0..20 {
            time::sleep(Duration::from_millis(5)).await;
        }
        assert!(!writing.is_finished(), "no sockets buffer so much");
        let mut got = 0;
        while got < 64 << 20 {
            got += sink.recv().await.unwrap().len();
        }
        writing.await.unwrap().unwrap();
        assert_eq!(forwarding.await.unwrap().unwrap(), 64 << 20);
    })
    .unwrap();
}
