use std::rc::Rc;

use super::{Waiting, foreign, ready, set_hook};
use crate::sync::{Event, Notify};

#[test]
fn one_notification_is_stored_and_only_one() {
    let notify = Notify::new();
    notify.notify_one();
    notify.notify_one();
    ready(notify.notified());
    let mut waiting = Waiting::polled(notify.notified());
    notify.notify_one();
    assert_eq!(waiting.wakes(), 1);
    waiting.ready();
    waiting.ready();
    assert!(Waiting::new(notify.notified()).poll().is_pending());
    assert_eq!(notify.slots(), 0);
}

#[test]
fn a_chosen_waiter_that_is_dropped_passes_the_notification_on() {
    let notify = Notify::new();
    let first = Waiting::polled(notify.notified());
    let mut second = Waiting::polled(notify.notified());
    notify.notify_one();
    assert_eq!((first.wakes(), second.wakes()), (1, 0));
    drop(first);
    assert_eq!(second.wakes(), 1);
    second.ready();

    let last = Waiting::polled(notify.notified());
    notify.notify_one();
    drop(last);
    ready(notify.notified());
    assert_eq!(notify.slots(), 0);
}

#[test]
fn all_reaches_those_who_wait_and_is_not_stored() {
    let notify = Notify::new();
    let mut polled = Waiting::polled(notify.notified());
    let dropped = Waiting::polled(notify.notified());
    let mut created = Waiting::new(notify.notified());
    notify.notify_all();
    assert_eq!((polled.wakes(), dropped.wakes()), (1, 1));
    drop(dropped);
    polled.ready();
    created.ready();
    assert!(Waiting::new(notify.notified()).poll().is_pending(), "a notification of all is not passed on");
    assert_eq!(notify.slots(), 0);
}

#[test]
fn notify_and_event_stand_wakers_that_come_back() {
    let notify = Rc::new(Notify::new());
    let event = Rc::new(Event::new());
    let (same_notify, same_event) = (notify.clone(), event.clone());
    set_hook(move || {
        same_notify.notify_one();
        let _ = Waiting::new(same_notify.notified()).poll();
        let _ = Waiting::new(same_event.wait()).poll();
        same_event.is_set();
    });
    for _ in 0..2 {
        let mut notified = Waiting::new(notify.notified());
        let _ = notified.poll_with(&foreign());
        let _ = notified.poll_with(&foreign());
        notify.notify_all();
        let mut wait = Waiting::new(event.wait());
        let _ = wait.poll_with(&foreign());
        let _ = wait.poll_with(&foreign());
        notify.notify_one();
        ready(notify.notified());
        drop(wait);
        event.set();
    }
    set_hook(|| {});
    assert_eq!((notify.slots(), event.slots()), (0, 0));
}

#[test]
fn an_event_happens_once_for_all() {
    let event = Event::new();
    let mut waiting = [Waiting::polled(event.wait()), Waiting::polled(event.wait())];
    drop(Waiting::polled(event.wait()));
    assert_eq!(event.slots(), 2);
    assert!(event.set());
    assert!(!event.set());
    for wait in &mut waiting {
        assert_eq!(wait.wakes(), 1);
        wait.ready();
    }
    ready(event.wait());
    assert_eq!(event.slots(), 0);
}
