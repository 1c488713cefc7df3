//! What the cores count, from inside, from other threads, and on a signal.

use std::future::poll_fn;
use std::process::Command;
use std::sync::mpsc::channel;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use covet_runtime::net::{TcpListener, TcpStream};
use covet_runtime::{CoreSet, Runtime, TaskGroup, block_on, shutdown, spawn_in, stats, time, yield_now};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_core_counts_its_work() {
    block_on(async {
        let before = stats::current();
        for _ in 0..500 {
            yield_now().await;
        }
        // A core that was kept from its CPU finds its timer due, and does not sleep for it.
        let end = Instant::now() + PATIENCE;
        let mut after = before.clone();
        while after.sleeps == before.sleeps && Instant::now() < end {
            time::sleep(Duration::from_millis(5)).await;
            after = stats::current();
        }
        assert!(after.polls - before.polls >= 501, "{after:?}");
        assert!(after.turns() - before.turns() >= 501);
        assert!(after.sleeps > before.sleeps);
        assert!(after.uptime >= Duration::from_millis(5) && after.busy < after.uptime, "{after:?}");
        assert_eq!(after.tasks, 1);
        let turns = after.turn_time.since(&before.turn_time);
        assert_eq!(turns.count(), after.turns() - before.turns());
        // Every turn is in every histogram.
        for histogram in [&after.batch, &after.ready, &after.free_buffers] {
            assert_eq!(histogram.count(), after.turns());
        }
        assert_eq!(after.ready.since(&before.ready).quantile(0.5), 1, "one task was ready in each turn");

        let slow = stats::current();
        let end = Instant::now() + Duration::from_millis(30);
        while Instant::now() < end {
            std::hint::spin_loop();
        }
        yield_now().await;
        let turns = stats::current().turn_time.since(&slow.turn_time);
        assert!(turns.max() >= 30_000_000, "{turns:?}");
    })
    .unwrap();
}

#[test]
fn connections_operations_buffers_and_groups_are_counted() {
    Runtime::builder()
        .recv_buffers(8, 256)
        .block_on(async {
            let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
            let address = listener.local_addr().unwrap();
            let mut pairs = Vec::new();
            for _ in 0..4 {
                let client = TcpStream::connect(address).await.unwrap();
                pairs.push((client, listener.accept().await.unwrap()));
            }
            // More than the buffers hold, while nobody takes it.
            for (client, server) in &pairs {
                client.write_all(vec![7; 1024]).await.0.unwrap();
                let mut seen = 0;
                while seen < 1024 {
                    seen += server.recv().await.unwrap().len();
                }
            }
            let takes_time = async {
                let began = Instant::now();
                while began.elapsed() < Duration::from_micros(10) {}
            };
            spawn_in(&TaskGroup::background(), takes_time).await.unwrap();
            let stats = stats::current();
            assert_eq!(stats.accepted, 4);
            assert!(stats.operations >= 12, "{stats:?}");
            assert_eq!(stats.free_buffers.max(), 8);
            assert!(stats.free_buffers.min() < 8);
            assert!(stats.batch.max() >= 1);
            let group = stats.groups.iter().find(|group| group.name == "background").unwrap();
            assert!(group.shares == 200 && !group.busy.is_zero());
        })
        .unwrap();
}

#[test]
fn wakes_from_other_threads_are_counted() {
    block_on(async {
        let (send, receive) = channel::<Waker>();
        let thread = std::thread::spawn(move || receive.into_iter().for_each(Waker::wake));
        for _ in 0..20 {
            let mut asked = false;
            let send = send.clone();
            poll_fn(move |cx| {
                if std::mem::replace(&mut asked, true) {
                    return Poll::Ready(());
                }
                send.send(cx.waker().clone()).unwrap();
                Poll::Pending
            })
            .await;
        }
        drop(send);
        thread.join().unwrap();
        assert_eq!(stats::current().remote_wakes, 20);
    })
    .unwrap();
}

#[test]
fn all_cores_answer_and_what_they_say_adds_up() {
    let (send, ready) = channel();
    let runtime = Runtime::builder()
        .start(move |core| {
            let send = send.clone();
            async move {
                for _ in 0..100 * (core.index() + 1) {
                    yield_now().await;
                }
                send.send(()).unwrap();
                shutdown::requested().await;
            }
        })
        .unwrap();
    let count = CoreSet::all().resolve().unwrap().len();
    (0..count).for_each(|_| ready.recv_timeout(PATIENCE).unwrap());
    // Cores that other processes keep from their CPUs are asked again.
    let end = Instant::now() + PATIENCE;
    let mut stats = runtime.stats();
    while !stats.silent.is_empty() && Instant::now() < end {
        stats = runtime.stats();
    }
    assert_eq!(stats.silent, []);
    assert_eq!(stats.cores.iter().map(|core| core.index).collect::<Vec<_>>(), (0..count).collect::<Vec<_>>());
    for core in &stats.cores {
        assert!(core.polls >= 100 * (core.index as u64 + 1), "{core:?}");
        assert!(core.cpu.is_some());
    }
    let total = stats.total();
    assert_eq!(total.polls, stats.cores.iter().map(|core| core.polls).sum::<u64>());
    assert_eq!(total.turns(), stats.cores.iter().map(|core| core.turns()).sum::<u64>());
    assert_eq!(total.tasks, count);
    assert!(total.utilisation(count) <= 1.0);

    let handle = runtime.stats_handle();
    runtime.shutdown(Duration::from_secs(5));
    runtime.join().unwrap();
    // The last numbers stay.
    let last = handle.snapshot().total();
    assert!(last.polls >= total.polls && last.tasks == 0, "{last:?}");
}

#[test]
fn a_core_may_ask_and_one_that_is_stalled_is_named() {
    let (send, receive) = channel();
    let runtime = Runtime::builder()
        .cores(CoreSet::count(1))
        .stall_limit(None)
        .start(move |_| {
            let send = send.clone();
            async move {
                let (end, told) = channel::<()>();
                let own = stats::handle().snapshot();
                send.send((own, stats::handle(), end)).unwrap();
                // A blocking call on the core, on purpose.
                let _ = told.recv_timeout(PATIENCE);
            }
        })
        .unwrap();
    let (own, handle, end) = receive.recv_timeout(PATIENCE).unwrap();
    assert_eq!((own.cores.len(), own.silent.len()), (1, 0), "a core answers itself");
    let stalled = handle.snapshot();
    assert_eq!((stalled.cores.len(), &stalled.silent[..]), (0, &[0][..]));
    assert!(stalled.to_string().contains("core 0 did not answer"), "{stalled}");
    end.send(()).unwrap();
    runtime.join().unwrap();
    assert_eq!(handle.snapshot().silent, []);
}

#[test]
fn sigusr1_prints_a_table() {
    const MARK: &str = "COVET_TEST_PRINTS";
    if std::env::var_os(MARK).is_some() {
        let (tell, has_run) = std::sync::mpsc::channel();
        let runtime = Runtime::builder()
            .stats_on_sigusr1(true)
            .start(move |_| {
                let tell = tell.clone();
                async move {
                    spawn_in(&TaskGroup::maintenance(), yield_now()).await.unwrap();
                    tell.send(()).unwrap();
                    // The parent ends this when it has read the table.
                    let _ = time::timeout(PATIENCE, shutdown::requested()).await;
                }
            })
            .unwrap();
        for _ in 0..CoreSet::all().resolve().unwrap().len() {
            has_run.recv_timeout(PATIENCE).unwrap();
        }
        // A core that is kept from its CPU for a second is left out, and asked again.
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            // SAFETY: a plain system call.
            assert_eq!(unsafe { libc::kill(libc::getpid(), libc::SIGUSR1) }, 0);
            std::thread::sleep(Duration::from_secs(3));
        }
        return runtime.join().unwrap();
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["sigusr1_prints_a_table", "--exact", "--nocapture"])
        .env(MARK, "1")
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let wanted =
        ["covet: ", "turn time", "batch", "ready", "buffers", "accepted", "\n   0", "group maintenance: 50"];
    let mut text = String::new();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    while !wanted.iter().all(|wanted| text.contains(wanted)) {
        match lines.next() {
            Some(line) => text += &(line.unwrap() + "\n"),
            None => break,
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for wanted in wanted {
        assert!(text.contains(wanted), "{wanted:?} is missing:\n{text}");
    }
}
