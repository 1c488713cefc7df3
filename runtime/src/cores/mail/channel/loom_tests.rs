//! Every interleaving of senders, the receiver and their ends.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::channel;
use crate::sync::mpsc::TrySendError;

/// Its drops are counted, once each.
struct Counted(usize, Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_value_wakes_a_receiver_that_goes_to_sleep() {
    loom::model(|| {
        let (sender, mailbox) = channel(1);
        let remote = thread::spawn(move || sender.try_send(7).unwrap());
        let mut receiver = mailbox.bind();
        // A lost wake is a deadlock here, which loom reports.
        assert_eq!(block_on(receiver.recv()), Some(7));
        assert_eq!(block_on(receiver.recv()), None);
        remote.join().unwrap();
    });
}

#[test]
fn two_senders_share_places_that_are_used_again() {
    loom::model(|| {
        let (sender, mailbox) = channel(1);
        let senders: Vec<_> = (0..2)
            .map(|n| {
                let sender = sender.clone();
                thread::spawn(move || block_on(sender.send(n)).unwrap())
            })
            .collect();
        drop(sender);
        let mut receiver = mailbox.bind();
        let mut sum = 0;
        while let Some(n) = block_on(receiver.recv()) {
            sum += 1 + n;
        }
        assert_eq!(sum, 3);
        senders.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn room_wakes_a_sender_that_waits_for_it() {
    loom::model(|| {
        let (sender, mailbox) = channel(1);
        sender.try_send(0).unwrap();
        let remote = thread::spawn(move || block_on(sender.send(1)).unwrap());
        let mut receiver = mailbox.bind();
        assert_eq!(receiver.try_recv(), Ok(0));
        assert_eq!(block_on(receiver.recv()), Some(1));
        remote.join().unwrap();
    });
}

#[test]
fn a_sender_may_give_up_while_room_is_given_to_it() {
    loom::model(|| {
        let (sender, mailbox) = channel(1);
        sender.try_send(0).unwrap();
        let second = sender.clone();
        let remote = thread::spawn(move || {
            let mut send = pin!(second.send(1));
            send.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
        });
        let mut receiver = mailbox.bind();
        assert_eq!(receiver.try_recv(), Ok(0));
        let sent = remote.join().unwrap();
        // The room is free again, wherever it was when its sender went.
        assert_eq!(sender.capacity(), usize::from(!sent));
        assert_eq!(receiver.try_recv().is_ok(), sent);
        assert_eq!(sender.try_send(2), Ok(()));
    });
}

#[test]
fn closing_may_race_a_send_and_a_wait() {
    loom::model(|| {
        let (sender, mailbox) = channel(1);
        let remote = thread::spawn(move || {
            let first = sender.try_send(1).is_ok();
            let second = block_on(sender.send(2)).is_ok();
            usize::from(first) + usize::from(second)
        });
        let mut receiver = mailbox.bind();
        receiver.close();
        let mut received = 0;
        while block_on(receiver.recv()).is_some() {
            received += 1;
        }
        assert_eq!(remote.join().unwrap(), received);
    });
}

#[test]
fn a_value_is_dropped_at_once_when_its_receiver_goes_meanwhile() {
    loom::model(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let (sender, mailbox) = channel(1);
        let (kept, counter) = (sender.clone(), drops.clone());
        let remote = thread::spawn(move || match sender.try_send(Counted(1, counter)) {
            Ok(()) => None,
            Err(TrySendError::Closed(value)) => Some(value),
            Err(TrySendError::Full(_)) => panic!("nobody else sends"),
        });
        drop(mailbox);
        let back = remote.join().unwrap();
        // A sender lives, and yet the value does not wait in the channel.
        assert_eq!(drops.load(Ordering::Relaxed), usize::from(back.is_none()));
        assert!(back.is_none_or(|value| value.0 == 1));
        assert_eq!(kept.capacity(), 1);
    });
}

#[test]
fn a_wait_for_a_value_may_be_given_up_and_taken_up_with_another_waker() {
    loom::model(|| {
        let (sender, mailbox) = channel(1);
        let remote = thread::spawn(move || sender.try_send(7).unwrap());
        let mut receiver = mailbox.bind();
        let first = {
            let mut recv = receiver.recv();
            Pin::new(&mut recv).poll(&mut Context::from_waker(Waker::noop()))
        };
        let value = match first {
            Poll::Ready(value) => value,
            Poll::Pending => block_on(receiver.recv()),
        };
        assert_eq!(value, Some(7));
        remote.join().unwrap();
    });
}
