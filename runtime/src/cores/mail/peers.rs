//! The cores of one runtime, as they know each other.

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use rustix::event::{EventfdFlags, eventfd};

use super::census::Census;
use crate::cores::Core;
use crate::cores::context::{self, CoreState};
use crate::error::StartError;
use crate::ring::{Bells, DriverKind, ring_event};
use crate::sync_types::Arc;
use crate::task::Inbox;

/// Everything that a core needs to reach the others.
pub(crate) struct Peers {
    posts: Vec<Post>,
    census: Census,
}

struct Post {
    cpu: Option<usize>,
    inbox: Arc<Inbox>,
    /// Known once the core has made it.
    driver: OnceLock<DriverKind>,
}

impl Peers {
    /// Inboxes for cores on these CPUs, made before the cores are, so that mail may be sent to one that is still being
    /// made. Each place goes to one core.
    pub(crate) fn new(cpus: &[Option<usize>]) -> Result<(Arc<Peers>, Vec<Place>), StartError> {
        let mut events: Vec<std::sync::Arc<OwnedFd>> = Vec::new();
        for _ in cpus {
            let event = eventfd(0, EventfdFlags::CLOEXEC);
            events.push(std::sync::Arc::new(event.map_err(|error| crate::ring::explain(error.into()))?));
        }
        let bells = Bells::new(events.iter().cloned());
        let post = |(index, &cpu): (usize, &Option<usize>)| {
            let (event, known) = (events[index].clone(), std::sync::Arc::downgrade(&bells));
            let inbox = Inbox::new(Box::new(move || {
                let ring = |core: &CoreState| match core.driver.try_borrow_mut() {
                    Ok(mut driver) => driver.ring_bell(known.as_ptr(), index),
                    Err(_) => false,
                };
                if !context::with(ring).unwrap_or(false) {
                    ring_event(&event);
                }
            }));
            Post { cpu, inbox: Arc::new(inbox), driver: OnceLock::new() }
        };
        let posts = cpus.iter().enumerate().map(post).collect();
        let peers = Arc::new(Peers { posts, census: Census::new(cpus.len()) });
        let place = |(index, event)| Place {
            attendance: Attendance { core: Core::new(index, peers.clone()), attending: Cell::new(true) },
            event,
            bells: bells.clone(),
        };
        let places = events.into_iter().enumerate().map(place).collect();
        Ok((peers, places))
    }

    pub(crate) fn count(&self) -> usize {
        self.posts.len()
    }

    pub(crate) fn cpu(&self, index: usize) -> Option<usize> {
        self.posts[index].cpu
    }

    pub(crate) fn driver(&self, index: usize) -> Option<DriverKind> {
        self.posts[index].driver.get().copied()
    }

    /// Says what a core has made to talk to the kernel with.
    pub(crate) fn set_driver(&self, index: usize, kind: Option<DriverKind>) {
        if let Some(kind) = kind {
            let _made_once = self.posts[index].driver.set(kind);
        }
    }

    pub(crate) fn inbox(&self, index: usize) -> &Arc<Inbox> {
        &self.posts[index].inbox
    }

    pub(crate) fn inboxes(&self) -> impl Iterator<Item = &Arc<Inbox>> {
        self.posts.iter().map(|post| &post.inbox)
    }

    fn leave(&self) {
        if self.census.leave() {
            // Those that rest look again, and end.
            self.inboxes().for_each(|inbox| inbox.notify());
        }
    }
}

/// What a core is made from: its name among its peers, and the bell that they ring.
pub(crate) struct Place {
    pub(crate) attendance: Attendance,
    pub(crate) event: std::sync::Arc<OwnedFd>,
    pub(crate) bells: std::sync::Arc<Bells>,
}

/// A core's part in the census, from before it is made until it has ended.
pub(crate) struct Attendance {
    core: Core,
    attending: Cell<bool>,
}

impl Attendance {
    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// Says that no task is left here. `true` if none is left anywhere, and this core may end.
    pub(crate) fn rest(&self) -> bool {
        let peers = self.core.peers();
        if self.attending.replace(false) {
            peers.leave();
        }
        peers.census.is_over()
    }

    /// Says that there are tasks again. The mark of the one that came keeps the census from being over.
    pub(crate) fn resume(&self) {
        if !self.attending.get() && self.core.peers().census.enter() {
            self.attending.set(true);
        }
    }

    /// Ends the core's part for good: nothing more is let in.
    pub(crate) fn end(&self) {
        self.core.peers().inbox(self.core.index()).close();
        let _over = self.rest();
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        self.end();
    }
}

/// Counts a task on its way.
pub(crate) struct Mark(Arc<Peers>);

impl Mark {
    /// `None` if the runtime has ended.
    pub(crate) fn new(peers: &Arc<Peers>) -> Option<Mark> {
        peers.census.enter().then(|| Mark(peers.clone()))
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.0.leave();
    }
}
