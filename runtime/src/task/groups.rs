//! The groups of one core's tasks, and whose turn it is.
//!
//! Every group has a virtual time, which runs while its tasks are polled: slowly for a group with many shares, fast for
//! one with few. Whichever is furthest behind is polled next, so that over time each gets the CPU by its shares, and
//! none waits for ever. A group that was idle is not owed the time that it did not use.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use super::raw::TaskRef;
use super::run_queue::RunQueue;

/// The group of every task that is not in another.
pub(super) const SERVING: u16 = 0;
pub(super) const BACKGROUND: u16 = 1;
pub(super) const MAINTENANCE: u16 = 2;

/// Shares whose virtual time runs as fast as the clock.
const UNIT: u64 = 1000;
/// How far, in virtual time, a group that was idle may be behind the others: long enough to go first after a wait, too
/// short to be felt by them.
const CREDIT: u64 = 1_000_000;
/// A group goes on until another is this far behind it: two groups that alternate at every poll chase each other's data
/// from the caches.
const STICKINESS: u64 = 20_000;

/// The groups of one executor. The ready tasks of the first group are in the executor's own queue, where tasks are
/// queued and taken without a look at the groups while no other is in use.
pub(crate) struct Groups {
    list: RefCell<Vec<Group>>,
    /// Ready tasks outside the first group.
    ready: Cell<usize>,
    /// The group of the task that is being polled.
    current: Cell<u16>,
    /// The virtual time of the group that was last chosen.
    reached: Cell<u64>,
    /// Whether the last turn went by shares. If it did not, no virtual time has run since.
    shared: Cell<bool>,
}

struct Group {
    name: Rc<str>,
    shares: u32,
    virtual_time: u64,
    queue: VecDeque<TaskRef>,
    /// Unfinished tasks.
    tasks: usize,
    handles: usize,
    /// Had something ready in the last turn.
    active: bool,
    /// Tasks that it may still poll in this turn.
    allowed: usize,
    busy: Duration,
}

impl Group {
    fn new(name: &str, shares: u32) -> Group {
        Group {
            name: name.into(),
            shares,
            virtual_time: 0,
            queue: VecDeque::new(),
            tasks: 0,
            handles: 0,
            active: false,
            allowed: 0,
            busy: Duration::ZERO,
        }
    }

    /// Whether its place may go to another group.
    fn is_unused(&self) -> bool {
        self.handles == 0 && self.tasks == 0 && self.queue.is_empty()
    }
}

/// Whether `a` is before `b`. Virtual times wrap, but are never far apart.
fn before(a: u64, b: u64) -> bool {
    a.wrapping_sub(b).cast_signed() < 0
}

impl Groups {
    pub(super) fn new() -> Groups {
        let ready_made =
            vec![Group::new("serving", 1000), Group::new("background", 200), Group::new("maintenance", 50)];
        Groups {
            list: RefCell::new(ready_made),
            ready: Cell::new(0),
            current: Cell::new(SERVING),
            reached: Cell::new(0),
            shared: Cell::new(false),
        }
    }

    /// Ready tasks outside the first group.
    #[inline]
    pub(super) fn ready(&self) -> usize {
        self.ready.get()
    }

    /// The group that spawned tasks inherit.
    #[inline]
    pub(super) fn current(&self) -> u16 {
        self.current.get()
    }

    pub(super) fn set_current(&self, group: u16) {
        self.current.set(group);
    }

    /// Makes a group, with one handle. `None` when there are 65,536.
    pub(super) fn add(&self, name: &str) -> Option<u16> {
        let mut list = self.list.borrow_mut();
        let mut group = Group { handles: 1, ..Group::new(name, 200) };
        let taken = usize::from(MAINTENANCE) + 1;
        if let Some(unused) = list.iter().skip(taken).position(Group::is_unused) {
            // Its virtual time goes on: whoever makes a new group for every job must not run ahead by it.
            group.virtual_time = list[taken + unused].virtual_time;
            list[taken + unused] = group;
            return u16::try_from(taken + unused).ok();
        }
        let index = u16::try_from(list.len()).ok()?;
        list.push(group);
        Some(index)
    }

    pub(super) fn add_handle(&self, group: u16) {
        self.list.borrow_mut()[usize::from(group)].handles += 1;
    }

    pub(super) fn drop_handle(&self, group: u16) {
        self.list.borrow_mut()[usize::from(group)].handles -= 1;
    }

    pub(super) fn set_shares(&self, group: u16, shares: u32) {
        self.list.borrow_mut()[usize::from(group)].shares = shares.clamp(1, 1_000_000);
    }

    pub(super) fn shares(&self, group: u16) -> u32 {
        self.list.borrow()[usize::from(group)].shares
    }

    pub(super) fn name(&self, group: u16) -> Rc<str> {
        self.list.borrow()[usize::from(group)].name.clone()
    }

    pub(super) fn busy(&self, group: u16) -> Duration {
        self.list.borrow()[usize::from(group)].busy
    }

    /// Shows the name, the shares and the measured time of each group in use.
    pub(crate) fn for_each(&self, mut show: impl FnMut(&Rc<str>, u32, Duration)) {
        for (index, group) in self.list.borrow().iter().enumerate() {
            if index <= usize::from(MAINTENANCE) || !group.is_unused() {
                show(&group.name, group.shares, group.busy);
            }
        }
    }

    pub(super) fn task_spawned(&self, group: u16) {
        self.list.borrow_mut()[usize::from(group)].tasks += 1;
    }

    pub(super) fn task_ended(&self, group: u16) {
        self.list.borrow_mut()[usize::from(group)].tasks -= 1;
    }

    /// Queues a task of a group other than the first.
    pub(super) fn push(&self, group: u16, task: TaskRef) {
        self.list.borrow_mut()[usize::from(group)].queue.push_back(task);
        self.ready.set(self.ready.get() + 1);
    }

    /// Takes any ready task outside the first group, whosever turn it is.
    pub(super) fn pop_any(&self) -> Option<TaskRef> {
        let task = self.list.borrow_mut().iter_mut().find_map(|group| group.queue.pop_front())?;
        self.ready.set(self.ready.get() - 1);
        Some(task)
    }

    /// Begins a turn by shares, with so many tasks ready in the first group.
    pub(super) fn begin(&self, first: usize) {
        let rested = !self.shared.replace(true);
        let floor = self.reached.get().wrapping_sub(CREDIT);
        for (index, group) in self.list.borrow_mut().iter_mut().enumerate() {
            group.allowed = if index == usize::from(SERVING) { first } else { group.queue.len() };
            let active = group.allowed > 0;
            if active && (rested || !group.active) && before(group.virtual_time, floor) {
                group.virtual_time = floor;
            }
            group.active = active;
        }
    }

    /// Notes a turn that did not go by shares.
    #[inline]
    pub(super) fn rest(&self) {
        self.shared.set(false);
    }

    /// Chooses the group whose turn it is, and takes its next task; those of the first group are in `queue`.
    ///
    /// `None` when nothing is ready, and also when the group has polled all that was ready at the start of the turn: it
    /// is still its turn, but the ring comes first.
    pub(super) fn next(&self, last: Option<u16>, queue: &RunQueue) -> Option<(u16, TaskRef)> {
        let mut list = self.list.borrow_mut();
        let has_ready = |index: usize, group: &Group| {
            if index == usize::from(SERVING) { !queue.is_empty() } else { !group.queue.is_empty() }
        };
        let mut chosen: Option<usize> = None;
        for (index, group) in list.iter().enumerate().filter(|&(index, group)| has_ready(index, group)) {
            if chosen.is_none_or(|best| before(group.virtual_time, list[best].virtual_time)) {
                chosen = Some(index);
            }
        }
        let mut chosen = chosen?;
        let behind = list[chosen].virtual_time;
        if let Some(last) = last.map(usize::from)
            && has_ready(last, &list[last])
            && before(list[last].virtual_time, behind.wrapping_add(STICKINESS))
        {
            chosen = last;
        }
        if before(self.reached.get(), behind) {
            self.reached.set(behind);
        }
        let group = &mut list[chosen];
        group.allowed = group.allowed.checked_sub(1)?;
        let index = u16::try_from(chosen).expect("`add` makes no more groups than that");
        if index == SERVING {
            return Some((index, queue.pop()?));
        }
        let task = group.queue.pop_front()?;
        self.ready.set(self.ready.get() - 1);
        Some((index, task))
    }

    /// Notes how long a poll took.
    pub(super) fn charge(&self, group: u16, time: Duration) {
        let group = &mut self.list.borrow_mut()[usize::from(group)];
        group.busy += time;
        // Even a poll that the clock does not see costs something: a group of such polls must not go for free.
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).clamp(1, 1 << 40);
        group.virtual_time = group.virtual_time.wrapping_add((nanos * UNIT / u64::from(group.shares)).max(1));
    }
}
