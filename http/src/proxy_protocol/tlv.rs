//! Type-length-value entries behind the addresses.

use super::HeaderError;
use super::crc32c::Crc32c;

pub(super) const AUTHORITY: u8 = 0x02;
const CRC32C: u8 = 0x03;
pub(super) const SSL: u8 = 0x20;
/// Of the first byte of [`SSL`]: the client speaks TLS.
pub(super) const CLIENT_SSL: u8 = 0x01;

/// Something else that a proxy has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// What it is: a PP2_TYPE number.
    pub kind: u8,
    /// Its value.
    pub value: &'a [u8],
}

/// The TLVs of a header, in order.
#[derive(Clone, Debug)]
pub struct Tlvs<'a> {
    rest: &'a [u8],
}

impl<'a> Tlvs<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Tlvs<'a> {
        Tlvs { rest: bytes }
    }
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = Tlv<'a>;

    /// Ends at the first that does not fit, of which a header that was decoded has none.
    fn next(&mut self) -> Option<Tlv<'a>> {
        let (&[kind, high, low], behind) = self.rest.split_first_chunk::<3>()?;
        let (value, rest) = behind.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
        self.rest = rest;
        Some(Tlv { kind, value })
    }
}

/// Checks that the TLVs fill their room to the last byte, and the checksum of the whole header if there is one.
pub(super) fn validate(bytes: &[u8], header: &[u8]) -> Result<(), HeaderError> {
    let mut tlvs = Tlvs::new(bytes);
    while let Some(Tlv { kind, value }) = tlvs.next() {
        if kind != CRC32C {
            continue;
        }
        let stated = <[u8; 4]>::try_from(value).map_err(|_| HeaderError::MalformedTlv)?;
        // It is that of the header with zeros in its own place (section 2.2.3).
        let end = header.len() - tlvs.rest.len();
        let mut sum = Crc32c::new();
        sum.update(&header[..end - 4]);
        sum.update(&[0; 4]);
        sum.update(&header[end..]);
        if sum.finish() != u32::from_be_bytes(stated) {
            return Err(HeaderError::Checksum);
        }
    }
    if tlvs.rest.is_empty() { Ok(()) } else { Err(HeaderError::MalformedTlv) }
}
