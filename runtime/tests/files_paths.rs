//! Paths, directories and whole files on the ring, against the standard library.

mod scratch;

use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use covet_runtime::fs::{self, File, FileType};
use covet_runtime::{block_on, time};
use scratch::Scratch;

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
                // Not mountinfo, which lists only what lies below the root of the process: not all, in a chroot.
                let opened = std::fs::File::open(&path).unwrap();
                let about =
                    std::fs::read_to_string(format!("/proc/self/fdinfo/{}", opened.as_raw_fd())).unwrap();
                let id = about.lines().find_map(|line| line.strip_prefix("mnt_id:")).unwrap();
                assert_eq!(id.trim(), mount.to_string());
            }
        }
        let null = fs::metadata("/dev/null").await.unwrap();
        assert_eq!((null.file_type(), null.special_device()), (FileType::CharDevice, libc::makedev(1, 3)));
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
        let looks = Arc::new(AtomicUsize::new(0));
        let looked = looks.clone();
        let watch = std::thread::spawn(move || {
            loop {
                let text = std::fs::read(&watched).unwrap();
                assert!(text.len() == 300_000 && text.iter().all(|byte| *byte == text[0]));
                looked.fetch_add(1, Ordering::SeqCst);
                if text[0] == b'9' {
                    return;
                }
            }
        });
        for digit in b'1'..=b'9' {
            fs::write_atomic(&path, vec![digit; 300_000]).await.unwrap();
            // The watcher is in the midst of its looks at every write.
            let before = looks.load(Ordering::SeqCst);
            while looks.load(Ordering::SeqCst) == before && !watch.is_finished() {
                time::sleep(Duration::from_micros(100)).await;
            }
        }
        watch.join().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o606, "permissions stay");

        // A dropped one goes on.
        let mut dropped = Box::pin(fs::write_atomic(&path, "late"));
        assert!(time::timeout(Duration::ZERO, &mut dropped).await.is_err());
        drop(dropped);
        time::timeout(Duration::from_secs(60), async {
            while std::fs::read(&path).unwrap() != b"late" {
                time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .unwrap();

        let long = scratch.join(&*"n".repeat(255));
        fs::write_atomic(&long, "long").await.unwrap();
        fs::remove_file(&long).await.unwrap();

        let directory = scratch.join("directory");
        fs::create_dir(&directory).await.unwrap();
        fs::write_atomic(&directory, "no").await.unwrap_err();
        fs::write_atomic(scratch.join("nowhere/file"), "no").await.unwrap_err();
        assert_eq!(fs::write_atomic("/", "no").await.unwrap_err().kind(), ErrorKind::InvalidInput);
    })
    .unwrap();
    let mut left: Vec<_> =
        std::fs::read_dir(&*scratch).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["directory", "file"], "nothing temporary stays");
}

#[test]
fn a_directory_is_listed_in_batches() {
    let scratch = Scratch::new();
    for number in 0..3000 {
        std::fs::write(scratch.join(format!("an entry with a name of some length {number}")), "").unwrap();
    }
    std::fs::create_dir(scratch.join("directory")).unwrap();
    std::os::unix::fs::symlink("x", scratch.join("link")).unwrap();
    block_on(async {
        let mut entries = fs::read_dir(&*scratch).await.unwrap();
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
        // It can't be written to, as its source could not: only root gets past that.
        std::fs::remove_file(&to).unwrap();
        std::fs::write(&from, "").unwrap();
        assert_eq!(fs::copy(&from, &to).await.unwrap(), 0);
        assert_eq!(std::fs::read(&to).unwrap(), b"");
    })
    .unwrap();
}
