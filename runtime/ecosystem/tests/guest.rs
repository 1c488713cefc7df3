//! A core inside a tokio runtime.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, and so do the helpers they share")]

#[path = "../../tests/alone/mod.rs"]
mod alone;

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use alone::alone;
use covet_runtime::compat::tokio::guest;
use covet_runtime::net::{TcpListener, TcpStream};
use covet_runtime::{Runtime, StartError, spawn, sync, time, yield_now};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::LocalSet;

fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn local() -> std::net::SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

async fn echo(listener: TcpListener) {
    while let Ok(stream) = listener.accept().await {
        spawn(async move {
            while let Ok(bytes) = stream.recv().await {
                if bytes.is_empty() || (*stream).write_all(bytes.to_vec()).await.0.is_err() {
                    break;
                }
            }
        })
        .detach();
    }
}

/// The known trap: a ring with deferred task work, watched from another loop, sleeps on completions that it would have
/// to fetch. A lost wake-up hangs here for ever, or until some other event comes by.
#[test]
fn no_wake_up_is_lost_in_thousands_of_requests() {
    const REQUESTS: usize = 5_000;
    let started = Instant::now();
    let answered = current_thread().block_on(async {
        let (address, told) = tokio::sync::oneshot::channel();
        // A client that knows nothing of us, on a thread of its own: no event of this runtime can wake the ring by luck.
        let client = std::thread::spawn(move || {
            use std::io::{Read as _, Write as _};
            let mut stream = std::net::TcpStream::connect(told.blocking_recv().unwrap()).unwrap();
            stream.set_nodelay(true).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let mut answer = [0; 64];
            for round in 0..REQUESTS {
                let request = [round as u8; 64];
                stream.write_all(&request).unwrap();
                stream.read_exact(&mut answer).unwrap_or_else(|error| panic!("request {round}: {error}"));
                assert_eq!(answer, request);
            }
            REQUESTS
        });
        guest(Runtime::builder())
            .unwrap()
            .run(async move {
                let listener = TcpListener::bind(local()).unwrap();
                address.send(listener.local_addr().unwrap()).unwrap();
                spawn(echo(listener)).detach();
                tokio::task::spawn_blocking(move || client.join().unwrap()).await.unwrap()
            })
            .await
            .unwrap()
    });
    assert_eq!(answered, REQUESTS);
    println!("{REQUESTS} requests in {:?}", started.elapsed());
}

#[test]
fn a_local_set_and_the_core_take_turns_on_one_thread() {
    let tokio = current_thread();
    let set = LocalSet::new();
    let thread = std::thread::current().id();
    set.block_on(&tokio, async move {
        let guest = guest(Runtime::builder()).unwrap();
        let handle = guest.handle();
        let (stop, stopped) = sync::oneshot::channel::<()>();
        let core = tokio::task::spawn_local(guest.run(async move {
            let _ = stopped.await;
            "stopped"
        }));
        let (address, told) = tokio::sync::oneshot::channel();
        let server = handle.spawn(async move {
            let listener = TcpListener::bind(local()).unwrap();
            address.send(listener.local_addr().unwrap()).unwrap();
            echo(listener).await;
        });
        // Tokio's own socket talks to ours, both on this thread.
        let mut client = tokio::net::TcpStream::connect(told.await.unwrap()).await.unwrap();
        for size in [1usize, 100, 5_000, 200_000] {
            let sent = vec![size as u8; size];
            let mut answer = vec![0; size];
            let (mut read, mut write) = client.split();
            let (written, received) = tokio::join!(write.write_all(&sent), read.read_exact(&mut answer));
            written.unwrap();
            received.unwrap();
            assert_eq!(sent, answer);
        }
        // Cancelled from tokio's side, where no turn of the core is under way.
        server.cancel();
        assert!(server.await.is_err());
        assert_eq!(handle.spawn(async { std::thread::current().id() }).await.unwrap(), thread);
        assert!(stop.send(()).is_ok());
        assert_eq!(core.await.unwrap().unwrap(), "stopped");
        assert!(handle.spawn(std::future::pending::<()>()).await.is_err(), "the core has ended");
    });
}

#[test]
fn timers_of_both_families_are_kept() {
    current_thread().block_on(async {
        guest(Runtime::builder())
            .unwrap()
            .run(async {
                let start = Instant::now();
                let ours = spawn(async {
                    for _ in 0..5 {
                        time::sleep(Duration::from_millis(10)).await;
                    }
                    Instant::now()
                });
                let theirs = spawn(async {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    Instant::now()
                });
                let long = time::sleep(Duration::from_secs(3_600));
                assert!(ours.await.unwrap() - start >= Duration::from_millis(50));
                assert!(theirs.await.unwrap() - start >= Duration::from_millis(50));
                assert!(time::timeout(Duration::from_millis(5), long).await.is_err());
                assert!(start.elapsed() < Duration::from_secs(10), "a timer was forgotten");
            })
            .await
            .unwrap();
    });
}

#[test]
fn busy_tasks_of_ours_leave_turns_to_tokio() {
    current_thread().block_on(async {
        let done = Rc::new(Cell::new(false));
        let seen = done.clone();
        let core = guest(Runtime::builder()).unwrap().run(async move {
            while !seen.get() {
                yield_now().await;
            }
        });
        let neighbour = async {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_millis(1)).await;
                tokio::task::yield_now().await;
            }
            done.set(true);
        };
        let (core, ()) = tokio::join!(core, neighbour);
        core.unwrap();
    });
}

#[test]
fn wakes_from_other_threads_arrive() {
    current_thread().block_on(async {
        let sum = guest(Runtime::builder())
            .unwrap()
            .run(async {
                let mut sum = 0;
                for round in 0..200u32 {
                    sum += tokio::task::spawn_blocking(move || round).await.unwrap();
                }
                sum
            })
            .await
            .unwrap();
        assert_eq!(sum, 199 * 200 / 2);
    });
}

#[test]
fn a_dropped_guest_lets_go_of_everything() {
    // In a process of its own: the descriptors of all tests would be counted.
    alone("a_dropped_guest_lets_go_of_everything", || {
        let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let tokio = current_thread();
        let round = || {
            tokio.block_on(async {
                let run = guest(Runtime::builder()).unwrap().run(async {
                    let listener = TcpListener::bind(local()).unwrap();
                    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
                    let server = listener.accept().await.unwrap();
                    spawn(async move { server.recv().await }).detach();
                    std::future::pending::<()>().await;
                    drop(client);
                });
                assert!(tokio::time::timeout(Duration::from_millis(30), run).await.is_err());
            });
        };
        // The first opens what stays open for good.
        round();
        let before = open();
        for _ in 0..40 {
            round();
        }
        assert_eq!(open(), before);
    });
}

#[test]
fn panics_and_shutdowns_come_out() {
    let tokio = current_thread();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        tokio.block_on(guest(Runtime::builder()).unwrap().run(async { panic!("on purpose") }))
    }));
    assert!(panicked.unwrap_err().downcast_ref::<String>().unwrap().contains("on purpose"));
    let outcome = tokio.block_on(async {
        let guest = guest(Runtime::builder()).unwrap();
        let handle = guest.shutdown_handle();
        std::thread::spawn(move || handle.shutdown(Duration::ZERO));
        guest.run(std::future::pending::<()>()).await
    });
    assert!(matches!(outcome, Err(StartError::ShutDown)), "{outcome:?}");
}
