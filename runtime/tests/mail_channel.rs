//! Bounded channels between real cores, runtimes and threads.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, and so do the helpers they share")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use covet_runtime::{Core, CoreSet, Runtime, block_on, mail, spawn, time};

/// Runs `body` on the first core of a runtime on all CPUs, whose other cores have nothing of their own to do.
fn on_first<F: Future<Output = ()> + 'static>(body: impl Fn(Core) -> F + Send + Sync + 'static) {
    let runtime = Runtime::builder()
        .start(move |core| {
            let body = (core.index() == 0).then(|| body(core));
            async move {
                if let Some(body) = body {
                    body.await;
                }
            }
        })
        .unwrap();
    runtime.join().unwrap();
}

#[test]
fn a_mailbox_holds_back_those_who_send_too_fast() {
    on_first(|core| async move {
        let (sender, mailbox) = mail::channel(4);
        let ahead = Arc::new(AtomicUsize::new(0));
        let sent = ahead.clone();
        let sending = core.spawn_on(core.count() - 1, move || async move {
            for n in 0..2000usize {
                sender.send(n).await.unwrap();
                sent.store(n + 1, Ordering::SeqCst);
            }
        });
        let mut receiver = mailbox.bind();
        let mut next = 0;
        while let Some(n) = receiver.recv().await {
            assert_eq!(n, next);
            next += 1;
            assert!(ahead.load(Ordering::SeqCst) <= next + 4, "more was sent than there is room for");
            if n % 64 == 0 {
                time::sleep(Duration::from_micros(200)).await;
            }
        }
        assert_eq!((next, sending.await), (2000, Ok(())));
    });
}

#[test]
fn mailboxes_join_runtimes_and_threads() {
    let (sender, mailbox) = mail::channel(3);
    let mailbox = Mutex::new(Some(mailbox));
    let reader = Runtime::builder()
        .cores(CoreSet::count(1))
        .start(move |_| {
            let mailbox = mailbox.lock().unwrap().take();
            async move {
                let mut receiver = mailbox.unwrap().bind();
                let mut sum = 0;
                while let Some(n) = receiver.recv().await {
                    sum += n;
                }
                assert_eq!(sum, 3 * (0..500).sum::<usize>());
            }
        })
        .unwrap();
    let all = Mutex::new(vec![sender.clone()]);
    let writer = Runtime::builder()
        .cores(CoreSet::count(1))
        .start(move |_| {
            let sender = all.lock().unwrap().pop().unwrap();
            async move {
                for n in 0..500 {
                    sender.send(n).await.unwrap();
                }
            }
        })
        .unwrap();
    let copy = sender.clone();
    let thread = thread::spawn(move || (0..500).for_each(|n| copy.send_blocking(n).unwrap()));
    block_on(async move {
        for n in 0..500 {
            sender.send(n).await.unwrap();
        }
    })
    .unwrap();
    thread.join().unwrap();
    writer.join().unwrap();
    reader.join().unwrap();
}

/// Two cores of a runtime each answer the cores of another; one of them blocks. The others' mail goes on: it neither
/// waits behind the stalled core's nor needs anything of it.
#[test]
fn a_stalled_core_delays_nobody_but_itself() {
    let echo = || {
        let (ask, asked) = mail::channel::<Instant>(8);
        let (answer, answered) = mail::channel::<Instant>(8);
        (ask, Mutex::new(Some((asked, answer))), answered)
    };
    let ((ask, healthy, answered), (ask_stalled, stalled, answered_late)) = (echo(), echo());
    let stop = Arc::new(AtomicBool::new(false));
    let stalls = Arc::new(AtomicUsize::new(0));
    let stalling = stalls.clone();
    // It blocks until the others have had their mail, or for so long that they wait for it.
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Mutex::new(Some(released));
    let serve = |ends: &Mutex<Option<(mail::Mailbox<Instant>, mail::Sender<Instant>)>>| {
        let (asked, answer) = ends.lock().unwrap().take().unwrap();
        async move {
            let mut asked = asked.bind();
            while let Some(at) = asked.recv().await {
                let _ = answer.send(at).await;
            }
        }
    };
    let bad = Runtime::builder()
        .cores(CoreSet::count(1))
        .start(move |_| {
            let serving = serve(&stalled);
            let stalls = stalling.clone();
            let released = released.lock().unwrap().take().unwrap();
            async move {
                spawn(async move {
                    time::sleep(Duration::from_millis(20)).await;
                    stalls.store(1, Ordering::SeqCst);
                    let _ = released.recv_timeout(Duration::from_secs(60));
                    stalls.store(2, Ordering::SeqCst);
                })
                .detach();
                serving.await;
            }
        })
        .unwrap();
    let good = Runtime::builder().cores(CoreSet::count(1)).start(move |_| serve(&healthy)).unwrap();
    let (during, worst) = block_on(async move {
        let stopped = stop.clone();
        let to_stalled = spawn(async move {
            let mut answered = answered_late.bind();
            while !stopped.load(Ordering::SeqCst) {
                ask_stalled.send(Instant::now()).await.unwrap();
                answered.recv().await.unwrap();
            }
        });
        let mut answered = answered.bind();
        let (mut during, mut worst) = (0, Duration::ZERO);
        loop {
            let state = stalls.load(Ordering::SeqCst);
            ask.send(Instant::now()).await.unwrap();
            let asked = answered.recv().await.unwrap();
            if state == 1 && stalls.load(Ordering::SeqCst) == 1 {
                during += 1;
                worst = worst.max(asked.elapsed());
                if during == 100 {
                    release.send(()).unwrap();
                }
            }
            if state == 2 {
                break;
            }
            time::sleep(Duration::from_micros(200)).await;
        }
        stop.store(true, Ordering::SeqCst);
        to_stalled.await.unwrap();
        (during, worst)
    })
    .unwrap();
    good.join().unwrap();
    bad.join().unwrap();
    // A wait for the stalled core would leave one round trip or none.
    assert!(during >= 100, "{during} round trips during the stall, the longest {worst:?}");
}

#[test]
fn a_core_is_not_stopped_by_a_send_that_blocks() {
    let (sender, _mailbox) = mail::channel::<u8>(1);
    sender.send_blocking(1).unwrap();
    let sent = covet_runtime::block_on(async move {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| sender.send_blocking(2)))
    });
    assert!(sent.unwrap().is_err(), "it panics instead of waiting for ever");
}
