//! These run under Miri as well: nothing here touches the kernel.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};

use super::{Executor, Inbox, JoinError, JoinHandle, yield_now};

fn executor() -> (Executor, Arc<AtomicUsize>) {
    let notified = Arc::new(AtomicUsize::new(0));
    let count = notified.clone();
    let inbox = Inbox::new(Box::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
    }));
    (Executor::new(Arc::new(inbox)), notified)
}

fn spawn<F: Future + 'static>(executor: &Executor, future: F) -> JoinHandle<F::Output> {
    executor.spawn(future, Location::caller())
}

fn settle(executor: &Executor) {
    loop {
        executor.collect_arrivals();
        if executor.run(usize::MAX) == 0 {
            return;
        }
    }
}

/// Polls a handle that is expected to be ready.
fn join<T>(mut handle: JoinHandle<T>) -> Result<T, JoinError> {
    let mut cx = std::task::Context::from_waker(Waker::noop());
    match std::pin::Pin::new(&mut handle).poll(&mut cx) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("the task has not finished"),
    }
}

#[test]
fn output_reaches_the_handle() {
    let (executor, _) = executor();
    // SAFETY: the executor outlives the guard, on this thread.
    let _entered = unsafe { executor.enter() };
    let handle = spawn(&executor, async {
        yield_now().await;
        Rc::new(String::from("done"))
    });
    assert!(!handle.is_finished());
    settle(&executor);
    assert_eq!(*join(handle).unwrap(), "done");
    assert_eq!(executor.live(), 0);
}

#[test]
fn a_detached_task_goes_on() {
    let (executor, _) = executor();
    // SAFETY: as above.
    let _entered = unsafe { executor.enter() };
    let seen = Rc::new(Cell::new(false));
    let mark = seen.clone();
    spawn(&executor, async move {
        yield_now().await;
        mark.set(true);
    })
    .detach();
    settle(&executor);
    assert!(seen.get());
}

#[test]
fn wakes_are_first_in_first_out_and_coalesce() {
    let (executor, _) = executor();
    // SAFETY: as above.
    let _entered = unsafe { executor.enter() };
    let order = Rc::new(RefCell::new(Vec::new()));
    for name in ["a", "b", "c"] {
        let order = order.clone();
        spawn(&executor, async move {
            for _ in 0..2 {
                order.borrow_mut().push(name);
                poll_fn({
                    let mut first = true;
                    move |cx| {
                        cx.waker().wake_by_ref();
                        cx.waker().wake_by_ref();
                        if std::mem::take(&mut first) { Poll::Pending } else { Poll::Ready(()) }
                    }
                })
                .await;
            }
        })
        .detach();
    }
    settle(&executor);
    assert_eq!(*order.borrow(), ["a", "b", "c", "a", "b", "c"]);
}

#[test]
fn a_self_waking_task_does_not_monopolise_a_turn() {
    let (executor, _) = executor();
    // SAFETY: as above.
    let _entered = unsafe { executor.enter() };
    let turns = Rc::new(Cell::new(0));
    let count = turns.clone();
    let handle = spawn(&executor, async move {
        loop {
            count.set(count.get() + 1);
            yield_now().await;
        }
    });
    executor.run(100);
    executor.run(100);
    assert_eq!(turns.get(), 2);
    handle.cancel();
    settle(&executor);
    assert_eq!(join(handle), Err(JoinError::Cancelled));
}

struct Dropped(Rc<Cell<usize>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn cancel_drops_the_future_once() {
    let (executor, _) = executor();
    // SAFETY: as above.
    let _entered = unsafe { executor.enter() };
    let drops = Rc::new(Cell::new(0));
    let guard = Dropped(drops.clone());
    let handle = spawn(&executor, async move {
        let _guard = guard;
        pending::<()>().await;
    });
    settle(&executor);
    assert_eq!(drops.get(), 0);
    handle.cancel();
    handle.cancel();
    settle(&executor);
    assert_eq!(drops.get(), 1);
    assert_eq!(join(handle), Err(JoinError::Cancelled));
}

#[test]
fn a_panic_stays_in_its_task() {
    let (executor, _) = executor();
    // SAFETY: as above.
    let _entered = unsafe { executor.enter() };
    let drops = Rc::new(Cell::new(0));
    let guard = Dropped(drops.clone());
    let bad = spawn(&executor, async move {
        let _guard = guard;
        yield_now().await;
        panic!("on purpose {}", 7);
    });
    let good = spawn(&executor, async { 7 });
    settle(&executor);
    assert_eq!(join::<()>(bad), Err(JoinError::Panicked("on purpose 7".into())));
    assert_eq!(join(good), Ok(7));
    assert_eq!(drops.get(), 1);
}

#[test]
fn an_output_nobody_wants_is_dropped_on_completion() {
    let (executor, _) = executor();
    // SAFETY: as above.
    let _entered = unsafe { executor.enter() };
    let drops = Rc::new(Cell::new(0));
    let guard = Dropped(drops.clone());
    spawn(&executor, async move { guard }).detach();
    settle(&executor);
    assert_eq!(drops.get(), 1);

    let guard = Dropped(drops.clone());
    let handle = spawn(&executor, async move { guard });
    settle(&executor);
    assert_eq!(drops.get(), 1);
    drop(handle);
    assert_eq!(drops.get(), 2);
}

#[test]
fn a_waker_from_another_thread_goes_through_the_inbox() {
    let (executor, notified) = executor();
    // SAFETY: as above.
    let _entered = unsafe { executor.enter() };
    let (send, receive) = std::sync::mpsc::channel::<Waker>();
    let woken = Arc::new(AtomicUsize::new(0));
    let flag = woken.clone();
    let handle = spawn(
        &executor,
        poll_fn(move |cx| {
            if flag.load(Ordering::SeqCst) == 1 {
                return Poll::Ready("woken");
            }
            send.send(cx.waker().clone()).unwrap();
            Poll::Pending
        }),
    );
    settle(&executor);
    assert!(executor.inbox().fall_asleep());
    let thread = std::thread::spawn(move || {
        let waker = receive.recv().unwrap();
        woken.store(1, Ordering::SeqCst);
        waker.wake_by_ref();
        let again = waker.clone();
        again.wake();
        waker
    });
    let waker = thread.join().unwrap();
    assert_eq!(notified.load(Ordering::SeqCst), 1, "one notification for two wakes");
    assert!(executor.inbox().wake_up() && !executor.inbox().wake_up());
    settle(&executor);
    assert_eq!(join(handle), Ok("woken"));
    // A stale waker does nothing, here or elsewhere.
    waker.wake_by_ref();
    std::thread::spawn(move || drop(waker)).join().unwrap();
    settle(&executor);
}

#[test]
fn shutting_down_drops_everything_and_wakers_survive_it() {
    let (executor, _) = executor();
    let drops = Rc::new(Cell::new(0));
    let kept: Rc<RefCell<Option<Waker>>> = Rc::default();
    {
        // SAFETY: as above.
        let _entered = unsafe { executor.enter() };
        for _ in 0..3 {
            let guard = Dropped(drops.clone());
            let kept = kept.clone();
            spawn(
                &executor,
                poll_fn(move |cx| {
                    let _guard = &guard;
                    *kept.borrow_mut() = Some(cx.waker().clone());
                    Poll::<()>::Pending
                }),
            )
            .detach();
        }
        settle(&executor);
        // One is woken and in the queue when the end comes.
        kept.borrow().as_ref().unwrap().wake_by_ref();
        executor.cancel_all();
    }
    assert_eq!(drops.get(), 3);
    drop(executor);
    let waker = kept.borrow_mut().take().unwrap();
    std::thread::spawn(move || {
        waker.wake_by_ref();
        drop(waker);
    })
    .join()
    .unwrap();
}

#[test]
fn cancelling_oneself_takes_effect_after_the_poll() {
    let (executor, _) = executor();
    // SAFETY: as above.
    let _entered = unsafe { executor.enter() };
    let slot: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
    let mine = slot.clone();
    let drops = Rc::new(Cell::new(0));
    let guard = Dropped(drops.clone());
    let handle = spawn(&executor, async move {
        let _guard = guard;
        mine.borrow().as_ref().unwrap().cancel();
        pending::<()>().await;
    });
    *slot.borrow_mut() = Some(handle);
    settle(&executor);
    assert_eq!(drops.get(), 1);
    assert_eq!(join(slot.borrow_mut().take().unwrap()), Err(JoinError::Cancelled));
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("a destructor, on purpose");
    }
}

#[test]
fn panicking_destructors_end_neither_the_core_nor_the_cancelling_of_the_rest() {
    let (executor, _) = executor();
    let drops = Rc::new(Cell::new(0));
    {
        // SAFETY: as above.
        let _entered = unsafe { executor.enter() };
        // An output that nobody wants, an output that is not fetched, and a future that is cancelled.
        spawn(&executor, async { PanicsWhenDropped }).detach();
        settle(&executor);
        assert_eq!(executor.live(), 0);
        let first = Dropped(drops.clone());
        spawn(&executor, async move {
            let _first = first;
            pending::<()>().await;
        })
        .detach();
        spawn(&executor, async {
            let _bad = PanicsWhenDropped;
            pending::<()>().await;
        })
        .detach();
        spawn(&executor, async { std::panic::panic_any(PanicsWhenDropped) }).detach();
        settle(&executor);
        executor.cancel_all();
    }
    assert_eq!((drops.get(), executor.live()), (1, 0));
}

#[test]
fn a_join_waker_that_panics_leaves_the_core_running() {
    struct Bad;
    impl std::task::Wake for Bad {
        fn wake(self: Arc<Self>) {
            panic!("a waker, on purpose");
        }
    }
    let (executor, _) = executor();
    // SAFETY: as above.
    let _entered = unsafe { executor.enter() };
    let mut handle = spawn(&executor, async { 7 });
    let waker = Waker::from(Arc::new(Bad));
    let mut cx = std::task::Context::from_waker(&waker);
    assert!(std::pin::Pin::new(&mut handle).poll(&mut cx).is_pending());
    settle(&executor);
    assert_eq!(join(handle), Ok(7));
    assert_eq!(executor.live(), 0);
}

#[test]
fn a_task_and_its_child_talk_within_one_turn() {
    let home = Rc::new(executor().0);
    // SAFETY: as above.
    let _entered = unsafe { home.enter() };
    let (answers, seen) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (answer, question) = (answers.clone(), seen.clone());
    let spawner = home.clone();
    let task = spawn(&home, async move {
        for _ in 0..10 {
            let answer = answer.clone();
            spawn(&spawner, async move { answer.set(answer.get() + 1) }).await.unwrap();
            question.set(question.get() + 1);
        }
    });
    assert_eq!(home.run(usize::MAX), 21);
    assert_eq!((answers.get(), seen.get()), (10, 10));
    join(task).unwrap();
}

#[test]
fn a_task_that_wakes_itself_goes_on_after_the_ring() {
    let (executor, _) = executor();
    // SAFETY: as above.
    let _entered = unsafe { executor.enter() };
    spawn(&executor, async {
        loop {
            yield_now().await;
        }
    })
    .detach();
    spawn(&executor, pending::<()>()).detach();
    assert_eq!(executor.run(usize::MAX), 2);
    assert_eq!(executor.run(usize::MAX), 1);
}

#[test]
fn two_tasks_that_never_stop_talking_end_their_turn() {
    let (executor, _) = executor();
    // SAFETY: as above.
    let _entered = unsafe { executor.enter() };
    let wakers = Rc::new(RefCell::new([Waker::noop().clone(), Waker::noop().clone()]));
    for place in 0..2 {
        let wakers = wakers.clone();
        spawn(
            &executor,
            poll_fn(move |cx| {
                wakers.borrow_mut()[place] = cx.waker().clone();
                wakers.borrow()[1 - place].wake_by_ref();
                Poll::<()>::Pending
            }),
        )
        .detach();
    }
    assert!((3..100).contains(&executor.run(usize::MAX)));
    assert!(executor.has_ready());
}
