//! Message sockets: too few buffers, dropped futures, and completions that come late.

use std::os::unix::net::UnixDatagram as StdDatagram;

use super::super::{op::Completion, token::Key};
use super::*;
use crate::net::{UdpSocket, UnixDatagram, UnixStream};
use crate::{DriverChoice, spawn, yield_now};

fn with_std_datagram() -> (UnixDatagram, StdDatagram) {
    let (ours, peer) = StdDatagram::pair().unwrap();
    (UnixDatagram::from_socket(ours.into()).unwrap(), peer)
}

#[test]
fn without_free_buffers_no_message_is_lost_and_nobody_starves() {
    let used = tiny()
        .block_on(async {
            // The pool has 8 buffers; all sockets have messages waiting in the kernel before any is armed.
            let (sockets, peers): (Vec<_>, Vec<_>) = (0..40).map(|_| with_std_datagram()).unzip();
            for (n, peer) in peers.iter().enumerate() {
                for round in 0..8u8 {
                    peer.send(&[n as u8, round]).unwrap();
                }
            }
            let before = cpu_time();
            let readers: Vec<_> = sockets
                .into_iter()
                .enumerate()
                .map(|(n, socket)| {
                    spawn(async move {
                        for round in 0..8u8 {
                            assert_eq!(socket.recv().await.unwrap()[..], [n as u8, round]);
                        }
                    })
                })
                .collect();
            for reader in readers {
                reader.await.unwrap();
            }
            let used = cpu_time() - before;
            drop(peers);
            assert_nothing_is_lent().await;
            used
        })
        .unwrap();
    assert!(used < Duration::from_secs(2), "{used:?}");
}

#[test]
fn no_more_ask_for_buffers_than_there_are() {
    const SOCKETS: usize = 100;
    let in_vain = tiny()
        .driver(DriverChoice::IoUring)
        .block_on(async {
            let (sockets, peers): (Vec<_>, Vec<_>) = (0..SOCKETS).map(|_| with_std_datagram()).unzip();
            for peer in &peers {
                (0..8).for_each(|_| assert_eq!(peer.send(b"waits").unwrap(), 5));
            }
            let read = |socket: UnixDatagram| async move {
                for _ in 0..8 {
                    assert_eq!(&socket.recv().await.unwrap()[..], b"waits");
                }
            };
            let readers: Vec<_> = sockets.into_iter().map(|socket| spawn(read(socket))).collect();
            for reader in readers {
                reader.await.unwrap();
            }
            crate::stats::current().no_buffers
        })
        .unwrap();
    // One socket may take all that the others of its turn were armed for.
    assert!(in_vain <= (2 * 8 * SOCKETS) as u64, "{in_vain}");
}

#[test]
fn tasks_that_keep_their_messages_leave_some_room_for_the_others() {
    tiny()
        .block_on(async {
            let mut kept = Vec::new();
            for n in 0..32 {
                let (ours, peer) = with_std_datagram();
                peer.send(&[n; 200]).unwrap();
                kept.push((ours.recv().await.unwrap(), ours, peer));
            }
            let (idle, peer) = with_std_datagram();
            let before = cpu_time();
            assert!(time::timeout(Duration::from_millis(200), idle.recv()).await.is_err());
            let used = cpu_time() - before;
            assert!(used < Duration::from_millis(50), "{used:?} of work while nothing happened");
            peer.send(b"still served").unwrap();
            assert_eq!(&idle.recv().await.unwrap()[..], b"still served");
            assert!(kept.iter().zip(0..).all(|((bytes, ..), n)| bytes[..] == [n; 200]));
            drop((idle, kept));
            assert_nothing_is_lent().await;
        })
        .unwrap();
}

#[test]
fn whatever_is_under_way_a_dropped_socket_leaves_nothing_behind() {
    tiny()
        .block_on(async {
            for turns in 0..6 {
                let (ours, peer) = with_std_datagram();
                let udp = UdpSocket::bind(local()).unwrap();
                let (stream, other) = UnixStream::pair().unwrap();
                assert!(touch(ours.recv()).await.is_none());
                assert!(touch(udp.recv()).await.is_none());
                assert!(touch(stream.recv_with_fds()).await.is_none());
                for _ in 0..20 {
                    udp.submit_to("self", udp.local_addr().unwrap()).unwrap();
                    peer.set_nonblocking(true).unwrap();
                    let _ = peer.send(b"more");
                    let _ = touch(ours.send("never read")).await;
                }
                for _ in 0..turns {
                    yield_now().await;
                }
                drop((ours, udp, stream, other));
                assert_nothing_is_lent().await;
            }
        })
        .unwrap();
}

#[test]
fn completions_for_nobody_are_dropped() {
    tiny()
        .block_on(async {
            let (ours, peer) = with_std_datagram();
            assert!(touch(ours.recv()).await.is_none());
            yield_now().await;
            driver(|driver| {
                let before = (driver.in_flight(), driver.slots(), driver.recv_buffers());
                for generation in [0, 0xFF_FFFF] {
                    let key = Key { index: 0, generation };
                    for result in [0, -libc::ECONNREFUSED, -libc::ENOBUFS] {
                        driver.on_message(key, Completion { token: 0, result, flags: 0 });
                    }
                    driver.on_message_cancelled(key, -libc::ENOENT);
                }
                assert_eq!((driver.in_flight(), driver.slots(), driver.recv_buffers()), before);
            });
            peer.send(b"alive").unwrap();
            assert_eq!(&ours.recv().await.unwrap()[..], b"alive");
            drop(ours);
            assert_nothing_is_lent().await;
        })
        .unwrap();
}

/// The kernel may answer ENOENT to the cancellation of a receive that is still armed.
#[test]
fn a_receive_of_messages_that_its_cancellation_missed_is_ended_otherwise() {
    for missed in [0, 15] {
        tiny()
            .block_on(async {
                let (ours, _peer) = with_std_datagram();
                assert!(touch(ours.recv()).await.is_none());
                yield_now().await;
                driver(|driver| driver.miss_message_cancellation(missed));
                std::mem::forget(ours);
                assert_nothing_is_lent().await;
            })
            .unwrap();
    }
}
