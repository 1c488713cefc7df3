use std::cell::RefCell;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::waiters::{Waiters, poll_registered, wake_each};
use crate::task::{Primitive, waits_on};

/// Limits how many tasks of a core do something at a time.
///
/// Permits are given first come, first served: while someone waits, nobody overtakes, not even a smaller request or
/// [`Semaphore::try_acquire`]. A request for more permits than there will ever be waits until the semaphore is
/// closed, and everyone behind it too.
///
/// ```
/// use covet_runtime::sync::Semaphore;
///
/// covet_runtime::block_on(async {
///     let uploads = Semaphore::new(2);
///     let first = uploads.acquire().await?;
///     let second = uploads.acquire().await?;
///     assert!(uploads.try_acquire().is_err());
///     drop(first);
///     assert_eq!(uploads.available_permits(), 1);
///     drop(second);
///     Ok::<(), covet_runtime::sync::AcquireError>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Semaphore {
    state: RefCell<State>,
}

struct State {
    permits: usize,
    closed: bool,
    waiters: Waiters<Request>,
}

struct Request {
    need: usize,
    granted: bool,
}

/// The semaphore was closed before the permits were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the semaphore is closed")]
pub struct AcquireError(());

/// Why permits could not be had at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TryAcquireError {
    /// The semaphore is closed.
    #[error("the semaphore is closed")]
    Closed,
    /// Too few permits are free, or others wait already.
    #[error("no permits are free")]
    NoPermits,
}

impl State {
    fn try_take(&mut self, need: usize) -> Result<(), TryAcquireError> {
        if self.closed {
            Err(TryAcquireError::Closed)
        } else if self.permits < need || !self.waiters.is_empty() {
            Err(TryAcquireError::NoPermits)
        } else {
            self.permits -= need;
            Ok(())
        }
    }

    fn add(&mut self, permits: usize) {
        let sum = self.permits.checked_add(permits).filter(|sum| *sum <= Semaphore::MAX_PERMITS);
        self.permits = sum.expect("a semaphore holds at most MAX_PERMITS permits");
    }

    fn grant_next(&mut self) -> Option<Waker> {
        let need = self.waiters.front()?.need;
        self.permits = self.permits.checked_sub(need)?;
        let (waker, request) = self.waiters.pop_front()?;
        request.granted = true;
        Some(waker)
    }
}

impl Semaphore {
    /// The most permits a semaphore can hold.
    pub const MAX_PERMITS: usize = usize::MAX >> 3;

    /// A semaphore with this many permits.
    ///
    /// # Panics
    /// With more than [`Semaphore::MAX_PERMITS`].
    pub const fn new(permits: usize) -> Semaphore {
        assert!(permits <= Semaphore::MAX_PERMITS, "a semaphore holds at most MAX_PERMITS permits");
        Semaphore { state: RefCell::new(State { permits, closed: false, waiters: Waiters::new() }) }
    }

    /// The number of free permits, which includes those that the first waiter is still gathering.
    pub fn available_permits(&self) -> usize {
        self.state.borrow().permits
    }

    /// Waits for one permit.
    ///
    /// # Errors
    /// When the semaphore is closed, before or meanwhile.
    ///
    /// # Cancellation
    /// Dropping the future gives up the place in the queue; a permit that was given already goes to the next.
    #[track_caller]
    pub fn acquire(&self) -> Acquire<'_> {
        self.acquire_many(1)
    }

    /// Waits for several permits, which are given all at once; otherwise as [`Semaphore::acquire`].
    #[track_caller]
    pub fn acquire_many(&self, permits: usize) -> Acquire<'_> {
        Acquire { semaphore: self, need: permits, key: None, at: Location::caller() }
    }

    /// As [`Semaphore::acquire`], for a permit that goes where a borrow cannot.
    ///
    /// # Errors
    /// When the semaphore is closed, before or meanwhile.
    pub async fn acquire_owned(self: Rc<Self>) -> Result<OwnedPermit, AcquireError> {
        self.acquire_many_owned(1).await
    }

    /// As [`Semaphore::acquire_many`], for a permit that goes where a borrow cannot.
    ///
    /// # Errors
    /// When the semaphore is closed, before or meanwhile.
    pub async fn acquire_many_owned(self: Rc<Self>, permits: usize) -> Result<OwnedPermit, AcquireError> {
        self.acquire_many(permits).await?.forget();
        Ok(OwnedPermit { semaphore: self, permits })
    }

    /// Takes a permit if one is free and nobody waits.
    ///
    /// # Errors
    /// When the semaphore is closed, or a permit can't be had at once.
    pub fn try_acquire(&self) -> Result<Permit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Takes several permits if they are free and nobody waits.
    ///
    /// # Errors
    /// When the semaphore is closed, or the permits can't be had at once.
    pub fn try_acquire_many(&self, permits: usize) -> Result<Permit<'_>, TryAcquireError> {
        self.state.borrow_mut().try_take(permits)?;
        Ok(Permit { semaphore: self, permits })
    }

    /// As [`Semaphore::try_acquire`], for a permit that goes where a borrow cannot.
    ///
    /// # Errors
    /// When the semaphore is closed, or a permit can't be had at once.
    pub fn try_acquire_owned(self: Rc<Self>) -> Result<OwnedPermit, TryAcquireError> {
        self.try_acquire_many_owned(1)
    }

    /// As [`Semaphore::try_acquire_many`], for permits that go where a borrow cannot.
    ///
    /// # Errors
    /// When the semaphore is closed, or the permits can't be had at once.
    pub fn try_acquire_many_owned(self: Rc<Self>, permits: usize) -> Result<OwnedPermit, TryAcquireError> {
        self.state.borrow_mut().try_take(permits)?;
        Ok(OwnedPermit { semaphore: self, permits })
    }

    /// Adds permits.
    ///
    /// # Panics
    /// When the sum passes [`Semaphore::MAX_PERMITS`].
    pub fn add_permits(&self, permits: usize) {
        self.state.borrow_mut().add(permits);
        self.grant();
    }

    /// Fails all who wait and all who will ask; permits that were given stay valid.
    pub fn close(&self) {
        let wakers = {
            let mut state = self.state.borrow_mut();
            state.closed = true;
            state.waiters.pop_all(|_| {})
        };
        wake_each(wakers);
    }

    /// Whether the semaphore is closed.
    pub fn is_closed(&self) -> bool {
        self.state.borrow().closed
    }

    pub(super) fn poll_acquire(
        &self,
        need: usize,
        key: &mut Option<usize>,
        at: Option<&'static Location<'static>>,
        cx: &Context<'_>,
    ) -> Poll<Result<(), AcquireError>> {
        let given = poll_registered(&self.state, cx, |state, registration| {
            if let Some(request) = state.waiters.take_popped(key) {
                return Poll::Ready(if request.granted { Ok(()) } else { Err(AcquireError(())) });
            }
            if key.is_none() {
                match state.try_take(need) {
                    Ok(()) => return Poll::Ready(Ok(())),
                    Err(TryAcquireError::Closed) => return Poll::Ready(Err(AcquireError(()))),
                    Err(TryAcquireError::NoPermits) => {}
                }
            }
            state.waiters.wait(key, registration, || Request { need, granted: false });
            Poll::Pending
        });
        if given.is_pending() {
            waits_on(cx.waker(), Primitive::Semaphore, at);
        }
        given
    }

    /// Leaves the queue: what was given already, or what this request kept from those behind it, goes to the next.
    pub(super) fn leave(&self, key: &mut Option<usize>) {
        if key.is_none() {
            return;
        }
        let waker = {
            let mut state = self.state.borrow_mut();
            let left = state.waiters.leave(key);
            if let Some((Request { need, granted: true }, _)) = left {
                state.add(need);
            }
            left.and_then(|(_, waker)| waker)
        };
        self.grant();
        drop(waker);
    }

    fn grant(&self) {
        wake_each(std::iter::from_fn(|| self.state.borrow_mut().grant_next()));
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn slots(&self) -> usize {
        self.state.borrow().waiters.slots()
    }
}

impl std::fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state.borrow();
        f.debug_struct("Semaphore").field("permits", &state.permits).field("closed", &state.closed).finish()
    }
}

/// The future of [`Semaphore::acquire`] and [`Semaphore::acquire_many`].
#[must_use = "futures do nothing unless awaited"]
pub struct Acquire<'a> {
    semaphore: &'a Semaphore,
    need: usize,
    key: Option<usize>,
    at: &'static Location<'static>,
}

impl<'a> Future for Acquire<'a> {
    type Output = Result<Permit<'a>, AcquireError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Acquire { semaphore, need, key, at } = &mut *self;
        let permit = |()| Permit { semaphore, permits: *need };
        semaphore.poll_acquire(*need, key, Some(at), cx).map(|given| given.map(permit))
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        self.semaphore.leave(&mut self.key);
    }
}

/// Permits of a [`Semaphore`], which go back when this is dropped.
#[derive(Debug)]
#[must_use = "permits that are dropped go back at once"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    permits: usize,
}

impl Permit<'_> {
    /// Takes the permits out of the semaphore for good.
    pub fn forget(mut self) {
        self.permits = 0;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.semaphore.add_permits(self.permits);
    }
}

/// Permits of a shared [`Semaphore`], which go back when this is dropped.
#[derive(Debug)]
#[must_use = "permits that are dropped go back at once"]
pub struct OwnedPermit {
    semaphore: Rc<Semaphore>,
    permits: usize,
}

impl OwnedPermit {
    /// Takes the permits out of the semaphore for good.
    pub fn forget(mut self) {
        self.permits = 0;
    }
}

impl Drop for OwnedPermit {
    fn drop(&mut self) {
        self.semaphore.add_permits(self.permits);
    }
}
