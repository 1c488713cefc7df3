//! What a core shows to its watchdog.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// In the low bit of the beat: the core is in a turn, and not asleep.
const AWAKE: u64 = 1;

/// Changes once per turn. Written by the core alone, in a cache line of its own.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Heartbeat(AtomicU64);

impl Heartbeat {
    /// A turn begins.
    #[inline]
    pub(in crate::cores) fn beat(&self) {
        // A load and a store, as nobody else writes. Relaxed: the watchdog draws conclusions from the number alone.
        let next = (self.0.load(Ordering::Relaxed) | AWAKE).wrapping_add(2);
        self.0.store(next, Ordering::Relaxed);
    }

    /// The core is about to sleep in the kernel, or its loop has ended.
    #[inline]
    pub(in crate::cores) fn rest(&self) {
        self.0.store(self.0.load(Ordering::Relaxed) & !AWAKE, Ordering::Relaxed);
    }

    /// The number of the turn that the core is in, if it is in one.
    pub(super) fn turn(&self) -> Option<u64> {
        let beat = self.0.load(Ordering::Relaxed);
        (beat & AWAKE != 0).then_some(beat)
    }
}

/// A thread, as far as a signal handler must know it.
#[derive(Debug, Clone)]
pub(super) struct Thread {
    pub(super) id: i32,
    pub(super) stack: Range<usize>,
}

impl Thread {
    /// The calling thread.
    pub(super) fn current() -> Thread {
        // SAFETY: gettid(2) has no preconditions.
        let id = unsafe { libc::syscall(libc::SYS_gettid) } as i32;
        let mut stack = 0..0;
        // SAFETY: the attributes are initialised by pthread_getattr_np before they are read, only if it succeeds, and
        // destroyed once.
        unsafe {
            let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
            if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) == 0 {
                let (mut start, mut size) = (std::ptr::null_mut(), 0);
                if libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut start, &raw mut size) == 0 {
                    stack = start as usize..start as usize + size;
                }
                libc::pthread_attr_destroy(attributes.as_mut_ptr());
            }
        }
        Thread { id, stack }
    }
}
