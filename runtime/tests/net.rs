//! TCP on the ring, against itself and against the standard library.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, and so do the helpers they share")]

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use covet_runtime::net::{TcpListener, TcpStream};
use covet_runtime::{block_on, spawn, time, yield_now};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn local() -> std::net::SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(local()).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap())
}

async fn receive_all(stream: &TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let bytes = stream.recv().await.unwrap();
        if bytes.is_empty() {
            return all;
        }
        all.extend_from_slice(&bytes);
    }
}

#[test]
fn bytes_and_half_close() {
    block_on(async {
        let (client, server) = pair().await;
        assert!(client.write_all("question").await.0.is_ok());
        client.shutdown(Shutdown::Write).await.unwrap();
        assert_eq!(receive_all(&server).await, b"question");
        assert!(server.recv().await.unwrap().is_empty(), "the end stays the end");
        assert!(server.write_all(b"answer".to_vec()).await.0.is_ok());
        drop(server);
        assert_eq!(receive_all(&client).await, b"answer");
    })
    .unwrap();
}

#[test]
fn owned_reads_go_straight_or_through_the_shared_buffers() {
    block_on(async {
        let (client, server) = pair().await;
        client.write_all("abcdef").await.0.unwrap();
        let (count, buffer) = server.read(Vec::with_capacity(4)).await;
        assert_eq!((count.unwrap(), &buffer[..]), (4, &b"abcd"[..]));
        let (count, mut buffer) = server.read(buffer).await;
        assert_eq!((count.unwrap(), buffer.len()), (0, 4), "no spare capacity, no bytes");
        buffer.reserve_exact(8);
        assert_eq!(&server.recv().await.unwrap()[..], b"ef");
        client.write_all("0123456789").await.0.unwrap();
        let (count, buffer) = server.read(Vec::with_capacity(3)).await;
        assert_eq!((count.unwrap(), &buffer[..]), (3, &b"012"[..]));
        assert_eq!(&server.recv().await.unwrap()[..], b"3456789");
    })
    .unwrap();
}

#[test]
fn received_bytes_are_passed_over_from_the_start() {
    block_on(async {
        let (client, server) = pair().await;
        // More often than there are shared buffers: each goes back, however much of it was passed over.
        for round in 0..1_500_usize {
            client.write_all(b"0123456789".to_vec()).await.0.unwrap();
            let mut received = server.recv().await.unwrap();
            received.advance(0);
            assert_eq!(&received[..], b"0123456789");
            received.advance(round % 5);
            assert_eq!(&received[..], &b"0123456789"[round % 5..]);
            // What is left may be overwritten, and nothing else is.
            received.fill(b'x');
            received.advance(3);
            assert_eq!(&received[..], &b"xxxxxxxxxx"[round % 5 + 3..]);
            if round % 2 == 0 {
                let left = received.len();
                received.advance(left);
                assert!(received.is_empty());
                received.advance(0);
            }
        }
        client.write_all(b"abc".to_vec()).await.0.unwrap();
        let mut received = server.recv().await.unwrap();
        let beyond = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| received.advance(4)));
        assert!(beyond.is_err(), "there are no four");
        assert_eq!(&received[..], b"abc", "and nothing was passed over");
    })
    .unwrap();
}

#[test]
fn vectored_sends_keep_their_order() {
    block_on(async {
        let (client, server) = pair().await;
        let big = vec![7u8; 3 << 20];
        let reader = spawn(async move { receive_all(&server).await });
        let (sent, buffers) =
            client.write_vectored(vec!["head ".into(), big.clone().into(), "".into(), " tail".into()]).await;
        sent.unwrap();
        assert_eq!(buffers.len(), 4);
        drop(client);
        let got = reader.await.unwrap();
        assert_eq!(got.len(), 5 + big.len() + 5);
        assert!(got.starts_with(b"head \x07") && got.ends_with(b"\x07 tail"));
    })
    .unwrap();
}

#[test]
fn a_slow_reader_holds_its_peer_back_and_loses_nothing() {
    block_on(async {
        let (client, server) = pair().await;
        let sent = Rc::new(Cell::new(0usize));
        let count = sent.clone();
        let writer = spawn(async move {
            for n in 0..4096u32 {
                client.write_all(n.to_be_bytes().repeat(1024)).await.0.unwrap();
                count.set(count.get() + 4096);
            }
        });
        assert_eq!(&server.recv().await.unwrap()[..4], &[0; 4]);
        // Until the writer goes on no more, however long the kernel takes to fill its buffers.
        let mut stuck_at = 0;
        while sent.get() > stuck_at {
            stuck_at = sent.get();
            time::sleep(Duration::from_millis(300)).await;
        }
        assert!(stuck_at < 4096 * 4096, "nothing held the writer back");
        let rest = receive_all(&server).await;
        writer.await.unwrap();
        let last = u32::from_be_bytes(rest[rest.len() - 4..].try_into().unwrap());
        assert_eq!(last, 4095);
        for (a, b) in rest.chunks(4).zip(rest.chunks(4).skip(1)).skip(1) {
            if a.len() == 4 && b.len() == 4 && rest.len() % 4 == 0 {
                let (a, b) =
                    (u32::from_be_bytes(a.try_into().unwrap()), u32::from_be_bytes(b.try_into().unwrap()));
                assert!(b == a || b == a + 1, "{a} then {b}");
            }
        }
    })
    .unwrap();
}

#[test]
fn submitted_sends_complete_behind_our_back() {
    block_on(async {
        let (client, server) = pair().await;
        client.submit_send("one").unwrap();
        client.flush().await.unwrap();
        assert!(!client.is_sending());
        client.submit_send(vec![1u8; 8 << 20]).unwrap();
        assert!(client.submit_send("two").is_err(), "one at a time");
        let reader = spawn(async move { receive_all(&server).await.len() });
        client.flush().await.unwrap();
        drop(client);
        assert_eq!(reader.await.unwrap(), 3 + (8 << 20));
    })
    .unwrap();
}

#[test]
fn errors_arrive() {
    block_on(async {
        // At an address of this test's own, where nobody else takes the port that becomes free.
        let listener = TcpListener::bind(([127, 0, 0, 31], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let refused = time::timeout(Duration::from_secs(60), async {
            loop {
                match TcpStream::connect(address).await {
                    Ok(_) => time::sleep(Duration::from_millis(1)).await,
                    Err(error) => break error,
                }
            }
        });
        let refused = refused.await.expect("a dropped listener listens no more");
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);

        let (client, server) = pair().await;
        server.set_reset_on_close().unwrap();
        drop(server);
        let reset = client.recv().await.unwrap_err();
        assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset);
        assert!(client.write_all("x").await.0.is_err());
    })
    .unwrap();
}

#[test]
fn a_port_in_use_is_named() {
    block_on(async {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let error = TcpListener::bind(taken.local_addr().unwrap()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&taken.local_addr().unwrap().to_string()), "{error}");
    })
    .unwrap();
}

#[test]
fn speaks_with_the_standard_library() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let mut text = [0; 4];
        stream.read_exact(&mut text).unwrap();
        stream.write_all(&text).unwrap();
    });
    block_on(async move {
        let stream = TcpStream::connect(address).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        stream.write_all("echo").await.0.unwrap();
        assert_eq!(receive_all(&stream).await, b"echo");
    })
    .unwrap();
    thread.join().unwrap();
}

#[test]
fn many_connections_at_once() {
    // They are more than the limit that shells begin with.
    let maximum = getrlimit(Resource::Nofile).maximum;
    let many = maximum.map_or(65_536, |most| most.min(65_536));
    setrlimit(Resource::Nofile, Rlimit { current: Some(many), maximum }).unwrap();
    block_on(async {
        let listener = TcpListener::bind(local()).unwrap();
        let address = listener.local_addr().unwrap();
        spawn(async move {
            while let Ok(stream) = listener.accept().await {
                spawn(async move {
                    loop {
                        let bytes = stream.recv().await.unwrap();
                        if bytes.is_empty() {
                            return;
                        }
                        stream.write_all(bytes.to_vec()).await.0.unwrap();
                    }
                })
                .detach();
            }
        })
        .detach();
        let clients: Vec<_> = (0..600u32)
            .map(|n| {
                spawn(async move {
                    let stream = TcpStream::connect(address).await.unwrap();
                    for round in 0..20u32 {
                        stream.submit_send(format!("{n} says {round}")).unwrap();
                        let answer = stream.recv().await.unwrap();
                        assert_eq!(answer[..], *format!("{n} says {round}").as_bytes());
                        yield_now().await;
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
    })
    .unwrap();
}

#[test]
fn streams_outlive_their_core_harmlessly() {
    let (stream, bytes, sleep) = block_on(async {
        let (client, server) = pair().await;
        client.write_all("kept").await.0.unwrap();
        (client, server.recv().await.unwrap(), time::sleep(Duration::from_secs(60)))
    })
    .unwrap();
    assert_eq!(&bytes[..], b"kept");
    assert!(stream.peer_addr().is_err());
    assert!(stream.submit_send("late").is_err());
    sleep.reset(Instant::now());
    block_on(async move {
        assert!(stream.recv().await.is_err());
        drop(stream);
    })
    .unwrap();
    drop(bytes);
}

#[test]
fn two_tasks_own_the_halves_of_a_connection() {
    block_on(async {
        let (client, server) = pair().await;
        let (read, write) = client.into_split();
        // More than both sides' socket buffers hold: the sender waits while the other task receives.
        let sent = vec![7_u8; 4 << 20];
        let sender = spawn(async move {
            write.write_all(sent).await.0.unwrap();
            write.shutdown().await.unwrap();
        });
        let echo = async {
            loop {
                let received = server.recv().await.unwrap();
                if received.is_empty() {
                    server.shutdown(Shutdown::Write).await.unwrap();
                    return;
                }
                server.write_all(received.to_vec()).await.0.unwrap();
            }
        };
        let receiver = spawn(async move {
            let mut length = 0;
            loop {
                let received = read.recv().await.unwrap();
                if received.is_empty() {
                    return length;
                }
                length += received.len();
            }
        });
        time::timeout(Duration::from_secs(60), echo).await.unwrap();
        sender.await.unwrap();
        assert_eq!(receiver.await.unwrap(), 4 << 20);
        // Both halves are gone, and with them the connection.
        let broken = async { while server.write_all("nobody").await.0.is_ok() {} };
        time::timeout(Duration::from_secs(60), broken).await.unwrap();
    })
    .unwrap();
}

#[test]
fn bytes_say_since_when_they_have_waited() {
    block_on(async {
        let (client, server) = pair().await;
        assert_eq!(server.waiting_since(), None);
        let sent = Instant::now();
        assert!(client.write_all("first").await.0.is_ok());
        // Receiving is under way before anybody has bytes to take.
        assert!(time::timeout(Duration::from_secs(60), server.peek(9)).await.unwrap().is_ok());
        let first = server.waiting_since().unwrap();
        assert!(first >= sent - Duration::from_millis(1) && first <= Instant::now());
        time::sleep(Duration::from_millis(30)).await;
        assert!(client.write_all("second").await.0.is_ok());
        time::sleep(Duration::from_millis(30)).await;
        assert_eq!(server.waiting_since(), Some(first), "the first of them has not been taken");
        assert_eq!(&server.recv().await.unwrap()[..], b"first");
        let second = server.waiting_since().unwrap();
        assert!(second >= first + Duration::from_millis(29), "the next ones have come later");
        assert_eq!(&server.recv().await.unwrap()[..], b"second");
        assert_eq!(server.waiting_since(), None);
    })
    .unwrap();
}

#[test]
fn what_a_core_keeps_can_be_given_back_at_any_time() {
    covet_runtime::buf::release();
    block_on(async {
        let pairs = [pair().await, pair().await];
        for round in 0..3 {
            for (client, server) in &pairs {
                assert!(client.write_all(vec![round; 100_000]).await.0.is_ok());
                let mut left = 100_000;
                while left > 0 {
                    let received = server.recv().await.unwrap();
                    assert!(received.iter().all(|&byte| byte == round));
                    left -= received.len();
                }
            }
            covet_runtime::buf::release();
            time::sleep(Duration::from_millis(1)).await;
        }
    })
    .unwrap();
}
