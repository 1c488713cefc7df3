use std::collections::VecDeque;
use std::task::Poll;

use super::{PROGRAMS, Random, Waiting};
use crate::sync::mpsc::{self, Send, SendError, TryRecvError, TrySendError};

/// What a bounded channel ought to do: a queue of values, and one of senders that wait for a slot.
struct Model {
    free: usize,
    values: VecDeque<usize>,
    waiting: VecDeque<usize>,
    given: Vec<usize>,
    closed: bool,
}

impl Model {
    fn settle(&mut self) {
        while self.free > 0 && !self.closed {
            let Some(first) = self.waiting.pop_front() else { return };
            self.free -= 1;
            self.given.push(first);
        }
    }

    /// A sender that waited is gone; whether it had a slot.
    fn forget(&mut self, id: usize) -> bool {
        self.waiting.retain(|other| *other != id);
        let before = self.given.len();
        self.given.retain(|other| *other != id);
        before > self.given.len()
    }
}

#[test]
fn random_programs_agree_with_the_model() {
    for seed in 0..PROGRAMS {
        let mut random = Random(seed);
        let capacity = 1 + random.below(3);
        let (sender, mut receiver) = mpsc::bounded(capacity);
        let mut model = Model {
            free: capacity,
            values: VecDeque::new(),
            waiting: VecDeque::new(),
            given: Vec::new(),
            closed: false,
        };
        let mut sends: Vec<(usize, Waiting<Send<'_, usize>>)> = Vec::new();
        for id in 0..120 {
            match random.below(12) {
                0..=2 => {
                    let mut send = Waiting::new(sender.send(id));
                    let free = model.waiting.is_empty() && model.free > 0;
                    match send.poll() {
                        Poll::Ready(Ok(())) => {
                            assert!(free && !model.closed, "seed {seed}");
                            model.free -= 1;
                            model.values.push_back(id);
                        }
                        Poll::Ready(Err(SendError(value))) => {
                            assert!(model.closed && value == id, "seed {seed}")
                        }
                        Poll::Pending => {
                            assert!(!free && !model.closed, "seed {seed}");
                            model.waiting.push_back(id);
                            sends.push((id, send));
                        }
                    }
                }
                3 => match sender.try_send(id) {
                    Ok(()) => {
                        assert!(model.waiting.is_empty() && model.free > 0 && !model.closed, "seed {seed}");
                        model.free -= 1;
                        model.values.push_back(id);
                    }
                    Err(TrySendError::Full(_)) => {
                        assert!(
                            !model.closed && (model.free == 0 || !model.waiting.is_empty()),
                            "seed {seed}"
                        );
                    }
                    Err(TrySendError::Closed(_)) => assert!(model.closed, "seed {seed}"),
                },
                4..=6 => match receiver.try_recv() {
                    Ok(value) => {
                        assert_eq!(Some(value), model.values.pop_front(), "seed {seed}");
                        model.free += 1;
                    }
                    Err(TryRecvError::Empty) => {
                        assert!(model.values.is_empty() && !model.closed, "seed {seed}")
                    }
                    Err(TryRecvError::Closed) => {
                        assert!(model.values.is_empty() && model.closed, "seed {seed}")
                    }
                },
                7 | 8 if !sends.is_empty() => {
                    let (id, send) = sends.swap_remove(random.below(sends.len()));
                    drop(send);
                    if model.forget(id) {
                        model.free += 1;
                    }
                }
                9 | 10 if !sends.is_empty() => {
                    let at = random.below(sends.len());
                    let (id, send) = &mut sends[at];
                    let id = *id;
                    match send.poll() {
                        Poll::Ready(Ok(())) => {
                            assert!(model.forget(id) && !model.closed, "seed {seed}");
                            model.values.push_back(id);
                        }
                        Poll::Ready(Err(SendError(value))) => {
                            assert!(model.closed && value == id, "seed {seed}");
                            if model.forget(id) {
                                model.free += 1;
                            }
                        }
                        Poll::Pending => assert!(!model.closed && !model.given.contains(&id), "seed {seed}"),
                    }
                    if !model.given.contains(&id) && !model.waiting.contains(&id) {
                        sends.swap_remove(at);
                    }
                }
                11 if random.below(10) == 0 => {
                    receiver.close();
                    model.closed = true;
                }
                _ => {}
            }
            model.settle();
            assert_eq!((sender.capacity(), receiver.len()), (model.free, model.values.len()), "seed {seed}");
        }
        drop(sends);
        while receiver.try_recv().is_ok() {}
        assert_eq!(sender.capacity(), capacity, "seed {seed}: a slot is lost or won");
    }
}
