use std::cell::{Ref, RefCell, RefMut};
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::semaphore::{Acquire, Permit, Semaphore};

/// A writer takes as many turns as there can be readers.
const READERS: usize = u32::MAX as usize >> 3;

/// Gives a value to many readers or to one writer, across awaits.
///
/// First come, first served: readers who come after a waiting writer wait behind it, so a stream of readers can't
/// starve it. For the same reason a task that asks for a second read while it holds one may wait for ever. At most
/// 2²⁹ − 1 readers hold it at a time; more of them wait.
///
/// ```
/// use covet_runtime::sync::RwLock;
///
/// covet_runtime::block_on(async {
///     let routes = RwLock::new(vec!["/"]);
///     routes.write().await.push("/users");
///     let (one, other) = (routes.read().await, routes.read().await);
///     assert_eq!(one.len(), other.len());
/// })?;
/// # Ok::<(), covet_runtime::StartError>(())
/// ```
pub struct RwLock<T> {
    turns: Semaphore,
    value: RefCell<T>,
}

/// Shared access to the value of an [`RwLock`], until this is dropped.
#[must_use = "a guard that is dropped unlocks at once"]
pub struct RwLockReadGuard<'a, T> {
    // Dropped in this order: the next in turn is woken when the value is free.
    value: Ref<'a, T>,
    _turn: Permit<'a>,
}

/// Exclusive access to the value of an [`RwLock`], until this is dropped.
#[must_use = "a guard that is dropped unlocks at once"]
pub struct RwLockWriteGuard<'a, T> {
    // Dropped in this order, as above.
    value: RefMut<'a, T>,
    _turn: Permit<'a>,
}

/// The future of [`RwLock::read`].
#[must_use = "futures do nothing unless awaited"]
pub struct Read<'a, T> {
    value: &'a RefCell<T>,
    turn: Acquire<'a>,
}

/// The future of [`RwLock::write`].
#[must_use = "futures do nothing unless awaited"]
pub struct Write<'a, T> {
    value: &'a RefCell<T>,
    turn: Acquire<'a>,
}

impl<T> RwLock<T> {
    /// A lock that nobody holds.
    pub const fn new(value: T) -> RwLock<T> {
        RwLock { turns: Semaphore::new(READERS), value: RefCell::new(value) }
    }

    /// Waits until the value may be read.
    ///
    /// # Cancellation
    /// Dropping the future gives up the place in the queue; if the turn had come, the next has it.
    #[track_caller]
    pub fn read(&self) -> Read<'_, T> {
        Read { value: &self.value, turn: self.turns.acquire() }
    }

    /// Waits until the value may be written.
    ///
    /// # Cancellation
    /// As for [`RwLock::read`]; readers that waited behind a dropped writer go on.
    #[track_caller]
    pub fn write(&self) -> Write<'_, T> {
        Write { value: &self.value, turn: self.turns.acquire_many(READERS) }
    }

    /// Shared access, if no writer has it or waits for it.
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        let turn = self.turns.try_acquire().ok()?;
        Some(RwLockReadGuard { value: self.value.borrow(), _turn: turn })
    }

    /// Exclusive access, if nobody has the value or waits for it.
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        let turn = self.turns.try_acquire_many(READERS).ok()?;
        Some(RwLockWriteGuard { value: self.value.borrow_mut(), _turn: turn })
    }

    /// The value, which nobody else can hold while the lock is borrowed exclusively.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// Ends the lock and gives its value back.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> RwLock<T> {
        RwLock::new(T::default())
    }
}

impl<'a, T> Future for Read<'a, T> {
    type Output = RwLockReadGuard<'a, T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.turn).poll(cx).map(|turn| {
            let turn = turn.expect("a lock does not close its semaphore");
            RwLockReadGuard { value: self.value.borrow(), _turn: turn }
        })
    }
}

impl<'a, T> Future for Write<'a, T> {
    type Output = RwLockWriteGuard<'a, T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.turn).poll(cx).map(|turn| {
            let turn = turn.expect("a lock does not close its semaphore");
            RwLockWriteGuard { value: self.value.borrow_mut(), _turn: turn }
        })
    }
}

impl<T> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RwLock").field("value", &self.value).finish()
    }
}
