//! The division of a core's time among groups, with polls that burn real time.

use std::cell::Cell;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Executor, Inbox};
use crate::{TaskGroup, block_on, spawn, spawn_in, time, yield_now};

fn burn(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

/// What a burner has burnt so far.
#[derive(Default)]
struct Burnt {
    sum: Cell<Duration>,
    /// The longest poll: another process may have the CPU for many milliseconds, and whoever runs then is charged.
    longest: Cell<Duration>,
}

impl Burnt {
    fn get(&self) -> Duration {
        self.sum.get()
    }
}

/// Starts a task that never rests and adds up what it burnt.
fn burner(group: &TaskGroup, poll: Duration) -> Rc<Burnt> {
    let burnt = Rc::new(Burnt::default());
    let shown = burnt.clone();
    spawn_in(group, async move {
        loop {
            let before = Instant::now();
            burn(poll);
            let took = before.elapsed();
            burnt.sum.set(burnt.sum.get() + took);
            burnt.longest.set(burnt.longest.get().max(took));
            yield_now().await;
        }
    })
    .detach();
    shown
}

/// Waits until burners have burnt so much, and so many times their longest poll that none of these counts for much.
async fn until_burnt(least: Duration, burnt: impl Fn() -> Vec<(Duration, Duration)>) {
    // Where others leave this one a thirtieth of its CPU, a poll may take seconds, and this minutes.
    let end = Instant::now() + Duration::from_secs(300);
    loop {
        time::sleep(Duration::from_millis(20)).await;
        let burnt = burnt();
        let sum: Duration = burnt.iter().map(|(sum, _)| *sum).sum();
        let longest = burnt.iter().map(|(_, longest)| *longest).max().unwrap_or_default();
        if sum >= least.max(longest * 20) {
            return;
        }
        assert!(Instant::now() < end, "polls of {longest:?} in {sum:?}: this machine is too busy to tell");
    }
}

const POLL: Duration = Duration::from_micros(50);

#[test]
fn time_is_divided_by_shares() {
    block_on(async {
        let groups = [400, 200, 100].map(|shares| TaskGroup::new("burns").shares(shares));
        // The numbers of tasks, and how long their polls are, must not matter: in the middle group there are four.
        let burnt: Vec<Vec<_>> = vec![
            vec![burner(&groups[0], POLL)],
            (0..4).map(|_| burner(&groups[1], POLL / 2)).collect(),
            vec![burner(&groups[2], POLL * 2)],
        ];
        let seen = || burnt.iter().flatten().map(|burnt| (burnt.get(), burnt.longest.get())).collect();
        until_burnt(Duration::from_millis(500), seen).await;
        let sums: Vec<f64> =
            burnt.iter().map(|group| group.iter().map(|sum| sum.get().as_secs_f64()).sum()).collect();
        let total: f64 = sums.iter().sum();
        for (sum, wanted) in sums.iter().zip([4.0 / 7.0, 2.0 / 7.0, 1.0 / 7.0]) {
            assert!((sum / total - wanted).abs() < 0.08, "{sums:?}: {} is not near {wanted}", sum / total);
        }
        for (group, sum) in groups.iter().zip(&sums) {
            let busy = group.busy_time().as_secs_f64();
            assert!(busy >= sum * 0.9 && busy < sum * 1.5 + 0.05, "{busy} s charged for {sum} s burnt");
        }
    })
    .unwrap();
}

#[test]
fn the_first_group_takes_part_and_nobody_starves() {
    block_on(async {
        let idle = burner(&TaskGroup::maintenance().shares(1), POLL);
        let serving = burner(&TaskGroup::serving(), POLL);
        let background = burner(&TaskGroup::background(), POLL);
        // A poll in which another process has the CPU is charged, at a thousand times its length where one share stands
        // against a thousand.
        let end = Instant::now() + Duration::from_secs(120);
        while idle.get() < 3 * POLL || serving.get() < Duration::from_millis(400) {
            assert!(Instant::now() < end, "a group starved");
            time::sleep(Duration::from_millis(50)).await;
        }
        let both = [serving.clone(), background.clone()];
        let seen = || both.iter().map(|burnt| (burnt.get(), burnt.longest.get())).collect();
        until_burnt(Duration::from_millis(400), seen).await;
        let (serving, background) = (serving.get().as_secs_f64(), background.get().as_secs_f64());
        let ratio = serving / background;
        assert!((3.0..8.0).contains(&ratio), "{ratio} for 1000 shares to 200");
        TaskGroup::maintenance().set_shares(50);
    })
    .unwrap();
}

#[test]
fn who_serves_waits_for_one_poll_and_not_for_a_queue_of_them() {
    block_on(async {
        let group = TaskGroup::background();
        // Counted in polls of the others: on a loaded machine the clock goes on while none of them runs.
        let (due, polls_since) = (Rc::new(Cell::new(Instant::now())), Rc::new(Cell::new(0u32)));
        let polls = Rc::new(Cell::new(0u32));
        for _ in 0..200 {
            let (due, polls_since, polls) = (due.clone(), polls_since.clone(), polls.clone());
            spawn_in(&group, async move {
                loop {
                    polls.set(polls.get() + 1);
                    if Instant::now() >= due.get() {
                        polls_since.set(polls_since.get() + 1);
                    }
                    burn(POLL);
                    yield_now().await;
                }
            })
            .detach();
        }
        let mut late = Vec::new();
        for _ in 0..100 {
            due.set(time::now() + Duration::from_millis(1));
            polls_since.set(0);
            time::sleep_until(due.get()).await;
            late.push(polls_since.get());
        }
        late.sort_unstable();
        // One round of the others would be 200.
        assert!(late[50] < 10, "{:?}", &late[45..55]);
        assert!(polls.get() > 100, "the others went on only {} times", polls.get());
    })
    .unwrap();
}

#[test]
fn time_not_used_is_not_owed() {
    block_on(async {
        let sleeper = TaskGroup::new("sleeps first").shares(200);
        let busy = TaskGroup::new("always busy").shares(200);
        let burnt = burner(&busy, POLL);
        until_burnt(Duration::from_millis(100), || vec![(burnt.get(), burnt.longest.get())]).await;
        let before = burnt.get();
        let late = burner(&sleeper, POLL);
        let seen = || vec![(burnt.get() - before, burnt.longest.get()), (late.get(), late.longest.get())];
        until_burnt(Duration::from_millis(100), seen).await;
        let (other, newcomer) = (burnt.get() - before, late.get());
        let share = other.as_secs_f64() / (other + newcomer).as_secs_f64();
        assert!(share > 0.35, "the newcomer took {newcomer:?} against {other:?}");
    })
    .unwrap();
}

#[test]
fn tasks_inherit_their_group() {
    block_on(async {
        assert_eq!(&*TaskGroup::current().name(), "serving");
        let group = TaskGroup::new("outer").shares(7);
        assert_eq!(group.current_shares(), 7);
        let inner = spawn_in(&group, async {
            let child = spawn(async {
                yield_now().await;
                TaskGroup::current().name()
            });
            let other = spawn_in(&TaskGroup::maintenance(), async { TaskGroup::current().name() });
            (child.await.unwrap(), other.await.unwrap(), TaskGroup::current().name())
        });
        let (child, other, own) = inner.await.unwrap();
        assert_eq!([&*child, &*other, &*own], ["outer", "maintenance", "outer"]);
        assert_eq!(&*TaskGroup::current().name(), "serving");
        assert_eq!(&*spawn(async { TaskGroup::current().name() }).await.unwrap(), "serving");
    })
    .unwrap();
}

#[test]
fn places_are_used_again_and_cancelled_tasks_leave_them() {
    block_on(async {
        for round in 0..1000 {
            let group = TaskGroup::new("short");
            assert!(format!("{group:?}").contains("index: 3"), "{round}: {group:?}");
            let task = spawn_in(&group, std::future::pending::<()>());
            drop(group);
            let other = TaskGroup::new("beside");
            assert!(format!("{other:?}").contains("index: 4"), "the task keeps its group: {other:?}");
            task.cancel();
            assert!(task.await.is_err());
        }
    })
    .unwrap();
}

#[test]
fn a_group_whose_handle_is_gone_stays_its_tasks_own() {
    block_on(async {
        let old = TaskGroup::new("old");
        let event = Rc::new(crate::sync::Event::new());
        let told = event.clone();
        let task = spawn_in(&old, async move {
            told.wait().await;
            TaskGroup::current().name()
        });
        drop(old);
        for _ in 0..5 {
            yield_now().await;
        }
        // It waits, so the group has nothing in its queue.
        let _new: Vec<_> = (0..3).map(|_| TaskGroup::new("new")).collect();
        event.set();
        assert_eq!(task.await.as_deref(), Ok("old"));
    })
    .unwrap();
}

#[test]
fn shares_keep_within_their_bounds() {
    block_on(async {
        let group = TaskGroup::new("any").shares(0);
        assert_eq!(group.current_shares(), 1);
        // The time of its polls is divided by them.
        assert_eq!(spawn_in(&group, async { 7 }).await, Ok(7));
        group.set_shares(u32::MAX);
        assert_eq!(group.current_shares(), 1_000_000);
    })
    .unwrap();
}

#[test]
fn a_turn_of_long_polls_ends_early_and_one_of_short_polls_does_not() {
    let executor = Executor::new(Arc::new(Inbox::new(Box::new(|| ()))));
    // SAFETY: the executor outlives the guard, on this thread.
    let _entered = unsafe { executor.enter() };
    let long = Rc::new(Cell::new(true));
    for _ in 0..200 {
        let long = long.clone();
        let task = async move {
            loop {
                burn(if long.get() { Duration::from_millis(1) } else { Duration::ZERO });
                yield_now().await;
            }
        };
        executor.spawn(task, Location::caller()).detach();
    }
    let turn = || {
        let began = Instant::now();
        let polled = executor.turn(usize::MAX, began);
        executor.note_turn(began.elapsed(), polled);
        polled
    };
    assert_eq!(turn(), 32, "nothing is known about these tasks yet");
    assert_eq!(turn(), 1);
    long.set(false);
    // Other processes may take the CPU in the middle of a turn, but not of every turn.
    assert!((0..1000).any(|_| turn() == 200));
}
