use std::rc::Rc;

use super::{Waiting, foreign, ready, set_hook};
use crate::sync::watch;

#[test]
fn receivers_see_the_latest_value_and_each_change_once() {
    let (sender, mut one) = watch::channel(1);
    let mut other = one.clone();
    {
        let mut changed = Waiting::polled(one.changed());
        assert_eq!(*sender.send(2), 1);
        sender.send(3);
        assert_eq!(changed.wakes(), 1);
        assert!(changed.ready().is_ok());
    }
    assert_eq!(*one.get(), 3);
    assert!(!one.has_changed() && other.has_changed());
    assert!(ready(other.changed()).is_ok());
    assert!(Waiting::new(one.changed()).poll().is_pending());
    let kept = one.get();
    sender.modify(|value| *value += 1);
    assert_eq!((*kept, *other.get_and_mark()), (3, 4));
    assert!(!other.has_changed());
    assert!(!sender.subscribe().has_changed());
}

#[test]
fn a_clone_has_seen_what_its_original_has() {
    let (sender, receiver) = watch::channel(1);
    sender.send(2);
    assert!(receiver.clone().has_changed());
    assert!(!sender.subscribe().has_changed());
}

#[test]
fn a_woken_receiver_that_is_dropped_loses_no_change() {
    let (sender, mut receiver) = watch::channel(1);
    let changed = Waiting::polled(receiver.changed());
    sender.send(2);
    assert_eq!(changed.wakes(), 1);
    drop(changed);
    assert!(ready(receiver.changed()).is_ok());
}

#[test]
fn the_last_value_is_seen_before_the_end() {
    let (sender, mut receiver) = watch::channel(1);
    let mut late = receiver.clone();
    {
        let mut wanted = Waiting::polled(receiver.wait_for(|value| *value == 3));
        sender.send(2);
        assert!(wanted.poll().is_pending());
        sender.send(3);
        assert_eq!(wanted.ready().map(|value| *value), Ok(3));
    }
    drop(sender);
    assert!(ready(receiver.changed()).is_err());
    assert!(ready(late.changed()).is_ok());
    assert!(ready(late.wait_for(|value| *value == 9)).is_err());
}

#[test]
fn the_sender_sees_its_receivers_go() {
    let (sender, receiver) = watch::channel(());
    let other = receiver.clone();
    let mut closed = Waiting::polled(sender.closed());
    drop(receiver);
    assert_eq!((closed.wakes(), sender.receivers()), (0, 1));
    drop(other);
    assert_eq!(closed.wakes(), 1);
    closed.ready();
}

#[test]
fn watch_stands_wakers_that_come_back() {
    let (sender, mut receiver) = watch::channel(0);
    let sender = Rc::new(sender);
    let same = Rc::downgrade(&sender);
    set_hook(move || {
        if let Some(sender) = same.upgrade() {
            let next = *sender.get() + 1;
            if next < 20 {
                sender.send(next);
            }
            let _ = Waiting::new(sender.subscribe().changed()).poll();
        }
    });
    let mut changed = Waiting::new(receiver.changed());
    let _ = changed.poll_with(&foreign());
    let _ = changed.poll_with(&foreign());
    assert!(*sender.get() > 0, "the waker sent when it was dropped");
    sender.send(10);
    drop(changed);
    assert!(*receiver.get() >= 10);
    set_hook(|| {});
}
