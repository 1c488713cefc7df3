//! Reading ahead, writing behind, and O_DIRECT.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, and so do the helpers they share")]

mod scratch;

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::Duration;

use covet_runtime::buf::AlignedBuf;
use covet_runtime::fs::{self, Durability, File, OpenOptions, ReadAhead, SequentialReader, WriteBehind};
use covet_runtime::{block_on, time};
use scratch::Scratch;

/// Bytes that differ from block to block.
fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// A file past the page cache, if this file system has it.
async fn open_direct(path: &Path, write: bool) -> Option<File> {
    match OpenOptions::new().read(true).write(write).direct(true).open(path).await {
        Ok(file) => Some(file),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("may not know O_DIRECT"), "{error}");
            eprintln!("O_DIRECT was not tested: {error}");
            None
        }
    }
}

async fn rest_of(reader: &mut SequentialReader) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(block) = reader.next().await.unwrap() {
        assert!(!block.is_empty());
        all.extend_from_slice(&block);
    }
    all
}

#[test]
fn reading_ahead_gives_every_byte_in_order() {
    let scratch = Scratch::new();
    let path = scratch.join("file");
    block_on(async {
        for len in [0, 1, 511, 4095, 4096, 4097, 8192, 12_000, 65_536, 1_000_001] {
            let bytes = pattern(len);
            std::fs::write(&path, &bytes).unwrap();
            for (block, depth) in [(512, 1), (4096, 3), (4096, 64), (10_000, 2), (1 << 20, 8)] {
                for direct in [false, true] {
                    let file = match direct {
                        true => open_direct(&path, false).await,
                        false => Some(File::open(&path).await.unwrap()),
                    };
                    let Some(file) = file else { continue };
                    let options = ReadAhead::new().block_size(block).depth(depth);
                    let mut reader = options.clone().start(file);
                    assert!(
                        rest_of(&mut reader).await == bytes,
                        "{len} by {block}, {depth} deep, direct: {direct}"
                    );
                    assert_eq!(reader.position(), len as u64);
                    assert!(reader.next().await.unwrap().is_none(), "the end stays the end");

                    let range = len as u64 / 3..len as u64 * 2 / 3;
                    let mut reader = options.range(range.clone()).start(reader.into_file());
                    let part = &bytes[range.start as usize..range.end as usize];
                    assert!(rest_of(&mut reader).await == part, "{range:?} by {block}, direct: {direct}");
                }
            }
        }
    })
    .unwrap();
}

#[test]
fn blocks_are_as_long_as_was_asked_for() {
    let scratch = Scratch::new();
    let path = scratch.join("file");
    std::fs::write(&path, pattern(10_000)).unwrap();
    block_on(async {
        let mut reader = ReadAhead::new().block_size(4096).start(File::open(&path).await.unwrap());
        let mut lengths = Vec::new();
        while let Some(block) = reader.next().await.unwrap() {
            lengths.push(block.len());
        }
        assert_eq!(lengths, [4096, 4096, 1808]);
    })
    .unwrap();
}

#[test]
fn a_file_that_grows_or_shrinks_is_followed() {
    let scratch = Scratch::new();
    let path = scratch.join("file");
    let bytes = pattern(100_000);
    block_on(async {
        for direct in [false, true] {
            let mut log = std::fs::File::create(&path).unwrap();
            let file =
                if direct { open_direct(&path, false).await } else { Some(File::open(&path).await.unwrap()) };
            let Some(file) = file else { continue };
            let mut reader = ReadAhead::new().block_size(4096).depth(4).start(file);
            let mut read = Vec::new();
            for piece in bytes.chunks(7777) {
                assert!(reader.next().await.unwrap().is_none());
                log.write_all(piece).unwrap();
                read.extend(rest_of(&mut reader).await);
                assert_eq!(read.len(), log.metadata().unwrap().len() as usize);
            }
            assert!(read == bytes, "direct: {direct}");
        }

        std::fs::write(&path, &bytes).unwrap();
        let mut reader = ReadAhead::new().block_size(4096).depth(4).start(File::open(&path).await.unwrap());
        assert_eq!(reader.next().await.unwrap().unwrap().len(), 4096);
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(60_000).unwrap();
        // What was read before is not known to be gone.
        let rest = rest_of(&mut reader).await;
        assert!(bytes[4096..].starts_with(&rest) && rest.len() >= 60_000 - 4096, "{}", rest.len());

        let text = ReadAhead::new().depth(8).start(File::open("/proc/self/status").await.unwrap());
        assert!(String::from_utf8(rest_of(&mut { text }).await).unwrap().contains("VmRSS"), "no length");
    })
    .unwrap();
}

#[test]
fn a_dropped_wait_for_a_block_loses_nothing() {
    let scratch = Scratch::new();
    let path = scratch.join("file");
    let bytes = pattern(3_000_000);
    std::fs::write(&path, &bytes).unwrap();
    block_on(async {
        for direct in [true, false] {
            let file =
                if direct { open_direct(&path, false).await } else { Some(File::open(&path).await.unwrap()) };
            let Some(file) = file else { continue };
            let mut reader = ReadAhead::new().block_size(65_536).depth(5).start(file);
            let (mut read, mut dropped) = (Vec::new(), 0);
            loop {
                match time::timeout(Duration::ZERO, reader.next()).await {
                    Ok(block) => match block.unwrap() {
                        Some(block) => read.extend_from_slice(&block),
                        None => break,
                    },
                    Err(_) => dropped += 1,
                }
            }
            assert!(read == bytes && dropped > 0, "{dropped} drops");
            // And the reader itself, with blocks under way.
            let mut reader = ReadAhead::new().block_size(4096).depth(64).start(reader.into_file());
            assert_eq!(reader.next().await.unwrap().unwrap()[..], bytes[..4096]);
            reader.into_file().close().await.unwrap();
        }
    })
    .unwrap();
}

#[test]
fn errors_of_reading_ahead_name_the_place() {
    let scratch = Scratch::new();
    let path = scratch.join("file");
    std::fs::write(&path, pattern(10_000)).unwrap();
    block_on(async {
        let unreadable = OpenOptions::new().write(true).open(&path).await.unwrap();
        let mut reader = ReadAhead::new().block_size(4096).start(unreadable);
        for _ in 0..2 {
            let error = reader.next().await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EBADF));
            assert!(error.to_string().contains("(4096 bytes at offset 0)"), "{error}");
        }
    })
    .unwrap();
}

#[test]
fn writing_behind_writes_every_byte_in_order() {
    let scratch = Scratch::new();
    let path = scratch.join("file");
    let bytes = pattern(600_000);
    block_on(async {
        for (block, depth, piece) in
            [(512, 1, 100), (4096, 3, 4096), (8192, 4, 5000), (4096, 2, 50_000), (1 << 20, 8, 70_001)]
        {
            for direct in [false, true] {
                drop(File::create(&path).await.unwrap());
                let file = match direct {
                    true => open_direct(&path, true).await,
                    false => Some(OpenOptions::new().write(true).open(&path).await.unwrap()),
                };
                let Some(file) = file else { continue };
                let mut writer = WriteBehind::new().block_size(block).depth(depth).start(file);
                for piece in bytes.chunks(piece) {
                    writer.write(piece.to_vec()).await.unwrap();
                }
                assert_eq!(writer.position(), bytes.len() as u64);
                let durability = if direct { Durability::All } else { Durability::Cached };
                assert_eq!(writer.finish(durability).await.unwrap(), bytes.len() as u64);
                let written = std::fs::read(&path).unwrap();
                assert!(written == bytes, "{block}, {depth} deep, by {piece}, direct: {direct}");
            }
        }
    })
    .unwrap();
}

#[test]
fn a_writer_may_begin_anywhere_skip_and_flush() {
    let scratch = Scratch::new();
    let path = scratch.join("file");
    block_on(async {
        std::fs::write(&path, "0123456789").unwrap();
        let file = OpenOptions::new().write(true).open(&path).await.unwrap();
        let mut writer = WriteBehind::new().offset(3).start(file);
        writer.write("abc").await.unwrap();
        writer.flush().await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"012abc6789");
        writer.skip(2).await.unwrap();
        writer.write("X").await.unwrap();
        writer.skip(100_000).await.unwrap();
        assert_eq!(writer.finish(Durability::Data).await.unwrap(), 100_009);
        let all = std::fs::read(&path).unwrap();
        assert_eq!((&all[..10], all.len()), (&b"012abc67X9"[..], 100_009));
        assert!(all[10..].iter().all(|byte| *byte == 0));
    })
    .unwrap();
}

#[test]
fn a_failed_write_is_reported_by_a_later_call() {
    block_on(async {
        let full = OpenOptions::new().write(true).open("/dev/full").await.unwrap();
        let mut writer = WriteBehind::new().block_size(4096).depth(4).start(full);
        let mut accepted = 0;
        let error = loop {
            match writer.write(vec![1; 4096]).await {
                Ok(()) => accepted += 1,
                Err(error) => break error,
            }
            assert!(accepted < 100, "the disk was full for a hundred writes");
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(accepted >= 1, "the first is only accepted");
        let error = writer.write("more").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(error.to_string().contains("an earlier write failed"), "{error}");
        assert!(writer.finish(Durability::Cached).await.is_err());

        let full = OpenOptions::new().write(true).open("/dev/full").await.unwrap();
        let mut writer = WriteBehind::new().start(full);
        writer.write("gathered").await.unwrap();
        assert_eq!(writer.finish(Durability::Cached).await.unwrap_err().kind(), ErrorKind::StorageFull);
    })
    .unwrap();
}

#[test]
fn direct_reads_and_writes_say_what_is_misaligned() {
    let scratch = Scratch::new();
    let path = scratch.join("file");
    std::fs::write(&path, pattern(10_000)).unwrap();
    block_on(async {
        let Some(file) = open_direct(&path, true).await else { return };
        let needs = file.direct_alignment().unwrap();
        assert!(needs.offset.is_power_of_two() && needs.memory.is_power_of_two(), "{needs:?}");
        let Some(told) = fs::metadata(&path).await.unwrap().direct_alignment() else {
            // Like tmpfs, which takes what is aligned to nothing.
            return eprintln!("alignment was not tested: this file system does not say what it asks for");
        };
        assert_eq!(told, needs, "statx tells as well");
        assert_eq!(File::open(&path).await.unwrap().direct_alignment(), None, "not opened with O_DIRECT");

        let aligned = || AlignedBuf::new(4096, needs.memory.max(4096));
        let (read, buffer) = file.read_at(aligned(), 4096).await;
        assert_eq!((read.unwrap(), &buffer[..]), (4096, &pattern(10_000)[4096..8192]));
        let (read, buffer) = file.read_at(aligned(), 8192).await;
        assert_eq!((read.unwrap(), buffer.len()), (10_000 - 8192, 10_000 - 8192), "the end");
        let (read, buffer) = file.read_exact_at(AlignedBuf::new(12_288, 4096), 0).await;
        assert_eq!((read.unwrap_err().kind(), buffer.len()), (ErrorKind::UnexpectedEof, 10_000));

        let (read, _) = file.read_at(aligned(), 100).await;
        let error = read.unwrap_err();
        assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::InvalidInput, Some(libc::EINVAL)));
        let text = error.to_string();
        assert!(
            text.contains("the offset 100 is no multiple of") && text.contains("AlignedBuf::new"),
            "{text}"
        );
        let (written, _) = file.write_at(vec![1; 1000], 0).await;
        assert!(written.unwrap_err().to_string().contains("the length 1000 is no multiple of"));
        let mut shifted = aligned();
        shifted.resize(4096, 0);
        shifted.skip(1);
        let (written, _) = file.write_at(shifted, 0).await;
        let text = written.unwrap_err().to_string();
        assert!(text.contains("is not aligned to") && text.contains("the length 4095"), "{text}");

        let mut block = aligned();
        block.resize(4096, b'd');
        file.write_all_at(block, 4096).await.0.unwrap();
        assert_eq!(
            std::fs::read(&path).unwrap()[4095..8193].iter().filter(|byte| **byte == b'd').count() / 4096,
            1
        );
    })
    .unwrap();
}
