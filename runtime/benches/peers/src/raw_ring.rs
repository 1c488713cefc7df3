//! An echo loop on a raw io_uring: the ceiling for servers, and the load that drives them.
//!
//! One multishot receive per connection on a ring of provided buffers; what arrives is sent back from the buffer that
//! it arrived in, which returns to the kernel when the send has completed. Nothing is allocated, no task exists.

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;
use io_uring::{IoUring, cqueue, opcode, squeue, types};

const BUFFERS: u16 = 1024;
const BUFFER_SIZE: usize = 4096;
const GROUP: u16 = 0;

const ACCEPT: u64 = 1 << 56;
const RECV: u64 = 2 << 56;
const SEND: u64 = 3 << 56;
const QUIET: u64 = 4 << 56;

/// The loop and its connections.
pub struct Echo {
    ring: IoUring,
    buffers: Buffers,
    /// Messages received.
    pub received: u64,
    /// Connections that have ended.
    pub ended: u64,
}

struct Buffers {
    ring: *mut BufRingEntry,
    memory: *mut u8,
    tail: u16,
}

fn pages(len: usize) -> *mut u8 {
    let layout = Layout::from_size_align(len, 4096).expect("a page-aligned size");
    // SAFETY: the size is not zero.
    let start = unsafe { alloc_zeroed(layout) };
    if start.is_null() { handle_alloc_error(layout) } else { start }
}

impl Buffers {
    /// Never freed: they live as long as the process.
    fn new() -> Buffers {
        let ring = pages(usize::from(BUFFERS) * size_of::<BufRingEntry>()).cast();
        let mut buffers = Buffers { ring, memory: pages(usize::from(BUFFERS) * BUFFER_SIZE), tail: 0 };
        (0..BUFFERS).for_each(|id| buffers.give(id));
        buffers
    }

    fn at(&self, id: u16) -> *mut u8 {
        // SAFETY: ids are below BUFFERS, so the address lies inside the memory.
        unsafe { self.memory.add(usize::from(id) * BUFFER_SIZE) }
    }

    fn give(&mut self, id: u16) {
        // SAFETY: the entry lies inside the ring, whose entries above the published tail are ours to write.
        unsafe {
            let entry = &mut *self.ring.add(usize::from(self.tail & (BUFFERS - 1)));
            entry.set_addr(self.at(id) as u64);
            entry.set_len(BUFFER_SIZE as u32);
            entry.set_bid(id);
            self.tail = self.tail.wrapping_add(1);
            AtomicU16::from_ptr(BufRingEntry::tail(self.ring).cast_mut()).store(self.tail, Ordering::Release);
        }
    }
}

impl Default for Echo {
    fn default() -> Echo {
        Echo::new()
    }
}

impl Echo {
    /// A ring with the flags that have been found fastest.
    pub fn new() -> Echo {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_cqsize(16_384)
            .build(4096)
            .expect("io_uring with task-run flags (Linux 6.1)");
        let buffers = Buffers::new();
        // SAFETY: the buffers are never freed.
        unsafe { ring.submitter().register_buf_ring_with_flags(buffers.ring as u64, BUFFERS, GROUP, 0) }
            .expect("provided buffers (Linux 5.19)");
        Echo { ring, buffers, received: 0, ended: 0 }
    }

    fn push(&mut self, entry: squeue::Entry) {
        // SAFETY: entries point to nothing but buffers, which are never freed.
        while unsafe { self.ring.submission().push(&entry) }.is_err() {
            self.ring.submit().expect("the kernel takes what is queued");
        }
    }

    /// Accepts whatever comes to this listener, for ever.
    pub fn accept(&mut self, listener: &impl AsRawFd) {
        self.push(opcode::AcceptMulti::new(types::Fd(listener.as_raw_fd())).build().user_data(ACCEPT));
    }

    /// Takes a connection, which is closed when its peer ends it.
    pub fn adopt(&mut self, socket: RawFd) {
        self.push(opcode::RecvMulti::new(types::Fd(socket), GROUP).build().user_data(RECV | socket as u64));
    }

    /// Sends the first message on a connection: the echoes of two loops then go back and forth.
    pub fn kick(&mut self, socket: RawFd, message: &'static [u8]) {
        let entry = opcode::Send::new(types::Fd(socket), message.as_ptr(), message.len() as u32).build();
        self.push(entry.user_data(QUIET | socket as u64));
    }

    /// One system call, and everything that it brought.
    pub fn turn(&mut self) {
        let limit = types::Timespec::new().nsec(100_000_000);
        let waited = self.ring.submitter().submit_with_args(1, &types::SubmitArgs::new().timespec(&limit));
        if let Err(error) = waited
            && !matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR | libc::EBUSY))
        {
            panic!("io_uring_enter: {error}");
        }
        while let Some(done) = self.next() {
            let (token, result) = (done.user_data(), done.result());
            let socket = (token & 0xffff_ffff) as RawFd;
            match token & (0xff << 56) {
                ACCEPT if result >= 0 => self.adopt(result),
                RECV => match cqueue::buffer_select(done.flags()) {
                    Some(id) if result > 0 => {
                        self.received += 1;
                        let entry = opcode::Send::new(types::Fd(socket), self.buffers.at(id), result as u32);
                        self.push(entry.build().user_data(SEND | u64::from(id) << 32 | socket as u64));
                        if !cqueue::more(done.flags()) {
                            self.adopt(socket);
                        }
                    }
                    _ if result == -libc::ENOBUFS => self.adopt(socket),
                    _ => {
                        self.ended += 1;
                        // SAFETY: the receive has ended and was the last to use this descriptor, which is ours.
                        drop(unsafe { OwnedFd::from_raw_fd(socket) });
                    }
                },
                SEND => self.buffers.give((token >> 32 & 0xffff) as u16),
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Option<cqueue::Entry> {
        self.ring.completion().next()
    }
}
