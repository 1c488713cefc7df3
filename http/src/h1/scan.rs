//! Looking for the end of a head that arrives in pieces.

use super::{HeadError, Limits};

/// How far an unfinished head was looked at, so that each byte is looked at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Bytes looked at; 0 if the head was not seen before.
    pub(super) examined: u32,
    /// Where the line that is still open begins.
    pub(super) line_start: u32,
    /// Lines that ended.
    pub(super) lines: u32,
}

impl Scan {
    /// Looks at the bytes that are new; returns whether the head's end is among them.
    ///
    /// Finds bare line feeds and excess of fields before the end comes, as a peer may never send it.
    pub(super) fn advance(&mut self, buf: &[u8], limits: &Limits) -> Result<bool, HeadError> {
        if (self.examined as usize) > buf.len() {
            *self = Self::default();
        }
        let from = self.examined as usize;
        // Taken over only with `examined`: a head that has its end may have to be looked at again, as it is too long.
        let Self { mut line_start, mut lines, .. } = *self;
        for at in memchr::memchr_iter(b'\n', &buf[from..]).map(|at| from + at) {
            let line = &buf[line_start as usize..at];
            match line {
                [b'\r'] => return Ok(true),
                [.., b'\r'] => {}
                _ => return Err(HeadError::BareLineFeed),
            }
            lines += 1;
            // The request line is no field.
            if lines as usize > limits.fields.saturating_add(1) {
                return Err(HeadError::TooManyFields);
            }
            line_start = at as u32 + 1;
        }
        // Lengths fit, as the head's limit is below 4 GiB.
        *self = Self { examined: buf.len() as u32, line_start, lines };
        Ok(false)
    }
}
