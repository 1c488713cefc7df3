use super::{Waiting, ready};
use crate::sync::{Mutex, RwLock};

#[test]
fn a_mutex_goes_round_in_order() {
    let mutex = Mutex::new(0);
    let mut guard = mutex.try_lock().unwrap();
    assert!(mutex.try_lock().is_none());
    let mut first = Waiting::polled(mutex.lock());
    let mut second = Waiting::polled(mutex.lock());
    *guard += 1;
    drop(guard);
    assert_eq!((first.wakes(), second.wakes()), (1, 0));
    assert!(mutex.try_lock().is_none(), "nobody overtakes the one that was woken");
    *first.ready() += 1;
    assert_eq!(second.wakes(), 1);
    *second.ready() += 1;
    drop((first, second));
    assert_eq!(mutex.into_inner(), 3);
}

#[test]
fn a_woken_lock_that_is_dropped_passes_the_mutex_on() {
    let mutex = Mutex::new(());
    let guard = ready(mutex.lock());
    let first = Waiting::polled(mutex.lock());
    let mut second = Waiting::polled(mutex.lock());
    drop(guard);
    drop(first);
    assert_eq!(second.wakes(), 1);
    drop(second.ready());
    assert!(mutex.try_lock().is_some());
}

#[test]
fn readers_share_and_a_waiting_writer_comes_before_later_readers() {
    let lock = RwLock::new(1);
    let one = ready(lock.read());
    let other = lock.try_read().unwrap();
    let mut writer = Waiting::polled(lock.write());
    let mut late = Waiting::polled(lock.read());
    assert!(lock.try_read().is_none() && lock.try_write().is_none());
    drop(one);
    assert_eq!(writer.wakes(), 0);
    drop(other);
    assert_eq!((writer.wakes(), late.wakes()), (1, 0));
    let mut guard = writer.ready();
    *guard = 2;
    drop(guard);
    assert_eq!(late.wakes(), 1);
    assert_eq!(*late.ready(), 2);
    assert!(lock.try_write().is_some());
}

#[test]
fn a_dropped_writer_lets_the_readers_behind_it_by() {
    let lock = RwLock::new(());
    let reading = ready(lock.read());
    let writer = Waiting::polled(lock.write());
    let mut late = [Waiting::polled(lock.read()), Waiting::polled(lock.read())];
    drop(writer);
    assert!(late.iter_mut().all(|reader| reader.wakes() == 1));
    let guards = late.each_mut().map(Waiting::ready);
    drop((reading, guards));

    let reading = ready(lock.read());
    let writer = Waiting::polled(lock.write());
    let mut late = Waiting::polled(lock.read());
    drop(reading);
    assert_eq!((writer.wakes(), late.wakes()), (1, 0));
    drop(writer);
    assert_eq!(late.wakes(), 1, "a writer whose turn had come passes it on");
    drop(late.ready());
    assert!(lock.try_write().is_some());
}
