//! Connections that wait for the next request.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use covet_runtime::{JoinHandle, shutdown, spawn, time};

use super::PoolSettings;
use super::origin::Way;
use super::transport::Transport;

/// How often idle connections are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The idle connections of a client.
pub(super) struct Pool {
    settings: PoolSettings,
    /// Of each way the longest idle comes first.
    idle: RefCell<HashMap<Way, VecDeque<Idle>>>,
    count: Cell<usize>,
    /// The task that closes what has been idle for too long, while there is anything idle.
    keeper: RefCell<Option<JoinHandle<()>>>,
}

struct Idle {
    transport: Transport,
    since: Instant,
}

impl Pool {
    pub(super) fn new(settings: PoolSettings) -> Rc<Pool> {
        Rc::new(Pool { settings, idle: RefCell::default(), count: Cell::new(0), keeper: RefCell::default() })
    }

    pub(super) fn len(&self) -> usize {
        self.count.get()
    }

    /// A connection that is still good, as far as can be told from here.
    ///
    /// One that has been closed by the server, or on which something came that nobody asked for, is closed.
    pub(super) fn take(&self, way: &Way) -> Option<Transport> {
        let mut idle = self.idle.borrow_mut();
        let connections = idle.get_mut(way)?;
        let now = time::now();
        let mut found = None;
        // The latest is the least likely to be closed, and leaves the others to grow old.
        while let Some(mut connection) = connections.pop_back() {
            self.count.set(self.count.get() - 1);
            let fresh = now.saturating_duration_since(connection.since) < self.settings.idle_time;
            if fresh && connection.transport.is_quiet() {
                found = Some(connection.transport);
                break;
            }
        }
        if connections.is_empty() {
            idle.remove(way);
        }
        found
    }

    /// Keeps a connection for the next request.
    pub(super) fn put(self: &Rc<Pool>, way: Way, transport: Transport) {
        if self.settings.idle_per_origin == 0 || self.settings.idle == 0 || shutdown::is_requested() {
            return;
        }
        if self.count.get() >= self.settings.idle {
            self.close_oldest();
        }
        let mut idle = self.idle.borrow_mut();
        let connections = idle.entry(way).or_default();
        connections.push_back(Idle { transport, since: time::now() });
        match connections.len() > self.settings.idle_per_origin {
            true => drop(connections.pop_front()),
            false => self.count.set(self.count.get() + 1),
        }
        drop(idle);
        self.keep();
    }

    pub(super) fn clear(&self) {
        let idle = self.idle.take();
        self.count.set(0);
        drop(idle);
    }

    fn close_oldest(&self) {
        let mut idle = self.idle.borrow_mut();
        let oldest = idle
            .iter()
            .filter_map(|(way, connections)| connections.front().map(|first| (first.since, way)))
            .min_by_key(|(since, _)| *since)
            .map(|(_, way)| way.clone());
        let Some(way) = oldest else { return };
        let Some(connections) = idle.get_mut(&way) else { return };
        drop(connections.pop_front());
        self.count.set(self.count.get() - 1);
        if connections.is_empty() {
            idle.remove(&way);
        }
    }

    /// Closes what the server has closed, and what has been idle for too long.
    fn look(&self) {
        let now = time::now();
        let mut idle = self.idle.borrow_mut();
        idle.retain(|_, connections| {
            connections.retain_mut(|connection| {
                now.saturating_duration_since(connection.since) < self.settings.idle_time
                    && connection.transport.is_quiet()
            });
            !connections.is_empty()
        });
        self.count.set(idle.values().map(VecDeque::len).sum());
    }

    fn keep(self: &Rc<Pool>) {
        let mut keeper = self.keeper.borrow_mut();
        if keeper.is_none() {
            *keeper = Some(spawn(keep(Rc::downgrade(self), LOOK.min(self.settings.idle_time))));
        }
    }
}

/// Looks after a pool until it is empty or gone, or the core shuts down.
async fn keep(pool: Weak<Pool>, pause: Duration) {
    loop {
        // A shutdown ends the pause.
        let _ = time::timeout(pause.max(Duration::from_millis(1)), shutdown::requested()).await;
        let Some(pool) = pool.upgrade() else { return };
        match shutdown::is_requested() {
            true => pool.clear(),
            false => pool.look(),
        }
        if pool.len() == 0 {
            pool.keeper.take();
            return;
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            keeper.cancel();
        }
    }
}
