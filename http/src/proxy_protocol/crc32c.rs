//! CRC-32C (RFC 9260 appendix A), bit by bit: headers are short, and few have one.

/// The polynomial 0x1EDC6F41, its bits in reverse.
const POLYNOMIAL: u32 = 0x82f6_3b78;

pub(super) struct Crc32c(u32);

impl Crc32c {
    pub(super) fn new() -> Crc32c {
        Crc32c(u32::MAX)
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 ^= u32::from(byte);
            for _ in 0..8 {
                self.0 = (self.0 >> 1) ^ if self.0 & 1 == 1 { POLYNOMIAL } else { 0 };
            }
        }
    }

    pub(super) fn finish(self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_algorithm() {
        let mut sum = Crc32c::new();
        sum.update(b"1234");
        sum.update(b"56789");
        assert_eq!(sum.finish(), 0xe306_9283);
    }
}
