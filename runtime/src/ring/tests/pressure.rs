//! Too few buffers, too short queues, too greedy peers.

use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use super::super::{op::Op, token};
use super::*;
use crate::{DriverChoice, spawn, yield_now};

const SLICE: usize = 16 * 1024;

fn pattern(seed: usize) -> Vec<u8> {
    (0..SLICE).map(|at| (at.wrapping_mul(31) ^ seed ^ at >> 8) as u8).collect()
}

#[test]
fn without_free_buffers_nothing_is_lost_and_nobody_starves() {
    let used = tiny()
        .block_on(async {
            let mut servers = Vec::new();
            let mut clients = Vec::new();
            for _ in 0..64 {
                let (ours, peer) = with_std_peer().await;
                servers.push(ours);
                clients.push(peer);
            }
            // All send at once, twice the pool's 2 KiB per connection and turn.
            let sender = std::thread::spawn(move || {
                for (seed, client) in clients.iter_mut().enumerate() {
                    client.write_all(&pattern(seed)).unwrap();
                }
            });
            let before = cpu_time();
            let readers: Vec<_> = servers
                .into_iter()
                .enumerate()
                .map(|(seed, stream)| {
                    spawn(async move { assert!(receive_all(&stream).await == pattern(seed), "{seed}") })
                })
                .collect();
            for reader in readers {
                reader.await.unwrap();
            }
            sender.join().unwrap();
            let used = cpu_time() - before;
            assert_nothing_is_lent().await;
            used
        })
        .unwrap();
    // 4,096 buffers' worth of bytes; a loop that spins on ENOBUFS would use all the time there is.
    assert!(used < Duration::from_secs(3), "{used:?}");
}

#[test]
fn no_more_ask_for_buffers_than_there_are() {
    const STREAMS: usize = 100;
    const EACH: usize = 8 * 256;
    let in_vain = tiny()
        .driver(DriverChoice::IoUring)
        .block_on(async {
            let mut full = Vec::new();
            for _ in 0..STREAMS {
                let (ours, mut peer) = with_std_peer().await;
                peer.write_all(&[7; EACH]).unwrap();
                full.push(ours);
            }
            let readers: Vec<_> = full
                .into_iter()
                .map(|ours| spawn(async move { assert_eq!(receive_all(&ours).await.len(), EACH) }))
                .collect();
            for reader in readers {
                reader.await.unwrap();
            }
            crate::stats::current().no_buffers
        })
        .unwrap();
    // One stream may take all that the others of its turn were armed for; the end of each is read as well.
    assert!(in_vain <= (2 * 8 * STREAMS + STREAMS) as u64, "{in_vain}");
}

#[test]
fn a_reader_that_takes_nothing_holds_a_bounded_amount() {
    tiny()
        .block_on(async {
            let (slow, mut peer) = with_std_peer().await;
            let (mut sent, mut refused) = (0usize, 0);
            // The task's waker stays in the slot: the driver must not take that for a wish to read.
            assert!(touch(slow.recv()).await.is_none());
            peer.set_nonblocking(true).unwrap();
            let block = [7u8; 4096];
            while refused < 50 {
                match peer.write(&block) {
                    Ok(count) => (sent, refused) = (sent + count, 0),
                    Err(_) => refused += 1,
                }
                yield_now().await;
                if sent > 64 << 20 {
                    break;
                }
            }
            let waiting = driver(|driver| driver.waiting_bytes());
            assert!(waiting <= 68 * 1024, "{waiting} bytes wait for a reader who takes none");
            // Others are served meanwhile.
            let (other, mut client) = with_std_peer().await;
            for _ in 0..100 {
                client.write_all(b"ping").unwrap();
                assert_eq!(&other.recv().await.unwrap()[..], b"ping");
            }
            drop((other, client, peer));
            let got = receive_all(&slow).await.len();
            assert_eq!(got, sent);
            drop(slow);
            assert_nothing_is_lent().await;
        })
        .unwrap();
}

#[test]
fn tasks_that_keep_their_buffers_leave_some_for_the_others() {
    tiny()
        .block_on(async {
            let mut kept = Vec::new();
            for _ in 0..32 {
                let (ours, mut peer) = with_std_peer().await;
                peer.write_all(&[1; 200]).unwrap();
                kept.push((ours.recv().await.unwrap(), ours, peer));
            }
            let (free, _) = driver(|driver| driver.recv_buffers());
            assert!(free > 0, "the pool is empty");
            let (idle, _peer) = with_std_peer().await;
            let waiting = spawn(async move { drop(idle.recv().await) });
            let before = cpu_time();
            time::sleep(Duration::from_millis(200)).await;
            let used = cpu_time() - before;
            assert!(used < Duration::from_millis(50), "{used:?} of work while nothing happened");
            assert!(kept.iter().all(|(bytes, ..)| bytes[..] == [1; 200]));
            waiting.cancel();
            let _ = waiting.await;
            drop(kept);
            assert_nothing_is_lent().await;
        })
        .unwrap();
}

#[test]
fn a_task_that_never_rests_does_not_stop_the_ring() {
    tiny()
        .block_on(async {
            let busy = spawn(async {
                loop {
                    yield_now().await;
                }
            });
            let (client, server) = pair().await;
            let echo = spawn(async move {
                loop {
                    let bytes = server.recv().await.unwrap();
                    if bytes.is_empty() || server.write_all(bytes.to_vec()).await.0.is_err() {
                        return;
                    }
                }
            });
            for _ in 0..100 {
                client.write_all("ping").await.0.unwrap();
                assert_eq!(&client.recv().await.unwrap()[..], b"ping");
            }
            let slept = time::timeout(PATIENCE, time::sleep(Duration::from_millis(5))).await;
            assert!(slept.is_ok(), "timers starve");
            drop(client);
            echo.await.unwrap();
            busy.cancel();
        })
        .unwrap();
}

/// 600 connections on a submission queue of 8 and a completion queue of 256.
#[test]
fn both_queues_overflow_and_nothing_is_lost() {
    allow_many_descriptors();
    let count = 600;
    Builder::default()
        .ring_entries(8)
        .recv_buffers(1024, 256)
        .block_on(async move {
            let mut ends = Vec::new();
            for _ in 0..count {
                ends.push(pair().await);
            }
            let served = Rc::new(Cell::new(0));
            let tasks: Vec<_> = ends
                .into_iter()
                .enumerate()
                .map(|(n, (client, server))| {
                    let served = served.clone();
                    spawn(async move {
                        for round in 0..4u32 {
                            let text = format!("{n}.{round}");
                            assert!(touch(server.recv()).await.is_none());
                            client.submit_send(text.clone()).unwrap();
                            // Every task has submitted before any completion is looked at.
                            yield_now().await;
                            assert_eq!(&server.recv().await.unwrap()[..], text.as_bytes());
                            client.flush().await.unwrap();
                        }
                        served.set(served.get() + 1);
                    })
                })
                .collect();
            // The core is held up, and meanwhile completions of everything pile up.
            yield_now().await;
            std::thread::sleep(Duration::from_millis(50));
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(served.get(), count);
            assert_nothing_is_lent().await;
        })
        .unwrap();
}

#[test]
fn entries_that_wait_for_room_are_not_slept_upon() {
    tiny()
        .block_on(async {
            let listener = std::net::TcpListener::bind(local()).unwrap();
            driver(|driver| {
                // As if the kernel had refused them for want of memory. None of these ends by itself.
                for _ in 0..40 {
                    driver.backend.hold_back(Op::Idle, token::UNWATCHED);
                }
            });
            let connect = TcpStream::connect(listener.local_addr().unwrap());
            // A core that sleeps upon it wakes for this, and too late.
            let connected = time::timeout(Duration::from_secs(10), connect).await;
            assert!(connected.is_ok(), "the core slept while an entry waited to be submitted");
            connected.unwrap().unwrap();
        })
        .unwrap();
}

#[test]
fn one_sender_of_much_does_not_delay_the_others() {
    tiny()
        .block_on(async {
            let (greedy, mut flood) = with_std_peer().await;
            let flooding = std::thread::spawn(move || {
                let block = vec![1u8; 64 * 1024];
                let mut sent = 0;
                while sent < 16 << 20 && flood.write_all(&block).is_ok() {
                    sent += block.len();
                }
                sent
            });
            // Counted in bytes of the other: on a loaded machine the clock goes on while nobody receives.
            let drained = Rc::new(Cell::new(0));
            let counted = drained.clone();
            let drain = spawn(async move {
                loop {
                    let bytes = greedy.recv().await.unwrap().len();
                    if bytes == 0 {
                        return;
                    }
                    counted.set(counted.get() + bytes);
                }
            });
            let (other, mut client) = with_std_peer().await;
            let mut most = 0;
            for _ in 0..50 {
                let before = drained.get();
                client.write_all(b"ping").unwrap();
                assert_eq!(&other.recv().await.unwrap()[..], b"ping");
                most = most.max(drained.get() - before);
            }
            assert!(most < 1 << 20, "four bytes waited for {most} of the other");
            drain.await.unwrap();
            assert_eq!(drained.get(), flooding.join().unwrap());
        })
        .unwrap();
}
