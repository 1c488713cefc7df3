//! Whether one core's stall is felt on the others.
//!
//! On the first CPU a core measures TCP round trips with itself; on the second, a core rests in even rounds and in odd
//! rounds runs a bad task that holds it for 100 ms at a time. Prints the percentiles of both kinds of round. Nothing
//! else should run on the machine: a stall that computes takes the CPU from whoever else wants it, and they come over.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use covet_runtime::net::{TcpListener, TcpStream};
use covet_runtime::{CoreSet, Runtime, shutdown, spawn, time};

const ROUNDS: usize = 40;
const ROUND: Duration = Duration::from_millis(500);
const STALL: Duration = Duration::from_millis(100);
const CONNECTIONS: usize = 8;

/// How the bad task holds its core.
#[derive(Clone, Copy, Debug)]
enum Stall {
    Computes,
    Blocks,
}

fn hold(stall: Stall) {
    match stall {
        Stall::Blocks => std::thread::sleep(STALL),
        Stall::Computes => {
            let end = Instant::now() + STALL;
            while Instant::now() < end {
                std::hint::spin_loop();
            }
        }
    }
}

/// Round trips in nanoseconds, without and with stalls next door.
type Latencies = Rc<RefCell<[Vec<u64>; 2]>>;

async fn echo(listener: TcpListener) {
    while let Ok(stream) = listener.accept().await {
        spawn(async move {
            while let Ok(bytes) = stream.recv().await {
                if bytes.is_empty() || stream.write_all(bytes.to_vec()).await.0.is_err() {
                    return;
                }
            }
        })
        .detach();
    }
}

async fn ask(stream: TcpStream, round: Arc<AtomicUsize>, latencies: Latencies) {
    loop {
        let number = round.load(Ordering::Relaxed);
        if number >= ROUNDS {
            return;
        }
        let asked = Instant::now();
        stream.write_all("64 bytes would do as well, but these are enough").await.0.expect("the echo lives");
        stream.recv().await.expect("the echo answers");
        latencies.borrow_mut()[number % 2].push(asked.elapsed().as_nanos() as u64);
        time::sleep(Duration::from_micros(50)).await;
    }
}

async fn measure(round: Arc<AtomicUsize>) -> [Vec<u64>; 2] {
    let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).expect("a port is free");
    let address = listener.local_addr().expect("a bound listener has an address");
    let server = spawn(echo(listener));
    let latencies = Latencies::default();
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(address).await.expect("the listener listens");
        clients.push(spawn(ask(stream, round.clone(), latencies.clone())));
    }
    for _ in 0..ROUNDS {
        time::sleep(ROUND).await;
        round.fetch_add(1, Ordering::Relaxed);
    }
    for client in clients {
        client.await.expect("a client does not panic");
    }
    server.cancel();
    latencies.take()
}

fn run(stall: Stall) {
    let round = Arc::new(AtomicUsize::new(0));
    let stalls = Arc::new(AtomicUsize::new(0));
    let over = Arc::new(AtomicBool::new(false));
    let (send, results) = std::sync::mpsc::channel();
    let (shared, held, ended) = (round.clone(), stalls.clone(), over.clone());
    let runtime = Runtime::builder()
        .cores(CoreSet::count(2))
        .stall_limit(None)
        .start(move |core| {
            let (round, held, ended, send) = (shared.clone(), held.clone(), ended.clone(), send.clone());
            async move {
                if core.index() == 0 {
                    send.send(measure(round).await).expect("main waits for the result");
                    ended.store(true, Ordering::Relaxed);
                    return;
                }
                while !ended.load(Ordering::Relaxed) && !shutdown::is_requested() {
                    time::sleep(Duration::from_millis(20)).await;
                    if round.load(Ordering::Relaxed) % 2 == 1 {
                        hold(stall);
                        held.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        })
        .expect("two CPUs and a ring for each");
    let mut latencies = results.recv().expect("the first core measures");
    runtime.join().expect("no core fails");
    println!(
        "{stall:?}: {} stalls of {STALL:?} in {:?}",
        stalls.load(Ordering::Relaxed),
        ROUND * ROUNDS as u32
    );
    latencies.iter_mut().for_each(|values| values.sort_unstable());
    println!("{:>8} {:>12} {:>12} {:>7}", "", "rests", "stalls", "ratio");
    for (name, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)] {
        let [rests, stalled] =
            [0, 1].map(|kind: usize| latencies[kind][((latencies[kind].len() - 1) as f64 * share) as usize]);
        println!("{name:>8} {rests:>9} ns {stalled:>9} ns {:>7.3}", stalled as f64 / rests as f64);
    }
    println!("{:>8} {:>12} {:>12}", "count", latencies[0].len(), latencies[1].len());
}

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    run(Stall::Blocks);
    run(Stall::Computes);
}
