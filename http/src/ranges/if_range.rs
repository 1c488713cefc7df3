//! The If-Range field (RFC 9110 section 13.1.5).

use std::time::{Duration, SystemTime};

/// What tells one version of a representation from another.
///
/// The default knows nothing, and lets no If-Range hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validators<'a> {
    /// The entity tag with its quotes, and `W/` before it if it is weak.
    pub etag: Option<&'a [u8]>,
    /// When the representation was last changed.
    pub last_modified: Option<SystemTime>,
}

/// A date is a strong validator only if it lies so far back: within the same second there may be two versions
/// (RFC 9110 section 8.8.2.2).
const STRONG_AFTER: Duration = Duration::from_secs(1);

impl Validators<'_> {
    /// Whether an If-Range field of this value holds: the client has a part of just this version.
    ///
    /// Only strong validators count, compared byte for byte.
    pub fn allow(&self, if_range: &[u8]) -> bool {
        self.allow_at(if_range, SystemTime::now())
    }

    pub(super) fn allow_at(&self, if_range: &[u8], now: SystemTime) -> bool {
        if if_range.starts_with(b"\"") {
            return if_range.len() > 1 && if_range.ends_with(b"\"") && self.etag == Some(if_range);
        }
        if if_range.starts_with(b"W/") {
            return false;
        }
        let date = std::str::from_utf8(if_range).ok().and_then(|text| httpdate::parse_http_date(text).ok());
        let (Some(date), Some(modified)) = (date, self.last_modified) else { return false };
        // What is sent as Last-Modified has no fractions of a second.
        second(modified) == second(date) && now.duration_since(modified).is_ok_and(|age| age >= STRONG_AFTER)
    }
}

fn second(time: SystemTime) -> Option<u64> {
    time.duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs())
}
