//! Requests that were sent and not yet answered, oldest first.

use std::collections::VecDeque;
use std::time::Instant;

/// Requests with the same clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) intended: Instant,
    pub(super) submitted: Instant,
    pub(super) count: u64,
    pub(super) label: Label,
}

/// What is remembered of a request until its answer is judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Label {
    /// Which of the run's requests it is.
    pub(super) kind: u16,
    /// What the content of its answer comes to, in a protocol whose answers repeat their requests; zero in others.
    pub(super) mark: u32,
}

/// The requests in flight on one connection.
///
/// HTTP/1.1 answers them in the order in which they were sent; where another protocol does not, the one that is answered
/// is brought forward first.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    batches: VecDeque<Batch>,
    total: u64,
}

impl InFlight {
    #[inline]
    pub(super) fn push(&mut self, batch: Batch) {
        self.total += batch.count;
        self.batches.push_back(batch);
    }

    #[inline]
    pub(super) fn len(&self) -> u64 {
        self.total
    }

    /// The label of the request that has `position` before it.
    pub(super) fn label_at(&self, position: u64) -> Option<Label> {
        let mut before = 0;
        self.batches
            .iter()
            .find(|batch| {
                before += batch.count;
                position < before
            })
            .map(|batch| batch.label)
    }

    /// When the oldest request was sent.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.batches.front().map(|batch| batch.submitted)
    }

    /// Takes the oldest requests that share their clocks, at most `limit` of them.
    #[inline]
    pub(super) fn pop(&mut self, limit: u64) -> Option<Batch> {
        let front = self.batches.front_mut()?;
        let taken = Batch { count: front.count.min(limit), ..*front };
        front.count -= taken.count;
        if front.count == 0 {
            self.batches.pop_front();
        }
        self.total -= taken.count;
        Some(taken)
    }

    /// Makes the request that has `position` before it the oldest, because its answer came before theirs.
    #[cold]
    pub(super) fn bring_forward(&mut self, position: u64) {
        let mut before = 0;
        let answered = self.batches.iter().position(|batch| {
            before += batch.count;
            position < before
        });
        let Some(index) = answered else { return };
        let batch = self.batches[index];
        if batch.count == 1 {
            self.batches.remove(index);
        } else {
            self.batches[index].count -= 1;
        }
        self.batches.push_front(Batch { count: 1, ..batch });
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Batch> {
        self.batches.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    proptest! {
        #[test]
        fn answers_in_any_order_leave_each_once(
            pushes in prop::collection::vec(1_u64..6, 1..12),
            places in prop::collection::vec(any::<u64>(), 60),
        ) {
            let start = Instant::now();
            let mut in_flight = InFlight::default();
            let mut expected = Vec::new();
            for (index, &count) in pushes.iter().enumerate() {
                let submitted = start + Duration::from_nanos(index as u64);
                in_flight.push(Batch { intended: submitted, submitted, count, label: Label { kind: index as u16, mark: 0 } });
                expected.extend(std::iter::repeat_n(index as u16, usize::try_from(count).unwrap()));
            }
            for place in places {
                if expected.is_empty() { break; }
                let place = place % expected.len() as u64;
                in_flight.bring_forward(place);
                let batch = in_flight.pop(1).unwrap();
                prop_assert_eq!(batch.count, 1);
                prop_assert_eq!(batch.label.kind, expected.remove(usize::try_from(place).unwrap()));
                prop_assert_eq!(in_flight.len(), expected.len() as u64);
            }
            prop_assert!(expected.is_empty());
            in_flight.bring_forward(0);
            prop_assert_eq!(in_flight.pop(1), None);
        }

        #[test]
        fn requests_leave_in_the_order_they_came(
            pushes in prop::collection::vec(1_u64..20, 1..20),
            limits in prop::collection::vec(1_u64..20, 0..60),
        ) {
            let start = Instant::now();
            let mut in_flight = InFlight::default();
            let mut expected = VecDeque::new();
            for (index, &count) in pushes.iter().enumerate() {
                let submitted = start + Duration::from_nanos(index as u64);
                in_flight.push(Batch { intended: submitted, submitted, count, label: Label { kind: index as u16, mark: 0 } });
                expected.extend(std::iter::repeat_n((submitted, index as u16), usize::try_from(count).unwrap()));
            }
            for limit in limits {
                prop_assert_eq!(in_flight.oldest(), expected.front().map(|front| front.0));
                for (position, (_, kind)) in expected.iter().enumerate() {
                    prop_assert_eq!(in_flight.label_at(position as u64).map(|label| label.kind), Some(*kind));
                }
                let Some(batch) = in_flight.pop(limit) else { break };
                prop_assert!(batch.count >= 1 && batch.count <= limit);
                for _ in 0..batch.count {
                    prop_assert_eq!(expected.pop_front(), Some((batch.submitted, batch.label.kind)));
                }
                prop_assert_eq!(in_flight.len(), expected.len() as u64);
            }
        }
    }
}
