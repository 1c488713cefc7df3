//! Completions that come late, twice, or for a slot that has a new owner.

use std::io::Read;
use std::os::fd::IntoRawFd;

use super::super::{op::Completion, token::Key};
use super::*;

/// The keys of slot 0 in another generation.
fn stale(generation: u32) -> Key {
    Key { index: 0, generation }
}

fn completion(result: i32) -> Completion {
    Completion { token: 0, result, flags: 0 }
}

#[test]
fn completions_of_an_earlier_owner_are_dropped() {
    tiny()
        .block_on(async {
            let (client, server) = pair().await;
            let listener = TcpListener::bind(local()).unwrap();
            assert!(touch(listener.accept()).await.is_none());
            let (mut pipe, accepted) = std::os::unix::net::UnixStream::pair().unwrap();
            driver(|driver| {
                let before = (driver.in_flight(), driver.slots());
                for generation in [0, 0xFF_FFFF] {
                    driver.on_recv(stale(generation), completion(-libc::ECONNRESET));
                    driver.on_recv(stale(generation), completion(0));
                    driver.on_recv_cancelled(stale(generation), -libc::ENOENT);
                    driver.on_send(stale(generation), 5);
                    driver.on_send(stale(generation), -libc::EPIPE);
                    driver.on_operation(stale(generation), 0);
                    driver.on_accept(stale(generation), -libc::EMFILE, false);
                    driver.on_accept_cancelled(stale(generation), -libc::ENOENT);
                    driver.on_send_cancelled(stale(generation), -libc::ENOENT);
                    driver.on_operation_cancelled(stale(generation), -libc::ENOENT);
                }
                driver.on_accept(stale(0xFF_FFFF), accepted.into_raw_fd(), true);
                assert_eq!((driver.in_flight(), driver.slots()), before);
            });
            assert_eq!(pipe.read(&mut [0]).unwrap(), 0, "a descriptor won for nobody is closed");
            client.write_all("alive").await.0.unwrap();
            assert_eq!(&server.recv().await.unwrap()[..], b"alive");
            drop((client, server, listener));
            assert_nothing_is_lent().await;
        })
        .unwrap();
}

/// The kernel may answer ENOENT to the cancellation of a receive that is still armed.
#[test]
fn a_receive_that_its_cancellation_missed_is_ended_otherwise() {
    // At the first miss it is asked again; at the last the socket is shut down.
    for missed in [0, 15] {
        tiny()
            .block_on(async {
                let (ours, mut peer) = with_std_peer().await;
                assert!(touch(ours.recv()).await.is_none());
                crate::yield_now().await;
                driver(|driver| {
                    let (index, slot) = driver.streams.iter_mut().next().unwrap();
                    (slot.held, slot.stopping, slot.missed) = (false, true, missed);
                    let key = Key { index: index as u32, generation: slot.generation };
                    driver.on_recv_cancelled(key, -libc::ENOENT);
                });
                std::mem::forget(ours);
                assert_nothing_is_lent().await;
                assert_eq!(peer.read(&mut [0]).unwrap(), 0);
            })
            .unwrap();
    }
}

#[test]
fn an_accept_that_its_cancellation_missed_is_cancelled_again() {
    tiny()
        .block_on(async {
            let listener = TcpListener::bind(secluded()).unwrap();
            let address = listener.local_addr().unwrap();
            assert!(touch(listener.accept()).await.is_none());
            crate::yield_now().await;
            driver(|driver| {
                let (index, slot) = driver.listeners.iter_mut().next().unwrap();
                (slot.held, slot.stopping) = (false, true);
                let key = Key { index: index as u32, generation: slot.generation };
                driver.on_accept_cancelled(key, -libc::ENOENT);
            });
            std::mem::forget(listener);
            assert_nothing_is_lent().await;
            assert!(std::net::TcpStream::connect(address).is_err(), "it still listens");
        })
        .unwrap();
}

#[test]
fn what_is_wrong_with_one_connection_is_no_error_of_its_listener() {
    tiny()
        .block_on(async {
            let listener = TcpListener::bind(local()).unwrap();
            let address = listener.local_addr().unwrap();
            let answer = |error: i32| {
                let mut after = driver(|driver| {
                    let (index, slot) = driver.listeners.iter().next().unwrap();
                    let key = Key { index: index as u32, generation: slot.generation };
                    driver.on_accept(key, -error, true);
                    driver.take_after()
                });
                after.run();
            };
            for (error, reported) in [
                (libc::EHOSTUNREACH, false),
                (libc::ENETDOWN, false),
                (libc::ENONET, false),
                (libc::ENOPROTOOPT, false),
                (libc::ECONNABORTED, false),
                (libc::EMFILE, true),
                (libc::EPERM, true),
            ] {
                assert!(touch(listener.accept()).await.is_none(), "it is armed");
                answer(error);
                let _client = std::net::TcpStream::connect(address).unwrap();
                let mut accepted = listener.accept().await;
                assert_eq!(accepted.is_err(), reported, "errno {error}");
                if reported {
                    assert_eq!(accepted.unwrap_err().raw_os_error(), Some(error));
                    accepted = listener.accept().await;
                }
                accepted.unwrap();
            }
        })
        .unwrap();
}

#[test]
fn slots_are_used_again_and_their_generations_differ() {
    tiny()
        .block_on(async {
            let mut seen = std::collections::HashSet::new();
            for _ in 0..200 {
                let (client, _server) = pair().await;
                // The receive is armed, and cancelled by the drop: its completion finds a new owner, or none.
                assert!(touch(client.recv()).await.is_none());
                driver(|driver| {
                    for (index, slot) in &driver.streams {
                        seen.insert((index, slot.generation));
                    }
                });
            }
            assert!(seen.len() >= 400, "{}", seen.len());
            assert!(driver(|driver| driver.streams.capacity()) < 64, "slots are not used again");
            assert_nothing_is_lent().await;
        })
        .unwrap();
}

/// A peer sees the end of a stream that was dropped with its receive armed, whatever turn it is dropped in.
#[test]
fn every_moment_is_a_good_one_to_go() {
    tiny()
        .block_on(async {
            for turns in 0..6 {
                let (ours, mut peer) = with_std_peer().await;
                assert!(touch(ours.recv()).await.is_none());
                std::io::Write::write_all(&mut peer, &[0; 700]).unwrap();
                for _ in 0..turns {
                    crate::yield_now().await;
                }
                assert!(poll_once(ours.flush()).is_ready());
                drop(ours);
                assert_nothing_is_lent().await;
            }
        })
        .unwrap();
}
