//! Groups of tasks that share the CPU by weight.

use std::future::Future;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use super::JoinHandle;
use super::groups::{BACKGROUND, MAINTENANCE, SERVING};
use super::origin::Origin;
use crate::cores::context;

/// Tasks of one core that get the CPU by their shares when others want it too.
///
/// A task belongs to the group that [`spawn_in`] names, or else to the group of the task that spawned it. While only
/// one group has something to do it gets all of the CPU; when several do, each gets it in proportion to its shares,
/// measured by the time that its polls take. A group that was idle goes first when it wakes, which is what keeps
/// answers quick while a long job runs beside them. A poll is never interrupted: the quickest answer takes as long as
/// the longest poll of the others, so long computations should [`yield_now`](crate::yield_now) every 100 µs or so.
///
/// Every core has three groups from the start: [`serving`](TaskGroup::serving) with 1,000 shares, in which all tasks
/// are unless they are told otherwise, [`background`](TaskGroup::background) with 200 and
/// [`maintenance`](TaskGroup::maintenance) with 50. As long as no other group has ready tasks, the serving group costs
/// nothing: no clock is read and nothing is counted.
///
/// The handle stays on its core; the group lasts as long as a handle or a task of it.
///
/// ```
/// use covet_runtime::{TaskGroup, block_on, spawn_in, yield_now};
///
/// block_on(async {
///     let reindex = TaskGroup::new("reindex").shares(100);
///     let job = spawn_in(&reindex, async {
///         for _chunk in 0..10 {
///             // A bounded piece of work, then the others' turn.
///             yield_now().await;
///         }
///         TaskGroup::current().name().to_string()
///     });
///     assert_eq!(job.await.as_deref(), Ok("reindex"));
/// })?;
/// # Ok::<(), covet_runtime::StartError>(())
/// ```
#[derive(Clone)]
pub struct TaskGroup(Rc<Member>);

/// The reference that keeps the group's place.
struct Member {
    home: u64,
    group: u16,
}

impl Drop for Member {
    fn drop(&mut self) {
        // Elsewhere, or later, the groups of its executor are gone.
        context::with(|core| {
            if core.executor.id() == self.home {
                core.executor.groups().drop_handle(self.group);
            }
        });
    }
}

impl TaskGroup {
    /// A new group of the current core, with 200 shares. The name is for reports and need not be unique.
    ///
    /// # Panics
    /// Outside a core, and when the core has 65,536 groups.
    #[track_caller]
    pub fn new(name: &str) -> TaskGroup {
        let core = context::expect_current("TaskGroup::new");
        match core.executor.groups().add(name) {
            Some(group) => TaskGroup(Rc::new(Member { home: core.executor.id(), group })),
            None => panic!("a core has at most 65,536 task groups: drop some, or share them"),
        }
    }

    /// The group in which all tasks are unless they are told otherwise; 1,000 shares.
    ///
    /// # Panics
    /// Outside a core, as all functions that return a group.
    #[track_caller]
    pub fn serving() -> TaskGroup {
        TaskGroup::existing(SERVING)
    }

    /// For work that somebody waits for, but not within milliseconds: refreshing caches, sending mail; 200 shares.
    #[track_caller]
    pub fn background() -> TaskGroup {
        TaskGroup::existing(BACKGROUND)
    }

    /// For work that nobody waits for: compaction, statistics, clearing up; 50 shares.
    #[track_caller]
    pub fn maintenance() -> TaskGroup {
        TaskGroup::existing(MAINTENANCE)
    }

    /// The group of the task that is running.
    #[track_caller]
    pub fn current() -> TaskGroup {
        let group = context::expect_current("TaskGroup::current").executor.groups().current();
        TaskGroup::existing(group)
    }

    #[track_caller]
    fn existing(group: u16) -> TaskGroup {
        let core = context::expect_current("a task group");
        core.executor.groups().add_handle(group);
        TaskGroup(Rc::new(Member { home: core.executor.id(), group }))
    }

    /// Sets the shares (1 to 1,000,000), for the chain that makes a group.
    pub fn shares(self, shares: u32) -> TaskGroup {
        self.set_shares(shares);
        self
    }

    /// Changes the shares (1 to 1,000,000) from now on.
    pub fn set_shares(&self, shares: u32) {
        self.on_its_core(|core| core.executor.groups().set_shares(self.0.group, shares));
    }

    /// Its shares.
    pub fn current_shares(&self) -> u32 {
        self.on_its_core(|core| core.executor.groups().shares(self.0.group))
    }

    /// Its name.
    pub fn name(&self) -> Rc<str> {
        self.on_its_core(|core| core.executor.groups().name(self.0.group))
    }

    /// How long its tasks have been polled. For the serving group only the time is measured in which others had ready
    /// tasks too.
    pub fn busy_time(&self) -> Duration {
        self.on_its_core(|core| core.executor.groups().busy(self.0.group))
    }

    /// Starts a task in this group.
    #[track_caller]
    pub(super) fn spawn<F>(&self, future: F, origin: Origin) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.on_its_core(|core| core.executor.spawn_in(future, origin, self.0.group))
    }

    #[track_caller]
    fn on_its_core<T>(&self, f: impl FnOnce(&context::CoreState) -> T) -> T {
        let core = context::expect_current("a task group");
        assert!(core.executor.id() == self.0.home, "a task group is of use on the core that made it only");
        f(&core)
    }
}

impl std::fmt::Debug for TaskGroup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TaskGroup").field("index", &self.0.group).finish_non_exhaustive()
    }
}

/// As [`spawn`](crate::spawn), in a group of one's own choice.
///
/// # Panics
/// Outside the core that the group belongs to.
#[track_caller]
pub fn spawn_in<F>(group: &TaskGroup, future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    group.spawn(future, Location::caller().into())
}
