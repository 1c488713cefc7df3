//! These run under Miri as well: threads, but no kernel.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use super::{Permit, Receiver, Send, Sender, channel};
use crate::sync::mpsc::{SendError, TryRecvError, TrySendError};

/// Counts wakes.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Bell>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Bell {
    fn rings(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn bell() -> (Arc<Bell>, Waker) {
    let bell = Arc::new(Bell::default());
    (bell.clone(), Waker::from(bell))
}

/// Runs a future on this thread, which sleeps meanwhile.
fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Unpark>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// A value that says when it is dropped.
#[derive(Debug)]
struct Counted(usize, Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

fn one<T: std::marker::Send>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, mailbox) = channel(capacity);
    (sender, mailbox.bind())
}

#[test]
fn values_arrive_in_order_and_come_back_when_there_is_no_room() {
    let (sender, mut receiver) = one(2);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    assert_eq!((sender.try_send(1), sender.try_send(2)), (Ok(()), Ok(())));
    assert_eq!(sender.try_send(3), Err(TrySendError::Full(3)));
    assert_eq!((sender.capacity(), sender.max_capacity(), receiver.len()), (0, 2, 2));
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(sender.try_send(3), Ok(()));
    drop(sender);
    assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(2), Ok(3)));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn who_waits_first_sends_first_and_nobody_overtakes() {
    let (sender, mut receiver) = one(1);
    let (bells, wakers): (Vec<_>, Vec<_>) = (0..3).map(|_| bell()).unzip();
    sender.try_send(0).unwrap();
    let mut sends: Vec<Send<'_, usize>> = (1..4).map(|value| sender.send(value)).collect();
    for (send, waker) in sends.iter_mut().zip(&wakers) {
        assert!(poll(send, waker).is_pending());
    }
    // The second gives up while it waits.
    drop(sends.remove(1));
    assert_eq!(receiver.try_recv(), Ok(0));
    assert_eq!(bells.iter().map(|bell| bell.rings()).collect::<Vec<_>>(), [1, 0, 0]);
    // The room is the first one's, though it has not come for it.
    assert_eq!(sender.try_send(9), Err(TrySendError::Full(9)));
    // It never will: the room goes on to the next.
    drop(sends.remove(0));
    assert_eq!(bells[2].rings(), 1);
    assert_eq!(poll(&mut sends[0], &wakers[2]), Poll::Ready(Ok(())));
    assert_eq!(receiver.try_recv(), Ok(3));
    assert_eq!(sender.capacity(), 1);
}

#[test]
fn a_closed_channel_refuses_and_still_delivers() {
    let (sender, mut receiver) = one(2);
    let (waiting, waker) = bell();
    let permit = match poll(&mut sender.reserve(), &waker) {
        Poll::Ready(Ok(permit)) => permit,
        other => panic!("there is room, not {other:?}"),
    };
    sender.try_send("sent").unwrap();
    let mut send = sender.send("waits");
    assert!(poll(&mut send, &waker).is_pending());
    receiver.close();
    assert_eq!(waiting.rings(), 1);
    assert_eq!(poll(&mut send, &waker), Poll::Ready(Err(SendError("waits"))));
    assert_eq!(sender.try_send("late"), Err(TrySendError::Closed("late")));
    assert!(sender.is_closed());
    assert_eq!(receiver.try_recv(), Ok("sent"));
    // A promise was made before the channel was closed.
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    let (heard, waker) = bell();
    assert!(poll(&mut receiver.recv(), &waker).is_pending());
    permit.send("promised");
    assert_eq!(heard.rings(), 1);
    assert_eq!(receiver.try_recv(), Ok("promised"));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn room_that_came_before_the_close_and_was_not_taken_is_no_promise() {
    let (sender, mut receiver) = one(1);
    let (rung, waker) = bell();
    sender.try_send("sent").unwrap();
    let mut send = sender.send("waits");
    assert!(poll(&mut send, &waker).is_pending());
    assert_eq!(receiver.try_recv(), Ok("sent"));
    assert_eq!(rung.rings(), 1);
    receiver.close();
    assert_eq!(poll(&mut send, &waker), Poll::Ready(Err(SendError("waits"))));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn a_broken_promise_ends_a_closed_channel() {
    let (sender, mut receiver) = one::<u8>(1);
    let (heard, waker) = bell();
    let permit: Permit<'_, u8> = wait(sender.reserve()).unwrap();
    receiver.close();
    assert!(poll(&mut receiver.recv(), &waker).is_pending());
    drop(permit);
    assert_eq!(heard.rings(), 1);
    assert_eq!(poll(&mut receiver.recv(), &waker), Poll::Ready(None));
}

#[test]
fn the_last_sender_ends_the_channel() {
    let (sender, mut receiver) = one::<u8>(1);
    let (heard, waker) = bell();
    let second = sender.clone();
    assert!(poll(&mut receiver.recv(), &waker).is_pending());
    drop(sender);
    assert_eq!(heard.rings(), 0);
    drop(second);
    assert_eq!(heard.rings(), 1);
    assert_eq!(poll(&mut receiver.recv(), &waker), Poll::Ready(None));
}

#[test]
fn what_nobody_takes_is_dropped_with_the_receiver() {
    let drops = Arc::new(AtomicUsize::new(0));
    let (sender, mailbox) = channel(4);
    for n in 0..3 {
        sender.try_send(Counted(n, drops.clone())).unwrap();
    }
    let permit = wait(sender.reserve()).unwrap();
    drop(mailbox);
    assert_eq!(drops.load(Ordering::SeqCst), 3, "though a sender lives");
    permit.send(Counted(3, drops.clone()));
    assert_eq!(drops.load(Ordering::SeqCst), 4, "though a sender lives");
    let Err(TrySendError::Closed(back)) = sender.try_send(Counted(4, drops.clone())) else {
        panic!("the receiver is gone");
    };
    assert_eq!((back.0, sender.capacity()), (4, 4));
}

#[test]
fn values_may_hold_senders_of_their_own_channel() {
    struct Letter(#[expect(dead_code, reason = "held for its drop")] Sender<Letter>);
    let (sender, mailbox) = channel(2);
    let weak = sender.observe();
    sender.try_send(Letter(sender.clone())).ok().unwrap();
    sender.try_send(Letter(sender.clone())).ok().unwrap();
    drop(sender);
    drop(mailbox);
    assert_eq!(weak.strong_count(), 0);
}

#[test]
fn a_panicking_destructor_does_not_keep_the_rest() {
    struct Bomb(bool, Arc<AtomicUsize>);
    impl Drop for Bomb {
        fn drop(&mut self) {
            self.1.fetch_add(1, Ordering::SeqCst);
            assert!(!self.0, "on purpose");
        }
    }
    let drops = Arc::new(AtomicUsize::new(0));
    let (sender, mailbox) = channel(4);
    for explodes in [false, true, false, false] {
        sender.try_send(Bomb(explodes, drops.clone())).ok().unwrap();
    }
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(mailbox)));
    assert!(dropped.is_err());
    assert_eq!(drops.load(Ordering::SeqCst), 4);
}

#[test]
#[should_panic(expected = "needs room for one value")]
fn a_channel_without_room_is_refused() {
    drop(channel::<u8>(0));
}

/// What a thread does in the storm below, from a number of its own.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Senders on threads send in every way, give up at random and go; the receiver takes, pauses, closes or goes. Every
/// value is received once, or came back, or was dropped; each sender's arrive in order.
#[test]
fn random_senders_receivers_and_drops_lose_nothing() {
    let (rounds, each): (u64, usize) = if cfg!(miri) { (8, 12) } else { (300, 200) };
    for seed in 1..=rounds {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let drops = Arc::new(AtomicUsize::new(0));
        let made = Arc::new(AtomicUsize::new(0));
        let (sender, mailbox) = channel(1 + random.below(5) as usize);
        let threads: Vec<_> = (0..3usize)
            .map(|who| {
                let (sender, drops, made) = (sender.clone(), drops.clone(), made.clone());
                let mut random = Random(random.below(u64::MAX) | 1);
                thread::spawn(move || {
                    let mut sent = 0;
                    for n in 0..each {
                        made.fetch_add(1, Ordering::SeqCst);
                        let value = Counted(who << 32 | n, drops.clone());
                        let ok = match random.below(4) {
                            0 => sender.try_send(value).is_ok(),
                            1 => sender.send_blocking(value).is_ok(),
                            2 => match wait(sender.reserve()) {
                                Ok(permit) if random.below(3) > 0 => {
                                    permit.send(value);
                                    true
                                }
                                _ => false,
                            },
                            _ => {
                                let mut send = sender.send(value);
                                // Given up after one look, perhaps with room already promised.
                                matches!(poll(&mut send, Waker::noop()), Poll::Ready(Ok(())))
                            }
                        };
                        sent += usize::from(ok);
                    }
                    sent
                })
            })
            .collect();
        drop(sender);
        let mut receiver = mailbox.bind();
        let mut last = [None; 3];
        let mut received = 0;
        let end = random.below(3);
        let limit = if end == 0 { usize::MAX } else { random.below(3 * each as u64) as usize };
        while received < limit {
            let value = match random.below(3) {
                0 => receiver.try_recv().ok(),
                _ => match wait(receiver.recv()) {
                    None => break,
                    value => value,
                },
            };
            if let Some(value) = value {
                let (who, n) = (value.0 >> 32, value.0 & 0xFFFF_FFFF);
                assert!(last[who].is_none_or(|before| before < n), "seed {seed}: out of order");
                last[who] = Some(n);
                received += 1;
            }
        }
        if end == 1 {
            receiver.close();
            while wait(receiver.recv()).is_some() {
                received += 1;
            }
        } else if end == 2 {
            drop(receiver);
        }
        let sent: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        if end == 2 {
            assert!(received <= sent, "seed {seed}");
        } else {
            assert_eq!(received, sent, "seed {seed}");
        }
        assert_eq!(drops.load(Ordering::SeqCst), made.load(Ordering::SeqCst), "seed {seed}");
    }
}
