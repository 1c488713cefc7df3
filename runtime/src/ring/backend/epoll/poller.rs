//! The epoll instance: which descriptors are watched, and the wait.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

use crate::ring::driver::Wait;

/// Events taken in one call.
pub(super) const EVENTS: usize = 128;

/// Everything that may let an operation on either side go on. Edge-triggered: each change is told once, and a
/// descriptor that nobody waits for costs nothing.
const INTEREST: i32 = libc::EPOLLIN
    | libc::EPOLLOUT
    | libc::EPOLLRDHUP
    // Urgent data cuts a receive short, which must then not be taken for the end of what has arrived.
    | libc::EPOLLPRI
    | libc::EPOLLET;

/// What happened to one descriptor.
#[derive(Clone, Copy)]
pub(super) struct Event {
    /// What the descriptor was added with.
    pub(super) key: u64,
    mask: u32,
}

impl Event {
    fn has(self, bits: i32) -> bool {
        self.mask & bits as u32 != 0
    }

    /// A read, an accept or the like may succeed or fail now.
    pub(super) fn readable(self) -> bool {
        self.has(libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLPRI | libc::EPOLLHUP | libc::EPOLLERR)
    }

    /// A write or a connect may succeed or fail now.
    pub(super) fn writable(self) -> bool {
        self.has(libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR)
    }

    /// There may be more to learn than the bytes of the next short read: an end, an error, urgent data.
    pub(super) fn is_special(self) -> bool {
        self.has(libc::EPOLLRDHUP | libc::EPOLLPRI | libc::EPOLLHUP | libc::EPOLLERR)
    }
}

pub(super) struct Poller {
    epoll: OwnedFd,
    /// The kernel lacks epoll_pwait2(2) (Linux 5.11), or a filter hides it.
    coarse: bool,
}

impl Poller {
    pub(super) fn new() -> io::Result<Poller> {
        // SAFETY: a plain system call.
        let epoll = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the call has just returned this descriptor, which nobody else owns.
        Ok(Poller { epoll: unsafe { OwnedFd::from_raw_fd(epoll) }, coarse: false })
    }

    /// The instance itself, which can be watched like what it watches.
    #[cfg(feature = "tokio-rt")]
    pub(super) fn poll_fd(&self) -> io::Result<OwnedFd> {
        self.epoll.try_clone()
    }

    fn control(&self, what: i32, descriptor: RawFd, key: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: INTEREST as u32, u64: key };
        // SAFETY: the event lives until the call returns.
        check(unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), what, descriptor, &raw mut event) }).map(drop)
    }

    /// Watches a descriptor; if it is ready now, that is told by the next wait.
    pub(super) fn add(&self, descriptor: RawFd, key: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, descriptor, key)
    }

    /// As [`Poller::add`] for one that is watched already: what was told before is told again. `false` if it is not:
    /// it was closed behind our back, and its number has a new owner.
    pub(super) fn tell_again(&self, descriptor: RawFd, key: u64) -> io::Result<bool> {
        match self.control(libc::EPOLL_CTL_MOD, descriptor, key) {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Closing a descriptor is not enough: a duplicate, also one in another process, would keep it watched.
    pub(super) fn remove(&self, descriptor: RawFd) {
        let _ = self.control(libc::EPOLL_CTL_DEL, descriptor, 0);
    }

    /// Sleeps until something happens or the time has passed.
    pub(super) fn wait(&mut self, events: &mut Vec<Event>, wait: Wait) -> io::Result<()> {
        let mut happened = [const { MaybeUninit::<libc::epoll_event>::uninit() }; EVENTS];
        let target: *mut libc::epoll_event = happened.as_mut_ptr().cast();
        let count = match wait {
            Wait::No => self.wait_coarsely(target, 0),
            Wait::Forever => self.wait_coarsely(target, -1),
            Wait::AtMost(limit) => self.wait_finely(target, limit),
        };
        let count = match count {
            Ok(count) => count,
            // A signal: look again.
            Err(error) if error.raw_os_error() == Some(libc::EINTR) => 0,
            Err(error) => return Err(error),
        };
        // SAFETY: the kernel has written the first `count` events.
        events.extend(happened[..count as usize].iter().map(|event| unsafe {
            let event = event.assume_init_ref();
            Event { key: event.u64, mask: event.events }
        }));
        Ok(())
    }

    fn wait_coarsely(&self, target: *mut libc::epoll_event, millis: i32) -> io::Result<i32> {
        // SAFETY: the target has room for this many events.
        check(unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), target, EVENTS as i32, millis) })
    }

    fn wait_finely(&mut self, target: *mut libc::epoll_event, limit: Duration) -> io::Result<i32> {
        if !self.coarse {
            let time = libc::timespec {
                tv_sec: libc::time_t::try_from(limit.as_secs()).unwrap_or(libc::time_t::MAX),
                tv_nsec: libc::c_long::from(limit.subsec_nanos()),
            };
            // SAFETY: the target has room for this many events, the time lives until the call returns, and no signal
            // mask is given.
            let count = check(unsafe {
                libc::syscall(
                    libc::SYS_epoll_pwait2,
                    self.epoll.as_raw_fd(),
                    target,
                    EVENTS as i32,
                    &raw const time,
                    ptr::null::<libc::sigset_t>(),
                    0usize,
                )
            } as i32);
            match &count {
                // Filters that do not know the call answer EPERM.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                    self.coarse = true;
                }
                _ => return count,
            }
        }
        // Rounded up: a timer that is looked at too early is not due and would be waited for again.
        let millis = limit.as_nanos().div_ceil(1_000_000);
        self.wait_coarsely(target, i32::try_from(millis).unwrap_or(i32::MAX))
    }
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(all(test, not(loom), not(miri)))]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn it_sleeps_no_shorter_than_asked_with_and_without_the_fine_call() {
        for coarse in [false, true] {
            let mut poller = Poller::new().unwrap();
            poller.coarse = coarse;
            for micros in [1, 300, 1_700] {
                let (limit, began) = (Duration::from_micros(micros), Instant::now());
                poller.wait(&mut Vec::new(), Wait::AtMost(limit)).unwrap();
                assert!(began.elapsed() >= limit, "{:?} of {limit:?}", began.elapsed());
            }
        }
    }

    #[test]
    fn what_cannot_be_watched_is_told_apart() {
        let poller = Poller::new().unwrap();
        let plain = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(poller.add(plain.as_raw_fd(), 1).unwrap_err().raw_os_error(), Some(libc::EPERM));
        let (pipe, _writer) = rustix::pipe::pipe().unwrap();
        assert!(!poller.tell_again(pipe.as_raw_fd(), 2).unwrap());
        poller.add(pipe.as_raw_fd(), 2).unwrap();
        assert!(poller.tell_again(pipe.as_raw_fd(), 3).unwrap());
        poller.remove(pipe.as_raw_fd());
        assert!(!poller.tell_again(pipe.as_raw_fd(), 3).unwrap());
    }
}
