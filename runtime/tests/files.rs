//! Open files on the ring.

mod scratch;

use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use covet_runtime::buf::{AlignedBuf, PoolBuf};
use covet_runtime::fs::{self, Advice, Allocation, Error, File, OpenOptions};
use covet_runtime::{block_on, spawn, time, yield_now};
use scratch::Scratch;

#[test]
fn bytes_go_in_and_come_out_in_every_kind_of_buffer() {
    let scratch = Scratch::new();
    let path = scratch.join("file");
    block_on(async {
        let file = File::create(&path).await.unwrap();
        let mut pooled = PoolBuf::take();
        pooled.extend_from_slice(b"pool ");
        let mut aligned = AlignedBuf::new(100, 64);
        aligned.extend_from_slice(b"aligned ");
        file.write_all_at(pooled, 0).await.0.unwrap();
        file.write_all_at(aligned, 5).await.0.unwrap();
        file.write_all_at(b"static ", 13).await.0.unwrap();
        file.write_all_at(bytes::Bytes::from_static(b"bytes"), 20).await.0.unwrap();
        let (written, back) = file.write_at(b"!".to_vec(), 30).await;
        assert_eq!((written.unwrap(), back.as_ref()), (1, &b"!"[..]));
        assert_eq!(std::fs::read(&path).unwrap(), b"pool aligned static bytes\0\0\0\0\0!");

        let (read, buffer) = file.read_at(b"> ".to_vec(), 5).await;
        assert_eq!((read.unwrap(), &buffer[..]), (0, &b"> "[..]), "no spare capacity, no bytes");
        let mut buffer = buffer;
        buffer.reserve_exact(7);
        let (read, buffer) = file.read_at(buffer, 5).await;
        assert_eq!((read.unwrap(), &buffer[..]), (7, &b"> aligned"[..]));
        let (read, buffer) = file.read_at(PoolBuf::take(), 26).await;
        assert_eq!((read.unwrap(), &buffer[..]), (5, &b"\0\0\0\0!"[..]));
        let (read, buffer) = file.read_at(AlignedBuf::new(64, 64), 31).await;
        assert_eq!((read.unwrap(), buffer.len()), (0, 0), "the end");
        file.close().await.unwrap();
    })
    .unwrap();
}

#[test]
fn exact_reads_end_or_fail_and_vectors_keep_their_order() {
    let scratch = Scratch::new();
    let path = scratch.join("file");
    block_on(async {
        let file = File::create(&path).await.unwrap();
        let big = vec![b'x'; 3 << 20];
        let buffers = vec!["head ".into(), big.clone().into(), "".into(), " tail".into()];
        let (written, buffers) = file.write_vectored_at(buffers, 2).await;
        written.unwrap();
        assert_eq!(buffers.len(), 4);
        let all = [&b"\0\0head "[..], &big, b" tail"].concat();
        assert_eq!(std::fs::read(&path).unwrap(), all);

        let (read, got) = file.read_exact_at(Vec::with_capacity(all.len()), 0).await;
        read.unwrap();
        assert_eq!(got, all);
        let (read, got) = file.read_exact_at(Vec::with_capacity(11), all.len() as u64 - 10).await;
        let error = read.unwrap_err();
        assert_eq!((error.kind(), got.len()), (ErrorKind::UnexpectedEof, 10));
        assert!(error.to_string().contains("(1 bytes at offset"), "{error}");

        let (read, parts) =
            file.read_vectored_at(vec![Vec::with_capacity(4), Vec::new(), Vec::with_capacity(6)], 0).await;
        assert_eq!(read.unwrap(), 10);
        assert_eq!(parts, [&b"\0\0he"[..], b"", b"ad xxx"]);
    })
    .unwrap();
}

#[test]
fn options_are_those_of_open() {
    let scratch = Scratch::new();
    let path = scratch.join("file");
    block_on(async {
        let error = OpenOptions::new().open(&path).await.unwrap_err();
        assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::InvalidInput, Some(libc::EINVAL)));
        assert!(error.to_string().contains("ask for read, write or append"), "{error}");
        assert!(OpenOptions::new().read(true).create(true).open(&path).await.is_err());
        assert!(OpenOptions::new().append(true).truncate(true).open(&path).await.is_err());
        assert_eq!(File::open(&path).await.unwrap_err().kind(), ErrorKind::NotFound);

        let new = OpenOptions::new().write(true).create_new(true).mode(0o640);
        let file = new.open(&path).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert_eq!(new.open(&path).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        file.write_all_at("12345", 0).await.0.unwrap();
        let (read, _) = file.read_at(Vec::with_capacity(5), 0).await;
        assert_eq!(read.unwrap_err().raw_os_error(), Some(libc::EBADF), "not open for reading");

        let log = OpenOptions::new().append(true).open(&path).await.unwrap();
        log.write_all_at("67", 0).await.0.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"1234567");
        drop(OpenOptions::new().write(true).truncate(true).open(&path).await.unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"");

        fs::symlink(&path, scratch.join("link")).await.unwrap();
        let refused =
            OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(scratch.join("link")).await;
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::ELOOP));
    })
    .unwrap();
}

#[test]
fn errors_name_the_operation_and_the_path() {
    block_on(async {
        let error = fs::rename("/no/such/file", "/tmp/x").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "could not rename /no/such/file to /tmp/x: No such file or directory (os error 2)"
        );
        assert_eq!((error.operation(), error.path().to_str()), ("rename", Some("/no/such/file")));
        let error = fs::read("/").await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EISDIR));
        assert!(error.to_string().starts_with("could not read / ("), "{error}");
        let error: std::io::Error = error.into();
        assert_eq!(error.kind(), ErrorKind::IsADirectory);
        let inner = error.get_ref().unwrap().downcast_ref::<Error>().unwrap();
        assert_eq!(inner.raw_os_error(), Some(libc::EISDIR));
        let error = File::open("a\0b").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("NUL"), "{error}");

        let full = OpenOptions::new().write(true).open("/dev/full").await.unwrap();
        let (written, buffer) = full.write_all_at("lost", 7).await;
        let error = written.unwrap_err();
        assert_eq!((error.kind(), buffer.as_ref()), (ErrorKind::StorageFull, &b"lost"[..]));
        assert!(error.to_string().contains("write /dev/full (4 bytes at offset 7)"), "{error}");
        let (read, _) = full.read_at(Vec::with_capacity(1), u64::MAX).await;
        assert!(read.unwrap_err().to_string().contains("offsets end"));
    })
    .unwrap();
}

#[test]
fn length_and_space() {
    let scratch = Scratch::new();
    let path = scratch.join("file");
    block_on(async {
        let file = File::create(&path).await.unwrap();
        file.write_all_at(vec![1; 1 << 20], 0).await.0.unwrap();
        file.sync_all().await.unwrap();
        let full = file.metadata().await.unwrap().blocks();
        file.allocate(Allocation::PunchHole, 0, 512 * 1024).await.unwrap();
        let punched = file.metadata().await.unwrap();
        assert!(punched.blocks() < full && punched.len() == 1 << 20, "{} of {full}", punched.blocks());
        assert_eq!(file.read_exact_at(Vec::with_capacity(9), 1000).await.1, [0; 9]);
        file.allocate(Allocation::KeepSize, 0, 2 << 20).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), 1 << 20);
        file.allocate(Allocation::Extend, 0, 2 << 20).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), 2 << 20);
        // Not every file system knows this one: tmpfs does not.
        if let Err(error) = file.allocate(Allocation::ZeroRange, 1 << 20, 8192).await {
            assert_eq!(error.raw_os_error(), Some(libc::EOPNOTSUPP), "{error}");
        }
        let error = file.allocate(Allocation::Extend, 5, 0).await.unwrap_err();
        assert!(
            error.to_string().contains("allocate") && error.to_string().contains("(0 bytes at offset 5)"),
            "{error}"
        );

        file.set_len(3).await.unwrap();
        file.set_len(7).await.unwrap();
        assert_eq!(fs::read(&path).await.unwrap(), [0; 7]);
        assert_eq!(file.set_len(u64::MAX).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        for advice in [Advice::Sequential, Advice::Random, Advice::WillNeed, Advice::DontNeed, Advice::Normal]
        {
            file.advise(advice, 0, 0).await.unwrap();
        }
        file.advise(Advice::WillNeed, 0, 5 << 30).await.unwrap();
        file.sync_data().await.unwrap();
    })
    .unwrap();
}

#[test]
fn pipes_are_files_without_offsets() {
    let (from, to) = std::io::pipe().unwrap();
    block_on(async {
        let (from, to) = (File::from_descriptor(from.into()), File::from_descriptor(to.into()));
        let reader = spawn(async move {
            let (count, bytes) = from.read(Vec::with_capacity(100)).await;
            assert_eq!((count.unwrap(), &bytes[..]), (5, &b"piped"[..]));
            from
        });
        yield_now().await;
        assert_eq!(to.write("piped").await.0.unwrap(), 5);
        let from = reader.await.unwrap();
        assert!(format!("{from:?}").contains("<fd "));
        // A read that waits is given up, and the file closed thereafter.
        let waiting = time::timeout(Duration::from_millis(5), from.read(Vec::with_capacity(10)));
        assert!(waiting.await.is_err());
        time::timeout(Duration::from_secs(10), from.close()).await.unwrap().unwrap();
        assert_eq!(to.write("nobody").await.0.unwrap_err().kind(), ErrorKind::BrokenPipe);
    })
    .unwrap();
}

#[test]
fn a_descriptor_goes_in_and_out() {
    let scratch = Scratch::new();
    let path = scratch.join("file");
    let mut std_file = std::fs::File::create_new(&path).unwrap();
    std_file.write_all(b"std").unwrap();
    let descriptor = block_on(async {
        let file = File::from_descriptor(std::fs::File::open(&path).unwrap().into());
        assert_eq!(file.read_exact_at(Vec::with_capacity(3), 0).await.1, b"std");
        file.into_descriptor().await
    })
    .unwrap();
    let mut text = String::new();
    std::fs::File::from(descriptor).read_to_string(&mut text).unwrap();
    assert_eq!(text, "std");
}

#[test]
fn files_outlive_their_core_harmlessly() {
    let scratch = Scratch::new();
    let path = scratch.join("file");
    let file = block_on(async { File::create(&path).await.unwrap() }).unwrap();
    block_on(async {
        let (written, buffer) = file.write_all_at("late", 0).await;
        assert_eq!((written.unwrap_err().kind(), buffer.as_ref()), (ErrorKind::NotConnected, &b"late"[..]));
        assert!(file.metadata().await.is_err());
        file.close().await.unwrap();
    })
    .unwrap();
}
