//! Open files, and what operations on files and paths lend to the kernel.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::driver::Driver;
use super::op::Op;
use super::operation::{Operation, Payload};
use crate::buf::{Fill, SendBuf};
use crate::cores::context::CoreState;

/// A descriptor of a file, closed through the ring when its last user has gone.
///
/// Every operation on it holds a use, since the kernel may look the descriptor up after a later close was queued: it
/// would find nothing, or a file that was opened in the meantime.
pub(crate) struct OpenFile {
    core: Rc<CoreState>,
    /// -1 once it was closed or given away.
    descriptor: Cell<RawFd>,
    /// Who waits for the last use to end.
    alone: RefCell<Option<Waker>>,
}

impl OpenFile {
    pub(crate) fn new(core: &Rc<CoreState>, descriptor: OwnedFd) -> Rc<OpenFile> {
        use std::os::fd::IntoRawFd;
        let descriptor = Cell::new(descriptor.into_raw_fd());
        Rc::new(OpenFile { core: core.clone(), descriptor, alone: RefCell::new(None) })
    }

    pub(crate) fn core(&self) -> &Rc<CoreState> {
        &self.core
    }

    pub(crate) fn raw(&self) -> RawFd {
        self.descriptor.get()
    }

    /// A use, for as long as an operation needs the descriptor.
    pub(crate) fn in_use(self: &Rc<OpenFile>) -> InUse {
        InUse(Some(self.clone()))
    }

    /// Ready when no operation uses the descriptor.
    pub(crate) fn poll_alone(self: &Rc<OpenFile>, cx: &mut Context<'_>) -> Poll<()> {
        if Rc::strong_count(self) == 1 {
            return Poll::Ready(());
        }
        let old = self.alone.borrow_mut().replace(cx.waker().clone());
        drop(old);
        Poll::Pending
    }

    /// Closes the descriptor and says how that went; dropped, it goes on. Only for one that nothing uses.
    pub(crate) async fn close(&self) -> io::Result<()> {
        let descriptor = self.descriptor.replace(-1);
        let payload = Payload::File(FilePayload::Close(descriptor));
        let result = match Operation::start(&self.core, payload, |_| Op::Close { descriptor }) {
            Ok(operation) => operation.await.0,
            // SAFETY: the core is gone, and this is the only claim to the descriptor.
            Err(_) => match unsafe { libc::close(descriptor) } {
                0 => Ok(0),
                _ => Err(io::Error::last_os_error()),
            },
        };
        match result {
            Err(error) if error.raw_os_error() == Some(libc::ECANCELED) => {
                // SAFETY: cancelled before it began, so the descriptor is still ours.
                drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
                Ok(())
            }
            result => result.map(drop),
        }
    }

    /// Takes the descriptor away. Only for one that nothing uses.
    pub(crate) fn take(&self) -> OwnedFd {
        let descriptor = self.descriptor.replace(-1);
        assert!(descriptor >= 0, "a file's descriptor is taken once, by the owner of the file");
        // SAFETY: it was owned by this value, which has just forgotten it.
        unsafe { OwnedFd::from_raw_fd(descriptor) }
    }
}

impl AsFd for OpenFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: open until it is taken, by one who holds the file and has no other borrow of it.
        unsafe { BorrowedFd::borrow_raw(self.descriptor.get()) }
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        let descriptor = self.descriptor.get();
        if descriptor < 0 {
            return;
        }
        match self.core.driver.try_borrow_mut() {
            Ok(mut driver) => driver.close_won(descriptor),
            Err(_) => drop(self.take()),
        }
    }
}

/// Keeps a file open.
pub(crate) struct InUse(Option<Rc<OpenFile>>);

impl InUse {
    pub(crate) fn raw(&self) -> RawFd {
        self.0.as_ref().map_or(-1, |file| file.raw())
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let Some(file) = self.0.take() else { return };
        // The owner and this one: the owner is about to be alone.
        let waker = if Rc::strong_count(&file) == 2 { file.alone.take() } else { None };
        drop(file);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// What an operation on a file or a path lends to the kernel. All of it is on the heap.
pub(crate) enum FilePayload {
    /// The path to open. Who abandons this one abandons a descriptor.
    Open(CString),
    /// The descriptor to close, which cancelling must not save.
    Close(RawFd),
    /// The paths to work on.
    Paths(CString, CString),
    /// Where the answer goes, and what is asked about: a path, or an open file.
    Stat(Box<libc::statx>, Result<CString, InUse>),
    /// A buffer that is being filled.
    Fill(InUse, Fill),
    /// A buffer that is being written.
    Send(InUse, SendBuf),
    /// Buffers that are being filled, and the vectors that point to their spare capacity.
    FillMany(InUse, Vec<Fill>, Vec<libc::iovec>),
    /// Buffers that are being written, and the vectors that point to them.
    SendMany(InUse, Vec<SendBuf>, Vec<libc::iovec>),
    /// The file alone.
    Nothing(InUse),
}

impl FilePayload {
    /// The path or paths, as the kernel takes them.
    pub(crate) fn path(&self) -> &CStr {
        match self {
            FilePayload::Open(path) | FilePayload::Paths(path, _) | FilePayload::Stat(_, Ok(path)) => path,
            _ => c"",
        }
    }

    /// Whether a dropped future stops the operation. A close goes on: its descriptor has no other owner.
    pub(super) fn may_be_cancelled(&self) -> bool {
        !matches!(self, FilePayload::Close(_))
    }

    /// The descriptor that nobody will own, now that this operation has come to its end with nobody waiting.
    pub(super) fn left_open(&self, result: i32) -> Option<RawFd> {
        match self {
            FilePayload::Open(_) if result >= 0 => Some(result),
            // Cancelled before it began, by a driver that closes; any other error leaves no descriptor (close(2)).
            FilePayload::Close(descriptor) if result == -libc::ECANCELED => Some(*descriptor),
            _ => None,
        }
    }
}

impl Driver {
    /// Closes a descriptor that has no other owner.
    pub(super) fn close_won(&mut self, descriptor: RawFd) {
        if self.is_closed() {
            // SAFETY: the caller hands over the only claim to it.
            drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
        } else {
            self.close_descriptor(descriptor);
        }
    }
}
