use super::{AlignedBuf, PoolBuf};

/// A buffer whose spare capacity a read fills: `Vec<u8>`, [`PoolBuf`] and [`AlignedBuf`].
///
/// The bytes of each stay at their address when the buffer itself is moved, which is what lets the driver keep it
/// while the kernel writes.
pub trait FillBuf: sealed::Fillable {}

impl FillBuf for Vec<u8> {}
impl FillBuf for PoolBuf {}
impl FillBuf for AlignedBuf {}

/// One of the buffers that can be filled.
#[derive(Debug)]
pub enum Fill {
    Vec(Vec<u8>),
    Pool(PoolBuf),
    Aligned(AlignedBuf),
}

impl Fill {
    /// Where the spare capacity begins, and how much there is.
    pub(crate) fn spare(&mut self) -> (*mut u8, usize) {
        let spare = match self {
            Fill::Vec(buffer) => buffer.spare_capacity_mut(),
            Fill::Pool(buffer) => buffer.spare_capacity_mut(),
            Fill::Aligned(buffer) => buffer.spare_capacity_mut(),
        };
        (spare.as_mut_ptr().cast(), spare.len())
    }

    /// Appends what was written into the spare capacity.
    ///
    /// # Safety
    /// Its first `count` bytes have been written.
    ///
    /// # Panics
    /// If the spare capacity is less.
    pub(crate) unsafe fn append_written(&mut self, count: usize) {
        assert!(count <= self.spare().1, "no more can have been written than there was room for");
        match self {
            // SAFETY: within the capacity, as was just checked, and written, as the caller says.
            Fill::Vec(buffer) => unsafe { buffer.set_len(buffer.len() + count) },
            Fill::Pool(buffer) => {
                let len = buffer.len() + count;
                // SAFETY: as above.
                unsafe { buffer.set_len(len) }
            }
            // SAFETY: as above.
            Fill::Aligned(buffer) => unsafe { buffer.append_written(count) },
        }
    }
}

mod sealed {
    use super::{AlignedBuf, Fill, PoolBuf};

    /// Goes into a [`Fill`] and comes out again.
    pub trait Fillable: Sized + 'static {
        fn into_fill(self) -> Fill;
        /// An empty one, if the buffer was lost to a core that shut down.
        fn from_fill(fill: Option<Fill>) -> Self;
    }

    impl Fillable for Vec<u8> {
        fn into_fill(self) -> Fill {
            Fill::Vec(self)
        }

        fn from_fill(fill: Option<Fill>) -> Vec<u8> {
            match fill {
                Some(Fill::Vec(buffer)) => buffer,
                _ => Vec::new(),
            }
        }
    }

    impl Fillable for PoolBuf {
        fn into_fill(self) -> Fill {
            Fill::Pool(self)
        }

        fn from_fill(fill: Option<Fill>) -> PoolBuf {
            match fill {
                Some(Fill::Pool(buffer)) => buffer,
                _ => PoolBuf::take(),
            }
        }
    }

    impl Fillable for AlignedBuf {
        fn into_fill(self) -> Fill {
            Fill::Aligned(self)
        }

        fn from_fill(fill: Option<Fill>) -> AlignedBuf {
            match fill {
                Some(Fill::Aligned(buffer)) => buffer,
                _ => AlignedBuf::default(),
            }
        }
    }
}
