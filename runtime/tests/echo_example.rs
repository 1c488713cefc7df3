//! The echo example with real peers, to the end of its shutdown.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "../examples/echo.rs"]
mod echo;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use covet_runtime::Runtime;

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

fn exchange(stream: &mut TcpStream, text: &[u8]) {
    stream.write_all(text).unwrap();
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, text);
}

#[test]
fn it_echoes_and_leaves_nobody_without_an_answer() {
    let (runtime, address) = echo::start(([127, 0, 0, 35], 0).into(), Runtime::builder()).unwrap();
    let mut peers: Vec<_> = (0..20).map(|_| connect(address)).collect();
    for (n, peer) in peers.iter_mut().enumerate() {
        exchange(peer, format!("I am {n}").as_bytes());
        exchange(peer, &vec![n as u8; 50_000]);
    }
    // A peer that has said all hears all, and then the end.
    let mut polite = connect(address);
    polite.write_all(b"bye").unwrap();
    polite.shutdown(Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    polite.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"bye");
    // The end: everybody is told, and the server goes when they have gone, long before its deadline.
    let began = Instant::now();
    runtime.shutdown(Duration::from_secs(60));
    for peer in &mut peers {
        assert_eq!(peer.read(&mut [0]).unwrap(), 0, "an end, and no reset");
    }
    drop(peers);
    runtime.join().unwrap();
    assert!(began.elapsed() < Duration::from_secs(50), "it waited for nobody");
    assert!(TcpStream::connect(address).is_err());
}
