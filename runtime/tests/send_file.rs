//! Files to sockets, with peers that are slow, that go away, and with futures that are dropped on the way.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, and so do the helpers they share")]

mod alone;

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use alone::alone;
use covet_runtime::net::{TcpListener, TcpStream};
use covet_runtime::{BlockingHandle, block_on, spawn, spawn_blocking, time};

fn bytes(len: usize) -> Vec<u8> {
    let mut state = 1u32;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

/// A file without a name.
fn file(content: &[u8]) -> File {
    let path = std::env::temp_dir().join(format!("covet-send-{}-{:p}", std::process::id(), content));
    let mut file = File::options().create_new(true).read(true).write(true).open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    file.write_all(content).unwrap();
    file
}

async fn with_std_peer() -> (TcpStream, std::net::TcpStream) {
    let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().await.unwrap(), peer)
}

fn read_all(mut peer: std::net::TcpStream) -> BlockingHandle<Vec<u8>> {
    spawn_blocking(move || {
        let mut all = Vec::new();
        peer.read_to_end(&mut all).unwrap();
        all
    })
}

#[test]
fn a_file_arrives_whole_and_in_its_place() {
    let content = bytes(5 << 20 | 123);
    let file = file(&content);
    block_on(async {
        let (stream, peer) = with_std_peer().await;
        let reader = read_all(peer);
        stream.submit_send("head ").unwrap();
        assert_eq!(stream.send_file(&file, 7, 4 << 20).await.unwrap(), 4 << 20);
        stream.write_all(" middle ").await.0.unwrap();
        assert_eq!(stream.send_file(&file, 0, 3).await.unwrap(), 3);
        assert_eq!(stream.send_file(&file, 0, 0).await.unwrap(), 0);
        // It ends before.
        let tail = content.len() as u64 - 10;
        assert_eq!(stream.send_file(&file, tail, 1 << 30).await.unwrap(), 10);
        assert_eq!(stream.send_file(&file, 1 << 40, 5).await.unwrap(), 0);
        assert!(stream.send_file(&file, u64::MAX, 5).await.unwrap_err().to_string().contains("that long"));
        drop(stream);
        let got = reader.await.unwrap();
        let expected = [
            b"head ",
            &content[7..7 + (4 << 20)],
            b" middle ",
            &content[..3],
            &content[content.len() - 10..],
        ];
        assert!(got == expected.concat(), "{} bytes that are not as sent", got.len());
    })
    .unwrap();
}

#[test]
fn bytes_come_in_while_a_file_goes_out() {
    let content = bytes(8 << 20);
    let file = file(&content);
    block_on(async {
        let (stream, peer) = with_std_peer().await;
        let stream = std::rc::Rc::new(stream);
        let inward = spawn({
            let stream = stream.clone();
            async move {
                let mut count = 0;
                while let Ok(bytes) = stream.recv().await {
                    count += bytes.len();
                    if bytes.is_empty() {
                        break;
                    }
                }
                count
            }
        });
        let mut writer = peer.try_clone().unwrap();
        let writing = spawn_blocking(move || {
            for _ in 0..64 {
                writer.write_all(&[7; 65_536]).unwrap();
            }
            writer.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let reader = read_all(peer);
        assert_eq!(stream.send_file(&file, 0, content.len() as u64).await.unwrap(), content.len() as u64);
        stream.shutdown(std::net::Shutdown::Write).await.unwrap();
        assert_eq!(inward.await.unwrap(), 64 * 65_536);
        assert!(reader.await.unwrap() == content);
        writing.await.unwrap();
    })
    .unwrap();
}

#[test]
fn a_peer_that_does_not_read_holds_nobody_else_up() {
    let file = file(&bytes(32 << 20));
    block_on(async {
        let (stream, peer) = with_std_peer().await;
        let sending = spawn(async move { stream.send_file(&file, 0, 32 << 20).await });
        for _ in 0..20 {
            time::sleep(Duration::from_millis(5)).await;
        }
        assert!(!sending.is_finished(), "no socket buffers so much");
        let reader = read_all(peer);
        assert_eq!(sending.await.unwrap().unwrap(), 32 << 20);
        assert_eq!(reader.await.unwrap().len(), 32 << 20);
    })
    .unwrap();
}

#[test]
fn failures_say_whose_they_are_and_how_far_it_went() {
    block_on(async {
        let (stream, peer) = with_std_peer().await;
        let folder = File::open("/").unwrap();
        let error = stream.send_file(&folder, 0, 10).await.unwrap_err();
        assert_eq!(error.sent, 0);
        assert!(error.to_string().contains("read it"), "{error}");
        // The socket has nothing to do with that.
        stream.write_all("still here").await.0.unwrap();

        let big = file(&vec![1; 16 << 20]);
        let mut seen = [0; 100_000];
        let reading = spawn_blocking(move || {
            let mut peer = peer;
            peer.read_exact(&mut seen).unwrap();
            // With bytes unread, this is a reset.
            drop(peer);
        });
        let error = stream.send_file(&big, 0, 16 << 20).await.unwrap_err();
        reading.await.unwrap();
        assert!(error.sent < 16 << 20 && error.sent > 0, "{error}");
        let error = std::io::Error::from(error);
        assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
    })
    .unwrap();
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn dropped_on_the_way_it_leaves_no_descriptor() {
    alone("dropped_on_the_way_it_leaves_no_descriptor", || {
        let content = bytes(4 << 20);
        let file = file(&content);
        block_on(async {
            // The first transfer may leave behind what all later ones use.
            let (stream, _peer) = with_std_peer().await;
            stream.send_file(&file, 0, 1000).await.unwrap();
            drop((stream, _peer));
            time::sleep(Duration::from_millis(20)).await;
            let before = open_descriptors();
            for round in 0..60u64 {
                let (stream, peer) = with_std_peer().await;
                let handed_in: OwnedFd = file.as_fd().try_clone_to_owned().unwrap();
                let reader = (round % 3 > 0).then(|| read_all(peer.try_clone().unwrap()));
                let sending = stream.send_file(&handed_in, 0, content.len() as u64);
                let sent = time::timeout(Duration::from_micros(round * round * 3), sending).await;
                drop((handed_in, stream, peer));
                if let Some(reader) = reader {
                    let got = reader.await.unwrap();
                    assert!(content.starts_with(&got), "other bytes than those of the file");
                    assert!(sent.is_err() || got.len() == content.len());
                }
            }
            let end = Instant::now() + Duration::from_secs(10);
            while open_descriptors() > before {
                assert!(Instant::now() < end, "{} descriptors more", open_descriptors() - before);
                time::sleep(Duration::from_millis(5)).await;
            }
        })
        .unwrap();
    });
}
