//! What the fields say about the message and the connection (RFC 9112 sections 3.2, 6 and 9.3).

use http::Version;

use super::HeadError;
use super::fields::FieldSpan;
use super::target::is_authority;

/// How the content of a request is delimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// There is no content.
    #[default]
    None,
    /// The content is this many bytes, possibly 0.
    Length(u64),
    /// The content is in chunks.
    Chunked,
}

impl Framing {
    /// Whether no content follows the head.
    pub fn is_empty(self) -> bool {
        matches!(self, Self::None | Self::Length(0))
    }

    /// The number of bytes of the content, where the framing tells it.
    pub fn length(self) -> Option<u64> {
        match self {
            Self::None => Some(0),
            Self::Length(length) => Some(length),
            Self::Chunked => None,
        }
    }
}

/// What the field block says about the message and the connection.
///
/// It follows from the block and the version alone, so it holds for every request that has the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) framing: Framing,
    /// Index of the Host field plus 1; 0 if there is none.
    pub(super) host: u16,
    pub(super) keep_alive: bool,
    pub(super) expect_continue: bool,
    /// The client offers to go on in another protocol.
    pub(super) upgrade: bool,
}

/// Applies the rules of framing, Host, Connection and Expect to a field block.
pub(super) fn facts(block: &[u8], spans: &[FieldSpan], version: Version) -> Result<Facts, HeadError> {
    let mut host = 0;
    let mut length = ContentLength::default();
    let mut coding = TransferEncoding::default();
    let mut connection = Connection::default();
    let mut expects = false;
    let mut offers = false;
    for (at, span) in spans.iter().enumerate() {
        let name = span.name(block);
        // The length tells most names apart from these without a look at their bytes.
        match name.len() {
            4 if is(name, b"host") => {
                if host != 0 {
                    return Err(HeadError::HostRepeated);
                }
                if !is_authority(span.value(block), false) {
                    return Err(HeadError::Host);
                }
                host = at as u16 + 1;
            }
            6 if is(name, b"expect") => {
                for member in list(span.value(block)).filter(|member| !member.is_empty()) {
                    if !is(member, b"100-continue") {
                        return Err(HeadError::Expectation);
                    }
                    expects = true;
                }
            }
            7 if is(name, b"upgrade") => offers = true,
            10 if is(name, b"connection") => connection.add(span.value(block)),
            14 if is(name, b"content-length") => length.add(span.value(block))?,
            17 if is(name, b"transfer-encoding") => coding.add(span.value(block))?,
            _ => {}
        }
    }
    if host == 0 && version == Version::HTTP_11 {
        return Err(HeadError::HostMissing);
    }
    Ok(Facts {
        framing: coding.framing(length, version)?,
        host,
        keep_alive: !connection.close && (version == Version::HTTP_11 || connection.keep_alive),
        // An HTTP/1.0 client would take the 100 for the answer (RFC 9110 section 10.1.1).
        expect_continue: expects && version == Version::HTTP_11,
        // Without the connection option it was meant for somebody before us (RFC 9110 section 7.8).
        upgrade: offers && connection.upgrade && version == Version::HTTP_11,
    })
}

/// Whether `text` is `lower`, in any case; both without control characters, `lower` in lower case.
///
/// The bit that makes letters lower turns only letters into letters, and only control characters into digits
/// and marks. Without a branch per byte this is a few instructions.
#[inline]
fn is<const N: usize>(text: &[u8], lower: &[u8; N]) -> bool {
    let Ok(text) = <&[u8; N]>::try_from(text) else { return false };
    text.iter().zip(lower).fold(0, |differences, (byte, lower)| differences | ((byte | 0x20) ^ lower)) == 0
}

/// The members of a comma-separated list, without the blanks around them.
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// The content's length, which may be said once.
///
/// RFC 9110 section 8.6 lets a recipient take repetitions of one value for one; to refuse them leaves nothing that two
/// readers could read in two ways, and no sender of today makes them.
#[derive(Default)]
struct ContentLength {
    value: Option<u64>,
}

impl ContentLength {
    fn add(&mut self, value: &[u8]) -> Result<(), HeadError> {
        match decimal(value).filter(|_| self.value.is_none()) {
            Some(length) => self.value = Some(length),
            None => return Err(HeadError::ContentLength),
        }
        Ok(())
    }
}

/// A decimal number of digits only, below 2^64.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 { None } else { number.checked_mul(10)?.checked_add(u64::from(digit)) }
    })
}

/// The transfer codings, over all fields of the name.
#[derive(Default)]
struct TransferEncoding {
    present: bool,
    chunked: bool,
    others: bool,
}

impl TransferEncoding {
    fn add(&mut self, value: &[u8]) -> Result<(), HeadError> {
        self.present = true;
        for member in list(value) {
            // Chunked comes last and once, so nothing may follow it.
            if member.is_empty() || self.chunked {
                return Err(HeadError::TransferEncoding);
            }
            match is(member, b"chunked") {
                true => self.chunked = true,
                false => self.others = true,
            }
        }
        Ok(())
    }

    fn framing(self, length: ContentLength, version: Version) -> Result<Framing, HeadError> {
        match (self.present, length.value) {
            (false, None) => Ok(Framing::None),
            (false, Some(length)) => Ok(Framing::Length(length)),
            (true, Some(_)) => Err(HeadError::AmbiguousFraming),
            // A coding in HTTP/1.0 is a sign of a broken intermediary (RFC 9112 section 6.1).
            (true, None) if version == Version::HTTP_10 || !self.chunked => Err(HeadError::TransferEncoding),
            (true, None) if self.others => Err(HeadError::UnsupportedCoding),
            (true, None) => Ok(Framing::Chunked),
        }
    }
}

#[derive(Default)]
struct Connection {
    close: bool,
    keep_alive: bool,
    upgrade: bool,
}

impl Connection {
    fn add(&mut self, value: &[u8]) {
        // What nearly everybody sends is no list.
        if is(value, b"keep-alive") {
            self.keep_alive = true;
            return;
        }
        for member in list(value) {
            self.close |= is(member, b"close");
            self.keep_alive |= is(member, b"keep-alive");
            self.upgrade |= is(member, b"upgrade");
        }
    }
}
