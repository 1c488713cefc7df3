//! Polled by hand, without a kernel, so that they run under Miri.

mod cancellation;
mod channels;
mod locks;
mod mpsc_model;
mod semaphore;
mod signals;
mod watch;

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Counts its wakes.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A future with a waker of its own.
struct Waiting<F> {
    future: Pin<Box<F>>,
    count: Arc<Count>,
}

impl<F: Future> Waiting<F> {
    fn new(future: F) -> Waiting<F> {
        Waiting { future: Box::pin(future), count: Arc::default() }
    }

    fn polled(future: F) -> Waiting<F> {
        let mut waiting = Waiting::new(future);
        assert!(waiting.poll().is_pending());
        waiting
    }

    fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(self.count.clone());
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn poll_with(&mut self, waker: &Waker) -> Poll<F::Output> {
        self.future.as_mut().poll(&mut Context::from_waker(waker))
    }

    fn wakes(&self) -> usize {
        self.count.0.load(Ordering::Relaxed)
    }

    #[track_caller]
    fn ready(&mut self) -> F::Output {
        match self.poll() {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("the future is not ready"),
        }
    }
}

/// Polls a future that is expected to be ready at once.
#[track_caller]
fn ready<F: Future>(future: F) -> F::Output {
    Waiting::new(future).ready()
}

type Hook = Option<Rc<dyn Fn()>>;

thread_local! {
    static HOOK: RefCell<Hook> = const { RefCell::new(None) };
}

fn set_hook(hook: impl Fn() + 'static) {
    HOOK.set(Some(Rc::new(hook)));
}

fn run_hook() {
    let hook = HOOK.with_borrow(Clone::clone);
    if let Some(hook) = hook {
        hook();
    }
}

/// Runs the hook of its thread when it is woken and when it is dropped.
struct Foreign;

impl Wake for Foreign {
    fn wake(self: Arc<Self>) {
        run_hook();
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        run_hook();
    }
}

fn foreign() -> Waker {
    Waker::from(Arc::new(Foreign))
}

/// Small random numbers (splitmix64), the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

/// How many random programs a model is tried with; an interpreter gets fewer.
const PROGRAMS: u64 = if cfg!(miri) { 6 } else { 400 };
