//! Unix datagrams, and descriptors that travel.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, and so do the helpers they share")]

mod alone;

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use alone::alone;
use covet_runtime::net::{UnixDatagram, UnixDatagramOptions, UnixStream};
use covet_runtime::{Builder, Runtime, block_on, spawn, time, yield_now};

fn abstract_address(test: &str) -> SocketAddr {
    SocketAddr::from_abstract_name(format!("covet {test} {}", std::process::id())).unwrap()
}

/// A file in memory that holds this text.
fn memory(text: &str) -> File {
    let mut file = File::from(rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn text_of(descriptor: OwnedFd) -> String {
    let flags = rustix::io::fcntl_getfd(&descriptor).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC), "it would leak into children");
    let mut file = File::from(descriptor);
    file.rewind().unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    text
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The smallest ring: every limit is near.
fn tiny() -> Builder {
    Runtime::builder().ring_entries(8).recv_buffers(8, 256)
}

/// Polls once with the waker of the task, then drops the future.
async fn touch<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[test]
fn messages_keep_their_bounds_order_and_senders() {
    block_on(async {
        let (here, there) = (abstract_address("dgram here"), abstract_address("dgram there"));
        let one = UnixDatagram::bind_addr(&here, &Default::default()).unwrap();
        let other = UnixDatagram::bind_addr(&there, &Default::default()).unwrap();
        for len in [3, 0, 65_535, 1] {
            one.send_to(vec![len as u8; len], &there).await.0.unwrap();
            let (payload, from) = other.recv_from().await.unwrap();
            assert!(payload.len() == len && payload.iter().all(|&byte| byte == len as u8), "{len}");
            assert_eq!(from.as_abstract_name(), here.as_abstract_name());
        }
        other.connect(&here).unwrap();
        other.send("connected").await.0.unwrap();
        assert_eq!(&one.recv().await.unwrap()[..], b"connected");
        let nameless = UnixDatagram::unbound().unwrap();
        nameless.send_to("who?", &here).await.0.unwrap();
        assert!(one.recv_from().await.unwrap().1.is_unnamed());
        drop(other);
        // The kernel lets go of it when its receive has been cancelled.
        let refused = time::timeout(Duration::from_secs(60), async {
            loop {
                match one.send_to("gone", &there).await.0 {
                    Ok(()) => time::sleep(Duration::from_millis(1)).await,
                    Err(error) => break error,
                }
            }
        });
        let error = refused.await.unwrap();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert!(error.to_string().contains("@covet dgram there"), "{error}");
    })
    .unwrap();
}

#[test]
fn the_mode_of_a_path_is_asked_for_and_a_path_may_stay() {
    let path = std::env::temp_dir().join(format!("covet-dgram-mode-{}", std::process::id()));
    block_on(async {
        let address = SocketAddr::from_pathname(&path).unwrap();
        for mode in [0o600, 0o666, 0o620] {
            let options = UnixDatagramOptions { mode: Some(mode), ..UnixDatagramOptions::default() };
            let socket = UnixDatagram::bind_addr(&address, &options).unwrap();
            let found = std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
            assert_eq!(found, mode, "{found:o}");
            UnixDatagram::unbound().unwrap().send_to("in", &address).await.0.unwrap();
            assert_eq!(&socket.recv().await.unwrap()[..], b"in");
        }
        assert!(!path.exists());
        let kept = UnixDatagramOptions { unlink_on_drop: false, ..UnixDatagramOptions::default() };
        drop(UnixDatagram::bind_addr(&address, &kept).unwrap());
        assert!(path.exists());
        let careful = UnixDatagramOptions { replace_stale: false, ..UnixDatagramOptions::default() };
        let error = UnixDatagram::bind_addr(&address, &careful).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        // The kernel lets go of the one that was dropped when its receive has been cancelled.
        let again = time::timeout(Duration::from_secs(60), async {
            loop {
                match UnixDatagram::bind(&path) {
                    Err(error) if error.kind() == ErrorKind::AddrInUse => yield_now().await,
                    bound => break bound,
                }
            }
        });
        drop(again.await.unwrap().unwrap());
        assert!(!path.exists());
    })
    .unwrap();
}

#[test]
fn a_path_serves_datagrams_and_is_removed() {
    let path = std::env::temp_dir().join(format!("covet-dgram-{}", std::process::id()));
    block_on(async {
        // Left behind by somebody, whom nobody hears any more.
        drop(std::os::unix::net::UnixDatagram::bind(&path).unwrap());
        let socket = UnixDatagram::bind(&path).unwrap();
        assert_eq!(UnixDatagram::bind(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
        let client = std::os::unix::net::UnixDatagram::unbound().unwrap();
        client.send_to(b"hello", &path).unwrap();
        assert_eq!(&socket.recv().await.unwrap()[..], b"hello");
        assert_eq!(socket.local_addr().unwrap().as_pathname(), Some(&*path));
    })
    .unwrap();
    assert!(!path.exists());
}

#[test]
fn a_message_that_does_not_fit_is_reported_not_cut() {
    block_on(async {
        let (one, other) = UnixDatagram::pair().unwrap();
        one.send(vec![1; 100_000]).await.0.unwrap();
        one.send("next").await.0.unwrap();
        let error = other.recv().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert_eq!(&other.recv().await.unwrap()[..], b"next");
    })
    .unwrap();
}

#[test]
fn dropped_receives_lose_no_message() {
    tiny()
        .block_on(async {
            let (ours, theirs) = std::os::unix::net::UnixDatagram::pair().unwrap();
            let ours = UnixDatagram::from_socket(ours.into()).unwrap();
            // A burst is sent when a receive has been dropped, so that it meets the next ones.
            let (tell, told) = std::sync::mpsc::channel();
            let sender = std::thread::spawn(move || {
                for n in 0..3000u32 {
                    if n % 64 == 0 {
                        told.recv().unwrap();
                    }
                    theirs.send(&n.to_be_bytes()).unwrap();
                }
            });
            let (mut expected, mut dropped) = (0u32, 0);
            while expected < 3000 {
                match time::timeout(Duration::from_micros(20), ours.recv()).await {
                    Ok(message) => {
                        assert_eq!(message.unwrap()[..], expected.to_be_bytes(), "{dropped} dropped");
                        expected += 1;
                    }
                    Err(_) => {
                        dropped += 1;
                        let _ = tell.send(());
                    }
                }
            }
            sender.join().unwrap();
        })
        .unwrap();
}

#[test]
fn a_reader_that_takes_nothing_holds_its_peer_back() {
    block_on(async {
        let (one, other) = UnixDatagram::pair().unwrap();
        // The receive is armed, and nobody comes for what it brings.
        assert!(touch(other.recv()).await.is_none());
        let sender = spawn(async move {
            for n in 0..10_000u32 {
                one.send(n.to_be_bytes().to_vec()).await.0.unwrap();
            }
        });
        time::sleep(Duration::from_millis(100)).await;
        assert!(!sender.is_finished(), "10,000 messages wait for a reader who takes none");
        for n in 0..10_000u32 {
            assert_eq!(other.recv().await.unwrap()[..], n.to_be_bytes());
        }
        sender.await.unwrap();
    })
    .unwrap();
}

#[test]
fn sends_that_wait_end_with_their_socket() {
    tiny()
        .block_on(async {
            let (one, other) = UnixDatagram::pair().unwrap();
            // Nobody reads: the peer's queue fills up, and the rest waits.
            let mut sent = 0;
            while time::timeout(Duration::from_millis(20), one.send("x")).await.is_ok() {
                sent += 1;
                assert!(sent < 100_000, "nothing limits what waits");
            }
            let mut more: Vec<_> = (0..5).map(|_| Box::pin(one.send("x"))).collect();
            for send in &mut more {
                assert!(touch(send).await.is_none());
            }
            yield_now().await;
            drop(more);
            drop(one);
            let mut received = 0;
            while let Ok(message) = time::timeout(Duration::from_millis(100), other.recv()).await {
                // The last sender is gone: from now on it would be silent for ever.
                assert_eq!(&message.unwrap()[..], b"x");
                received += 1;
            }
            assert_eq!(received, sent, "what was given up was sent, or what was sent was lost");
        })
        .unwrap();
}

#[test]
fn descriptors_travel_with_messages_and_with_bytes() {
    block_on(async {
        let (one, other) = UnixDatagram::pair().unwrap();
        one.send_with_fds("two", &[memory("first"), memory("second")]).await.0.unwrap();
        one.send("none").await.0.unwrap();
        one.send_with_fds("", &[memory("third")]).await.0.unwrap();
        let (bytes, files, _) = other.recv_with_fds().await.unwrap();
        assert_eq!(&bytes[..], b"two");
        assert_eq!(files.into_iter().map(text_of).collect::<Vec<_>>(), ["first", "second"]);
        let (bytes, files, _) = other.recv_with_fds().await.unwrap();
        assert!(&bytes[..] == b"none" && files.is_empty());
        let (bytes, files, _) = other.recv_with_fds().await.unwrap();
        assert!(bytes.is_empty() && files.len() == 1);
        let many: Vec<File> = (0..254).map(|_| memory("")).collect();
        let error = one.send_with_fds("x", &many).await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(
            error.to_string().contains("254 descriptors") && error.to_string().contains("253"),
            "{error}"
        );
        one.send_with_fds("x", &many[1..]).await.0.unwrap();
        assert_eq!(other.recv_with_fds().await.unwrap().1.len(), 253);

        let (one, other) = UnixStream::pair().unwrap();
        assert!(one.send_with_fds("", &[memory("")]).await.0.is_err(), "nothing to travel with");
        let big = vec![7u8; 1 << 20];
        let sender = spawn(async move {
            one.write_all("before").await.0.unwrap();
            one.send_with_fds(big, &[memory("with the first byte")]).await.0.unwrap();
            one.send_with_fds("x", &many[1..]).await.0.unwrap();
        });
        let (bytes, files) = other.recv_with_fds().await.unwrap();
        // What came before may come along; what comes after does not.
        assert!(bytes.starts_with(b"before"));
        let (mut total, mut all) = (bytes.len(), files);
        while total < 6 + (1 << 20) + 1 {
            let (bytes, files) = other.recv_with_fds().await.unwrap();
            assert!(!bytes.is_empty());
            total += bytes.len();
            all.extend(files);
        }
        assert_eq!(all.len(), 254);
        assert_eq!(text_of(all.swap_remove(0)), "with the first byte");
        sender.await.unwrap();
        let (bytes, files) = other.recv_with_fds().await.unwrap();
        assert!(bytes.is_empty() && files.is_empty(), "the end");
    })
    .unwrap();
}

#[test]
fn a_stream_that_is_received_without_descriptors_says_so() {
    block_on(async {
        let (one, other) = UnixStream::pair().unwrap();
        one.write_all("x").await.0.unwrap();
        assert_eq!(&other.recv().await.unwrap()[..], b"x");
        let error = other.recv_with_fds().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    })
    .unwrap();
}

/// Does random things with descriptors on both kinds of sockets, drops futures and sockets at random moments.
async fn pass_wildly(seed: u64) {
    let mut state = seed;
    let mut below = move |limit: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % limit
    };
    let files: Vec<File> = (0..6).map(|n| memory(&n.to_string())).collect();
    for _ in 0..60 {
        let (one, other) = UnixDatagram::pair().unwrap();
        let (first, second) = UnixStream::pair().unwrap();
        for _ in 0..below(12) {
            let some = &files[..below(6) as usize];
            match below(8) {
                0 => drop(touch(one.send_with_fds("datagram", some)).await),
                1 => {
                    drop(time::timeout(Duration::from_micros(below(300)), one.send_with_fds("x", some)).await)
                }
                2 => drop(touch(other.recv_with_fds()).await),
                3 => drop(time::timeout(Duration::from_micros(below(300)), other.recv()).await),
                4 => drop(touch(first.send_with_fds("stream", some)).await),
                5 => {
                    let wait = Duration::from_micros(below(300));
                    drop(time::timeout(wait, first.send_with_fds(vec![1; 300_000], some)).await);
                }
                6 => drop(touch(second.recv_with_fds()).await),
                _ => drop(time::timeout(Duration::from_micros(below(300)), second.recv_with_fds()).await),
            }
        }
        // In any order, with anything under way.
        match below(4) {
            0 => drop((one, first, other, second)),
            1 => drop((other, second, one, first)),
            2 => yield_now().await,
            _ => drop((first, second)),
        }
    }
}

/// Closes go to the kernel with the next turn, and nobody waits for them.
async fn assert_no_more_than(count: usize) {
    let end = Instant::now() + Duration::from_secs(60);
    while descriptors() > count {
        assert!(Instant::now() < end, "{} descriptors, {count} before", descriptors());
        time::sleep(Duration::from_millis(2)).await;
    }
}

#[test]
fn no_descriptor_leaks_whatever_is_dropped() {
    alone("no_descriptor_leaks_whatever_is_dropped", || {
        let before = descriptors();
        for seed in 1..12u64 {
            let builder = if seed % 2 == 0 { tiny() } else { Runtime::builder() };
            builder
                .block_on(async move {
                    let before = descriptors();
                    pass_wildly(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)).await;
                    assert_no_more_than(before).await;
                })
                .unwrap();
            // And with the end of the core in the midst of it all.
            tiny()
                .block_on(async move {
                    spawn(pass_wildly(seed)).detach();
                    time::sleep(Duration::from_millis(seed)).await;
                })
                .unwrap();
            assert_eq!(descriptors(), before, "seed {seed}");
        }
    });
}

#[test]
fn descriptors_that_find_no_room_are_an_error_and_none_leaks() {
    alone("descriptors_that_find_no_room_are_an_error_and_none_leaks", || {
        block_on(async {
            let (one, other) = UnixDatagram::pair().unwrap();
            let (first, second) = UnixStream::pair().unwrap();
            let files: Vec<File> = (0..5).map(|n| memory(&n.to_string())).collect();
            one.send_with_fds("lost", &files).await.0.unwrap();
            one.send("next").await.0.unwrap();
            first.send_with_fds("lost", &files).await.0.unwrap();
            // Room for two more.
            let highest = files.iter().map(AsRawFd::as_raw_fd).max().unwrap() as u64;
            let open =
                (0..=highest).filter(|n| std::fs::exists(format!("/proc/self/fd/{n}")).unwrap()).count();
            assert_eq!(open as u64, highest + 1, "descriptors have gaps: the limit would be another");
            let before = descriptors();
            let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
            let low = rustix::process::Rlimit { current: Some(highest + 3), maximum: limit.maximum };
            rustix::process::setrlimit(rustix::process::Resource::Nofile, low).unwrap();
            let datagram = other.recv_with_fds().await;
            let stream = second.recv_with_fds().await;
            rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
            let error = datagram.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            assert!(error.to_string().contains("RLIMIT_NOFILE"), "{error}");
            assert_eq!(stream.unwrap_err().kind(), ErrorKind::InvalidData);
            assert_eq!(&other.recv().await.unwrap()[..], b"next");
            assert_eq!(descriptors(), before, "those that came in part are still open");
        })
        .unwrap();
    });
}
