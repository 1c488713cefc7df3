use std::cell::{RefCell, RefMut};
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::semaphore::{Acquire, Permit, Semaphore};

/// Gives one task at a time a value that it may keep across awaits.
///
/// First come, first served. For a value that is not kept across an await a `RefCell` is enough. A task that panics
/// with the guard in its hands releases it; there is no poisoning.
///
/// ```
/// use covet_runtime::{sync::Mutex, yield_now};
///
/// covet_runtime::block_on(async {
///     let log = Mutex::new(Vec::new());
///     let mut lines = log.lock().await;
///     lines.push("first");
///     yield_now().await;
///     lines.push("second");
///     drop(lines);
///     assert_eq!(log.into_inner(), ["first", "second"]);
/// })?;
/// # Ok::<(), covet_runtime::StartError>(())
/// ```
pub struct Mutex<T> {
    turns: Semaphore,
    value: RefCell<T>,
}

/// The value of a [`Mutex`], until this is dropped.
#[must_use = "a guard that is dropped unlocks at once"]
pub struct MutexGuard<'a, T> {
    // Dropped in this order: the next in turn is woken when the value is free.
    value: RefMut<'a, T>,
    _turn: Permit<'a>,
}

/// The future of [`Mutex::lock`].
#[must_use = "futures do nothing unless awaited"]
pub struct Lock<'a, T> {
    value: &'a RefCell<T>,
    turn: Acquire<'a>,
}

impl<T> Mutex<T> {
    /// A mutex that nobody holds.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex { turns: Semaphore::new(1), value: RefCell::new(value) }
    }

    /// Waits for the value.
    ///
    /// # Cancellation
    /// Dropping the future gives up the place in the queue; if the turn had come, the next has it.
    #[track_caller]
    pub fn lock(&self) -> Lock<'_, T> {
        Lock { value: &self.value, turn: self.turns.acquire() }
    }

    /// The value, if nobody holds it or waits for it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let turn = self.turns.try_acquire().ok()?;
        Some(MutexGuard { value: self.value.borrow_mut(), _turn: turn })
    }

    /// The value, which nobody else can hold while the mutex is borrowed exclusively.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// Ends the mutex and gives its value back.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Mutex<T> {
        Mutex::new(T::default())
    }
}

impl<'a, T> Future for Lock<'a, T> {
    type Output = MutexGuard<'a, T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<MutexGuard<'a, T>> {
        Pin::new(&mut self.turn).poll(cx).map(|turn| {
            let turn = turn.expect("a mutex does not close its semaphore");
            MutexGuard { value: self.value.borrow_mut(), _turn: turn }
        })
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mutex").field("value", &self.value).finish()
    }
}
