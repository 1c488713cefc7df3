use std::cell::RefCell;
use std::rc::Rc;
use std::task::Poll;

use super::{Waiting, foreign, ready, set_hook};
use crate::sync::{mpsc, oneshot};

#[test]
fn a_oneshot_carries_one_value() {
    let (sender, receiver) = oneshot::channel();
    let mut receiver = Waiting::polled(receiver);
    sender.send(Rc::new(7)).unwrap();
    assert_eq!(receiver.wakes(), 1);
    assert_eq!(receiver.ready().map(|value| *value), Ok(7));
    assert!(receiver.ready().is_err());

    let (sender, mut receiver) = oneshot::channel::<u8>();
    assert_eq!(receiver.try_recv(), Err(oneshot::TryRecvError::Empty));
    drop(sender);
    assert_eq!(receiver.try_recv(), Err(oneshot::TryRecvError::Closed));
    assert!(ready(receiver).is_err());
}

#[test]
fn a_oneshot_sender_sees_its_receiver_go() {
    let (mut sender, receiver) = oneshot::channel::<u8>();
    {
        let mut closed = Waiting::polled(sender.closed());
        drop(receiver);
        assert_eq!(closed.wakes(), 1);
        closed.ready();
    }
    assert_eq!(sender.send(1), Err(1));

    let (sender, mut receiver) = oneshot::channel();
    sender.send(2).unwrap();
    receiver.close();
    assert_eq!(ready(receiver), Ok(2), "what was sent before stays");

    let (sender, receiver) = oneshot::channel();
    let value = Rc::new(());
    sender.send(value.clone()).unwrap();
    drop(receiver);
    assert_eq!(Rc::strong_count(&value), 1);
}

#[test]
fn a_oneshot_stands_a_waker_that_comes_back() {
    let (sender, receiver) = oneshot::channel::<u8>();
    let receiver = Rc::new(RefCell::new(Some(receiver)));
    let same = receiver.clone();
    set_hook(move || {
        let taken = same.borrow_mut().take();
        drop(taken);
    });
    {
        let mut taken = receiver.borrow_mut();
        let mut waiting = Waiting::new(taken.as_mut().unwrap());
        assert!(waiting.poll_with(&foreign()).is_pending());
    }
    sender.send(1).unwrap();
    assert!(receiver.borrow().is_none(), "the waker dropped the receiver");
    set_hook(|| {});
}

#[test]
fn senders_wait_in_order_while_the_channel_is_full() {
    let (sender, mut receiver) = mpsc::bounded(1);
    sender.try_send(1).unwrap();
    assert_eq!(sender.try_send(2), Err(mpsc::TrySendError::Full(2)));
    let mut second = Waiting::polled(sender.send(2));
    let mut third = Waiting::polled(sender.send(3));
    assert_eq!(ready(receiver.recv()), Some(1));
    assert_eq!((second.wakes(), third.wakes()), (1, 0));
    assert_eq!(sender.try_send(9), Err(mpsc::TrySendError::Full(9)), "the slot is promised");
    second.ready().unwrap();
    assert_eq!(receiver.try_recv(), Ok(2));
    third.ready().unwrap();
    drop((second, third));
    drop(sender);
    assert_eq!(ready(receiver.recv()), Some(3));
    assert_eq!(ready(receiver.recv()), None);
}

#[test]
fn a_woken_sender_that_is_dropped_passes_its_slot_on() {
    let (sender, mut receiver) = mpsc::bounded(1);
    sender.try_send(1).unwrap();
    let first = Waiting::polled(sender.send(2));
    let mut second = Waiting::polled(sender.send(3));
    assert_eq!(receiver.try_recv(), Ok(1));
    drop(first);
    assert_eq!(second.wakes(), 1);
    second.ready().unwrap();
    assert_eq!(receiver.try_recv(), Ok(3));
}

#[test]
fn a_dropped_recv_loses_nothing() {
    let (sender, mut receiver) = mpsc::unbounded();
    let waiting = Waiting::polled(receiver.recv());
    sender.send(1).unwrap();
    assert_eq!(waiting.wakes(), 1);
    drop(waiting);
    assert_eq!(ready(receiver.recv()), Some(1));
    let mut waiting = Waiting::polled(receiver.recv());
    drop(sender.clone());
    assert_eq!(waiting.wakes(), 0);
    drop(sender);
    assert_eq!(waiting.wakes(), 1);
    assert_eq!(waiting.ready(), None);
}

#[test]
fn closing_fails_senders_but_for_reserved_slots() {
    let (sender, mut receiver) = mpsc::bounded(2);
    let slot = ready(sender.reserve()).unwrap();
    sender.try_send(1).unwrap();
    let mut waiting = Waiting::polled(sender.send(2));
    let mut closed = Waiting::polled(sender.closed());
    receiver.close();
    closed.ready();
    assert_eq!((waiting.wakes(), waiting.ready()), (1, Err(mpsc::SendError(2))));
    assert_eq!(sender.try_send(3), Err(mpsc::TrySendError::Closed(3)));
    assert_eq!(ready(receiver.recv()), Some(1));
    assert_eq!(receiver.try_recv(), Err(mpsc::TryRecvError::Empty));
    slot.send(4);
    assert_eq!(ready(receiver.recv()), Some(4));
    assert_eq!(ready(receiver.recv()), None);
}

#[test]
fn a_slot_that_was_given_before_the_close_is_not_sent_into_after_it() {
    let (sender, mut receiver) = mpsc::bounded(1);
    sender.try_send(1).unwrap();
    let mut woken = Waiting::polled(sender.send(2));
    assert_eq!(receiver.try_recv(), Ok(1));
    receiver.close();
    assert_eq!(ready(receiver.recv()), None);
    assert_eq!(woken.ready(), Err(mpsc::SendError(2)));
}

/// Holds a sender of its own channel, so dropping it comes back there.
struct Knot {
    _value: Rc<()>,
    _sender: mpsc::UnboundedSender<Knot>,
}

#[test]
fn a_dropped_receiver_drops_what_it_did_not_receive() {
    let (sender, receiver) = mpsc::unbounded();
    let value = Rc::new(());
    let knot = || Knot { _value: value.clone(), _sender: sender.clone() };
    sender.send(knot()).unwrap();
    drop(receiver);
    assert_eq!(Rc::strong_count(&value), 1);
    assert!(sender.send(knot()).is_err());

    let (sender, receiver) = mpsc::bounded(1);
    let slot = ready(sender.reserve()).unwrap();
    drop(receiver);
    slot.send(value.clone());
    assert_eq!(Rc::strong_count(&value), 1);
}

#[test]
fn mpsc_stands_wakers_that_come_back() {
    let (sender, receiver) = mpsc::bounded(1);
    let receiver = Rc::new(RefCell::new(receiver));
    let (same, again) = (sender.clone(), receiver.clone());
    set_hook(move || {
        let _ = same.try_send(5);
        if let Ok(mut receiver) = again.try_borrow_mut() {
            let _ = receiver.try_recv();
        }
    });
    {
        let mut mine = receiver.borrow_mut();
        let mut recv = Waiting::new(mine.recv());
        assert!(recv.poll_with(&foreign()).is_pending());
        // The old waker sends when it is dropped, which the same poll sees.
        assert_eq!(recv.poll_with(&foreign()), Poll::Ready(Some(5)));
    }
    sender.try_send(1).unwrap_or(());
    let mut send = Waiting::new(sender.send(2));
    let _ = send.poll_with(&foreign());
    let _ = receiver.borrow_mut().try_recv();
    drop(send);
    receiver.borrow_mut().close();
    set_hook(|| {});
}
