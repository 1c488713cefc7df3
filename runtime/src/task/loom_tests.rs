//! Every interleaving of what crosses threads: references, the remote flag and the inbox.
//!
//! Loom runs its threads as coroutines of one thread, so no model enters its executor: a wake then finds itself
//! away from home and takes the remote way, which is the one to be explored.

use std::cell::RefCell;
use std::future::poll_fn;
use std::panic::Location;
use std::rc::Rc;
use std::task::{Poll, Waker};

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use super::raw::ALLOCATED;
use super::{Executor, Inbox, JoinHandle};

/// Stands for the eventfd: a count that the home thread can sleep on.
#[derive(Default)]
struct Doorbell {
    rings: Mutex<usize>,
    rung: Condvar,
}

impl Doorbell {
    fn ring(&self) {
        *self.rings.lock().unwrap() += 1;
        self.rung.notify_one();
    }

    fn wait(&self) {
        let mut rings = self.rings.lock().unwrap();
        while *rings == 0 {
            rings = self.rung.wait(rings).unwrap();
        }
        *rings = 0;
    }

    fn rings(&self) -> usize {
        *self.rings.lock().unwrap()
    }
}

fn executor() -> (Executor, Arc<Inbox>, Arc<Doorbell>) {
    let bell = Arc::new(Doorbell::default());
    let notify = bell.clone();
    let inbox = Arc::new(Inbox::new(Box::new(move || notify.ring())));
    (Executor::new(inbox.clone()), inbox, bell)
}

/// A task that is ready once `flag` is set, and the waker it left behind at its first poll.
fn waiting_for(executor: &Executor, flag: &Arc<AtomicBool>) -> (JoinHandle<()>, Waker) {
    let kept: Rc<RefCell<Option<Waker>>> = Rc::default();
    let (keep, flag) = (kept.clone(), flag.clone());
    let handle = executor.spawn(
        poll_fn(move |cx| {
            // Relaxed: what orders the flag before the poll is the wake alone.
            if flag.load(Ordering::Relaxed) {
                return Poll::Ready(());
            }
            keep.borrow_mut().get_or_insert_with(|| cx.waker().clone());
            Poll::Pending
        }),
        Location::caller(),
    );
    executor.run(usize::MAX);
    let waker = kept.borrow_mut().take().unwrap();
    (handle, waker)
}

/// One turn of a core's loop, as `cores::turn` has it.
fn turn(executor: &Executor, bell: &Doorbell) {
    if executor.inbox().fall_asleep() {
        bell.wait();
    }
    if executor.inbox().wake_up() {
        executor.collect_arrivals();
    }
    executor.run(usize::MAX);
}

/// Every task's memory was freed, and freed once; and what they counted of the inbox was given back.
fn assert_all_freed(executor: Executor, inbox: &Arc<Inbox>) {
    drop(executor);
    assert_eq!(ALLOCATED.get(), 0);
    assert_eq!(Arc::strong_count(inbox), 1);
}

#[test]
fn a_remote_wake_is_never_lost() {
    loom::model(|| {
        let (executor, inbox, bell) = executor();
        let flag = Arc::new(AtomicBool::new(false));
        let (handle, waker) = waiting_for(&executor, &flag);
        let remote = thread::spawn(move || {
            flag.store(true, Ordering::Relaxed);
            waker.wake();
        });
        // A lost wake is a deadlock here, which loom reports.
        while !handle.is_finished() {
            turn(&executor, &bell);
        }
        remote.join().unwrap();
        drop(handle);
        assert_all_freed(executor, &inbox);
    });
}

#[test]
fn a_second_wake_during_the_look_is_never_lost() {
    loom::model(|| {
        let (executor, inbox, bell) = executor();
        let flag = Arc::new(AtomicBool::new(false));
        let (handle, waker) = waiting_for(&executor, &flag);
        let remote = thread::spawn(move || {
            // The first wake finds the condition unmet; the second comes while the home thread looks at the first.
            waker.wake_by_ref();
            flag.store(true, Ordering::Relaxed);
            waker.wake_by_ref();
        });
        while !handle.is_finished() {
            turn(&executor, &bell);
        }
        remote.join().unwrap();
        drop(handle);
        assert_all_freed(executor, &inbox);
    });
}

#[test]
fn a_wake_during_the_look_at_another_is_never_lost() {
    loom::model(|| {
        let (executor, inbox, bell) = executor();
        let flag = Arc::new(AtomicBool::new(false));
        let (first, second) = (waiting_for(&executor, &flag), waiting_for(&executor, &flag));
        let handles = [first.0, second.0];
        let remote = thread::spawn(move || {
            flag.store(true, Ordering::Relaxed);
            // The first rings; the second finds the bell rung, and relies on the look that follows.
            first.1.wake();
            second.1.wake();
        });
        while !handles.iter().all(JoinHandle::is_finished) {
            turn(&executor, &bell);
        }
        remote.join().unwrap();
        drop(handles);
        assert_all_freed(executor, &inbox);
    });
}

#[test]
fn wakes_may_race_the_end_of_a_task_and_its_last_reference() {
    loom::model(|| {
        let (executor, inbox, bell) = executor();
        let flag = Arc::new(AtomicBool::new(false));
        let (handle, waker) = waiting_for(&executor, &flag);
        let second = waker.clone();
        let remote = thread::spawn(move || {
            waker.wake_by_ref();
            waker.wake();
        });
        flag.store(true, Ordering::Relaxed);
        // The other thread's wake may stand for this one, and arrive later.
        second.wake();
        while !handle.is_finished() {
            turn(&executor, &bell);
        }
        drop(handle);
        executor.collect_arrivals();
        executor.run(usize::MAX);
        remote.join().unwrap();
        assert_all_freed(executor, &inbox);
    });
}

#[test]
fn a_wake_may_race_the_end_of_its_core() {
    loom::model(|| {
        let (executor, inbox, _) = executor();
        let flag = Arc::new(AtomicBool::new(false));
        let (handle, waker) = waiting_for(&executor, &flag);
        handle.detach();
        let remote = thread::spawn(move || waker.wake());
        executor.cancel_all();
        // Whichever came first, the inbox keeps no task that nobody will run.
        remote.join().unwrap();
        assert_all_freed(executor, &inbox);
    });
}

#[test]
fn concurrent_wakes_of_a_sleeping_core_ring_once_and_all_arrive() {
    loom::model(|| {
        let (executor, inbox, bell) = executor();
        let flag = Arc::new(AtomicBool::new(false));
        let woken = Arc::new(AtomicUsize::new(0));
        let mut handles = Vec::new();
        let (mut tasks, mut threads) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            let (handle, waker) = waiting_for(&executor, &flag);
            let woken = woken.clone();
            handles.push(handle);
            tasks.push((waker, woken));
        }
        assert!(inbox.fall_asleep());
        for (waker, woken) in tasks {
            threads.push(thread::spawn(move || {
                woken.fetch_add(1, Ordering::Relaxed);
                waker.wake();
            }));
        }
        flag.store(true, Ordering::Relaxed);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(bell.rings(), 1, "one system call for all wakes before the look");
        assert!(inbox.wake_up());
        executor.collect_arrivals();
        executor.run(usize::MAX);
        assert!(handles.iter().all(JoinHandle::is_finished));
        assert_eq!(woken.load(Ordering::Relaxed), 2);
        drop(handles);
        assert_all_freed(executor, &inbox);
    });
}

#[test]
fn a_waker_cloned_and_dropped_on_two_threads_frees_its_task_once() {
    loom::model(|| {
        let (executor, inbox, _) = executor();
        let flag = Arc::new(AtomicBool::new(false));
        let (handle, waker) = waiting_for(&executor, &flag);
        handle.detach();
        executor.cancel_all();
        let other = waker.clone();
        let remote = thread::spawn(move || {
            other.wake_by_ref();
            drop(other);
        });
        drop(waker);
        remote.join().unwrap();
        assert_all_freed(executor, &inbox);
    });
}

#[test]
fn a_busy_core_is_not_rung_for() {
    loom::model(|| {
        let (executor, inbox, bell) = executor();
        let flag = Arc::new(AtomicBool::new(false));
        let (handle, waker) = waiting_for(&executor, &flag);
        let remote = thread::spawn(move || {
            flag.store(true, Ordering::Relaxed);
            waker.wake();
        });
        while !handle.is_finished() {
            // This core never sleeps, and finds what came by its looks alone.
            if inbox.wake_up() {
                executor.collect_arrivals();
            }
            executor.run(usize::MAX);
            thread::yield_now();
        }
        remote.join().unwrap();
        assert_eq!(bell.rings(), 0);
        drop(handle);
        assert_all_freed(executor, &inbox);
    });
}

#[test]
fn a_request_to_end_may_race_a_core_that_falls_asleep() {
    loom::model(|| {
        let (executor, inbox, bell) = executor();
        // Stands for the runtime's signal: set first, then every core is notified.
        let deadline = Arc::new(AtomicBool::new(false));
        let (asked, to) = (deadline.clone(), inbox.clone());
        let remote = thread::spawn(move || {
            asked.store(true, Ordering::Relaxed);
            to.notify();
        });
        let mut seen = false;
        while !seen {
            if inbox.fall_asleep() {
                bell.wait();
            }
            if inbox.wake_up() {
                seen = deadline.load(Ordering::Relaxed);
            }
        }
        remote.join().unwrap();
        assert_all_freed(executor, &inbox);
    });
}

/// Counts the drops of what a task holds and of what it leaves.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_task_that_was_sent_runs_once_or_is_dropped_once() {
    loom::model(|| {
        let (executor, inbox, bell) = executor();
        let (runs, drops) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (ran, held, to) = (runs.clone(), Counted(drops.clone()), inbox.clone());
        let remote = thread::spawn(move || {
            let body = async move {
                ran.fetch_add(1, Ordering::Relaxed);
                drop(held);
            };
            // SAFETY: the body holds what is Send, and returns nothing.
            unsafe { Executor::send_task(&to, body, Location::caller()) }
        });
        // The core looks once, and ends whether the task has come or not.
        if executor.inbox().wake_up() {
            executor.collect_arrivals();
            executor.run(usize::MAX);
        }
        executor.cancel_all();
        let arrived = remote.join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        assert!(arrived || runs.load(Ordering::Relaxed) == 0);
        assert_eq!(bell.rings(), 0);
        assert_all_freed(executor, &inbox);
    });
}
