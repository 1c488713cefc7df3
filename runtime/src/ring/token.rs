//! What comes back in a completion's `user_data`.

/// Which table a completion belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// A stream's multishot receive.
    Recv = 1,
    /// A stream's send.
    Send = 2,
    /// The answer to the cancellation of a stream's receive.
    CancelRecv = 3,
    /// A listener's multishot accept.
    Accept = 4,
    /// A one-shot operation.
    Operation = 5,
    /// The read that waits for a wake from another thread.
    Wake = 6,
    /// Nobody waits for it.
    Unwatched = 7,
    /// The answer to the cancellation of a listener's accept.
    CancelAccept = 8,
    /// The answer to the cancellation of a stream's send.
    CancelSend = 9,
    /// The answer to the cancellation of a one-shot operation.
    CancelOperation = 10,
    /// A message socket's multishot receive.
    Message = 11,
    /// The answer to the cancellation of a message socket's receive.
    CancelMessage = 12,
    /// A send without a copy.
    ZeroCopy = 13,
    /// The answer to the cancellation of a send without a copy.
    CancelZeroCopy = 14,
    /// A message that failed to ring for another core.
    Bell = 15,
}

/// A slot's index and generation: a completion that outlives its slot's use finds another generation there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(super) index: u32,
    pub(super) generation: u32,
}

/// Generations wrap at 24 bits, the room that `user_data` leaves for them.
pub(super) const GENERATION_MASK: u32 = 0x00FF_FFFF;

impl Key {
    #[inline]
    pub(super) fn token(self, kind: Kind) -> u64 {
        (kind as u64) << 56 | u64::from(self.generation & GENERATION_MASK) << 32 | u64::from(self.index)
    }
}

#[inline]
pub(super) fn split(token: u64) -> (Option<Kind>, Key) {
    let kind = match (token >> 56) as u8 {
        1 => Some(Kind::Recv),
        2 => Some(Kind::Send),
        3 => Some(Kind::CancelRecv),
        4 => Some(Kind::Accept),
        5 => Some(Kind::Operation),
        6 => Some(Kind::Wake),
        7 => Some(Kind::Unwatched),
        8 => Some(Kind::CancelAccept),
        9 => Some(Kind::CancelSend),
        10 => Some(Kind::CancelOperation),
        11 => Some(Kind::Message),
        12 => Some(Kind::CancelMessage),
        13 => Some(Kind::ZeroCopy),
        14 => Some(Kind::CancelZeroCopy),
        15 => Some(Kind::Bell),
        _ => None,
    };
    (kind, Key { index: token as u32, generation: (token >> 32) as u32 & GENERATION_MASK })
}

pub(super) const WAKE: u64 = (Kind::Wake as u64) << 56;
pub(super) const UNWATCHED: u64 = (Kind::Unwatched as u64) << 56;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_gives_back_what_went_in() {
        for kind in [
            Kind::Recv,
            Kind::Send,
            Kind::CancelRecv,
            Kind::Accept,
            Kind::Operation,
            Kind::CancelAccept,
            Kind::CancelSend,
            Kind::CancelOperation,
            Kind::Message,
            Kind::CancelMessage,
            Kind::ZeroCopy,
            Kind::CancelZeroCopy,
            Kind::Bell,
        ] {
            for key in [
                Key { index: 0, generation: 0 },
                Key { index: u32::MAX, generation: GENERATION_MASK },
                Key { index: 7, generation: 0x12_3456 },
            ] {
                assert_eq!(split(key.token(kind)), (Some(kind), key));
            }
        }
        assert_eq!(split(0).0, None);
    }
}
