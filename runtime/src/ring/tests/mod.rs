//! The driver under pressure, and what becomes of operations whose future has gone.

#![cfg(not(any(loom, miri)))]

#[path = "../../../tests/alone/mod.rs"]
mod alone;
#[path = "../../../tests/scratch/mod.rs"]
mod scratch;

mod abandoned;
mod bell;
mod chaos;
mod files;
mod late;
mod messages;
pub(super) mod old_kernel;
mod pressure;
mod reentrant;
mod zero_copy;

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::Driver;
use crate::Builder;
use crate::cores::context;
use crate::net::{TcpListener, TcpStream};
use crate::time;

/// Long enough for any machine under any load; who waits so long waits for nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// The smallest ring: every limit is near.
fn tiny() -> Builder {
    Builder::default().ring_entries(8).recv_buffers(8, 256)
}

/// Lets this process have as many descriptors as it may: the limit that shells begin with is soon reached by tests that
/// run side by side.
fn allow_many_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let many = maximum.map_or(65_536, |most| most.min(65_536));
    setrlimit(Resource::Nofile, Rlimit { current: Some(many), maximum }).unwrap();
}

fn driver<T>(f: impl FnOnce(&mut Driver) -> T) -> T {
    context::with(|core| f(&mut core.driver.borrow_mut())).expect("tests run on a core")
}

fn local() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// Where no other test takes a port that becomes free.
fn secluded() -> SocketAddr {
    ([127, 0, 0, 30], 0).into()
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(local()).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap())
}

/// A stream of ours and the blocking end of its peer.
async fn with_std_peer() -> (TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind(local()).unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (ours, listener.accept().unwrap().0)
}

async fn receive_all(stream: &TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let bytes = stream.recv().await.unwrap();
        if bytes.is_empty() {
            return all;
        }
        all.extend_from_slice(&bytes);
    }
}

/// Polls once, with a waker that goes nowhere.
fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls once with the waker of the task, then drops the future.
async fn touch<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Waits until the kernel has given everything back, and fails if it does not.
async fn assert_nothing_is_lent() {
    let end = Instant::now() + PATIENCE;
    loop {
        let state = driver(|driver| (driver.in_flight(), driver.slots(), driver.recv_buffers()));
        let (in_flight, slots, (free, count)) = state;
        if (in_flight, slots, free) == (0, (0, 0, 0), count) {
            // Closes are handed over with the next turn's submissions, and nobody waits for them.
            crate::yield_now().await;
            return crate::yield_now().await;
        }
        assert!(Instant::now() < end, "in flight, slots, buffers: {state:?}");
        time::sleep(Duration::from_millis(2)).await;
    }
}

/// What this thread has computed so far: a core that spins shows here.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
