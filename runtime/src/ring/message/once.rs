//! One receive of bytes with what travels beside them.

use super::arrival::Details;

/// Memory for one recvmsg(2), and what came.
pub(crate) struct Incoming {
    pub(crate) bytes: Vec<u8>,
    /// Descriptors that came belong to this from the completion on, whoever takes it or drops it.
    pub(crate) details: Details,
    control: Vec<u8>,
    vector: libc::iovec,
    header: libc::msghdr,
}

impl Incoming {
    /// Room for so many bytes and so many descriptors.
    pub(crate) fn new(bytes: usize, descriptors: usize) -> Box<Incoming> {
        // SAFETY: CMSG_SPACE only computes.
        let control = unsafe { libc::CMSG_SPACE((descriptors * size_of::<i32>()) as u32) } as usize;
        Box::new(Incoming {
            bytes: Vec::with_capacity(bytes),
            details: Details::default(),
            control: Vec::with_capacity(control),
            vector: libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 },
            // SAFETY: msghdr is plain C data, and all zeroes mean no address, no vectors, no control data.
            header: unsafe { std::mem::zeroed() },
        })
    }

    /// The header. Call it once this is in its box.
    pub(crate) fn header(&mut self) -> *mut libc::msghdr {
        self.vector.iov_base = self.bytes.as_mut_ptr().cast();
        self.vector.iov_len = self.bytes.capacity();
        self.header.msg_iov = &raw mut self.vector;
        self.header.msg_iovlen = 1;
        self.header.msg_control = self.control.as_mut_ptr().cast();
        self.header.msg_controllen = self.control.capacity() as _;
        &raw mut self.header
    }

    /// The receive is over: `result` is its last completion's.
    pub(in crate::ring) fn arrived(&mut self, result: i32) {
        let Ok(len) = usize::try_from(result) else { return };
        let control_len = self.header.msg_controllen.min(self.control.capacity());
        // SAFETY: the kernel wrote so many bytes from the start of each, within the capacities that it was given, and
        // this is the only time that the control data is read.
        unsafe {
            self.bytes.set_len(len.min(self.bytes.capacity()));
            self.control.set_len(control_len);
            self.details = Details::read(self.header.msg_flags, &self.control);
        }
        self.control.clear();
    }
}
