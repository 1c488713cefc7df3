use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Poll;

use super::{PROGRAMS, Random, Waiting, foreign, ready, set_hook};
use crate::sync::{Acquire, Semaphore, TryAcquireError};

#[test]
fn first_come_first_served() {
    let semaphore = Semaphore::new(1);
    let held = ready(semaphore.acquire()).unwrap();
    let mut big = Waiting::polled(semaphore.acquire_many(2));
    let mut small = Waiting::polled(semaphore.acquire());
    drop(held);
    assert_eq!((big.wakes(), small.wakes()), (0, 0), "one permit is not enough for the first");
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
    semaphore.add_permits(1);
    assert_eq!((big.wakes(), small.wakes()), (1, 0));
    let permits = big.ready().unwrap();
    assert!(small.poll().is_pending());
    drop(permits);
    assert_eq!(small.wakes(), 1);
    drop(small.ready());
    assert_eq!((semaphore.available_permits(), semaphore.slots()), (2, 0));
}

#[test]
fn a_woken_waiter_that_is_dropped_passes_its_permit_on() {
    let semaphore = Semaphore::new(0);
    let first = Waiting::polled(semaphore.acquire());
    let mut second = Waiting::polled(semaphore.acquire());
    semaphore.add_permits(1);
    assert_eq!((first.wakes(), second.wakes()), (1, 0));
    drop(first);
    assert_eq!(second.wakes(), 1);
    drop(second.ready().unwrap());
    assert_eq!((semaphore.available_permits(), semaphore.slots()), (1, 0));
}

#[test]
fn a_big_request_that_is_dropped_lets_the_small_ones_by() {
    let semaphore = Semaphore::new(1);
    let big = Waiting::polled(semaphore.acquire_many(5));
    let mut small = Waiting::polled(semaphore.acquire());
    drop(big);
    assert_eq!(small.wakes(), 1);
    assert!(small.ready().is_ok());
}

#[test]
fn close_fails_waiters_and_leaves_given_permits() {
    let semaphore = Semaphore::new(1);
    let mut given = Waiting::polled(semaphore.acquire_many(2));
    let mut waiting = Waiting::polled(semaphore.acquire());
    semaphore.add_permits(1);
    semaphore.close();
    assert!(given.ready().is_ok());
    assert_eq!(waiting.wakes(), 1);
    assert!(waiting.ready().is_err());
    assert!(ready(semaphore.acquire()).is_err());
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
    assert_eq!((semaphore.available_permits(), semaphore.slots()), (2, 0));
}

#[test]
fn owned_permits_go_back() {
    let semaphore = Rc::new(Semaphore::new(3));
    let permit = ready(semaphore.clone().acquire_many_owned(2)).unwrap();
    assert_eq!(semaphore.available_permits(), 1);
    drop(permit);
    assert_eq!(semaphore.available_permits(), 3);
    ready(semaphore.clone().acquire_many_owned(2)).unwrap().forget();
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn owned_permits_wait_their_turn_too() {
    let semaphore = Rc::new(Semaphore::new(1));
    let first = ready(semaphore.clone().acquire_owned()).unwrap();
    assert_eq!(semaphore.clone().try_acquire_owned().unwrap_err(), TryAcquireError::NoPermits);
    let waiting = Waiting::polled(semaphore.acquire());
    drop(first);
    assert_eq!(waiting.wakes(), 1);
    assert!(semaphore.clone().try_acquire_owned().is_err(), "it is given to the one who waits");
    drop(waiting);
    let again = semaphore.clone().try_acquire_owned().unwrap();
    assert_eq!(semaphore.available_permits(), 0);
    drop(again);
    semaphore.add_permits(2);
    assert!(semaphore.clone().try_acquire_many_owned(4).is_err());
    let many = semaphore.clone().try_acquire_many_owned(3).unwrap();
    assert_eq!(semaphore.available_permits(), 0);
    drop(many);
    assert_eq!(semaphore.available_permits(), 3);
    semaphore.close();
    assert_eq!(semaphore.try_acquire_owned().unwrap_err(), TryAcquireError::Closed);
}

#[test]
fn wakers_may_come_back() {
    let semaphore = Rc::new(Semaphore::new(0));
    let again = semaphore.clone();
    // Fails if the semaphore is borrowed while a waker is woken or dropped.
    set_hook(move || {
        let _ = again.try_acquire();
        drop(Waiting::new(again.acquire()).poll());
        again.add_permits(0);
    });
    let mut first = Waiting::new(semaphore.acquire());
    assert!(first.poll_with(&foreign()).is_pending());
    assert!(first.poll_with(&foreign()).is_pending(), "replaces the waker, which drops the old one");
    let mut second = Waiting::new(semaphore.acquire());
    assert!(second.poll_with(&foreign()).is_pending());
    drop(second);
    semaphore.add_permits(1);
    set_hook(|| {});
    assert!(first.ready().is_ok());
    assert_eq!(semaphore.slots(), 0);
}

#[test]
fn a_waker_that_panics_does_not_stop_the_others() {
    let semaphore = Semaphore::new(0);
    set_hook(|| {
        set_hook(|| {});
        panic!("a waker, on purpose");
    });
    let waker = foreign();
    let mut bad = Waiting::new(semaphore.acquire());
    assert!(bad.poll_with(&waker).is_pending());
    let mut good = Waiting::polled(semaphore.acquire());
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| semaphore.add_permits(2)));
    assert!(outcome.is_err());
    assert_eq!(good.wakes(), 1);
    assert!(good.ready().is_ok() && bad.ready().is_ok());
}

/// What the semaphore ought to do: a number and a queue.
struct Model {
    permits: usize,
    queue: VecDeque<(usize, usize)>,
    granted: Vec<usize>,
}

impl Model {
    fn settle(&mut self) {
        while let Some(&(id, need)) = self.queue.front() {
            if need > self.permits {
                return;
            }
            self.permits -= need;
            self.queue.pop_front();
            self.granted.push(id);
        }
    }
}

#[test]
fn random_programs_agree_with_the_model() {
    for seed in 0..PROGRAMS {
        let mut random = Random(seed);
        let start = random.below(4);
        let semaphore = Semaphore::new(start);
        let mut model = Model { permits: start, queue: VecDeque::new(), granted: Vec::new() };
        let mut waiting: Vec<(usize, usize, Waiting<Acquire<'_>>)> = Vec::new();
        let mut held = Vec::new();
        for id in 0..120 {
            match random.below(6) {
                0 | 1 => {
                    let need = 1 + random.below(4);
                    let mut future = Waiting::new(semaphore.acquire_many(need));
                    let free = model.queue.is_empty() && model.permits >= need;
                    match future.poll() {
                        Poll::Ready(permit) => {
                            assert!(free, "seed {seed}: overtook");
                            model.permits -= need;
                            held.push((need, permit.unwrap()));
                        }
                        Poll::Pending => {
                            assert!(!free, "seed {seed}: waits for nothing");
                            model.queue.push_back((id, need));
                            waiting.push((id, need, future));
                        }
                    }
                }
                2 if !held.is_empty() => {
                    let (need, permit) = held.swap_remove(random.below(held.len()));
                    drop(permit);
                    model.permits += need;
                }
                3 if !waiting.is_empty() => {
                    let (id, need, future) = waiting.swap_remove(random.below(waiting.len()));
                    drop(future);
                    if model.granted.contains(&id) {
                        model.permits += need;
                    }
                    model.queue.retain(|(other, _)| *other != id);
                }
                4 if !waiting.is_empty() => {
                    let at = random.below(waiting.len());
                    let (id, need, future) = &mut waiting[at];
                    let granted = model.granted.contains(id);
                    assert_eq!(future.wakes(), usize::from(granted), "seed {seed}");
                    match future.poll() {
                        Poll::Ready(permit) => {
                            assert!(granted, "seed {seed}: ready too early");
                            held.push((*need, permit.unwrap()));
                            waiting.swap_remove(at);
                        }
                        Poll::Pending => assert!(!granted, "seed {seed}: not ready"),
                    }
                }
                5 => match semaphore.try_acquire() {
                    Ok(permit) => {
                        assert!(model.queue.is_empty() && model.permits > 0, "seed {seed}");
                        model.permits -= 1;
                        held.push((1, permit));
                    }
                    Err(_) => assert!(!model.queue.is_empty() || model.permits == 0, "seed {seed}"),
                },
                _ => {}
            }
            model.settle();
            assert_eq!(semaphore.available_permits(), model.permits, "seed {seed}");
            assert_eq!(semaphore.slots(), waiting.len(), "seed {seed}");
        }
        drop(waiting);
        drop(held);
        assert_eq!((semaphore.available_permits(), semaphore.slots()), (start, 0), "seed {seed}");
    }
}
