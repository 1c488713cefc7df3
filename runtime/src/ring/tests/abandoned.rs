//! Futures and handles that go while the kernel still works for them.

use std::io::{Read, Write};
use std::time::Duration;

use super::*;
use crate::{spawn, yield_now};

/// Whether the peer's end is over, by an end of stream or a reset.
fn is_over(peer: &mut std::net::TcpStream) -> bool {
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut byte = [0; 4096];
    loop {
        match peer.read(&mut byte) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

#[test]
fn a_dropped_accept_leaves_its_connection_to_the_next() {
    tiny()
        .block_on(async {
            let listener = TcpListener::bind(local()).unwrap();
            for round in 0..50u8 {
                assert!(touch(listener.accept()).await.is_none());
                let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                client.write_all(&[round]).unwrap();
                yield_now().await;
                // Dropped again, with the connection on its way.
                let early = touch(listener.accept()).await;
                let server = match early {
                    Some(server) => server.unwrap(),
                    None => listener.accept().await.unwrap(),
                };
                assert_eq!(server.recv().await.unwrap()[..], [round]);
            }
            drop(listener);
            assert_nothing_is_lent().await;
        })
        .unwrap();
}

#[test]
fn a_dropped_listener_closes_what_it_accepts_late() {
    tiny()
        .block_on(async {
            for round in 0..40 {
                let listener = TcpListener::bind(secluded()).unwrap();
                assert!(touch(listener.accept()).await.is_none());
                yield_now().await;
                let address = listener.local_addr().unwrap();
                let mut peers: Vec<_> =
                    (0..5).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
                // In the driver's queue, in the completion queue, or in the backlog.
                for _ in 0..round % 3 {
                    yield_now().await;
                }
                drop(listener);
                assert_nothing_is_lent().await;
                assert!(peers.iter_mut().all(is_over), "a connection that nobody took is still open");
                assert!(std::net::TcpStream::connect(address).is_err(), "it still listens");
            }
        })
        .unwrap();
}

#[test]
fn peers_that_reset_before_they_are_accepted_do_no_harm() {
    tiny()
        .block_on(async {
            let listener = TcpListener::bind(local()).unwrap();
            let address = listener.local_addr().unwrap();
            for _ in 0..100 {
                let early = std::net::TcpStream::connect(address).unwrap();
                let linger = Some(Duration::ZERO);
                socket2::SockRef::from(&early).set_linger(linger).unwrap();
            }
            let mut last = std::net::TcpStream::connect(address).unwrap();
            last.write_all(b"here").unwrap();
            let found = time::timeout(PATIENCE, async {
                loop {
                    let stream = listener.accept().await.unwrap();
                    match stream.recv().await {
                        Ok(bytes) if bytes[..] == *b"here" => return,
                        Ok(bytes) => assert!(bytes.is_empty()),
                        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
                    }
                }
            });
            found.await.unwrap();
            drop(listener);
            assert_nothing_is_lent().await;
        })
        .unwrap();
}

#[test]
fn a_dropped_connect_closes_its_socket() {
    tiny()
        .block_on(async {
            let listener = std::net::TcpListener::bind(local()).unwrap();
            let address = listener.local_addr().unwrap();
            for turns in 0..20 {
                let mut connect = Box::pin(TcpStream::connect(address));
                for _ in 0..turns % 3 + 1 {
                    if touch(&mut connect).await.is_some() {
                        break;
                    }
                }
                drop(connect);
                assert_nothing_is_lent().await;
            }
            listener.set_nonblocking(true).unwrap();
            while let Ok((mut peer, _)) = listener.accept() {
                peer.set_nonblocking(false).unwrap();
                assert!(is_over(&mut peer));
            }
            drop(listener);
            // One that is not answered: with the backlog full, the kernel drops what comes.
            let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            full.bind(&local().into()).unwrap();
            full.listen(0).unwrap();
            let address = full.local_addr().unwrap().as_socket().unwrap();
            let mut queued = Vec::new();
            let unanswered = loop {
                assert!(queued.len() < 100, "every connect was answered");
                let mut connect = Box::pin(TcpStream::connect(address));
                match time::timeout(Duration::from_millis(30), &mut connect).await {
                    Ok(stream) => queued.push(stream.unwrap()),
                    Err(_) => break connect,
                }
            };
            drop((unanswered, queued));
            assert_nothing_is_lent().await;
        })
        .unwrap();
}

#[test]
fn a_dropped_recv_loses_no_byte() {
    tiny()
        .block_on(async {
            let (ours, mut peer) = with_std_peer().await;
            let sender = std::thread::spawn(move || {
                for n in 0..2000u32 {
                    peer.write_all(&n.to_be_bytes()).unwrap();
                    if n % 64 == 0 {
                        std::thread::sleep(Duration::from_micros(200));
                    }
                }
            });
            let mut all = Vec::new();
            let mut dropped = 0;
            loop {
                // Raced against a timer that often wins, also while bytes arrive.
                match time::timeout(Duration::from_micros(20), ours.recv()).await {
                    Ok(bytes) => {
                        let bytes = bytes.unwrap();
                        if bytes.is_empty() {
                            break;
                        }
                        all.extend_from_slice(&bytes);
                    }
                    Err(_) => dropped += 1,
                }
            }
            sender.join().unwrap();
            let expected: Vec<u8> = (0..2000u32).flat_map(u32::to_be_bytes).collect();
            assert!(all == expected, "{} bytes, {dropped} receives dropped", all.len());
            assert!(dropped > 0);
            drop(ours);
            assert_nothing_is_lent().await;
        })
        .unwrap();
}

#[test]
fn a_dropped_stream_ends_its_send_and_frees_its_slot() {
    tiny()
        .block_on(async {
            let (ours, mut peer) = with_std_peer().await;
            ours.submit_send(vec![1u8; 32 << 20]).unwrap();
            assert!(touch(ours.recv()).await.is_none());
            yield_now().await;
            assert!(ours.is_sending());
            drop(ours);
            assert_nothing_is_lent().await;
            assert!(is_over(&mut peer));
        })
        .unwrap();
}

#[test]
fn dropped_writes_and_reads_give_back_what_they_lent() {
    tiny()
        .block_on(async {
            for turns in 0..4 {
                let (ours, mut peer) = with_std_peer().await;
                let mut write = Box::pin(ours.write_vectored(vec![vec![1u8; 16 << 20].into(), "end".into()]));
                let mut read = Box::pin(ours.read(Vec::with_capacity(100)));
                for _ in 0..turns {
                    assert!(touch(&mut write).await.is_none());
                    assert!(touch(&mut read).await.is_none());
                    yield_now().await;
                }
                drop((write, read));
                drop(ours);
                assert_nothing_is_lent().await;
                assert!(is_over(&mut peer));
            }
        })
        .unwrap();
}

#[test]
fn what_is_under_way_when_the_core_ends_is_reaped() {
    let mut peer = tiny()
        .block_on(async {
            let (ours, peer) = with_std_peer().await;
            ours.submit_send(vec![1u8; 32 << 20]).unwrap();
            spawn(async move {
                let listener = TcpListener::bind(local()).unwrap();
                let _ = touch(listener.accept()).await;
                let _ = ours.recv().await;
            })
            .detach();
            yield_now().await;
            yield_now().await;
            peer
        })
        .unwrap();
    assert!(is_over(&mut peer));
}
