//! The I/O traits of the futures crates, by their own combinators, over real sockets.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, and so do the helpers they share")]

use covet_runtime::net::{TcpListener, TcpStream};
use covet_runtime::{block_on, spawn};
use futures_util::StreamExt as _;
use futures_util::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap())
}

/// Bytes whose place can be told from their value.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place * 31 + place / 251) as u8).collect()
}

#[test]
fn the_traits_of_futures_work_alike() {
    block_on(async {
        let (mut client, server) = pair().await;
        let echo = spawn(async move {
            let (read, mut write) = server.split();
            let copied = futures_util::io::copy(futures_util::io::BufReader::new(read), &mut write).await;
            write.close().await.unwrap();
            copied.unwrap()
        });
        let sent = pattern(50_000);
        client.write_all(&sent).await.unwrap();
        client.write_all(b"\nlast\n").await.unwrap();
        client.close().await.unwrap();
        let mut got = vec![0; sent.len() + 1];
        client.read_exact(&mut got).await.unwrap();
        assert!(got[..sent.len()] == sent);
        let mut lines = futures_util::io::BufReader::new(client).lines();
        assert_eq!(lines.next().await.unwrap().unwrap(), "last");
        assert!(lines.next().await.is_none());
        assert_eq!(echo.await.unwrap(), 50_006);
    })
    .unwrap();
}
