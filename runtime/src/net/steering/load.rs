//! Balanced steering: who has how much, and the way of a connection from one core to another.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

/// What the cores of a group know of each other.
#[derive(Debug)]
pub(super) struct Board {
    places: Box<[Place]>,
}

/// One core's place: it alone writes `open`; all others may add arrivals.
///
/// Relaxed is enough for the counts: they are estimates, and nothing is read on the strength of them.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Place {
    open: Arc<AtomicUsize>,
    /// Handed over and not taken yet.
    coming: AtomicUsize,
    arrivals: Mutex<Arrivals>,
    /// Set with `arrivals` locked, read without: somebody takes what arrives.
    seated: AtomicBool,
}

#[derive(Debug, Default)]
struct Arrivals {
    sockets: VecDeque<OwnedFd>,
    waker: Option<Waker>,
}

impl Place {
    fn load(&self) -> usize {
        self.open.load(Ordering::Relaxed) + self.coming.load(Ordering::Relaxed)
    }

    fn arrivals(&self) -> std::sync::MutexGuard<'_, Arrivals> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    pub(super) fn new(cores: usize) -> Board {
        Board { places: (0..cores).map(|_| Place::default()).collect() }
    }

    /// Who should have the next connection of the core at `own`, if not that core itself.
    fn elsewhere(&self, own: usize) -> Option<usize> {
        let mut sum = 0;
        let mut seats = 0;
        let mut least: Option<(usize, usize)> = None;
        for (index, place) in self.places.iter().enumerate() {
            if !place.seated.load(Ordering::Relaxed) {
                continue;
            }
            let load = place.load();
            sum += load;
            seats += 1;
            if least.is_none_or(|(least, _)| load < least) {
                least = Some((load, index));
            }
        }
        let (least, index) = least?;
        let load = self.places[own].load();
        let mean = sum / seats;
        (index != own && load > mean + mean / 8 + 1 && load > least + 1).then_some(index)
    }

    /// Leaves a connection with another core; it comes back if that core takes none any more.
    fn hand_over(&self, to: usize, socket: OwnedFd) -> Result<(), OwnedFd> {
        let place = &self.places[to];
        let mut arrivals = place.arrivals();
        if !place.seated.load(Ordering::Relaxed) {
            return Err(socket);
        }
        place.coming.fetch_add(1, Ordering::Relaxed);
        arrivals.sockets.push_back(socket);
        let waker = arrivals.waker.take();
        drop(arrivals);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }
}

/// A core's seat at the board, while its listener lives.
#[derive(Debug)]
pub(in crate::net) struct Seat {
    board: Arc<Board>,
    index: usize,
}

impl Seat {
    pub(super) fn take(board: &Arc<Board>, index: usize) -> Seat {
        let arrivals = board.places[index].arrivals();
        board.places[index].seated.store(true, Ordering::Relaxed);
        drop(arrivals);
        Seat { board: board.clone(), index }
    }

    /// Where this core writes how many connections it has open.
    pub(in crate::net) fn gauge(&self) -> Arc<AtomicUsize> {
        self.board.places[self.index].open.clone()
    }

    /// A connection that another core has handed over, or a place among those to be woken.
    pub(in crate::net) fn poll_arrival(&self, cx: &mut Context<'_>) -> Option<OwnedFd> {
        let place = &self.board.places[self.index];
        let waker = cx.waker().clone();
        let mut arrivals = place.arrivals();
        let old = match arrivals.sockets.pop_front() {
            Some(socket) => {
                place.coming.fetch_sub(1, Ordering::Relaxed);
                return Some(socket);
            }
            None => arrivals.waker.replace(waker),
        };
        // A waker may be anyone's code: not inside the lock.
        drop(arrivals);
        drop(old);
        None
    }

    /// Keeps a new connection, or hands it over.
    pub(in crate::net) fn keep(&self, socket: OwnedFd) -> Option<OwnedFd> {
        match self.board.elsewhere(self.index) {
            None => Some(socket),
            Some(to) => self.board.hand_over(to, socket).err(),
        }
    }

    /// Takes no more, and returns what has arrived.
    pub(in crate::net) fn leave(&self) -> VecDeque<OwnedFd> {
        let place = &self.board.places[self.index];
        let mut arrivals = place.arrivals();
        place.seated.store(false, Ordering::Relaxed);
        place.coming.store(0, Ordering::Relaxed);
        let waker = arrivals.waker.take();
        let sockets = std::mem::take(&mut arrivals.sockets);
        drop(arrivals);
        drop(waker);
        sockets
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        drop(self.leave());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(loads: &[usize]) -> (Arc<Board>, Vec<Seat>) {
        let board = Arc::new(Board::new(loads.len()));
        let seats: Vec<Seat> = (0..loads.len()).map(|index| Seat::take(&board, index)).collect();
        for (seat, load) in seats.iter().zip(loads) {
            seat.gauge().store(*load, Ordering::Relaxed);
        }
        (board, seats)
    }

    fn socket() -> OwnedFd {
        std::net::UdpSocket::bind("127.0.0.1:0").unwrap().into()
    }

    #[test]
    fn only_a_core_above_the_mean_gives_and_the_least_loaded_gets() {
        for (loads, own, to) in [
            (&[0, 0][..], 0, None),
            (&[1, 0], 0, None),
            (&[2, 0], 0, None),
            (&[3, 0], 0, Some(1)),
            (&[0, 3], 0, None),
            (&[100, 90], 0, None),
            (&[100, 60], 0, Some(1)),
            (&[100, 100, 20, 10], 1, Some(3)),
            (&[100, 100, 20, 10], 2, None),
        ] {
            assert_eq!(board(loads).0.elsewhere(own), to, "{loads:?}");
        }
    }

    #[test]
    fn what_is_on_its_way_counts() {
        let (board, seats) = board(&[6, 0]);
        let mut kept = 0;
        for _ in 0..20 {
            if let Some(socket) = seats[0].keep(socket()) {
                drop(socket);
                kept += 1;
                let gauge = seats[0].gauge();
                gauge.store(gauge.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            }
        }
        let (own, other) = (board.places[0].load(), board.places[1].load());
        assert_eq!(own + other, 26);
        assert!(own.abs_diff(other) <= 6, "{own} and {other} after {kept} were kept");
    }

    #[test]
    fn what_has_been_taken_is_no_longer_on_its_way() {
        let (board, seats) = board(&[9, 0]);
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            assert!(seats[0].keep(socket()).is_none());
        }
        assert_eq!(board.places[1].load(), 3);
        for left in (0..3).rev() {
            assert!(seats[1].poll_arrival(&mut cx).is_some());
            assert_eq!(board.places[1].load(), left);
        }
        assert!(seats[1].poll_arrival(&mut cx).is_none());
    }

    #[test]
    fn an_empty_seat_gets_nothing_and_gives_back_what_it_had() {
        let (board, seats) = board(&[9, 0, 0]);
        assert!(seats[0].keep(socket()).is_none());
        assert!(board.hand_over(1, socket()).is_ok());
        assert_eq!(seats[1].leave().len(), 2);
        assert!(board.hand_over(1, socket()).is_err());
        assert_eq!(board.elsewhere(0), Some(2));
        drop(seats);
        assert_eq!(board.elsewhere(0), None);
    }
}
