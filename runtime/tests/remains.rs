//! What a runtime leaves behind when it is gone: nothing.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod alone;

use std::collections::BTreeMap;
use std::fs;
use std::future::pending;
use std::time::{Duration, Instant};

use alone::alone;
use covet_runtime::net::{TcpListener, TcpStream};
use covet_runtime::{Builder, CoreSet, DriverChoice, block_on, spawn, spawn_blocking, yield_now};

/// What the descriptors of this process are, and how many of each.
fn descriptors() -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fd").unwrap() {
        // The one that reads this directory is gone already.
        if let Ok(target) = fs::read_link(entry.unwrap().path()) {
            let kind = target.to_string_lossy().split(':').take(2).collect::<Vec<_>>().join(":");
            let kind = if kind.starts_with("socket") { "socket".to_owned() } else { kind };
            *kinds.entry(kind).or_default() += 1;
        }
    }
    kinds
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

/// KiB of writable address space, and whether a ring is mapped.
///
/// What allocators reserve for threads to come is not writable yet, and no leak.
fn mappings() -> (u64, bool) {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut bytes = 0;
    for line in maps.lines() {
        let mut words = line.split(' ');
        let (range, access) = (words.next().unwrap(), words.next().unwrap());
        if access.contains('w') {
            let (start, end) = range.split_once('-').unwrap();
            bytes += u64::from_str_radix(end, 16).unwrap() - u64::from_str_radix(start, 16).unwrap();
        }
    }
    (bytes / 1024, maps.contains("io_uring"))
}

/// Work of every kind, much of it unfinished when the core ends.
async fn leave_much_behind() {
    let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    for _ in 0..8 {
        let client = TcpStream::connect(address).await.unwrap();
        let server = listener.accept().await.unwrap();
        client.submit_send(vec![1; 256 << 10]).unwrap();
        spawn(async move {
            let first = server.recv().await;
            pending::<()>().await;
            drop((first, server, client));
        })
        .detach();
    }
    spawn(async move { listener.accept().await }).detach();
    spawn(TcpStream::connect(([127, 0, 0, 1], 1).into())).detach();
    spawn_blocking(|| ()).await.unwrap();
    for _ in 0..3 {
        yield_now().await;
    }
}

/// What there is once nothing changes any more: the kernel may take its time to close what a thread has left.
fn settled() -> (BTreeMap<String, usize>, usize, (u64, bool)) {
    let end = Instant::now() + Duration::from_secs(10);
    let mut last = (descriptors(), threads());
    let mut since = Instant::now();
    while since.elapsed() < Duration::from_millis(300) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
        let now = (descriptors(), threads());
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    (last.0, last.1, mappings())
}

/// The receive buffers of one core: much, so that one that is not unmapped is told from what allocators keep.
const BUFFERS_KIB: u64 = 16 * 1024;

fn run_and_drop(choice: DriverChoice) {
    let builder = || Builder::default().driver(choice).recv_buffers(512, BUFFERS_KIB as u32 * 1024 / 512);
    builder().block_on(leave_much_behind()).unwrap();
    let runtime = builder().start(|_| leave_much_behind()).unwrap();
    runtime.shutdown(Duration::from_millis(20));
    drop(runtime);
    drop(builder().cores(CoreSet::count(1)).handle_signals(true).start(|_| pending::<()>()).unwrap());
}

#[test]
fn a_dropped_runtime_leaves_no_thread_descriptor_or_mapping() {
    alone("a_dropped_runtime_leaves_no_thread_descriptor_or_mapping", || {
        for choice in [DriverChoice::IoUring, DriverChoice::Epoll] {
            // Allocators and the threads' stacks keep some memory for the next time.
            run_and_drop(choice);
            run_and_drop(choice);
            let before = settled();
            let rounds = 8;
            for _ in 0..rounds {
                run_and_drop(choice);
            }
            // A joined thread leaves /proc a moment later.
            let end = Instant::now() + Duration::from_secs(10);
            while (descriptors(), threads()) != (before.0.clone(), before.1) && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
            assert_eq!((descriptors(), threads()), (before.0, before.1), "{choice:?}");
            let (size, ring) = mappings();
            let grown = size.saturating_sub(before.2.0);
            assert!(
                grown < rounds * BUFFERS_KIB * 3 / 4,
                "{choice:?}: {grown} KiB more after {rounds} rounds"
            );
            assert!(!ring, "{choice:?}: a ring is still mapped");
        }
    });
}

#[test]
fn a_stream_that_outlives_its_core_keeps_no_ring() {
    alone("a_stream_that_outlives_its_core_keeps_no_ring", || {
        for choice in [DriverChoice::IoUring, DriverChoice::Epoll] {
            let kept = Builder::default()
                .driver(choice)
                .block_on(async {
                    let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
                    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
                    let server = listener.accept().await.unwrap();
                    client.write_all("kept").await.0.unwrap();
                    (server.recv().await.unwrap(), server, client)
                })
                .unwrap();
            let left = descriptors();
            assert!(
                !left.keys().any(|kind| kind.contains("io_uring") || kind.contains("eventpoll")),
                "{left:?}"
            );
            assert!(!left.contains_key("socket"), "{left:?}");
            assert!(!mappings().1, "the ring is still mapped");
            // Bytes that were received are still there, and their buffer goes with them.
            assert_eq!(&kept.0[..], b"kept");
            block_on(async {}).unwrap();
            drop(kept);
        }
    });
}
