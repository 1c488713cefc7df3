//! Signals, each test in a process of its own.

mod alone;

use std::future::pending;
use std::io::{BufRead, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use alone::alone;
use covet_runtime::net::{TcpListener, TcpStream};
use covet_runtime::{CoreSet, Runtime, StartError, block_on, shutdown, spawn, time};

fn raise(signal: i32) {
    // SAFETY: a plain system call.
    assert_eq!(unsafe { libc::kill(libc::getpid(), signal) }, 0);
}

#[test]
fn a_signal_ends_every_runtime_politely() {
    alone("a_signal_ends_every_runtime_politely", || {
        let (send, receive) = mpsc::channel();
        let runtimes: Vec<_> = (0..2)
            .map(|number| {
                let send = send.clone();
                Runtime::builder()
                    .cores(CoreSet::count(1))
                    .shutdown_on_signals(Duration::from_secs(20))
                    .start(move |_| {
                        let send = send.clone();
                        async move {
                            send.send("started").unwrap();
                            shutdown::requested().await;
                            time::sleep(Duration::from_millis(20 * (number + 1))).await;
                            send.send("finished").unwrap();
                        }
                    })
                    .unwrap()
            })
            .collect();
        for _ in 0..2 {
            assert_eq!(receive.recv().unwrap(), "started");
        }
        let asked = Instant::now();
        raise(libc::SIGTERM);
        runtimes.into_iter().for_each(|runtime| runtime.join().unwrap());
        assert!(asked.elapsed() < Duration::from_secs(15), "it waited for the deadline");
        drop(send);
        assert_eq!(receive.iter().collect::<Vec<_>>(), ["finished", "finished"]);
        // One that starts later listens anew.
        let later = Runtime::builder()
            .cores(CoreSet::count(1))
            .handle_signals(true)
            .start(|_| async { shutdown::requested().await })
            .unwrap();
        raise(libc::SIGINT);
        later.join().unwrap();
    });
}

#[test]
fn a_second_signal_does_not_wait() {
    alone("a_second_signal_does_not_wait", || {
        let runtime = Runtime::builder()
            .cores(CoreSet::count(1))
            .shutdown_on_signals(Duration::from_secs(600))
            .start(|_| pending())
            .unwrap();
        let handle = runtime.shutdown_handle();
        raise(libc::SIGINT);
        while !handle.is_requested() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let asked = Instant::now();
        raise(libc::SIGINT);
        runtime.join().unwrap();
        assert!(asked.elapsed() < Duration::from_secs(60));
    });
}

#[test]
fn block_on_reports_that_a_signal_ended_it() {
    alone("block_on_reports_that_a_signal_ended_it", || {
        let outcome = Runtime::builder().shutdown_on_signals(Duration::ZERO).block_on(async {
            raise(libc::SIGTERM);
            pending::<()>().await;
        });
        assert!(matches!(outcome, Err(StartError::ShutDown)), "{outcome:?}");
    });
}

extern "C" fn nothing(_: i32) {}

#[test]
fn interrupted_waits_are_taken_up_again() {
    alone("interrupted_waits_are_taken_up_again", || {
        // SAFETY: the action is zeroed, which means no flags (so no restarting) and an empty mask; the handler
        // does nothing.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = nothing as extern "C" fn(i32) as usize;
            assert_eq!(libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()), 0);
        }
        // SAFETY: a plain call.
        let core = unsafe { libc::pthread_self() };
        let (stop, stopped) = mpsc::channel::<()>();
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = sent.clone();
        let pest = std::thread::spawn(move || {
            while stopped.recv_timeout(Duration::from_micros(300)) == Err(mpsc::RecvTimeoutError::Timeout) {
                // SAFETY: the core's thread lives until it has joined this one.
                assert_eq!(unsafe { libc::pthread_kill(core, libc::SIGUSR1) }, 0);
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        block_on(async {
            let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let server = listener.accept().await.unwrap();
            spawn(async move {
                loop {
                    let bytes = server.recv().await.unwrap();
                    time::sleep(Duration::from_millis(2)).await;
                    if bytes.is_empty() || server.write_all(bytes.to_vec()).await.0.is_err() {
                        return;
                    }
                }
            })
            .detach();
            let mut rounds = 0;
            while rounds < 100 || sent.load(Ordering::SeqCst) < 100 {
                client.write_all("ping").await.0.unwrap();
                assert_eq!(&client.recv().await.unwrap()[..], b"ping");
                rounds += 1;
            }
        })
        .unwrap();
        drop(stop);
        pest.join().unwrap();
    });
}

#[test]
fn a_signal_prints_the_tasks() {
    const NAME: &str = "a_signal_prints_the_tasks";
    if std::env::var("COVET_TEST_ALONE").is_err() {
        // The dump goes to the standard error of the process that is started here, which ends with its input.
        let mut process = std::process::Command::new(std::env::current_exe().unwrap())
            .args([NAME, "--exact", "--nocapture", "--test-threads=1"])
            .env("COVET_TEST_ALONE", NAME)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let (input, errors) = (process.stdin.take(), process.stderr.take().unwrap());
        let mut core_seen = false;
        let task = std::io::BufReader::new(errors).lines().map(Result::unwrap).find(|line| {
            core_seen |= line.starts_with("core 0 (CPU ");
            line.contains("\"sleeper\"")
        });
        drop(input);
        let task = task.expect("the task is in the dump");
        assert!(core_seen && task.contains("waiting  \"sleeper\" (runtime/tests/signals.rs:"), "{task}");
        assert!(task.contains(" polls: timer in 35"), "{task}");
        assert!(process.wait().unwrap().success());
        return;
    }
    let (send, receive) = mpsc::channel();
    let builder = || Runtime::builder().cores(CoreSet::count(1));
    let runtime = builder()
        .dump_tasks_on(libc::SIGUSR2)
        .start(move |_| {
            let send = send.clone();
            async move {
                covet_runtime::spawn_named("sleeper", time::sleep(Duration::from_secs(3600))).detach();
                covet_runtime::yield_now().await;
                send.send(()).unwrap();
                shutdown::requested().await;
            }
        })
        .unwrap();
    receive.recv().unwrap();
    raise(libc::SIGUSR2);
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    runtime.shutdown(Duration::ZERO);
    runtime.join().unwrap();
    let error = builder().dump_tasks_on(libc::SIGKILL).start(|_| async {}).unwrap_err();
    assert!(error.to_string().contains("signal 9 can't be handled"), "{error}");
}
