use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::sleep::{Sleep, sleep, sleep_until};
use crate::cores::context;

/// Gives a future so long to finish; then it is dropped with the `Timeout`.
///
/// The future is polled first, so one that is ready wins over a time that is up. Cancel-safe if the future is.
///
/// ```
/// use std::time::Duration;
/// use covet_runtime::{block_on, time};
///
/// let outcome = block_on(async {
///     time::timeout(Duration::from_millis(5), std::future::pending::<()>()).await
/// })?;
/// assert!(outcome.is_err());
/// # Ok::<(), covet_runtime::StartError>(())
/// ```
///
/// # Panics
/// Outside a core.
#[track_caller]
pub fn timeout<F: Future>(limit: Duration, future: F) -> Timeout<F> {
    Timeout { future, sleep: sleep(limit), limit }
}

/// Gives a future until a point in time to finish; otherwise as [`timeout`].
///
/// A deadline in the past polls the future once. See [`deadline`](crate::time::deadline) for those that nest.
///
/// # Panics
/// Outside a core.
#[track_caller]
pub fn timeout_at<F: Future>(deadline: Instant, future: F) -> Timeout<F> {
    let now = context::with(|core| core.clock.now()).unwrap_or_else(Instant::now);
    Timeout { future, sleep: sleep_until(deadline), limit: deadline.saturating_duration_since(now) }
}

/// The time was up before the future was ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not finished within {0:?}")]
pub struct Elapsed(
    /// The limit that was set: for [`timeout_at`], the time that was left at the call.
    pub Duration,
);

impl From<Elapsed> for io::Error {
    /// An error of the kind `TimedOut`, so that `?` takes it where calls of the network fail.
    fn from(error: Elapsed) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, error)
    }
}

/// The future of [`timeout`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Timeout<F> {
    future: F,
    sleep: Sleep,
    limit: Duration,
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `future` is pinned with the whole and never moved out of it; `Sleep` does not need pinning.
        let (future, sleep, limit) = unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&mut this.future), &mut this.sleep, this.limit)
        };
        if let Poll::Ready(output) = future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(sleep).poll(cx).map(|()| Err(Elapsed(limit)))
    }
}
