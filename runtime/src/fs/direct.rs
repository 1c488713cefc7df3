//! What O_DIRECT asks of reads and writes.

use super::{DirectAlignment, Metadata};

/// What is asked of a file that was opened with O_DIRECT.
#[derive(Debug, Clone, Copy)]
pub(super) struct Direct {
    /// What nobody may fall short of.
    least: DirectAlignment,
    known: bool,
}

/// Where nobody says, a device may still take sectors of this size.
const SECTOR: usize = 512;
/// What every device takes.
const SAFE: usize = 4096;

impl Direct {
    pub(super) fn from_metadata(metadata: &Metadata) -> Direct {
        match metadata.direct_alignment() {
            Some(least) => Direct { least, known: true },
            None => Direct { least: DirectAlignment { memory: SECTOR, offset: SECTOR }, known: false },
        }
    }

    /// What is safe to use.
    pub(super) fn alignment(self) -> DirectAlignment {
        if self.known { self.least } else { DirectAlignment { memory: SAFE, offset: SAFE } }
    }

    /// Whether a read that ended here has met the end of the file.
    pub(super) fn ends_at(self, offset: u64) -> bool {
        !offset.is_multiple_of(self.least.offset as u64)
    }

    /// What is wrong with a read or write, if anything is.
    #[inline]
    pub(super) fn objection(self, address: usize, len: u64, offset: u64) -> Option<String> {
        let DirectAlignment { memory, offset: unit } = self.least;
        let fits = address.is_multiple_of(memory)
            && len.is_multiple_of(unit as u64)
            && offset.is_multiple_of(unit as u64);
        if fits { None } else { Some(self.explain(address, len, offset)) }
    }

    #[cold]
    fn explain(self, address: usize, len: u64, offset: u64) -> String {
        let DirectAlignment { memory, offset: unit } = self.least;
        let mut wrong = Vec::new();
        if !offset.is_multiple_of(unit as u64) {
            wrong.push(format!("the offset {offset} is no multiple of {unit}"));
        }
        if !len.is_multiple_of(unit as u64) {
            wrong.push(format!("the length {len} is no multiple of {unit}"));
        }
        if !address.is_multiple_of(memory) {
            wrong.push(format!("the memory at {address:#x} is not aligned to {memory}"));
        }
        let DirectAlignment { memory, offset: unit } = self.alignment();
        format!("with O_DIRECT, {}: use AlignedBuf::new(n * {unit}, {memory})", wrong.join(", and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objections_name_what_is_wrong() {
        let direct = Direct { least: DirectAlignment { memory: 4, offset: 512 }, known: true };
        assert_eq!(direct.objection(8, 1024, 512), None);
        let text = direct.objection(6, 100, 1000).unwrap();
        for part in ["offset 1000", "length 100", "multiple of 512", "0x6", "aligned to 4"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!direct.objection(8, 100, 0).unwrap().contains("offset"));
        assert!(direct.ends_at(1025) && !direct.ends_at(1024));
    }
}
