//! Channels, locks and groups between the tasks of a real core.

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use covet_runtime::sync::{CancellationToken, Mutex, Semaphore, TaskSet, mpsc, oneshot, watch};
use covet_runtime::{JoinError, block_on, spawn, time, yield_now};

struct Dropped(Rc<Cell<usize>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn requests_and_answers() {
    block_on(async {
        let (requests, mut inbox) = mpsc::bounded::<(u64, oneshot::Sender<u64>)>(4);
        let server = spawn(async move {
            let mut served = 0;
            while let Some((n, answer)) = inbox.recv().await {
                yield_now().await;
                answer.send(n * 2).unwrap();
                served += 1;
            }
            served
        });
        let mut clients = TaskSet::new();
        for n in 0..100 {
            let requests = requests.clone();
            clients.spawn(async move {
                let (answer, answered) = oneshot::channel();
                requests.send((n, answer)).await.unwrap();
                (n, answered.await.unwrap())
            });
        }
        drop(requests);
        let mut joined = 0;
        while let Some(outcome) = clients.join_next().await {
            let (n, answer) = outcome.unwrap();
            assert_eq!(answer, n * 2);
            joined += 1;
        }
        assert_eq!((joined, server.await), (100, Ok(100)));
    })
    .unwrap();
}

#[test]
fn a_lock_across_awaits_and_a_limit() {
    block_on(async {
        let total = Rc::new(Mutex::new(0));
        let limit = Rc::new(Semaphore::new(3));
        let (running, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let mut tasks = TaskSet::new();
        for _ in 0..20 {
            let (total, limit) = (total.clone(), limit.clone());
            let (running, most) = (running.clone(), most.clone());
            tasks.spawn(async move {
                let _permit = limit.acquire().await.unwrap();
                running.set(running.get() + 1);
                most.set(most.get().max(running.get()));
                yield_now().await;
                let mut total = total.lock().await;
                let before = *total;
                yield_now().await;
                *total = before + 1;
                running.set(running.get() - 1);
            });
        }
        while let Some(outcome) = tasks.join_next().await {
            outcome.unwrap();
        }
        assert_eq!((*total.lock().await, most.get()), (20, 3));
    })
    .unwrap();
}

#[test]
fn a_set_reports_each_end_and_leaves_nothing_behind() {
    block_on(async {
        let drops = Rc::new(Cell::new(0));
        let mut tasks = TaskSet::new();
        tasks.spawn(async { 1 });
        tasks.spawn(async { panic!("on purpose") });
        let guard = Dropped(drops.clone());
        tasks.spawn(async move {
            let _guard = guard;
            pending().await
        });
        assert_eq!(tasks.join_next().await, Some(Ok(1)));
        assert_eq!(tasks.join_next().await, Some(Err(JoinError::Panicked("on purpose".into()))));
        assert!(time::timeout(Duration::from_millis(1), tasks.join_next()).await.is_err());
        assert_eq!((tasks.len(), drops.get()), (1, 0));
        tasks.cancel_all();
        assert_eq!(tasks.join_next().await, Some(Err(JoinError::Cancelled)));
        assert_eq!((tasks.join_next().await, drops.get()), (None, 1));

        for _ in 0..10 {
            let guard = Dropped(drops.clone());
            tasks.spawn(async move {
                let _guard = guard;
                pending().await
            });
        }
        yield_now().await;
        drop(tasks);
        yield_now().await;
        yield_now().await;
        assert_eq!(drops.get(), 11, "a dropped set drops its futures");
    })
    .unwrap();
}

#[test]
fn detached_tasks_go_on_and_a_shut_down_set_is_empty() {
    block_on(async {
        let drops = Rc::new(Cell::new(0));
        let mut tasks = TaskSet::new();
        let guard = Dropped(drops.clone());
        tasks.spawn(async move {
            time::sleep(Duration::from_millis(1)).await;
            drop(guard);
        });
        tasks.detach_all();
        assert!(tasks.is_empty());
        tasks.spawn(pending());
        let gone = time::timeout(Duration::from_secs(60), async {
            while drops.get() == 0 {
                time::sleep(Duration::from_millis(1)).await;
            }
        });
        assert!(gone.await.is_ok(), "the detached task does not go on");
        assert_eq!((drops.get(), tasks.len()), (1, 1));
        tasks.shutdown().await;
        assert!(tasks.is_empty());
    })
    .unwrap();
}

#[test]
fn a_token_ends_a_tree_of_tasks() {
    block_on(async {
        let token = CancellationToken::new();
        let (progress, mut seen) = watch::channel(0);
        let progress = Rc::new(progress);
        let mut tasks = TaskSet::new();
        for _ in 0..8 {
            let (child, progress) = (token.child_token(), progress.clone());
            tasks.spawn(async move {
                progress.modify(|count| *count += 1);
                child.cancelled().await;
            });
        }
        seen.wait_for(|count| *count == 8).await.unwrap();
        token.cancel();
        while let Some(outcome) = tasks.join_next().await {
            outcome.unwrap();
        }
    })
    .unwrap();
}

#[test]
fn a_spawn_outside_a_core_leaves_the_set_as_it_was() {
    let mut tasks = TaskSet::new();
    let outside = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| tasks.spawn(async { 1 })));
    assert!(outside.is_err() && tasks.is_empty());
    block_on(async move {
        tasks.spawn(async {
            yield_now().await;
            2
        });
        tasks.spawn(async { 3 });
        assert_eq!(tasks.join_next().await, Some(Ok(3)));
        assert_eq!(tasks.join_next().await, Some(Ok(2)));
        assert_eq!(tasks.join_next().await, None);
    })
    .unwrap();
}
