use std::cell::Cell;
use std::rc::Rc;

use super::event::Event;

/// Counts who is inside, and waits for the last to leave once it is closed (Seastar's gate).
///
/// Work enters the gate before it begins and holds its [`Pass`] until it is over; whoever tears down what the work
/// stands on closes the gate first. Clones are the same gate.
///
/// ```
/// use covet_runtime::{block_on, spawn, sync::Gate, yield_now};
///
/// block_on(async {
///     let gate = Gate::new();
///     for _ in 0..3 {
///         let pass = gate.enter()?;
///         spawn(async move {
///             let _pass = pass;
///             yield_now().await;
///         })
///         .detach();
///     }
///     gate.close().await;
///     assert_eq!(gate.inside(), 0);
///     assert!(gate.enter().is_err());
///     Ok::<(), covet_runtime::sync::GateClosed>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Gate {
    state: Rc<State>,
}

struct State {
    inside: Cell<usize>,
    closed: Cell<bool>,
    emptied: Event,
}

/// The gate is closed: what asked to enter comes too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the gate is closed")]
pub struct GateClosed(());

impl Gate {
    /// An open gate with nobody inside.
    pub fn new() -> Gate {
        let state = State { inside: Cell::new(0), closed: Cell::new(false), emptied: Event::new() };
        Gate { state: Rc::new(state) }
    }

    /// Enters; whoever has the pass is inside until it is dropped.
    ///
    /// # Errors
    /// When the gate is closed.
    pub fn enter(&self) -> Result<Pass, GateClosed> {
        if self.is_closed() {
            return Err(GateClosed(()));
        }
        self.state.inside.set(self.state.inside.get() + 1);
        Ok(Pass { state: self.state.clone() })
    }

    /// Closes the gate at once, and waits until nobody is inside.
    ///
    /// # Cancellation
    /// The gate stays closed when the future is dropped; closing it again goes on waiting.
    pub fn close(&self) -> impl Future<Output = ()> + use<> {
        self.state.closed.set(true);
        self.state.settle();
        let state = self.state.clone();
        async move { state.emptied.wait().await }
    }

    /// Whether it is closed.
    pub fn is_closed(&self) -> bool {
        self.state.closed.get()
    }

    /// How many are inside.
    pub fn inside(&self) -> usize {
        self.state.inside.get()
    }
}

impl State {
    fn settle(&self) {
        if self.closed.get() && self.inside.get() == 0 {
            self.emptied.set();
        }
    }
}

impl Default for Gate {
    fn default() -> Gate {
        Gate::new()
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (inside, closed) = (self.inside(), self.is_closed());
        f.debug_struct("Gate").field("inside", &inside).field("closed", &closed).finish()
    }
}

/// Whoever has it is inside a [`Gate`].
#[must_use = "a pass that is dropped leaves the gate at once"]
pub struct Pass {
    state: Rc<State>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.state.inside.set(self.state.inside.get() - 1);
        self.state.settle();
    }
}

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pass").finish_non_exhaustive()
    }
}
