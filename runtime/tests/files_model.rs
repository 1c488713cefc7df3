//! Random reads, writes and cuts, compared with the same on a vector and with what the standard library reads.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, and so do the helpers they share")]

mod scratch;

use std::path::Path;

use covet_runtime::block_on;
use covet_runtime::buf::{AlignedBuf, PoolBuf, SendBuf};
use covet_runtime::fs::{Allocation, File};
use scratch::Scratch;

const LONGEST: u64 = 300_000;

/// Marsaglia's xorshift: the same choices for the same seed.
struct Choices(u64);

impl Choices {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn bytes(&mut self) -> Vec<u8> {
        let len = [0, 1, 100, 4096, 5000, 60_000][self.below(6) as usize];
        (0..len).map(|_| self.below(256) as u8).collect()
    }

    fn buffer(&mut self, bytes: &[u8]) -> SendBuf {
        match self.below(4) {
            0 => bytes.to_vec().into(),
            1 => bytes::Bytes::copy_from_slice(bytes).into(),
            2 => {
                let mut buffer = PoolBuf::take();
                buffer.extend_from_slice(bytes);
                buffer.into()
            }
            _ => {
                let mut buffer = AlignedBuf::new(bytes.len(), 512);
                buffer.extend_from_slice(bytes);
                buffer.into()
            }
        }
    }
}

fn put(model: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let end = offset as usize + bytes.len();
    if !bytes.is_empty() && model.len() < end {
        model.resize(end, 0);
    }
    model[offset as usize..][..bytes.len()].copy_from_slice(bytes);
}

fn part(model: &[u8], offset: u64, len: usize) -> &[u8] {
    let rest = model.get(offset as usize..).unwrap_or(&[]);
    &rest[..len.min(rest.len())]
}

/// Reads until the buffer is full or the file ends. One read may bring less: up to the first page that is not cached.
async fn read_to_end(file: &File, mut buffer: AlignedBuf, offset: u64) -> AlignedBuf {
    loop {
        let had = buffer.len();
        let (read, returned) = file.read_at(buffer, offset + had as u64).await;
        buffer = returned;
        let count = read.unwrap();
        assert_eq!(buffer.len(), had + count, "a read appends as many bytes as it says");
        if count == 0 {
            return buffer;
        }
    }
}

/// The same of several buffers, which fill one after the other.
async fn read_vectored_to_end(file: &File, mut buffers: Vec<Vec<u8>>, offset: u64) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let (read, returned) = file.read_vectored_at(buffers, offset + whole.len() as u64).await;
        buffers = returned;
        let count = read.unwrap();
        let had = whole.len();
        whole = buffers.concat();
        assert_eq!(whole.len(), had + count, "a read appends as many bytes as it says");
        if let Some(first_with_room) = buffers.iter().position(|buffer| buffer.len() < buffer.capacity()) {
            let later = &buffers[first_with_room + 1..];
            assert!(later.iter().all(Vec::is_empty), "a buffer is filled before the next");
        }
        if count == 0 {
            return whole;
        }
    }
}

async fn run(path: &Path, seed: u64) {
    let mut choices = Choices(seed);
    let file = File::create(path).await.unwrap();
    let mut model: Vec<u8> = Vec::new();
    for step in 0..150 {
        let offset = choices.below(LONGEST);
        match choices.below(8) {
            0 | 1 => {
                let bytes = choices.bytes();
                let buffer = choices.buffer(&bytes);
                if !bytes.is_empty() {
                    put(&mut model, offset, &bytes);
                }
                file.write_all_at(buffer, offset).await.0.unwrap();
            }
            2 => {
                let pieces = [choices.bytes(), choices.bytes(), choices.bytes()];
                let buffers = pieces.iter().map(|piece| choices.buffer(piece)).collect();
                let whole = pieces.concat();
                if !whole.is_empty() {
                    put(&mut model, offset, &whole);
                }
                file.write_vectored_at(buffers, offset).await.0.unwrap();
            }
            3 => {
                file.set_len(offset).await.unwrap();
                model.resize(offset as usize, 0);
            }
            4 => {
                let len = choices.below(50_000) + 1;
                file.allocate(Allocation::PunchHole, offset, len).await.unwrap();
                let zeroes = part(&model, offset, len as usize).len();
                if zeroes > 0 {
                    put(&mut model, offset, &vec![0; zeroes]);
                }
            }
            5 => {
                let capacities = [choices.below(9000) as usize, 0, choices.below(20_000) as usize];
                let buffers = capacities.iter().map(|len| Vec::with_capacity(*len)).collect();
                let expected = part(&model, offset, capacities.iter().sum());
                let found = read_vectored_to_end(&file, buffers, offset).await;
                assert!(found == expected, "seed {seed:#x}, step {step}");
            }
            _ => {
                let expected = part(&model, offset, 8192);
                let found = read_to_end(&file, AlignedBuf::new(8192, 512), offset).await;
                assert!(found[..] == *expected, "seed {seed:#x}, step {step}");
            }
        }
        if step % 10 == 0 {
            assert_eq!(
                file.metadata().await.unwrap().len(),
                model.len() as u64,
                "seed {seed:#x}, step {step}"
            );
        }
    }
    file.close().await.unwrap();
    assert!(std::fs::read(path).unwrap() == model, "seed {seed:#x}");
}

#[test]
fn a_file_holds_what_a_vector_would() {
    let scratch = Scratch::new();
    block_on(async {
        for round in 1..=12u64 {
            run(&scratch.join("file"), round.wrapping_mul(0x9E37_79B9_7F4A_7C15)).await;
        }
    })
    .unwrap();
}
