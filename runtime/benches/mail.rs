//! What a word between two cores costs, beside tokio's channel between two current-thread runtimes.
//!
//! Both sides are pinned to the same two CPUs. A round trip is two wake-ups of a sleeping thread; the stream of values is
//! the other extreme, where neither side sleeps for long.

use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use covet_runtime::{Core, CoreSet, Runtime, mail};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// Values in a stream.
const STREAM: u64 = 10_000;
/// Room in a stream's channel.
const ROOM: usize = 256;

/// What a measurement counts.
#[derive(Clone, Copy)]
enum Clock {
    /// Time that passes.
    Wall,
    /// Time that both threads compute, which other processes disturb less.
    Cpu,
}

impl Clock {
    fn now(self) -> Duration {
        let time = clock_gettime(match self {
            Clock::Wall => ClockId::Monotonic,
            Clock::Cpu => ClockId::ProcessCPUTime,
        });
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }

    fn since(self, started: Duration) -> Duration {
        self.now() - started
    }
}

/// Runs `here` on the first core of two, beside a second with nothing to do but what it is sent, and takes its time.
fn on_first_of_two<F: Future<Output = Duration> + 'static>(
    here: impl Fn(Core) -> F + Send + Sync + 'static,
) -> Duration {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(Some(tell));
    let runtime = Runtime::builder()
        .cores(CoreSet::count(2))
        .start(move |core| {
            let mut tell = tell.lock().expect("nobody panics with it");
            let job = (core.index() == 0).then(|| (here(core), tell.take().expect("once")));
            async move {
                if let Some((job, tell)) = job {
                    tell.send(job.await).expect("the bench waits for it");
                }
            }
        })
        .expect("two cores are there");
    runtime.join().expect("nothing panics");
    told.recv().expect("the first core has told")
}

/// The same for tokio: each side on a thread and a current-thread runtime of its own.
fn on_two_tokios<There, Here>(there: There, here: Here) -> Duration
where
    There: Future<Output = ()> + Send + 'static,
    Here: Future<Output = Duration> + Send + 'static,
{
    let cpus = CoreSet::count(2).resolve().expect("two cores are there");
    fn run<F: Future + Send + 'static>(cpu: usize, job: F) -> thread::JoinHandle<F::Output>
    where
        F::Output: Send,
    {
        thread::spawn(move || {
            let mut mask = CpuSet::new();
            mask.set(cpu);
            sched_setaffinity(None, &mask).expect("the CPU is ours");
            tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts").block_on(job)
        })
    }
    let there = run(cpus[1], there);
    let took = run(cpus[0], here).join().expect("nothing panics");
    there.join().expect("nothing panics");
    took
}

fn ping_pong(criterion: &mut Criterion) {
    round_trips(criterion, "round trip between two cores", Clock::Wall);
    round_trips(criterion, "round trip between two cores, CPU", Clock::Cpu);
}

fn round_trips(criterion: &mut Criterion, name: &str, clock: Clock) {
    let mut group = criterion.benchmark_group(name);
    group.bench_function("covet", |bench| {
        bench.iter_custom(|rounds| {
            on_first_of_two(move |core| async move {
                let (ask, asked) = mail::channel::<u64>(1);
                let (answer, answered) = mail::channel::<u64>(1);
                let there = core.spawn_on(1, move || async move {
                    let mut asked = asked.bind();
                    while let Some(n) = asked.recv().await {
                        answer.send(n).await.expect("the other waits for it");
                    }
                });
                let mut answered = answered.bind();
                let started = clock.now();
                for n in 0..rounds {
                    ask.send(n).await.expect("the other reads on");
                    assert_eq!(answered.recv().await, Some(n));
                }
                let took = clock.since(started);
                drop(ask);
                there.await.expect("nothing panics");
                took
            })
        });
    });
    group.bench_function("tokio", |bench| {
        bench.iter_custom(|rounds| {
            let (ask, mut asked) = tokio::sync::mpsc::channel::<u64>(1);
            let (answer, mut answered) = tokio::sync::mpsc::channel::<u64>(1);
            let there = async move {
                while let Some(n) = asked.recv().await {
                    answer.send(n).await.expect("the other waits for it");
                }
            };
            on_two_tokios(there, async move {
                let started = clock.now();
                for n in 0..rounds {
                    ask.send(n).await.expect("the other reads on");
                    assert_eq!(answered.recv().await, Some(n));
                }
                clock.since(started)
            })
        });
    });
    group.bench_function("covet spawn_on", |bench| {
        bench.iter_custom(|rounds| {
            on_first_of_two(move |core| async move {
                let started = clock.now();
                for n in 0..rounds {
                    assert_eq!(core.spawn_on(1, move || async move { n }).await, Ok(n));
                }
                clock.since(started)
            })
        });
    });
    group.finish();
}

fn stream(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stream from one core to another");
    group.throughput(Throughput::Elements(STREAM));
    group.bench_function("covet", |bench| {
        bench.iter_custom(|rounds| {
            on_first_of_two(move |core| async move {
                let (sender, mailbox) = mail::channel::<u64>(ROOM);
                let count = rounds * STREAM;
                let there = core.spawn_on(1, move || async move {
                    for n in 0..count {
                        sender.send(n).await.expect("the other reads on");
                    }
                });
                let mut receiver = mailbox.bind();
                let started = Instant::now();
                let mut sum = 0u64;
                while let Some(n) = receiver.recv().await {
                    sum += n;
                }
                let took = started.elapsed();
                assert_eq!(sum, (0..count).sum::<u64>());
                there.await.expect("nothing panics");
                took
            })
        });
    });
    group.bench_function("tokio", |bench| {
        bench.iter_custom(|rounds| {
            let (sender, mut receiver) = tokio::sync::mpsc::channel::<u64>(ROOM);
            let count = rounds * STREAM;
            let there = async move {
                for n in 0..count {
                    sender.send(n).await.expect("the other reads on");
                }
            };
            on_two_tokios(there, async move {
                let started = Instant::now();
                let mut sum = 0u64;
                while let Some(n) = receiver.recv().await {
                    sum += n;
                }
                assert_eq!(sum, (0..count).sum::<u64>());
                started.elapsed()
            })
        });
    });
    group.finish();
}

/// On one thread, so that only the instructions count: neither a wake nor a lock is needed.
fn alone(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("send and receive without waiting");
    group.bench_function("covet", |bench| {
        let (sender, mailbox) = mail::channel::<u64>(ROOM);
        let mut receiver = mailbox.bind();
        bench.iter(|| {
            sender.try_send(7).expect("there is room");
            receiver.try_recv()
        });
    });
    group.bench_function("tokio", |bench| {
        let (sender, mut receiver) = tokio::sync::mpsc::channel::<u64>(ROOM);
        bench.iter(|| {
            sender.try_send(7).expect("there is room");
            receiver.try_recv()
        });
    });
    let shared = Arc::new(Mutex::new(Vec::with_capacity(ROOM)));
    group.bench_function("a vector under std's mutex, for scale", |bench| {
        bench.iter(|| {
            shared.lock().expect("nobody panics").push(7u64);
            shared.lock().expect("nobody panics").pop()
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    targets = ping_pong, stream, alone
}
criterion_main!(benches);
