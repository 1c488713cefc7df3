//! The handle of one core among those of its runtime.

use std::future::Future;
use std::panic::Location;

use super::context;
use super::mail::broadcast::Broadcast;
use super::mail::peers::Peers;
use super::mail::remote::{self, RemoteHandle};
use crate::ring::DriverKind;
use crate::sync_types::Arc;

/// One core of a runtime, as seen from anywhere: from itself, from the others, or from a thread that is none.
///
/// The factory of [`Builder::start`](crate::Builder::start) is given the handle of the core that it runs on;
/// [`Core::current`] has it later on, and [`Runtime::core`](crate::Runtime::core) for threads outside. A handle keeps
/// nothing running.
///
/// ```
/// use covet_runtime::{Core, CoreSet, Runtime};
///
/// let runtime = Runtime::builder().start(|core| async move {
///     if core.index() == 0 {
///         // The closure crosses over to the last core; what it makes there never leaves it.
///         let last = core.count() - 1;
///         let there = core.spawn_on(last, || async {
///             let local = std::rc::Rc::new(Core::current().index());
///             covet_runtime::yield_now().await;
///             *local
///         });
///         assert_eq!(there.await, Ok(last));
///
///         let names = core.broadcast(|core| async move { core.index() }).await;
///         assert!(names.into_iter().eq((0..core.count()).map(Ok)));
///     }
/// })?;
/// runtime.join()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Core {
    index: usize,
    peers: Arc<Peers>,
}

impl Core {
    pub(crate) fn new(index: usize, peers: Arc<Peers>) -> Core {
        Core { index, peers }
    }

    pub(crate) fn peers(&self) -> &Arc<Peers> {
        &self.peers
    }

    /// The core that this runs on.
    ///
    /// # Panics
    /// Outside a core; [`Core::try_current`] answers `None` there.
    #[track_caller]
    pub fn current() -> Core {
        context::expect_current("Core::current").attendance.core().clone()
    }

    /// The core that this runs on, if it runs on one.
    pub fn try_current() -> Option<Core> {
        context::with(|core| core.attendance.core().clone())
    }

    /// Its place among the runtime's cores, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The CPU that it is pinned to.
    pub fn cpu(&self) -> Option<usize> {
        self.peers.cpu(self.index)
    }

    /// How many cores the runtime has.
    pub fn count(&self) -> usize {
        self.peers.count()
    }

    /// What it talks to the kernel with; `None` as long as it is being started, which the core itself never sees.
    pub fn driver(&self) -> Option<DriverKind> {
        self.peers.driver(self.index)
    }

    /// Another core of the same runtime.
    ///
    /// # Panics
    /// If there are not that many.
    #[track_caller]
    pub fn peer(&self, index: usize) -> Core {
        self.check(index);
        Core { index, peers: self.peers.clone() }
    }

    /// Starts a task on the core in place `index` of this runtime: the closure goes there, and what it returns is run
    /// there, so that only the closure and the output need be Send.
    ///
    /// Tasks sent from one thread start in the order of sending. Like [`spawn`](crate::spawn), this sets no bound: who
    /// sends without awaiting the handles bounds it by other means, such as a [`channel`](crate::mail::channel). Two
    /// allocations: what the task and its handle share, and the task.
    ///
    /// A core that has no task left waits for others that have; so there is always someone to run this, as long as the
    /// runtime has not come to its end. Then, or when the core was stopped by a shutdown's deadline or a failure, the
    /// closure is dropped and the handle answers [`JoinError::CoreGone`](crate::JoinError::CoreGone).
    ///
    /// # Panics
    /// If there are not that many cores. A panic of the closure or of its task is the handle's answer.
    #[track_caller]
    pub fn spawn_on<F, Fut>(&self, index: usize, start: F) -> RemoteHandle<Fut::Output>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future + 'static,
        Fut::Output: Send + 'static,
    {
        self.check(index);
        remote::send(&self.peers, index, start, Location::caller())
    }

    /// Starts a task on every core, this one included, and collects what they return.
    ///
    /// The tasks are under way when this returns; awaiting it waits for all of them.
    #[track_caller]
    pub fn broadcast<F, Fut>(&self, each: F) -> Broadcast<Fut::Output>
    where
        F: Fn(Core) -> Fut + Send + Sync + 'static,
        Fut: Future + 'static,
        Fut::Output: Send + 'static,
    {
        let at = Location::caller();
        let each = Arc::new(each);
        Broadcast::new((0..self.count()).map(|index| {
            let (each, core) = (each.clone(), self.peer(index));
            remote::send(&self.peers, index, move || (*each)(core), at)
        }))
    }

    #[track_caller]
    fn check(&self, index: usize) {
        let count = self.count();
        assert!(index < count, "there is no core {index}: this runtime has {count}, counted from 0");
    }
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core")
            .field("index", &self.index)
            .field("cpu", &self.cpu())
            .field("count", &self.count())
            .finish()
    }
}
