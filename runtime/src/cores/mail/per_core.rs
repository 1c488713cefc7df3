//! State that every core has of its own, under one name.

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::broadcast::Broadcast;
use super::remote::{self, RemoteHandle};
use crate::cores::{Core, context};
use crate::sync_types::Arc;
use crate::task::{JoinError, report_panic};

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// One `T` on each core of a runtime, and ways to ask all of them.
///
/// The `T` is built on its core and stays there, so it may hold `Rc`, `RefCell` and sockets; the handle is cheap to
/// clone and goes anywhere. Reading one's own costs a look into a small table. A `T` is dropped on its core: when the
/// last handle goes, or at the core's end.
///
/// ```
/// use covet_runtime::{PerCore, Runtime};
/// use std::cell::Cell;
///
/// let runtime = Runtime::builder().start(|core| async move {
///     if core.index() == 0 {
///         let hits = PerCore::new(&core, |_| Cell::new(0u64));
///         let counting = hits.clone();
///         core.broadcast(move |_| {
///             let hits = counting.clone();
///             async move { hits.with(|hits| hits.set(hits.get() + 1)) }
///         })
///         .await;
///         let total = hits.fold(0, |hits| async move { hits.get() }, |sum, hits| sum + hits).await;
///         assert_eq!(total, Ok(core.count() as u64));
///     }
/// })?;
/// runtime.join()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct PerCore<T> {
    inner: Arc<Inner>,
    /// A handle owns no T, and so may be anywhere.
    state: PhantomData<fn() -> T>,
}

type Build = Box<dyn Fn(&Core) -> Rc<dyn Any> + Send + Sync>;

struct Inner {
    id: u64,
    core: Core,
    build: Option<Build>,
}

/// The states of one core.
#[derive(Default)]
pub(crate) struct States(RefCell<HashMap<u64, State>>);

enum State {
    Building,
    Ready(Rc<dyn Any>),
}

impl States {
    /// Drops every state; a destructor's panic ends here.
    pub(crate) fn clear(&self) {
        for (_, state) in self.0.take() {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(state))) {
                report_panic(payload, "a per-core state's destructor");
            }
        }
    }
}

impl<T: 'static> PerCore<T> {
    /// State for all cores of the runtime that `core` belongs to, built on each by `build` when it is first asked for
    /// there.
    pub fn new(core: &Core, build: impl Fn(&Core) -> T + Send + Sync + 'static) -> PerCore<T> {
        PerCore::with_build(core, Some(Box::new(move |core| Rc::new(build(core)) as Rc<dyn Any>)))
    }

    /// As [`PerCore::new`], but built on all cores now, by an asynchronous function; ready when all are.
    ///
    /// # Errors
    /// When it panics on a core, or a core has ended. What was built on the others is dropped.
    pub async fn build<F, Fut>(core: &Core, build: F) -> Result<PerCore<T>, JoinError>
    where
        F: Fn(Core) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = T> + 'static,
    {
        let states = PerCore::with_build(core, None);
        let id = states.inner.id;
        let built = core.broadcast(move |core| {
            let building = build(core);
            async move {
                let state = State::Ready(Rc::new(building.await));
                context::with(|core| core.states.0.borrow_mut().insert(id, state));
            }
        });
        built.await.into_iter().collect::<Result<(), JoinError>>()?;
        Ok(states)
    }

    fn with_build(core: &Core, build: Option<Build>) -> PerCore<T> {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        PerCore { inner: Arc::new(Inner { id, core: core.clone(), build }), state: PhantomData }
    }

    /// This core's state.
    ///
    /// # Panics
    /// On a thread that is no core of the runtime that the state was made for, and when the state's own builder asks
    /// for it.
    #[track_caller]
    pub fn get(&self) -> Rc<T> {
        self.find(&context::expect_current("PerCore"))
    }

    /// Calls `f` with this core's state.
    ///
    /// # Panics
    /// As [`PerCore::get`].
    #[track_caller]
    pub fn with<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        f(&self.get())
    }

    #[track_caller]
    fn find(&self, core: &context::CoreState) -> Rc<T> {
        let Inner { id, core: known, build } = &*self.inner;
        let states = &core.states.0;
        let state = match states.borrow().get(id) {
            Some(State::Ready(state)) => Some(state.clone()),
            Some(State::Building) => panic!("a per-core state was asked for while it was being built"),
            None => None,
        };
        if let Some(state) = state {
            return downcast(state);
        }
        let here = core.attendance.core();
        assert!(
            Arc::ptr_eq(here.peers(), known.peers()),
            "this per-core state belongs to the cores of another runtime"
        );
        let build =
            build.as_ref().expect("a state that is built at once is on every core before it is handed out");
        states.borrow_mut().insert(*id, State::Building);
        let building = Building { states, id: *id };
        // Outside the borrow: the builder may use other states.
        let state = build(here);
        std::mem::forget(building);
        states.borrow_mut().insert(*id, State::Ready(state.clone()));
        downcast(state)
    }

    /// Runs a task with the state of the core in place `index`; see [`Core::spawn_on`].
    ///
    /// # Panics
    /// If there are not that many cores.
    #[track_caller]
    pub fn on<F, Fut>(&self, index: usize, f: F) -> RemoteHandle<Fut::Output>
    where
        F: FnOnce(Rc<T>) -> Fut + Send + 'static,
        Fut: Future + 'static,
        Fut::Output: Send + 'static,
    {
        let states = self.clone();
        self.inner.core.spawn_on(index, move || f(states.get()))
    }

    /// Runs a task with each core's state; the outcomes come in the order of the cores. See [`Core::broadcast`].
    #[track_caller]
    pub fn map<F, Fut>(&self, f: F) -> Broadcast<Fut::Output>
    where
        F: Fn(Rc<T>) -> Fut + Send + Sync + 'static,
        Fut: Future + 'static,
        Fut::Output: Send + 'static,
    {
        let states = self.clone();
        self.inner.core.broadcast(move |_| f(states.get()))
    }

    /// Maps each core's state there, and folds what comes back here, in the order of the cores.
    ///
    /// # Errors
    /// When a core's task panicked or its core has ended; the first such core's error.
    pub async fn fold<A, F, Fut>(
        &self,
        start: A,
        map: F,
        fold: impl FnMut(A, Fut::Output) -> A,
    ) -> Result<A, JoinError>
    where
        F: Fn(Rc<T>) -> Fut + Send + Sync + 'static,
        Fut: Future + 'static,
        Fut::Output: Send + 'static,
    {
        let outcomes: Result<Vec<_>, _> = self.map(map).await.into_iter().collect();
        Ok(outcomes?.into_iter().fold(start, fold))
    }
}

fn downcast<T: 'static>(state: Rc<dyn Any>) -> Rc<T> {
    state.downcast().expect("an id belongs to one type")
}

/// Takes the mark away when a builder panics, so that the next one may try.
struct Building<'a> {
    states: &'a RefCell<HashMap<u64, State>>,
    id: u64,
}

impl Drop for Building<'_> {
    fn drop(&mut self) {
        self.states.borrow_mut().remove(&self.id);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let id = self.id;
        for index in 0..self.core.count() {
            let forget = move || async move {
                let state = context::with(|core| core.states.0.borrow_mut().remove(&id));
                // Outside the borrow: it may own anything.
                drop(state);
            };
            remote::send(self.core.peers(), index, forget, Location::caller()).detach();
        }
    }
}

impl<T> Clone for PerCore<T> {
    fn clone(&self) -> PerCore<T> {
        PerCore { inner: self.inner.clone(), state: PhantomData }
    }
}

impl<T> std::fmt::Debug for PerCore<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PerCore").field("cores", &self.inner.core.count()).finish_non_exhaustive()
    }
}
