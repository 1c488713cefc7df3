//! The end of a driver.

use std::time::{Duration, Instant};

use super::backend::Backend;
use super::driver::{Driver, Wait};
use super::op::Op;
use super::provided::ProvidedBuffers;

/// How long [`Driver::close`] waits for the kernel to give back what it was lent.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

impl Driver {
    /// Cancels all that is under way and waits until the kernel has let go of it.
    ///
    /// What the kernel still holds after two seconds (a stuck device, say) is leaked on purpose: lost memory is
    /// better than memory that is written to after it was freed.
    pub(crate) fn close(&mut self) {
        if self.closed {
            return;
        }
        self.closed = true;
        let end = Instant::now() + CLOSE_PATIENCE;
        self.drop_listeners();
        self.drop_streams();
        self.drop_message_sockets();
        while self.in_flight > 0 && Instant::now() < end {
            // Each time anew, as one cancellation can miss what is just being tried again.
            // SAFETY: it points to nothing.
            unsafe { self.push_silent(Op::CancelAll) };
            if let Err(error) = self.enter(Wait::AtMost(Duration::from_millis(20))) {
                tracing::error!(%error, "a ring failed while it was closed");
                break;
            }
            self.complete();
        }
        // One more turn hands over the descriptors closed meanwhile.
        self.backend.flush();
        if self.in_flight > 0 {
            tracing::error!(
                operations = self.in_flight,
                "the kernel did not give all operations back; leaking them"
            );
            self.leak();
        }
        // Handles may keep the driver for long: no descriptor and no mapping with it, but for the buffers that
        // somebody still reads. What was leaked may be written to until the kernel has reaped it.
        self.backend = Backend::Closed;
        self.buffers = ProvidedBuffers::none();
        self.wake.event = None;
        self.bells = None;
    }

    fn leak(&mut self) {
        std::mem::forget(self.buffers.clone());
        std::mem::forget(std::mem::take(&mut self.streams));
        std::mem::forget(std::mem::take(&mut self.listeners));
        std::mem::forget(std::mem::take(&mut self.operations));
        std::mem::forget(self.messages.take());
        std::mem::forget(std::mem::take(&mut self.zero_copies));
        std::mem::forget(std::mem::replace(&mut self.wake.count, Box::new([0; 8])));
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.close();
    }
}
