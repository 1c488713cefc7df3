//! Sends without a copy: results and notifications in any order, refusals, and streams that go in between.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::*;
use crate::buf::SendBuf;
use crate::ring::op::{Completion, F_MORE};
use crate::ring::token::{Key, Kind};
use crate::spawn;

/// IORING_CQE_F_NOTIF.
const F_NOTIF: u32 = 1 << 3;
const BYTES: &[u8] = &[7; 10_000];

/// Bytes that live for ever in a buffer that tells when it is dropped: the kernel may read them whatever the test says
/// to the driver in its name.
struct Watched(Arc<AtomicBool>);

impl AsRef<[u8]> for Watched {
    fn as_ref(&self) -> &[u8] {
        BYTES
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn watched() -> (SendBuf, impl Fn() -> bool) {
    let flag = Arc::new(AtomicBool::new(false));
    let dropped = flag.clone();
    (Bytes::from_owner(Watched(flag)).into(), move || dropped.load(Ordering::Relaxed))
}

/// The only send without a copy that is under way.
fn only() -> Key {
    driver(|driver| {
        let (index, slot) = driver.zero_copies.iter().next().expect("one is under way");
        Key { index: index as u32, generation: slot.generation() }
    })
}

/// Answers in the kernel's name.
fn answer(key: Key, result: i32, flags: u32) {
    let mut after = driver(|driver| {
        driver.on_zero_copy(key, Completion { token: key.token(Kind::ZeroCopy), result, flags });
        driver.take_after()
    });
    after.run();
}

#[test]
fn bytes_arrive_and_buffers_come_back() {
    tiny()
        .zero_copy(Some(4096))
        .block_on(async {
            let (client, server) = pair().await;
            let reader = spawn(async move { receive_all(&server).await });
            for round in 0..20u8 {
                client.submit_send(vec![round; 100_000]).unwrap();
                client.flush().await.unwrap();
                // Loopback copies, and says so; this is what a real network would see.
                client.set_zero_copy(Some(4096));
            }
            let (shared, dropped) = watched();
            let (sent, back) = client.write_all(shared).await;
            sent.unwrap();
            assert!(!dropped() && back.len() == BYTES.len(), "what is shared comes back at once");
            drop((client, back));
            let got = reader.await.unwrap();
            assert_eq!(got.len(), 20 * 100_000 + BYTES.len());
            assert!(got.chunks(100_000).take(20).zip(0..).all(|(part, round)| part == [round; 100_000]));
            assert_nothing_is_lent().await;
            assert!(dropped() && driver(|driver| driver.zero_copies.is_empty()));
        })
        .unwrap();
}

#[test]
fn a_way_that_copies_is_not_tried_again() {
    // Only a ring tells whether it copied.
    tiny()
        .driver(crate::DriverChoice::IoUring)
        .zero_copy(Some(4096))
        .block_on(async {
            let (client, server) = pair().await;
            let reader = spawn(async move { receive_all(&server).await.len() });
            client.submit_send(vec![1; 50_000]).unwrap();
            client.flush().await.unwrap();
            let end = Instant::now() + PATIENCE;
            while driver(|driver| !driver.zero_copies.is_empty()) {
                assert!(Instant::now() < end, "no notification");
                time::sleep(Duration::from_millis(1)).await;
            }
            client.submit_send(vec![1; 50_000]).unwrap();
            assert!(driver(|driver| driver.zero_copies.is_empty()), "loopback copies: why try again?");
            client.flush().await.unwrap();
            drop(client);
            assert_eq!(reader.await.unwrap(), 100_000);
        })
        .unwrap();
}

#[test]
fn the_buffer_stays_until_the_notification() {
    tiny()
        .block_on(async {
            for notification_first in [false, true] {
                let (client, _peer) = with_std_peer().await;
                client.set_zero_copy(Some(4096));
                let (buffer, dropped) = watched();
                client.submit_send(buffer).unwrap();
                let key = only();
                let len = BYTES.len() as i32;
                if notification_first {
                    answer(key, 0, F_NOTIF);
                    assert!(client.is_sending() && !dropped());
                    answer(key, len, F_MORE);
                } else {
                    answer(key, len, F_MORE);
                    assert!(!client.is_sending(), "the next send need not wait for the notification");
                    assert!(!dropped(), "the kernel may still read it");
                    answer(key, 0, F_NOTIF);
                }
                assert!(dropped() && !client.is_sending());
                client.flush().await.unwrap();
            }
        })
        .unwrap();
}

#[test]
fn short_sends_go_on_and_every_notification_counts() {
    tiny()
        .block_on(async {
            let (client, _peer) = with_std_peer().await;
            client.set_zero_copy(Some(4096));
            let (buffer, dropped) = watched();
            client.submit_send(buffer).unwrap();
            let key = only();
            answer(key, 4000, F_MORE);
            assert!(client.is_sending());
            answer(key, 0, F_NOTIF);
            assert!(!dropped(), "the rest is not sent");
            answer(key, 6000, F_MORE);
            assert!(!client.is_sending() && !dropped());
            answer(key, 0, F_NOTIF);
            assert!(dropped());
        })
        .unwrap();
}

#[test]
fn refusals_are_answered_with_a_copy() {
    tiny()
        .block_on(async {
            for code in [libc::ENOMEM, libc::ENOBUFS, libc::EOPNOTSUPP, libc::EINVAL] {
                let (client, _peer) = with_std_peer().await;
                client.set_zero_copy(Some(4096));
                let (buffer, dropped) = watched();
                client.submit_send(buffer).unwrap();
                let key = only();
                answer(key, -code, 0);
                assert!(client.is_sending(), "it must be sent in another way");
                answer(key, BYTES.len() as i32, 0);
                assert!(!client.is_sending() && dropped());
                client.flush().await.unwrap();
                let again = code == libc::ENOMEM || code == libc::ENOBUFS;
                assert_eq!(driver(|driver| driver.sends_without_copy(client.key(), 10_000)), again);
            }
            let (client, _peer) = with_std_peer().await;
            client.set_zero_copy(Some(4096));
            client.submit_send(watched().0).unwrap();
            answer(only(), -libc::ECONNRESET, 0);
            assert_eq!(client.flush().await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        })
        .unwrap();
}

#[test]
fn a_stream_that_goes_says_farewell_before_the_notification() {
    tiny()
        .block_on(async {
            let (client, mut peer) = with_std_peer().await;
            client.set_zero_copy(Some(4096));
            let (buffer, dropped) = watched();
            client.submit_send(buffer).unwrap();
            let key = only();
            // The real send has not been handed over yet, and its completions find no slot to speak to.
            answer(key, BYTES.len() as i32, F_MORE);
            drop(client);
            let reader = std::thread::spawn(move || {
                peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                let mut all = Vec::new();
                peer.read_to_end(&mut all).map(|_| all.len())
            });
            while !reader.is_finished() {
                time::sleep(Duration::from_millis(2)).await;
            }
            reader.join().unwrap().unwrap();
            assert!(!dropped(), "the kernel may still read it");
            answer(key, 0, F_NOTIF);
            assert!(dropped());
            assert_nothing_is_lent().await;
        })
        .unwrap();
}

#[test]
fn streams_dropped_at_any_time_leave_nothing() {
    tiny()
        .zero_copy(Some(4096))
        .block_on(async {
            for round in 0..60u64 {
                let (client, peer) = with_std_peer().await;
                client.submit_send(vec![1; 6 << 20]).unwrap();
                let reader = (round % 2 == 0).then(|| {
                    std::thread::spawn(move || {
                        let mut peer = peer;
                        let _ = std::io::copy(&mut peer, &mut std::io::sink());
                    })
                });
                time::sleep(Duration::from_micros(round * round * 2)).await;
                drop(client);
                if let Some(reader) = reader {
                    // A reader on a thread of its own ends when the stream does.
                    while !reader.is_finished() {
                        time::sleep(Duration::from_millis(1)).await;
                    }
                }
            }
            assert_nothing_is_lent().await;
            assert!(driver(|driver| driver.zero_copies.is_empty()));
        })
        .unwrap();
}

#[test]
fn without_lockable_memory_it_copies() {
    const NAME: &str = "ring::tests::zero_copy::without_lockable_memory_it_copies";
    alone::alone(NAME, || {
        use rustix::process::{Resource, Rlimit, setrlimit};
        tiny()
            .zero_copy(Some(4096))
            .block_on(async {
                let (client, server) = pair().await;
                setrlimit(Resource::Memlock, Rlimit { current: Some(0), maximum: Some(0) }).unwrap();
                if rustix::process::geteuid().is_root() {
                    // Root may lock what it likes. SAFETY: a plain system call; this process runs this test only.
                    assert_eq!(unsafe { libc::setuid(65_534) }, 0);
                }
                let reader = spawn(async move { receive_all(&server).await.len() });
                for _ in 0..5 {
                    client.submit_send(vec![1; 1 << 20]).unwrap();
                    client.flush().await.unwrap();
                }
                drop(client);
                assert_eq!(reader.await.unwrap(), 5 << 20);
            })
            .unwrap();
    });
}
