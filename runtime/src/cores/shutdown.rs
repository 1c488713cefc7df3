//! Shutting down as a protocol: a request, a time to finish, an end.
//!
//! A task that only wants to know waits for [`requested`], or does its work inside [`run_until_requested`]. A service
//! with more to do than to return takes part in the [`Phase`]s between the request and the deadline: with [`on`] it
//! registers work for one, with [`hold`] it keeps one from ending, with [`phase`] it waits for one. A
//! [`Gate`](crate::sync::Gate) waits for work in flight.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use slab::Slab;

use super::context::{self, CoreState};
use super::mail::peers::Peers;
use super::phases::Phases;
pub use super::phases::{Hold, Phase, hold, on, phase, phase_time_left, present_phase};
use crate::sync_types::Arc;
use crate::task::{Inbox, wake_isolated};

/// What all cores of a runtime know of its end.
pub(crate) struct Signal {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    deadline: Option<Instant>,
    cores: Vec<Arc<Inbox>>,
}

impl Signal {
    pub(super) fn new() -> Arc<Signal> {
        Arc::new(Signal { state: Mutex::default() })
    }

    /// The cores that a request is to reach.
    pub(super) fn subscribe(&self, peers: &Peers) {
        self.lock().cores.extend(peers.inboxes().cloned());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.lock().deadline
    }

    fn request(&self, deadline: Instant) {
        let mut state = self.lock();
        let earlier = state.deadline.is_none_or(|known| deadline < known);
        if earlier {
            state.deadline = Some(deadline);
            state.cores.iter().for_each(|core| core.notify());
        }
    }
}

/// Asks a runtime to shut down, from any thread.
#[derive(Clone)]
pub struct ShutdownHandle(pub(super) Arc<Signal>);

impl ShutdownHandle {
    /// Begins the shutdown of every core: [`requested`] resolves, and what still runs after `deadline` is
    /// cancelled. Asking again can only bring the deadline nearer. Returns at once; `Runtime::join` waits.
    pub fn shutdown(&self, deadline: Duration) {
        // A deadline too far to be represented is as good as a century.
        let now = Instant::now();
        let end = now.checked_add(deadline).unwrap_or(now + Duration::from_secs(100 * 365 * 86_400));
        self.0.request(end);
    }

    /// Whether a shutdown was asked for.
    pub fn is_requested(&self) -> bool {
        self.0.deadline().is_some()
    }
}

impl std::fmt::Debug for ShutdownHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShutdownHandle").field("requested", &self.is_requested()).finish()
    }
}

/// One core's view of the shutdown.
pub(crate) struct ShutdownState {
    pub(super) signal: Arc<Signal>,
    pub(super) deadline: Cell<Option<Instant>>,
    waiters: RefCell<Slab<Waker>>,
    pub(super) phases: Phases,
}

impl ShutdownState {
    pub(super) fn new(signal: Arc<Signal>) -> ShutdownState {
        ShutdownState {
            signal,
            deadline: Cell::new(None),
            waiters: RefCell::default(),
            phases: Phases::default(),
        }
    }

    /// Shows the wakers of [`requested`].
    pub(super) fn for_each_waiter(&self, mut show: impl FnMut(&Waker)) {
        self.waiters.borrow().iter().for_each(|(_, waker)| show(waker));
    }

    /// Looks at the shared signal; called when the core was woken from outside.
    pub(super) fn refresh(&self) {
        let deadline = self.signal.deadline();
        if deadline != self.deadline.get() {
            self.deadline.set(deadline);
            wake_isolated(self.waiters.take().into_iter().map(|(_, waker)| waker));
            self.phases.deadline_changed();
        }
    }
}

/// Resolves when the shutdown of this core begins; at once if it has begun.
///
/// A server stops accepting then, finishes what is in flight and returns. Cancel-safe.
///
/// # Panics
/// When polled outside a core.
pub fn requested() -> Requested {
    Requested(None)
}

/// Runs a future until it is ready or the shutdown of this core begins, which is `None`; it is dropped then.
///
/// The future is polled first, so what is ready wins: a listener that accepts in a loop hands out what it has before it
/// stops. Cancel-safe if the future is.
///
/// ```no_run
/// use covet_runtime::{net::TcpListener, shutdown};
///
/// # async fn serve(listener: TcpListener) -> std::io::Result<()> {
/// while let Some(stream) = shutdown::run_until_requested(listener.accept()).await {
///     println!("{}", stream?.peer_addr()?);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Panics
/// When polled outside a core.
pub async fn run_until_requested<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut requested = requested();
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Pin::new(&mut requested).poll(cx).map(|()| None),
    })
    .await
}

/// The handle that shuts the runtime of this core down: for a command or a request that ends the service.
///
/// ```
/// use covet_runtime::{CoreSet, Runtime, shutdown};
/// use std::time::Duration;
///
/// let runtime = Runtime::builder().cores(CoreSet::count(1)).start(|_| async {
///     shutdown::handle().shutdown(Duration::from_secs(5));
///     shutdown::requested().await;
/// })?;
/// runtime.join()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Panics
/// Outside a core.
#[track_caller]
pub fn handle() -> ShutdownHandle {
    ShutdownHandle(context::expect_current("shutdown::handle").shutdown.signal.clone())
}

/// Whether the shutdown of this core has begun. `false` outside a core.
pub fn is_requested() -> bool {
    context::with(|core| core.shutdown.deadline.get().is_some()).unwrap_or(false)
}

/// The time left until this core is stopped, once its shutdown has begun.
pub fn time_left() -> Option<Duration> {
    context::with(|core| core.shutdown.deadline.get())
        .flatten()
        .map(|end| end.saturating_duration_since(Instant::now()))
}

/// The future of [`requested`].
#[must_use = "futures do nothing unless awaited"]
pub struct Requested(Option<Waiter>);

/// A place in a core's list of wakers. It is given back on drop: otherwise every connection that ever waited for
/// the end would keep its task's memory until then.
struct Waiter {
    core: Rc<CoreState>,
    place: usize,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let waker = self.core.shutdown.waiters.borrow_mut().try_remove(self.place);
        drop(waker);
    }
}

impl std::fmt::Debug for Requested {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Requested").field("waiting", &self.0.is_some()).finish()
    }
}

impl Future for Requested {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let core = match &self.0 {
            Some(waiter) => waiter.core.clone(),
            None => context::expect_current("shutdown::requested"),
        };
        if core.shutdown.deadline.get().is_some() {
            self.0 = None;
            return Poll::Ready(());
        }
        let mut waiters = core.shutdown.waiters.borrow_mut();
        let old = match &self.0 {
            Some(waiter) if waiters[waiter.place].will_wake(cx.waker()) => None,
            Some(waiter) => Some(std::mem::replace(&mut waiters[waiter.place], cx.waker().clone())),
            None => {
                let place = waiters.insert(cx.waker().clone());
                self.0 = Some(Waiter { core: core.clone(), place });
                None
            }
        };
        drop(waiters);
        // Outside the borrow: the last reference to a foreign waker may own anything.
        drop(old);
        Poll::Pending
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::{block_on, spawn, yield_now};

    #[test]
    fn a_wait_that_is_given_up_leaves_nothing_behind() {
        block_on(async {
            let waiting = || context::with(|core| core.shutdown.waiters.borrow().len());
            for _ in 0..100 {
                let task = spawn(requested());
                yield_now().await;
                yield_now().await;
                assert_eq!(waiting(), Some(1));
                task.cancel();
                assert!(task.await.is_err());
            }
            assert_eq!(waiting(), Some(0));
        })
        .unwrap();
    }
}
