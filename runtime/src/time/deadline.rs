//! Deadlines that nest: what runs inside one can neither outlive it nor be unaware of it.
//!
//! A [`timeout`](super::timeout) is known to its caller only: a library three calls further down starts a request of
//! ten seconds although half a second is left. Inside [`scope`] and [`within`] anything on the way can ask for
//! [`time_left`], and a scope in a scope ends with the outer one at the latest, however far its own deadline is.
//!
//! ```
//! use std::time::Duration;
//! use covet_runtime::{block_on, time::{deadline, sleep}};
//!
//! async fn query() -> Result<(), deadline::Expired> {
//!     // Asks for a minute, and gets what is left of the request's time.
//!     deadline::within(Duration::from_secs(60), sleep(Duration::from_secs(30))).named("query").await
//! }
//!
//! let expired = block_on(async {
//!     deadline::within(Duration::from_millis(20), query()).named("request").await
//! })?
//! .and_then(|answer| answer)
//! .expect_err("the query takes half a minute");
//! assert_eq!(expired.name(), Some("request"));
//! # Ok::<(), covet_runtime::StartError>(())
//! ```
//!
//! # Tasks
//! A deadline belongs to the future, not to the core: a task that is spawned inside a scope has none, as it may
//! outlive it. [`inherit`] hands the present one on: `spawn(deadline::inherit(work))`.
//!
//! # Cost
//! The present deadline is a thread-local variable that a scope sets when it is polled and puts back afterwards. There
//! is no allocation, and a program without scopes pays nothing.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::sleep::{Sleep, after, sleep_until};
use crate::cores::context;

thread_local! {
    static CURRENT: Cell<Option<Deadline>> = const { Cell::new(None) };
}

/// A point in time by which a scope ends, and the scope's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    at: Instant,
    name: Option<&'static str>,
}

impl Deadline {
    /// When it is.
    pub fn at(&self) -> Instant {
        self.at
    }

    /// What [`Scope::named`] called it.
    pub fn name(&self) -> Option<&'static str> {
        self.name
    }
}

/// The deadline that what runs now is under: the nearest of those that enclose it.
pub fn current() -> Option<Deadline> {
    CURRENT.get()
}

/// How long what runs now may go on: zero when the time is up, `None` without a deadline.
pub fn time_left() -> Option<Duration> {
    current().map(|deadline| deadline.at.saturating_duration_since(clock_now()))
}

fn clock_now() -> Instant {
    context::with(|core| core.clock.now()).unwrap_or_else(Instant::now)
}

/// Runs a future under a deadline; it is dropped with the scope.
///
/// The future is polled first, so one that is ready wins over a time that is up. A deadline that encloses this one
/// and is nearer takes its place. Cancel-safe if the future is.
///
/// # Errors
/// When the time is up before the future is ready; [`Expired`] says whose time it was.
///
/// # Panics
/// When polled outside a core.
pub fn scope<F: Future>(at: Instant, future: F) -> Scope<F> {
    Scope { future, own: Deadline { at, name: None }, sleep: None }
}

/// Runs a future under a deadline so long from now; otherwise as [`scope`].
pub fn within<F: Future>(limit: Duration, future: F) -> Scope<F> {
    scope(after(clock_now(), limit), future)
}

/// Takes the present deadline along into a task. Without one the future runs as it is.
///
/// # Errors
/// As for [`scope`].
///
/// # Panics
/// When polled outside a core.
pub fn inherit<F: Future>(future: F) -> Inherited<F> {
    match current() {
        Some(own) => Inherited(Inner::Under(Scope { future, own, sleep: None })),
        None => Inherited(Inner::Free(future)),
    }
}

/// The time of a scope was up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    deadline: Deadline,
    enclosing: bool,
}

impl Expired {
    /// When the time was up.
    pub fn at(&self) -> Instant {
        self.deadline.at
    }

    /// The name of the scope whose deadline it was, which may be one that encloses the one that failed.
    pub fn name(&self) -> Option<&'static str> {
        self.deadline.name
    }

    /// Whether it was the deadline of an enclosing scope. To try again is pointless then.
    pub fn is_enclosing(&self) -> bool {
        self.enclosing
    }
}

impl std::fmt::Display for Expired {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whose = if self.enclosing { "an enclosing deadline" } else { "the deadline" };
        match self.deadline.name {
            Some(name) => write!(f, "{whose}, that of {name:?}, has passed"),
            None => write!(f, "{whose} has passed"),
        }
    }
}

impl std::error::Error for Expired {}

impl From<Expired> for io::Error {
    /// An error of the kind `TimedOut`, as for [`Elapsed`](super::Elapsed).
    fn from(error: Expired) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, error)
    }
}

/// The future of [`scope`] and [`within`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Scope<F> {
    future: F,
    own: Deadline,
    /// Made at the first poll for which this deadline is the nearest: the enclosing one has a timer already.
    sleep: Option<Sleep>,
}

impl<F> Scope<F> {
    /// Gives the deadline a name, for [`Expired`] and for whoever asks for [`current`].
    pub fn named(mut self, name: &'static str) -> Scope<F> {
        self.own.name = Some(name);
        self
    }
}

/// Puts the deadline of the enclosing scope back, also when a poll panics.
struct Outer(Option<Deadline>);

impl Drop for Outer {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

impl<F: Future> Future for Scope<F> {
    type Output = Result<F::Output, Expired>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `future` is pinned with the whole and never moved out of it; the rest does not need pinning.
        let (future, own, sleep) = unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&mut this.future), this.own, &mut this.sleep)
        };
        let outer = Outer(CURRENT.get());
        let nearest = match outer.0 {
            Some(outer) if outer.at < own.at => outer,
            _ => own,
        };
        CURRENT.set(Some(nearest));
        let polled = future.poll(cx);
        drop(outer);
        if let Poll::Ready(output) = polled {
            return Poll::Ready(Ok(output));
        }
        let enclosing = nearest != own;
        let over = if enclosing {
            super::now() >= nearest.at
        } else {
            let sleep = sleep.get_or_insert_with(|| sleep_until(own.at));
            Pin::new(sleep).poll(cx).is_ready()
        };
        if over { Poll::Ready(Err(Expired { deadline: nearest, enclosing })) } else { Poll::Pending }
    }
}

/// The future of [`inherit`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Inherited<F>(Inner<F>);

#[derive(Debug)]
enum Inner<F> {
    Under(Scope<F>),
    Free(F),
}

impl<F: Future> Future for Inherited<F> {
    type Output = Result<F::Output, Expired>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: what is inside is pinned with the whole and never moved.
        match unsafe { &mut self.get_unchecked_mut().0 } {
            // SAFETY: as above.
            Inner::Under(scope) => unsafe { Pin::new_unchecked(scope) }.poll(cx),
            // SAFETY: as above.
            Inner::Free(future) => unsafe { Pin::new_unchecked(future) }.poll(cx).map(Ok),
        }
    }
}
