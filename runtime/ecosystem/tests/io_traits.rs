//! The I/O traits of tokio, by its own combinators, over real sockets.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, and so do the helpers they share")]

use std::io::{ErrorKind, IoSlice};
use std::time::Duration;

use covet_runtime::net::{TcpListener, TcpStream, UnixStream};
use covet_runtime::{block_on, spawn, time};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap())
}

/// Bytes whose place can be told from their value.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place * 31 + place / 251) as u8).collect()
}

async fn a_transfer<A, B>(mut from: A, mut to: B, chunk: usize)
where
    A: AsyncWrite + Unpin + 'static,
    B: AsyncRead + Unpin + 'static,
{
    let sent = pattern(700_000);
    let expected = sent.clone();
    let writer = spawn(async move {
        from.write_all(&sent).await.unwrap();
        from.shutdown().await.unwrap();
        from.shutdown().await.unwrap();
        from
    });
    let mut got = Vec::new();
    let mut buffer = vec![0; chunk];
    loop {
        let count = to.read(&mut buffer).await.unwrap();
        if count == 0 {
            break;
        }
        got.extend_from_slice(&buffer[..count]);
    }
    assert!(got == expected, "{} of {} bytes, or others", got.len(), expected.len());
    assert_eq!(to.read(&mut buffer).await.unwrap(), 0, "the end stays the end");
    drop(writer.await.unwrap());
}

#[test]
fn bytes_come_whole_through_buffers_of_any_size() {
    block_on(async {
        for chunk in [1, 7, 1_000, 4_096, 100_000] {
            let (client, server) = pair().await;
            a_transfer(client, server, chunk).await;
        }
        let (ours, theirs) = UnixStream::pair().unwrap();
        a_transfer(ours, theirs, 4_095).await;
    })
    .unwrap();
}

#[test]
fn a_relay_of_tokio_carries_both_directions() {
    block_on(async {
        let (mut client, mut inlet) = pair().await;
        let (mut outlet, mut server) = pair().await;
        let relay =
            spawn(async move { tokio::io::copy_bidirectional(&mut inlet, &mut outlet).await.unwrap() });
        let echo = spawn(async move {
            let (mut read, mut write) = tokio::io::split(&mut server);
            tokio::io::copy(&mut read, &mut write).await.unwrap();
            write.shutdown().await.unwrap();
        });
        let sent = pattern(300_000);
        let expected = sent.clone();
        let (mut read, mut write) = tokio::io::split(&mut client);
        let (written, got) = tokio::join!(
            async {
                write.write_all(&sent).await?;
                write.shutdown().await
            },
            async {
                let mut got = Vec::new();
                read.read_to_end(&mut got).await.map(|_| got)
            },
        );
        written.unwrap();
        assert!(got.unwrap() == expected);
        assert_eq!(relay.await.unwrap(), (300_000, 300_000));
        echo.await.unwrap();
    })
    .unwrap();
}

#[test]
fn lines_and_exact_reads_lose_nothing_to_a_cancelled_one() {
    block_on(async {
        let (mut client, server) = pair().await;
        let writer = spawn(async move {
            for line in 0..100 {
                client.write_all(format!("line {line}\n").as_bytes()).await.unwrap();
                if line % 10 == 0 {
                    time::sleep(Duration::from_millis(3)).await;
                }
            }
            client.flush().await.unwrap();
        });
        let mut lines = BufReader::with_capacity(16, server).lines();
        let mut seen = 0;
        while seen < 100 {
            // `next_line` is cancel-safe if the stream under it is.
            match time::timeout(Duration::from_millis(1), lines.next_line()).await {
                Ok(line) => {
                    assert_eq!(line.unwrap().unwrap(), format!("line {seen}"));
                    seen += 1;
                }
                Err(_) => continue,
            }
        }
        assert!(lines.next_line().await.unwrap().is_none());
        writer.await.unwrap();
    })
    .unwrap();
}

#[test]
fn one_vectored_write_is_one_piece() {
    block_on(async {
        let (mut client, server) = pair().await;
        assert!(client.is_write_vectored());
        let slices =
            [IoSlice::new(b"one "), IoSlice::new(b""), IoSlice::new(b"two "), IoSlice::new(b"three")];
        let count = AsyncWriteExt::write_vectored(&mut client, &slices).await.unwrap();
        assert_eq!(count, 13);
        AsyncWriteExt::flush(&mut client).await.unwrap();
        assert_eq!(&server.recv().await.unwrap()[..], b"one two three");
        assert_eq!(AsyncWriteExt::write(&mut client, &[]).await.unwrap(), 0);
    })
    .unwrap();
}

#[test]
fn a_peer_that_does_not_read_holds_the_writer_back() {
    block_on(async {
        let (mut client, server) = pair().await;
        let bytes = vec![9; 64 * 1024];
        let mut taken = 0;
        while let Ok(count) =
            time::timeout(Duration::from_millis(200), AsyncWriteExt::write(&mut client, &bytes)).await
        {
            taken += count.unwrap();
            assert!(taken < 256 << 20, "no end to what is taken");
        }
        let mut got = 0;
        while got < taken {
            got += server.recv().await.unwrap().len();
        }
        AsyncWriteExt::flush(&mut client).await.unwrap();
        assert_eq!(got, taken);
    })
    .unwrap();
}

#[test]
fn the_failure_of_a_send_is_told() {
    block_on(async {
        let (mut client, server) = pair().await;
        server.set_reset_on_close().unwrap();
        drop(server);
        let mut buffer = [0; 16];
        let read = AsyncReadExt::read(&mut client, &mut buffer).await;
        assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
        let mut outcome = Ok(());
        for _ in 0..10 {
            outcome = AsyncWriteExt::write_all(&mut client, b"into the void").await;
            if outcome.is_err() {
                break;
            }
            outcome = AsyncWriteExt::flush(&mut client).await;
            if outcome.is_err() {
                break;
            }
        }
        assert!(matches!(outcome.unwrap_err().kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset));
        assert!(AsyncWriteExt::flush(&mut client).await.is_err(), "and told again");
        assert!(AsyncWriteExt::shutdown(&mut client).await.is_err());
    })
    .unwrap();
}

#[test]
fn both_manners_of_reading_may_be_mixed() {
    block_on(async {
        let (client, mut server) = pair().await;
        (*client).write_all("abcdefgh").await.0.unwrap();
        let mut two = [0; 2];
        AsyncReadExt::read_exact(&mut server, &mut two).await.unwrap();
        assert_eq!(&two, b"ab");
        assert_eq!(server.peek(3).await.unwrap(), b"cde");
        AsyncReadExt::read_exact(&mut server, &mut two).await.unwrap();
        assert_eq!(&two, b"cd");
        assert_eq!(&server.recv().await.unwrap()[..], b"efgh");
    })
    .unwrap();
}

#[test]
fn slow_readers_keep_no_shared_buffer() {
    // More readers in the midst of a chunk than the core has buffers: were those kept, nobody could receive any more.
    covet_runtime::Runtime::builder()
        .recv_buffers(8, 4_096)
        .block_on(async {
            let mut all = Vec::new();
            for _ in 0..30 {
                let (client, mut server) = pair().await;
                (*client).write_all(pattern(2_000)).await.0.unwrap();
                let mut first = [0; 1];
                AsyncReadExt::read_exact(&mut server, &mut first).await.unwrap();
                all.push((client, server));
            }
            for (client, mut server) in all {
                drop(client);
                let mut rest = Vec::new();
                AsyncReadExt::read_to_end(&mut server, &mut rest).await.unwrap();
                assert!(rest == pattern(2_000)[1..]);
            }
        })
        .unwrap();
}
