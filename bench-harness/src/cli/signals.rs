//! What a signal has a server do while it goes on serving.

use std::ffi::c_int;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;

/// Does something at each of these signals, on a thread of its own, for as long as the process runs.
///
/// # Errors
/// When the signal can't be handled, or there is no thread.
pub(super) fn at_each(
    signal: c_int,
    thread_name: &str,
    mut action: impl FnMut() + Send + 'static,
) -> io::Result<()> {
    let (mut signals, write) = UnixStream::pair()?;
    // A signal handler may do next to nothing, so it writes a byte, and a thread does the rest.
    signal_hook::low_level::pipe::register(signal, write)?;
    let watch = move || {
        while signals.read_exact(&mut [0]).is_ok() {
            action();
        }
    };
    std::thread::Builder::new().name(thread_name.to_owned()).spawn(watch)?;
    Ok(())
}
