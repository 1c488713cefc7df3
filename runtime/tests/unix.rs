//! Unix sockets on the ring: names, permissions, credentials, and who may take over whose path.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, and so do the helpers they share")]

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use covet_runtime::net::{
    StreamSocket, TcpListener, TcpStream, UnixDatagram, UnixListenOptions, UnixListener, UnixStream,
};
use covet_runtime::{Runtime, block_on, spawn, time};

/// A directory of this test alone, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("covet-unix-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn abstract_address(test: &str) -> SocketAddr {
    SocketAddr::from_abstract_name(format!("covet {test} {}", std::process::id())).unwrap()
}

fn options() -> UnixListenOptions {
    UnixListenOptions::default()
}

async fn receive_all(stream: &StreamSocket) -> Vec<u8> {
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
fn bytes_go_both_ways_by_path_and_by_abstract_name() {
    let directory = Directory::new("both-ways");
    let path = directory.file("socket");
    block_on(async move {
        for address in [SocketAddr::from_pathname(&path).unwrap(), abstract_address("both ways")] {
            let listener = UnixListener::bind_addr(&address, &options()).unwrap();
            assert_eq!(listener.local_addr().unwrap().as_pathname(), address.as_pathname());
            assert_eq!(listener.local_addr().unwrap().as_abstract_name(), address.as_abstract_name());
            let client = UnixStream::connect_addr(&address).await.unwrap();
            let server = listener.accept().await.unwrap();
            assert!(server.peer_addr().unwrap().is_unnamed());
            assert_eq!(client.peer_addr().unwrap().as_abstract_name(), address.as_abstract_name());
            let big = vec![5u8; 3 << 20];
            let sent = big.clone();
            let writer = spawn(async move {
                client.write_vectored(vec!["head".into(), sent.into()]).await.0.unwrap();
                client.shutdown(std::net::Shutdown::Write).await.unwrap();
                receive_all(&client).await
            });
            let got = receive_all(&server).await;
            assert!(got.starts_with(b"head") && got[4..] == big);
            server.submit_send("tail").unwrap();
            server.flush().await.unwrap();
            drop(server);
            assert_eq!(writer.await.unwrap(), b"tail");
        }
    })
    .unwrap();
}

#[test]
fn the_other_end_is_known() {
    block_on(async {
        let (one, other) = UnixStream::pair().unwrap();
        let peer = one.peer_credentials().unwrap();
        assert_eq!(peer.pid, Some(std::process::id()));
        assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
        assert_eq!(peer.gid, rustix::process::getegid().as_raw());
        match other.peer_process() {
            Ok(process) => {
                let info = format!("/proc/self/fdinfo/{}", process.as_raw_fd());
                let text = std::fs::read_to_string(info).unwrap();
                assert!(text.contains(&format!("Pid:\t{}", std::process::id())), "{text}");
            }
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::ENOPROTOOPT)),
        }
    })
    .unwrap();
}

#[test]
fn a_path_is_taken_from_the_dead_only() {
    let directory = Directory::new("claim");
    let path = directory.file("socket");
    block_on(async move {
        // Left behind by a process that did not clean up.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(std::fs::symlink_metadata(&path).unwrap().file_type().is_socket());
        let address = SocketAddr::from_pathname(&path).unwrap();
        let careful = UnixListenOptions { replace_stale: false, ..options() };
        let error = UnixListener::bind_addr(&address, &careful).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        let first = UnixListener::bind(&path).unwrap();
        // Somebody listens there: hands off, and it goes on serving.
        let error = UnixListener::bind(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        // The attempt asked by connecting, so the listener saw a visitor who left at once.
        let visitor = first.accept().await.unwrap();
        assert!(visitor.recv().await.unwrap().is_empty());
        let client = UnixStream::connect(&path).await.unwrap();
        let server = first.accept().await.unwrap();
        client.write_all("alive").await.0.unwrap();
        assert_eq!(&server.recv().await.unwrap()[..], b"alive");
        drop((first, client, server));
        assert!(!path.exists(), "the path outlived its listener");
        // What is no socket is never touched.
        std::fs::write(&path, "precious").unwrap();
        assert_eq!(UnixListener::bind(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
        // And one that leads elsewhere by now is not removed.
        std::fs::remove_file(&path).unwrap();
        let first = UnixListener::bind(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let second = UnixListener::bind(&path).unwrap();
        drop(first);
        assert!(UnixStream::connect(&path).await.is_ok());
        drop(second);
        let kept = UnixListenOptions { unlink_on_drop: false, ..options() };
        drop(UnixListener::bind_addr(&address, &kept).unwrap());
        assert!(path.exists());
    })
    .unwrap();
}

#[test]
fn the_mode_is_set_and_errors_name_the_path() {
    let directory = Directory::new("mode");
    let path = directory.file("socket");
    block_on(async move {
        let address = SocketAddr::from_pathname(&path).unwrap();
        for mode in [0o600, 0o666, 0o660] {
            let private = UnixListenOptions { mode: Some(mode), ..options() };
            let listener = UnixListener::bind_addr(&address, &private).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode);
            drop(listener);
        }
        let nowhere = directory.file("missing/socket");
        let error = UnixListener::bind(&nowhere).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("missing/socket"), "{error}");
        let error = UnixStream::connect(&nowhere).await.unwrap_err();
        assert!(error.to_string().contains("missing/socket"), "{error}");
        let long = "x".repeat(108);
        for error in [
            UnixStream::connect(&long).await.unwrap_err(),
            UnixListener::bind(&long).unwrap_err(),
            UnixDatagram::bind(&long).unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(text.contains(&long) && text.contains("108 bytes") && text.contains("107"), "{text}");
        }
    })
    .unwrap();
}

#[test]
fn a_full_backlog_is_waited_for_or_given_up() {
    let address = abstract_address("backlog");
    block_on(async move {
        let short = UnixListenOptions { backlog: 0, ..options() };
        let listener = UnixListener::bind_addr(&address, &short).unwrap();
        let mut queued = vec![UnixStream::connect_addr(&address).await.unwrap()];
        for _ in 0..3 {
            let given_up = time::timeout(Duration::from_millis(20), UnixStream::connect_addr(&address)).await;
            if let Ok(stream) = given_up {
                queued.push(stream.unwrap());
            }
        }
        let waiting = {
            let address = address.clone();
            spawn(async move { UnixStream::connect_addr(&address).await.unwrap() })
        };
        time::sleep(Duration::from_millis(20)).await;
        // Those that were given up are in the queue as well, and the one that waits may learn late that it is not.
        let last = time::timeout(Duration::from_secs(10), async {
            while !waiting.is_finished() {
                let next = time::timeout(Duration::from_millis(20), listener.accept()).await;
                if let Ok(accepted) = next {
                    let _ = accepted.unwrap().write_all("!").await;
                }
            }
            waiting.await.unwrap()
        })
        .await
        .unwrap();
        time::timeout(Duration::from_secs(5), async {
            while let Ok(accepted) = time::timeout(Duration::from_millis(100), listener.accept()).await {
                let _ = accepted.unwrap().write_all("!").await;
            }
            assert_eq!(&last.recv().await.unwrap()[..], b"!");
        })
        .await
        .unwrap();
    })
    .unwrap();
}

#[test]
fn speaks_with_the_standard_library() {
    let directory = Directory::new("std");
    let path = directory.file("socket");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut text = [0; 4];
        stream.read_exact(&mut text).unwrap();
        stream.write_all(&text).unwrap();
    });
    block_on(async move {
        let stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all("echo").await.0.unwrap();
        assert_eq!(receive_all(&stream).await, b"echo");
    })
    .unwrap();
    thread.join().unwrap();
}

#[test]
fn one_queue_of_connections_serves_two_cores() {
    let address = abstract_address("shared");
    let count = 40;
    let served = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let socket = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
    let runtime = {
        let served = served.clone();
        Runtime::builder().cores(covet_runtime::CoreSet::all()).start(move |_core| {
            let (socket, served) = (socket.try_clone().unwrap(), served.clone());
            async move {
                let listener = UnixListener::from_socket(socket.into()).unwrap();
                // Another descriptor of the same queue works like the first.
                let listener = UnixListener::from_socket(listener.share().unwrap()).unwrap();
                while served.load(std::sync::atomic::Ordering::SeqCst) < count {
                    let accepted = time::timeout(Duration::from_millis(20), listener.accept()).await;
                    if let Ok(stream) = accepted {
                        stream.unwrap().write_all("served").await.0.unwrap();
                        served.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    }
                }
            }
        })
    };
    for _ in 0..count {
        let mut client = std::os::unix::net::UnixStream::connect_addr(&address).unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        assert_eq!(text, "served");
    }
    runtime.unwrap().join().unwrap();
}

#[test]
fn an_accepted_socket_can_be_handed_over() {
    let address = abstract_address("hand over");
    let (sender, receiver) = std::sync::mpsc::channel::<std::os::fd::OwnedFd>();
    let other = std::thread::spawn(move || {
        let socket = receiver.recv().unwrap();
        block_on(async move {
            let stream = UnixStream::from_socket(socket).unwrap();
            stream.write_all("from another core").await.0.unwrap();
        })
        .unwrap();
    });
    block_on(async move {
        let listener = UnixListener::bind_addr(&address, &options()).unwrap();
        let client = UnixStream::connect_addr(&address).await.unwrap();
        sender.send(listener.accept_socket().await.unwrap()).unwrap();
        assert_eq!(receive_all(&client).await, b"from another core");
    })
    .unwrap();
    other.join().unwrap();
}

#[test]
fn halves_belong_together() {
    block_on(async {
        let (ours, theirs) = UnixStream::pair().unwrap();
        {
            let (read, write) = ours.split();
            write.write_all("borrowed").await.0.unwrap();
            theirs.write_all("answer").await.0.unwrap();
            assert_eq!(&read.recv().await.unwrap()[..], b"answer");
        }
        assert_eq!(&theirs.recv().await.unwrap()[..], b"borrowed");
        let (read, write) = ours.into_split();
        let (their_read, their_write) = theirs.into_split();
        let error = read.reunite(their_write).unwrap_err();
        let ours = error.read.reunite(write).unwrap();
        let theirs = their_read.reunite(error.write).unwrap();
        let (read, write) = ours.into_split();
        // One half gone ends nothing.
        drop(read);
        write.write_all("still here").await.0.unwrap();
        assert_eq!(&theirs.recv().await.unwrap()[..], b"still here");
        write.shutdown().await.unwrap();
        assert!(theirs.recv().await.unwrap().is_empty());
        theirs.write_all("into the void").await.0.unwrap();
        drop(write);
        let broken = async {
            while theirs.write_all("nobody").await.0.is_ok() {
                time::sleep(Duration::from_millis(1)).await;
            }
        };
        let ended = time::timeout(Duration::from_secs(5), broken).await;
        assert!(ended.is_ok(), "both halves gone, and the stream lives");
    })
    .unwrap();
}

/// What TCP and Unix streams have in common, seen through the type that serves both.
async fn look_before_taking(ours: StreamSocket, theirs: StreamSocket) {
    let early = time::timeout(Duration::from_millis(5), ours.readable()).await;
    assert!(early.is_err(), "readable with nothing to read");
    ours.writable().await.unwrap();
    theirs.write_all("abc").await.0.unwrap();
    ours.readable().await.unwrap();
    // From the descriptor's point of view first, then through the shared buffers.
    assert_eq!(ours.peek(2).await.unwrap(), b"ab");
    assert_eq!(ours.peek(100).await.unwrap(), b"abc");
    ours.readable().await.unwrap();
    let (count, buffer) = ours.read(Vec::with_capacity(1)).await;
    assert_eq!((count.unwrap(), &buffer[..]), (1, &b"a"[..]));
    assert_eq!(ours.peek(100).await.unwrap(), b"bc");
    assert_eq!(&ours.recv().await.unwrap()[..], b"bc");
    assert!(time::timeout(Duration::from_millis(5), ours.readable()).await.is_err());
    let waited = Rc::new(Cell::new(false));
    let seen = waited.clone();
    let waiter = spawn(async move {
        ours.readable().await.unwrap();
        seen.set(true);
        assert!(ours.peek(10).await.unwrap().is_empty(), "the end looks like bytes");
        ours
    });
    time::sleep(Duration::from_millis(5)).await;
    assert!(!waited.get());
    drop(theirs);
    let ours = waiter.await.unwrap();
    assert!(ours.recv().await.unwrap().is_empty());
}

#[test]
fn peeked_bytes_stay() {
    block_on(async {
        let (one, other) = UnixStream::pair().unwrap();
        look_before_taking(one.into(), other.into()).await;
        let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        look_before_taking(client.into(), listener.accept().await.unwrap().into()).await;
    })
    .unwrap();
}

#[test]
fn retiring_returns_what_was_accepted_and_loses_nothing() {
    let directory = Directory::new("retire");
    let path = directory.file("socket");
    block_on(async {
        let listener = UnixListener::bind(&path).unwrap();
        // Once accepting is under way, connections are taken that nobody has asked for.
        let first = UnixStream::connect(&path).await.unwrap();
        let taken = listener.accept().await.unwrap();
        let others: Vec<UnixStream> =
            [UnixStream::connect(&path).await.unwrap(), UnixStream::connect(&path).await.unwrap()].into();
        time::sleep(Duration::from_millis(20)).await;
        let retired = listener.retire().await;
        assert_eq!(retired.len(), 2);
        for (client, server) in others.iter().zip(&retired).chain([(&first, &taken)]) {
            assert!(client.write_all("still here").await.0.is_ok());
            assert_eq!(&server.recv().await.unwrap()[..], b"still here");
        }
        assert!(!path.exists(), "the path goes with the listener");
    })
    .unwrap();
}
