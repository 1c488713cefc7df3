//! Tokio's own things in tasks of ours, with a tokio runtime on threads beside our cores.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, and so do the helpers they share")]

use std::rc::Rc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use covet_runtime::compat::tokio::helper;
use covet_runtime::net::{TcpListener, TcpStream};
use covet_runtime::{CoreSet, Runtime, spawn, time};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

#[test]
fn a_dependency_on_tokio_works_on_every_core() {
    let tokio = helper().unwrap();
    let (report, reports) = mpsc::channel();
    let runtime = Runtime::builder()
        .cores(CoreSet::all())
        .beside_tokio(tokio.handle())
        .start(move |core| {
            let report = report.clone();
            async move {
                let home = std::thread::current().id();
                // Ours may hold what is not Send, and stays where it is.
                let here = Rc::new(core.index());
                let slept = spawn({
                    let here = here.clone();
                    async move {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                        (*here, std::thread::current().id())
                    }
                });
                assert_eq!(slept.await.unwrap(), (*here, home));
                // Theirs runs on a thread of theirs.
                assert_ne!(tokio::spawn(async { std::thread::current().id() }).await.unwrap(), home);
                let late = tokio::time::timeout(Duration::from_millis(5), std::future::pending::<()>()).await;
                assert!(late.is_err());
                let blocking = tokio::task::spawn_blocking(|| 7).await.unwrap();
                report.send(blocking + core.index()).unwrap();
            }
        })
        .unwrap();
    let cores = CoreSet::all().resolve().unwrap().len();
    runtime.join().unwrap();
    let mut all: Vec<usize> = reports.into_iter().collect();
    all.sort_unstable();
    assert_eq!(all, (0..cores).map(|index| 7 + index).collect::<Vec<_>>());
}

#[test]
fn the_runtime_is_there_to_the_end_of_the_core() {
    /// Asks for tokio when the core's tasks are dropped.
    struct Late(mpsc::Sender<bool>);
    impl Drop for Late {
        fn drop(&mut self) {
            self.0.send(tokio::runtime::Handle::try_current().is_ok()).unwrap();
        }
    }
    let tokio = helper().unwrap();
    let (report, reports) = mpsc::channel();
    Runtime::builder()
        .beside_tokio(tokio.handle())
        .block_on(async {
            let late = Late(report);
            spawn(async move {
                let _late = late;
                std::future::pending::<()>().await;
            })
            .detach();
            covet_runtime::yield_now().await;
        })
        .unwrap();
    assert!(reports.recv().unwrap());
    assert!(tokio::runtime::Handle::try_current().is_err(), "the thread is as it was");
}

/// What an HTTP client built on tokio does: its own socket, its own timer, a task of its own for the connection.
async fn request_as_tokio_does(address: std::net::SocketAddr) -> std::io::Result<String> {
    let (send, receive) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let outcome = tokio::time::timeout(Duration::from_secs(20), async {
            let mut stream = tokio::net::TcpStream::connect(address).await?;
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok(answer)
        });
        let _ = send.send(outcome.await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())));
    });
    receive.await.unwrap()
}

#[test]
fn their_sockets_talk_to_ours() {
    let tokio = helper().unwrap();
    Runtime::builder()
        .beside_tokio(tokio.handle())
        .block_on(async {
            let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
            let address = listener.local_addr().unwrap();
            spawn(async move {
                loop {
                    let stream = listener.accept().await.unwrap();
                    spawn(async move {
                        let request = stream.recv().await.unwrap().to_vec();
                        assert!(request.starts_with(b"GET / "));
                        (*stream).write_all("HTTP/1.0 200 OK\r\n\r\nhello").await.0.unwrap();
                    })
                    .detach();
                }
            })
            .detach();
            let mut all = Vec::new();
            for _ in 0..20 {
                all.push(spawn(request_as_tokio_does(address)));
            }
            for one in all {
                assert!(one.await.unwrap().unwrap().ends_with("hello"));
            }
            // Polled by a task of ours, without a task of theirs.
            let direct = tokio::net::TcpStream::connect(address).await.unwrap();
            let mut direct = BufReader::new(direct);
            direct.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
            let mut line = String::new();
            direct.read_line(&mut line).await.unwrap();
            assert_eq!(line, "HTTP/1.0 200 OK\r\n");
        })
        .unwrap();
}

#[test]
fn a_local_set_runs_as_a_task_of_ours() {
    let tokio = helper().unwrap();
    Runtime::builder()
        .beside_tokio(tokio.handle())
        .block_on(async {
            let home = std::thread::current().id();
            let set = tokio::task::LocalSet::new();
            let output = set.run_until(async move {
                let shared = Rc::new(20);
                let one = shared.clone();
                let local = tokio::task::spawn_local(async move {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    assert_eq!(std::thread::current().id(), home);
                    *one
                });
                local.await.unwrap() + *shared
            });
            assert_eq!(output.await, 40);
        })
        .unwrap();
}

#[test]
fn ours_is_not_slowed_by_the_neighbour() {
    let tokio = helper().unwrap();
    Runtime::builder()
        .beside_tokio(tokio.handle())
        .block_on(async {
            // The neighbour's only worker is held up; nothing of ours may notice.
            let (stuck, started) = tokio::sync::oneshot::channel();
            let (go, wait) = mpsc::channel::<()>();
            let busy = tokio::spawn(async move {
                stuck.send(()).unwrap();
                wait.recv().unwrap();
            });
            started.await.unwrap();
            let start = Instant::now();
            let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let server = listener.accept().await.unwrap();
            for _ in 0..100 {
                (*client).write_all("ping").await.0.unwrap();
                assert_eq!(&server.recv().await.unwrap()[..], b"ping");
            }
            time::sleep(Duration::from_millis(5)).await;
            assert!(start.elapsed() < Duration::from_secs(10));
            go.send(()).unwrap();
            busy.await.unwrap();
        })
        .unwrap();
}
