//! The phases of a core's shutdown, each with its share of the time.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use super::context::{self, CoreState};
use crate::sync::{Event, Gate, Pass};
use crate::time::sleep_until;
use crate::{spawn, yield_now};

/// A step of a core's shutdown.
///
/// A phase lasts until everything that [`hold`]s it has let go, and no longer than until its share of the time between
/// the request and the deadline is used up. What a phase does not need is left to the later ones; a phase that nobody
/// holds is over after one turn of the loop. Each core goes through the phases by itself.
///
/// | Phase | Ends at | What a service does in it |
/// |---|---|---|
/// | `StopAccepting` | 10 % | closes its listeners, tells the load balancer, leaves the registry |
/// | `Drain` | 80 % | finishes the requests in flight, takes no new ones on open connections |
/// | `CloseIdle` | 95 % | says goodbye on connections that are open and idle, flushes logs and metrics |
/// | `Cancel` | the deadline | ends by force what has not ended; whatever is left then is dropped with the core |
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Nothing new comes in. It begins with the request, as [`requested`](super::shutdown::requested) does.
    StopAccepting,
    /// What is in flight is finished.
    Drain,
    /// What is open and idle is closed.
    CloseIdle,
    /// What is left is told to end at once. Nothing can hold it.
    Cancel,
}

impl Phase {
    const ALL: [Phase; 4] = [Phase::StopAccepting, Phase::Drain, Phase::CloseIdle, Phase::Cancel];

    /// When it ends at the latest, in percent of the whole time.
    fn share(self) -> u32 {
        match self {
            Phase::StopAccepting => 10,
            Phase::Drain => 80,
            Phase::CloseIdle => 95,
            Phase::Cancel => 100,
        }
    }
}

type Hook = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>>>;

/// Where a core is in its shutdown, and who has a say in it.
#[derive(Default)]
pub(super) struct Phases {
    began: Cell<Option<Instant>>,
    present: Cell<Option<Phase>>,
    reached: [Event; 4],
    gates: [Gate; 4],
    hooks: RefCell<[Vec<Hook>; 4]>,
    /// The task that goes through the phases.
    walker: Cell<Option<Waker>>,
}

impl Phases {
    /// The shutdown was asked for, or its deadline has come nearer.
    pub(super) fn deadline_changed(&self) {
        if self.began.get().is_some() {
            if let Some(walker) = self.walker.take() {
                walker.wake();
            }
            return;
        }
        self.began.set(Some(Instant::now()));
        if let Some(core) = context::current() {
            spawn(walk(core)).detach();
        }
    }

    fn end_of(&self, phase: Phase, deadline: Instant) -> Option<Instant> {
        let began = self.began.get()?;
        let whole = deadline.saturating_duration_since(began);
        Some(began + whole / 100 * phase.share())
    }
}

fn end_of(core: &CoreState, phase: Phase) -> Option<Instant> {
    core.shutdown.phases.end_of(phase, core.shutdown.deadline.get()?)
}

async fn walk(core: Rc<CoreState>) {
    let phases = &core.shutdown.phases;
    for phase in Phase::ALL {
        let place = phase as usize;
        phases.present.set(Some(phase));
        let hooks = std::mem::take(&mut phases.hooks.borrow_mut()[place]);
        for hook in hooks {
            let pass = phases.gates[place].enter();
            // A task of its own, in which also a panic of the hook stays.
            spawn(async move {
                let _pass = pass;
                hook().await;
            })
            .detach();
        }
        if catch_unwind(AssertUnwindSafe(|| phases.reached[place].set())).is_err() {
            tracing::error!(
                ?phase,
                "a waker panicked when a phase of the shutdown began; the shutdown goes on"
            );
        }
        // Whoever waited for this phase runs first, and may still hold it.
        yield_now().await;
        if !released(&core, phase).await {
            let holds = phases.gates[place].inside();
            tracing::warn!(
                ?phase,
                holds,
                "a phase of the shutdown has used up its time; the next one begins"
            );
        }
    }
}

/// Waits until nobody holds the phase; `false` if its time is up before.
async fn released(core: &Rc<CoreState>, phase: Phase) -> bool {
    let Some(end) = end_of(core, phase) else { return true };
    if phase == Phase::Cancel {
        return true;
    }
    let mut closed = pin!(core.shutdown.phases.gates[phase as usize].close());
    let mut sleep = sleep_until(end);
    poll_fn(|cx| {
        if closed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        // A deadline that has come nearer brings this task here.
        if let Some(end) = end_of(core, phase).filter(|&end| end != sleep.deadline()) {
            sleep.reset(end);
        }
        drop(core.shutdown.phases.walker.replace(Some(cx.waker().clone())));
        Pin::new(&mut sleep).poll(cx).map(|()| false)
    })
    .await
}

/// Resolves when this core's shutdown reaches a phase; at once if it has. Cancel-safe.
///
/// # Panics
/// When polled outside a core.
pub async fn phase(phase: Phase) {
    let core = context::expect_current("shutdown::phase");
    core.shutdown.phases.reached[phase as usize].wait().await;
}

/// The phase that this core's shutdown is in; `None` before it is asked for, and outside a core.
pub fn present_phase() -> Option<Phase> {
    context::with(|core| core.shutdown.phases.present.get()).flatten()
}

/// The time left until a phase of this core's shutdown ends, once the shutdown has begun.
pub fn phase_time_left(phase: Phase) -> Option<Duration> {
    let end = context::with(|core| end_of(core, phase)).flatten()?;
    Some(end.saturating_duration_since(Instant::now()))
}

/// Holds a phase of this core's shutdown: it does not end before this is dropped, unless its time is up.
///
/// Take it before the phase begins, or as the first thing after. `None` if the phase is over or has been found free of
/// holds, and for [`Phase::Cancel`].
///
/// ```
/// use covet_runtime::{Runtime, CoreSet, shutdown::{self, Phase}, spawn};
/// use std::time::Duration;
///
/// let runtime = Runtime::builder().cores(CoreSet::count(1)).start(|_| async {
///     let request = shutdown::hold(Phase::Drain);
///     spawn(async move {
///         covet_runtime::time::sleep(Duration::from_millis(5)).await;
///         drop(request);
///     })
///     .detach();
///     shutdown::phase(Phase::CloseIdle).await;
///     println!("the request is done");
/// })?;
/// runtime.shutdown(Duration::from_secs(10));
/// runtime.join()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Panics
/// Outside a core.
#[track_caller]
pub fn hold(phase: Phase) -> Option<Hold> {
    let core = context::expect_current("shutdown::hold");
    if phase == Phase::Cancel {
        return None;
    }
    core.shutdown.phases.gates[phase as usize].enter().ok().map(|pass| Hold { phase, _pass: pass })
}

/// Holds a phase of the shutdown until it is dropped; made by [`hold`].
#[derive(Debug)]
#[must_use = "a hold that is dropped lets go at once"]
pub struct Hold {
    phase: Phase,
    _pass: Pass,
}

impl Hold {
    /// The phase that it holds.
    pub fn phase(&self) -> Phase {
        self.phase
    }
}

/// Registers work for a phase of this core's shutdown.
///
/// When the phase begins, `hook` is called and its future runs as a task that holds the phase. Its time is
/// [`phase_time_left`]; what takes longer goes on beside the later phases, until the core is stopped. A panic stays in
/// its task. If the phase has begun already, the task starts at once. Hooks that were never run are dropped with the
/// core.
///
/// ```
/// use covet_runtime::shutdown::{self, Phase};
///
/// # covet_runtime::block_on(async {
/// shutdown::on(Phase::StopAccepting, || async { println!("leaving the registry") });
/// # })?;
/// # Ok::<(), covet_runtime::StartError>(())
/// ```
///
/// # Panics
/// Outside a core.
#[track_caller]
pub fn on<F, Fut>(phase: Phase, hook: F)
where
    F: FnOnce() -> Fut + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let core = context::expect_current("shutdown::on");
    let phases = &core.shutdown.phases;
    if phases.present.get() >= Some(phase) {
        let pass = phases.gates[phase as usize].enter();
        return spawn(async move {
            let _pass = pass;
            hook().await;
        })
        .detach();
    }
    phases.hooks.borrow_mut()[phase as usize].push(Box::new(move || Box::pin(hook())));
}

impl Phases {
    /// Drops the hooks that were not run: what they own may be of this core.
    pub(super) fn clear(&self) {
        let hooks = self.hooks.take();
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(hooks))) {
            tracing::error!("the destructor of a shutdown hook panicked");
            std::mem::forget(payload);
        }
    }
}
