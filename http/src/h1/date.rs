//! The Date field's value (RFC 9110 section 5.6.7).

use std::io::Write;
use std::time::{Duration, SystemTime};

use httpdate::HttpDate;

/// Bytes of an IMF-fixdate.
pub const DATE_LEN: usize = 29;

/// The last second that an IMF-fixdate can name: the end of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

/// An IMF-fixdate, written anew only when the second changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateCache {
    second: u64,
    text: [u8; DATE_LEN],
}

impl DateCache {
    /// The date of a second since the Unix epoch; beyond the year 9999, the last one of it.
    pub fn new(unix_second: u64) -> Self {
        Self { second: unix_second, text: format(unix_second) }
    }

    /// Moves to a second since the Unix epoch; returns whether that changed the date.
    pub fn set(&mut self, unix_second: u64) -> bool {
        if self.second == unix_second {
            return false;
        }
        *self = Self::new(unix_second);
        true
    }

    /// The date as it is sent, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub fn as_bytes(&self) -> &[u8; DATE_LEN] {
        &self.text
    }
}

fn format(unix_second: u64) -> [u8; DATE_LEN] {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(unix_second.min(LAST_SECOND));
    let mut text = [0; DATE_LEN];
    write!(&mut text[..], "{}", HttpDate::from(time)).expect("an IMF-fixdate has 29 bytes");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_imf_fixdates() {
        for (second, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (1_709_208_000, "Thu, 29 Feb 2024 12:00:00 GMT"),
            (LAST_SECOND, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(DateCache::new(second).as_bytes().escape_ascii().to_string(), text);
        }
    }

    #[test]
    fn the_text_follows_the_second() {
        let mut date = DateCache::new(0);
        assert!(!date.set(0));
        assert!(date.set(784_111_777));
        assert_eq!(date, DateCache::new(784_111_777));
    }
}
