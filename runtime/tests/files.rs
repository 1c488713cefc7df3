//! Files on the ring, against the standard library.

mod scratch;

use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use covet_runtime::buf::{AlignedBuf, PoolBuf};
use covet_runtime::fs::{self, Advice, Allocation, Error, File, FileType, OpenOptions};
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
fn directories_names_and_links() {
    let scratch = Scratch::new();
    block_on(async {
        let deep = scratch.join("a/b/c/d");
        assert_eq!(fs::create_dir(&deep).await.unwrap_err().kind(), ErrorKind::NotFound);
        fs::create_dir_all(&deep).await.unwrap();
        fs::create_dir_all(&deep).await.unwrap();
        assert!(deep.is_dir());
        let one = deep.join("one");
        fs::write(&one, "1").await.unwrap();
        assert!(fs::create_dir_all(one.join("below a file")).await.is_err());
        assert_eq!(fs::create_dir_all(&one).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::remove_dir(&deep).await.unwrap_err().kind(), ErrorKind::DirectoryNotEmpty);

        let two = deep.join("two");
        fs::write(&two, "22").await.unwrap();
        assert_eq!(fs::rename_new(&one, &two).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        fs::exchange(&one, &two).await.unwrap();
        assert_eq!(fs::read_to_string(&one).await.unwrap(), "22");
        fs::rename(&one, &two).await.unwrap();
        assert!(!one.exists());
        fs::rename_new(&two, &one).await.unwrap();

        fs::hard_link(&one, &two).await.unwrap();
        assert_eq!(fs::metadata(&two).await.unwrap().links(), 2);
        let link = deep.join("link");
        fs::symlink("one", &link).await.unwrap();
        assert!(fs::symlink_metadata(&link).await.unwrap().is_symlink());
        assert_eq!(fs::metadata(&link).await.unwrap().len(), 2);
        assert_eq!(std::fs::read_link(&link).unwrap().to_str(), Some("one"));
        for path in [&one, &two, &link] {
            fs::remove_file(path).await.unwrap();
        }
        assert_eq!(fs::remove_file(&deep).await.unwrap_err().kind(), ErrorKind::IsADirectory);
        fs::remove_dir(&deep).await.unwrap();
        assert_eq!(fs::metadata(&deep).await.unwrap_err().kind(), ErrorKind::NotFound);
    })
    .unwrap();
}

#[test]
fn metadata_are_those_of_the_standard_library() {
    let scratch = Scratch::new();
    let path = scratch.join("file");
    std::fs::write(&path, vec![7; 10_000]).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o4701)).unwrap();
    block_on(async {
        let file = File::open(&path).await.unwrap();
        for ours in [file.metadata().await.unwrap(), fs::metadata(&path).await.unwrap()] {
            let theirs = std::fs::metadata(&path).unwrap();
            assert_eq!((ours.len(), ours.file_type()), (10_000, FileType::File));
            assert_eq!((ours.mode(), ours.uid(), ours.gid()), (theirs.mode(), theirs.uid(), theirs.gid()));
            assert_eq!((ours.inode(), ours.device(), ours.links()), (theirs.ino(), theirs.dev(), 1));
            assert_eq!((ours.blocks(), u64::from(ours.block_size())), (theirs.blocks(), theirs.blksize()));
            assert_eq!(ours.modified(), theirs.modified().unwrap());
            assert_eq!(ours.accessed(), theirs.accessed().unwrap());
            assert_eq!(ours.created(), theirs.created().ok());
            assert!(ours.changed() >= ours.modified());
            if let Some(mount) = ours.mount_id() {
                let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
                assert!(mounts.lines().any(|line| line.split(' ').next() == Some(&mount.to_string())));
            }
        }
        let null = fs::metadata("/dev/null").await.unwrap();
        assert_eq!((null.file_type(), null.special_device()), (FileType::CharDevice, libc::makedev(1, 3)));
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
        file.allocate(Allocation::ZeroRange, 1 << 20, 8192).await.unwrap();
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
fn whole_files() {
    let scratch = Scratch::new();
    let path = scratch.join("file");
    block_on(async {
        for len in [0, 1, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 3 << 20] {
            let bytes: Vec<u8> = (0..len).map(|n: u32| (n / 3) as u8).collect();
            fs::write(&path, bytes.clone()).await.unwrap();
            assert!(fs::read(&path).await.unwrap() == bytes, "{len}");
        }
        let status = fs::read_to_string("/proc/self/status").await.unwrap();
        assert!(status.contains("VmRSS"), "a file without a length");
        fs::write(&path, b"\xff").await.unwrap();
        assert_eq!(fs::read_to_string(&path).await.unwrap_err().kind(), ErrorKind::InvalidData);
    })
    .unwrap();
}

#[test]
fn an_atomic_write_shows_all_or_nothing() {
    let scratch = Scratch::new();
    let path = scratch.join("file");
    std::fs::write(&path, vec![b'0'; 300_000]).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o606)).unwrap();
    block_on(async {
        let watched = path.clone();
        let watch = std::thread::spawn(move || {
            let mut seen = 0;
            loop {
                let text = std::fs::read(&watched).unwrap();
                assert!(text.len() == 300_000 && text.iter().all(|byte| *byte == text[0]));
                if text[0] == b'9' {
                    return seen;
                }
                seen += 1;
            }
        });
        for digit in b'1'..=b'9' {
            fs::write_atomic(&path, vec![digit; 300_000]).await.unwrap();
        }
        assert!(watch.join().unwrap() > 0);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o606, "permissions stay");

        // A dropped one goes on.
        let mut dropped = Box::pin(fs::write_atomic(&path, "late"));
        assert!(time::timeout(Duration::ZERO, &mut dropped).await.is_err());
        drop(dropped);
        time::timeout(Duration::from_secs(10), async {
            while std::fs::read(&path).unwrap() != b"late" {
                time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .unwrap();

        let directory = scratch.join("directory");
        fs::create_dir(&directory).await.unwrap();
        fs::write_atomic(&directory, "no").await.unwrap_err();
        fs::write_atomic(scratch.join("nowhere/file"), "no").await.unwrap_err();
        assert_eq!(fs::write_atomic("/", "no").await.unwrap_err().kind(), ErrorKind::InvalidInput);
    })
    .unwrap();
    let mut left: Vec<_> =
        std::fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["directory", "file"], "nothing temporary stays");
}

#[test]
fn a_directory_is_listed_in_batches() {
    let scratch = Scratch::new();
    for number in 0..3000 {
        std::fs::write(scratch.join(&format!("an entry with a name of some length {number}")), "").unwrap();
    }
    std::fs::create_dir(scratch.join("directory")).unwrap();
    std::os::unix::fs::symlink("x", scratch.join("link")).unwrap();
    block_on(async {
        let mut entries = fs::read_dir(scratch.path()).await.unwrap();
        let mut names = Vec::new();
        loop {
            // A dropped future loses no entry.
            let dropped = time::timeout(Duration::ZERO, entries.next()).await;
            let next = match dropped {
                Ok(next) => next,
                Err(_) => entries.next().await,
            };
            let Some(entry) = next.unwrap() else { break };
            let name = entry.file_name().to_str().unwrap().to_owned();
            let expected = match &name[..] {
                "directory" => FileType::Directory,
                "link" => FileType::Symlink,
                _ => FileType::File,
            };
            if entry.file_type() != FileType::Unknown {
                assert_eq!(entry.file_type(), expected, "{name}");
            }
            if expected != FileType::File {
                let metadata = entry.metadata().await.unwrap();
                assert_eq!((metadata.file_type(), metadata.inode()), (expected, entry.inode()));
                assert_eq!(entry.path(), scratch.join(&name));
            }
            names.push(name);
        }
        assert!(entries.next().await.unwrap().is_none());
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 3002);

        let empty = fs::read_dir(scratch.join("directory")).await.unwrap().next().await;
        assert_eq!(empty.unwrap(), None);
        let error = fs::read_dir(scratch.join("link")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(fs::read_dir("/dev/null").await.unwrap_err().kind(), ErrorKind::NotADirectory);
    })
    .unwrap();
}

#[test]
fn a_copy_has_contents_and_permissions() {
    let scratch = Scratch::new();
    let (from, to) = (scratch.join("from"), scratch.join("to"));
    let bytes: Vec<u8> = (0..40_000_000u32).map(|n| (n >> 9) as u8).collect();
    std::fs::write(&from, &bytes).unwrap();
    std::fs::set_permissions(&from, std::fs::Permissions::from_mode(0o757)).unwrap();
    std::fs::write(&to, "longer before").unwrap();
    block_on(async {
        assert_eq!(fs::copy(&from, &to).await.unwrap(), bytes.len() as u64);
        assert!(std::fs::read(&to).unwrap() == bytes);
        assert_eq!(std::fs::metadata(&to).unwrap().mode() & 0o777, 0o757);
        let error = fs::copy(&from, scratch.join("./from")).await.unwrap_err();
        assert!(error.to_string().contains("the same file"), "{error}");
        assert_eq!(std::fs::metadata(&from).unwrap().len(), bytes.len() as u64, "it was not cut");
        assert_eq!(fs::copy("/dev/null", &to).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        // A file without a length, and to another file system.
        let copied = fs::copy("/proc/self/status", &to).await.unwrap();
        assert_eq!(copied, std::fs::metadata(&to).unwrap().len());
        assert!(std::fs::read_to_string(&to).unwrap().contains("VmRSS"));
        std::fs::write(&from, "").unwrap();
        assert_eq!(fs::copy(&from, &to).await.unwrap(), 0);
        assert_eq!(std::fs::read(&to).unwrap(), b"");
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
