//! A read that a signal does not end.

use std::io::{self, ErrorKind, Read};

/// Reads once, as [`Read::read`], and again where a signal came first.
///
/// `read` on a socket with a time limit fails with EINTR even where the handler asks for a restart (signal(7)). The
/// signals are our own: a stall detector interrupts the thread that it reports.
///
/// # Errors
/// As `read`, but for [`ErrorKind::Interrupted`].
pub(crate) fn read_some(from: &mut (impl Read + ?Sized), into: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(into) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Signalled(Vec<io::Result<usize>>);

    impl Read for Signalled {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            self.0.remove(0)
        }
    }

    #[test]
    fn a_signal_ends_no_read_and_all_else_does() {
        let interrupted = || Err(ErrorKind::Interrupted.into());
        let mut reads =
            Signalled(vec![interrupted(), interrupted(), Ok(3), Ok(0), Err(ErrorKind::TimedOut.into())]);
        let mut piece = [0; 8];
        assert_eq!(read_some(&mut reads, &mut piece).ok(), Some(3));
        assert_eq!(read_some(&mut reads, &mut piece).ok(), Some(0));
        assert_eq!(read_some(&mut reads, &mut piece).unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
