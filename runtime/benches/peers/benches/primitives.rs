//! Spawning, a oneshot, a timer and a message to another core, on each runtime in turn.
//!
//! Each job runs inside its runtime, so that neither its start nor its end is measured. A timer is polled once before
//! it is dropped: some runtimes set it only then. After criterion's own lines comes a table with ratios; the message to
//! another core is measured for it, by turns.

use std::fs;
use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group};
use runtime_peers::{lift_limits, pin};

const FAR: Duration = Duration::from_secs(30);

/// Times `iterations` rounds.
async fn rounds<F: Future<Output = ()>>(iterations: u64, round: impl Fn() -> F) -> Duration {
    let started = Instant::now();
    for _ in 0..iterations {
        round().await;
    }
    started.elapsed()
}

/// Polls a future once, then drops it.
async fn touch<F: Future>(future: F) {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let _ = black_box(future.as_mut().poll(cx));
        Poll::Ready(())
    })
    .await;
}

fn covet<T>(future: impl Future<Output = T>) -> T {
    covet_runtime::block_on(future).expect("a core")
}

fn tokio<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, future)
}

fn monoio<T>(future: impl Future<Output = T>) -> T {
    let builder = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new();
    builder.enable_timer().build().expect("a ring").block_on(future)
}

fn compio<T>(future: impl Future<Output = T>) -> T {
    compio::runtime::Runtime::new().expect("a ring").block_on(future)
}

fn glommio<T>(future: impl Future<Output = T>) -> T {
    glommio::LocalExecutorBuilder::default().make().expect("an executor").run(future)
}

fn spawn_and_await(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("spawn and await");
    group.bench_function("covet", |bench| {
        bench.iter_custom(|n| {
            covet(rounds(n, || async {
                let _ = black_box(covet_runtime::spawn(async { 7 }).await);
            }))
        })
    });
    group.bench_function("tokio", |bench| {
        bench.iter_custom(|n| {
            tokio(rounds(n, || async {
                let _ = black_box(tokio::task::spawn_local(async { 7 }).await);
            }))
        })
    });
    group.bench_function("monoio", |bench| {
        bench.iter_custom(|n| {
            monoio(rounds(n, || async {
                let _ = black_box(monoio::spawn(async { 7 }).await);
            }))
        })
    });
    group.bench_function("compio", |bench| {
        bench.iter_custom(|n| {
            compio(rounds(n, || async {
                let _ = black_box(compio::runtime::spawn(async { 7 }).await);
            }))
        })
    });
    group.bench_function("glommio", |bench| {
        bench.iter_custom(|n| {
            glommio(rounds(n, || async {
                let _ = black_box(glommio::spawn_local(async { 7 }).await);
            }))
        })
    });
}

/// A task is started and sends its result through a oneshot. Where a runtime has no oneshot of its own, it is that of
/// futures-channel.
fn oneshot(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("oneshot round trip");
    group.bench_function("covet", |bench| {
        bench.iter_custom(|n| {
            covet(rounds(n, || async {
                let (send, receive) = covet_runtime::sync::oneshot::channel();
                covet_runtime::spawn(async move {
                    let _ = send.send(7);
                })
                .detach();
                let _ = black_box(receive.await);
            }))
        })
    });
    group.bench_function("tokio", |bench| {
        bench.iter_custom(|n| {
            tokio(rounds(n, || async {
                let (send, receive) = tokio::sync::oneshot::channel();
                tokio::task::spawn_local(async move {
                    let _ = send.send(7);
                });
                let _ = black_box(receive.await);
            }))
        })
    });
    group.bench_function("monoio", |bench| {
        bench.iter_custom(|n| {
            monoio(rounds(n, || async {
                let (send, receive) = futures_channel::oneshot::channel();
                monoio::spawn(async move {
                    let _ = send.send(7);
                });
                let _ = black_box(receive.await);
            }))
        })
    });
    group.bench_function("compio", |bench| {
        bench.iter_custom(|n| {
            compio(rounds(n, || async {
                let (send, receive) = futures_channel::oneshot::channel();
                compio::runtime::spawn(async move {
                    let _ = send.send(7);
                })
                .detach();
                let _ = black_box(receive.await);
            }))
        })
    });
    group.bench_function("glommio", |bench| {
        bench.iter_custom(|n| {
            glommio(rounds(n, || async {
                let (send, receive) = futures_channel::oneshot::channel();
                glommio::spawn_local(async move {
                    let _ = send.send(7);
                })
                .detach();
                let _ = black_box(receive.await);
            }))
        })
    });
}

fn timer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("timer insert and cancel");
    group.bench_function("covet", |bench| {
        bench.iter_custom(|n| covet(rounds(n, || touch(covet_runtime::time::sleep(FAR)))))
    });
    group.bench_function("tokio", |bench| {
        bench.iter_custom(|n| tokio(rounds(n, || touch(tokio::time::sleep(FAR)))))
    });
    group.bench_function("monoio", |bench| {
        bench.iter_custom(|n| monoio(rounds(n, || touch(monoio::time::sleep(FAR)))))
    });
    group.bench_function("compio", |bench| {
        bench.iter_custom(|n| compio(rounds(n, || touch(compio::time::sleep(FAR)))))
    });
    group.bench_function("glommio", |bench| {
        bench.iter_custom(|n| glommio(rounds(n, || touch(glommio::timer::sleep(FAR)))))
    });
}

/// A number goes to a thread on another CPU and comes back, so many times. Where a runtime has no channel between its
/// threads, it is async-channel. Both threads are pinned, and have talked before the clock starts: it is not to see how
/// long the other thread takes to be there.
async fn ping(
    trips: u64,
    send: impl AsyncFn(u64),
    mut receive: impl AsyncFnMut() -> Option<u64>,
) -> Duration {
    let mut started = Instant::now();
    for number in 0..FIRST + trips {
        if number == FIRST {
            started = Instant::now();
        }
        send(number).await;
        assert_eq!(receive().await, Some(number));
    }
    started.elapsed()
}

/// The other end.
async fn pong(mut receive: impl AsyncFnMut() -> Option<u64>, send: impl AsyncFn(u64)) {
    while let Some(number) = receive().await {
        send(number).await;
    }
}

/// Said of a send that fails.
const RUNS: &str = "the other end runs";

fn ping_pong_covet(trips: u64) -> Duration {
    use covet_runtime::{CoreSet, Runtime, mail};
    let (there, arrived) = mail::channel::<u64>(1);
    let (back, returned) = mail::channel::<u64>(1);
    let (ends, others) = (Mutex::new(Some((there, returned))), Mutex::new(Some((back, arrived))));
    let taken = Arc::new(Mutex::new(Duration::ZERO));
    let result = taken.clone();
    let runtime = Runtime::builder().cores(CoreSet::list([0, 1])).start(move |core| {
        let mine = (core.index() == 0).then(|| ends.lock().ok()?.take()).flatten();
        let other = (core.index() == 1).then(|| others.lock().ok()?.take()).flatten();
        let result = result.clone();
        async move {
            if let Some((back, arrived)) = other {
                let mut arrived = arrived.bind();
                pong(async || arrived.recv().await, async |n| back.send(n).await.expect(RUNS)).await;
            }
            if let Some((there, returned)) = mine {
                let mut returned = returned.bind();
                let send = async |n| there.send(n).await.expect(RUNS);
                let took = ping(trips, send, async || returned.recv().await).await;
                *result.lock().expect("no panic") = took;
            }
        }
    });
    runtime.expect("two cores").join().expect("the cores do not panic");
    *taken.lock().expect("no panic")
}

fn ping_pong_tokio(trips: u64) -> Duration {
    let (there, mut arrived) = tokio::sync::mpsc::channel(1);
    let (back, mut returned) = tokio::sync::mpsc::channel(1);
    let other = std::thread::spawn(move || {
        pin(1);
        tokio(pong(async || arrived.recv().await, async |n| back.send(n).await.expect(RUNS)));
    });
    pin(0);
    // The sender goes when all trips are made, and the other end with it.
    let taken = tokio(async move {
        ping(trips, async |n| there.send(n).await.expect(RUNS), async || returned.recv().await).await
    });
    other.join().expect("the other end does not panic");
    taken
}

fn ping_pong_async_channel(run: fn(Boxed) -> Duration, trips: u64) -> Duration {
    let (there, arrived) = async_channel::bounded::<u64>(1);
    let (back, returned) = async_channel::bounded::<u64>(1);
    let other = std::thread::spawn(move || {
        pin(1);
        run(Box::pin(async move {
            pong(async || arrived.recv().await.ok(), async |n| back.send(n).await.expect(RUNS)).await;
            Duration::ZERO
        }))
    });
    pin(0);
    let taken = run(Box::pin(async move {
        ping(trips, async |n| there.send(n).await.expect(RUNS), async || returned.recv().await.ok()).await
    }));
    other.join().expect("the other end does not panic");
    taken
}

fn ping_pong_monoio(trips: u64) -> Duration {
    ping_pong_async_channel(monoio, trips)
}

fn ping_pong_compio(trips: u64) -> Duration {
    ping_pong_async_channel(compio, trips)
}

fn ping_pong_glommio(trips: u64) -> Duration {
    use glommio::channels::shared_channel;
    let (there, arrived) = shared_channel::new_bounded::<u64>(1);
    let (back, returned) = shared_channel::new_bounded::<u64>(1);
    let on = |core| glommio::LocalExecutorBuilder::new(glommio::Placement::Fixed(core));
    let other = on(1)
        .spawn(move || async move {
            let (arrived, back) = (arrived.connect().await, back.connect().await);
            pong(async || arrived.recv().await, async |n| back.send(n).await.expect(RUNS)).await;
        })
        .expect("an executor");
    let taken = on(0)
        .spawn(move || async move {
            let (there, returned) = (there.connect().await, returned.connect().await);
            ping(trips, async |n| there.send(n).await.expect(RUNS), async || returned.recv().await).await
        })
        .expect("an executor")
        .join()
        .expect("no panic");
    other.join().expect("the other end does not panic");
    taken
}

/// In the order of [`PEERS`], after covet.
const PING_PONGS: [fn(u64) -> Duration; 5] =
    [ping_pong_covet, ping_pong_tokio, ping_pong_monoio, ping_pong_compio, ping_pong_glommio];
const ROUNDS: usize = 15;
const TRIPS: u64 = 2000;
/// Trips before those that are measured.
const FIRST: u64 = 100;

/// Nanoseconds per trip, a row for each round. What an idle CPU takes to wake changes from second to second, by more
/// than the runtimes differ: only what is measured in turns can be compared.
fn ping_pong_by_turns() -> Vec<[f64; 5]> {
    // In a thread of its own each, as they pin the one that they run in.
    let apart = |run: fn(u64) -> Duration| std::thread::spawn(move || run(TRIPS)).join().expect("no panic");
    let round = |_| PING_PONGS.map(|run| apart(run).as_nanos() as f64 / TRIPS as f64);
    (0..ROUNDS).map(round).collect()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

type Boxed = std::pin::Pin<Box<dyn Future<Output = Duration>>>;

fn limits(_: &mut Criterion) {
    lift_limits();
}

/// Where criterion writes its estimates.
fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/primitives")
}

/// Criterion's estimate of the median, in nanoseconds.
fn estimate(job: &str, runtime: &str) -> Option<f64> {
    let path = directory().join(job).join(runtime).join("new/estimates.json");
    let text = fs::read_to_string(path).ok()?;
    let (_, median) = text.split_once("\"median\"")?;
    let (_, number) = median.split_once("\"point_estimate\":")?;
    number.split([',', '}']).next()?.trim().parse().ok()
}

const PEERS: [&str; 4] = ["tokio", "monoio", "compio", "glommio"];

fn print_table(ping_pong: &[[f64; 5]]) {
    println!("medians in nanoseconds; the ratio is that of covet to the best of the others");
    println!("| job | covet | {} | ratio |", PEERS.join(" | "));
    println!("|---|---|{}---|", "---|".repeat(PEERS.len()));
    for job in ["spawn and await", "oneshot round trip", "timer insert and cancel"] {
        let Some(ours) = estimate(job, "covet") else { continue };
        let peers = PEERS.map(|peer| estimate(job, peer));
        let best = peers.iter().flatten().copied().fold(f64::INFINITY, f64::min);
        let peers = peers.map(|value| value.map_or_else(|| "-".into(), |value| format!("{value:.1}")));
        println!("| {job} | {ours:.1} | {} | {:.3} |", peers.join(" | "), ours / best);
    }
    if !ping_pong.is_empty() {
        let [ours, peers @ ..] =
            std::array::from_fn::<_, 5, _>(|of| median(ping_pong.iter().map(|round| round[of])));
        // Of the ratios within each round.
        let ratios = (1..5).map(|of| median(ping_pong.iter().map(|round| round[0] / round[of])));
        let worst = ratios.fold(0.0, f64::max);
        let peers = peers.map(|value| format!("{value:.0}")).join(" | ");
        println!("| cross-core ping-pong, by turns | {ours:.0} | {peers} | {worst:.3} |");
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .output_directory(&directory())
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = limits, spawn_and_await, oneshot, timer
}

fn main() {
    // Those of an earlier run would be taken for this one's.
    let _ = fs::remove_dir_all(directory());
    benches();
    // Criterion has the first argument that is no option for a filter.
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let wanted = filter.is_none_or(|filter| "cross-core ping-pong".contains(&*filter));
    print_table(&if wanted { ping_pong_by_turns() } else { Vec::new() });
}
