//! Files whose futures go while the kernel still works for them.

use std::cell::RefCell;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

use super::super::{FileOp, FilePayload, Op, Operation, Payload};
use super::alone::alone;
use super::chaos::Choices;
use super::scratch::Scratch;
use super::*;
use crate::buf::AlignedBuf;
use crate::fs::{self, File, OpenOptions, ReadAhead, WriteBehind};
use crate::{spawn, yield_now};

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// How many descriptors there are when no file is open: one has been, so that all is set up.
async fn descriptors_at_rest() -> usize {
    drop(File::open("/dev/null").await.unwrap());
    assert_nothing_is_lent().await;
    descriptors()
}

/// The process has so many descriptors again, as soon as the last closes have been carried out.
async fn assert_descriptors(expected: usize) {
    assert_nothing_is_lent().await;
    let end = Instant::now() + PATIENCE;
    while descriptors() != expected {
        assert!(Instant::now() < end, "{} descriptors instead of {expected}", descriptors());
        time::sleep(Duration::from_millis(2)).await;
    }
}

/// Entries that the kernel has not been handed yet.
fn queued() -> Option<usize> {
    let told = driver(|driver| driver.backend.describe());
    told.strip_prefix("io_uring")?.split_once(": ")?.1.split_once(" queued")?.0.parse().ok()
}

#[test]
fn transfers_are_handed_over_before_the_turn_ends() {
    let scratch = Scratch::new();
    std::fs::write(scratch.join("file"), vec![7; 1 << 20]).unwrap();
    Builder::default()
        .block_on(async {
            let file = File::open(scratch.join("file")).await.unwrap();
            yield_now().await;
            let Some(before) = queued() else { return };
            let mut reads: Vec<_> = (0..4)
                .map(|number| Box::pin(file.read_at(AlignedBuf::new(4096, 4096), number * 4096)))
                .collect();
            for read in &mut reads[..3] {
                assert!(poll_once(read.as_mut()).is_pending());
            }
            assert_eq!(queued(), Some(before + 3), "a few wait for the end of the turn");
            assert!(poll_once(reads[3].as_mut()).is_pending());
            assert_eq!(queued(), Some(0), "more do not");
            for read in reads {
                let (read, bytes) = read.await;
                assert_eq!((read.unwrap(), bytes[4095]), (4096, 7));
            }

            // A large one goes alone, so that it is read while what came before is worked on.
            let mut reader = ReadAhead::new().block_size(256 * 1024).depth(2).start(file);
            while let Some(block) = reader.next().await.unwrap() {
                assert!(block.iter().all(|byte| *byte == 7));
                assert_eq!(queued(), Some(0), "at {}", reader.position());
            }
        })
        .unwrap();
}

#[test]
fn a_dropped_open_closes_what_it_wins() {
    alone("ring::tests::files::a_dropped_open_closes_what_it_wins", || {
        let scratch = Scratch::new();
        let (plain, new) = (scratch.join("plain"), scratch.join("new"));
        std::fs::write(&plain, "here").unwrap();
        tiny()
            .block_on(async {
                let before = descriptors_at_rest().await;
                // Dropped before it was submitted, while a worker opens it, and with the descriptor ready to be taken.
                for turns in 0..60 {
                    let create = OpenOptions::new().write(true).create(true);
                    let mut opens = [Box::pin(create.open(&new)), Box::pin(create.open(&plain))];
                    for open in opens.iter_mut().take(turns % 4) {
                        assert!(poll_once(open.as_mut()).is_pending());
                    }
                    match turns % 3 {
                        0 => yield_now().await,
                        1 => time::sleep(Duration::from_micros(turns as u64 * 7)).await,
                        _ => {}
                    }
                    drop(opens);
                    if turns % 10 == 0 {
                        assert_descriptors(before).await;
                    }
                }
                assert_descriptors(before).await;
            })
            .unwrap();
    });
}

#[test]
fn an_open_that_waits_for_a_peer_is_given_up() {
    alone("ring::tests::files::an_open_that_waits_for_a_peer_is_given_up", || {
        let scratch = Scratch::new();
        let fifo = scratch.join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        if !runs_on_ring() {
            // A thread of the pool can't be interrupted.
            return;
        }
        tiny()
            .block_on(async {
                let before = descriptors_at_rest().await;
                for _ in 0..10 {
                    // With O_CREAT it is a worker that opens, and waits.
                    let open = OpenOptions::new().write(true).create(true);
                    let waiting = time::timeout(Duration::from_millis(10), open.open(&fifo));
                    assert!(waiting.await.is_err());
                    assert_descriptors(before).await;
                }
            })
            .unwrap();
    });
}

fn runs_on_ring() -> bool {
    tiny().block_on(async { crate::DriverKind::current() }).unwrap() == Some(crate::DriverKind::IoUring)
}

#[test]
fn dropped_reads_leave_their_buffers_and_the_file_with_the_driver() {
    alone("ring::tests::files::dropped_reads_leave_their_buffers_and_the_file_with_the_driver", || {
        tiny()
            .block_on(async {
                let before = descriptors_at_rest().await;
                for turns in 0..30 {
                    let (from, to) = rustix::pipe::pipe().unwrap();
                    let (from, mut to) = (File::from_descriptor(from), std::fs::File::from(to));
                    let mut reads: Vec<_> =
                        (0..3).map(|_| Box::pin(from.read(AlignedBuf::new(4096, 4096)))).collect();
                    for read in &mut reads {
                        assert!(touch(read).await.is_none());
                    }
                    for _ in 0..turns % 3 {
                        yield_now().await;
                    }
                    if turns % 2 == 0 {
                        to.write_all(&[7; 5000]).unwrap();
                    }
                    drop(reads);
                    // The file goes as well, its operations with it or after it.
                    drop(from);
                    assert_descriptors(before + 1).await;
                    assert_eq!(to.write(b"x").unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
                }
                assert_descriptors(before).await;
            })
            .unwrap();
    });
}

#[test]
fn what_was_started_works_on_its_own_file_though_it_is_closed() {
    let scratch = Scratch::new();
    let (one, other) = (scratch.join("one"), scratch.join("other"));
    tiny()
        .block_on(async {
            for _ in 0..50 {
                std::fs::write(&one, vec![1; 8192]).unwrap();
                std::fs::write(&other, vec![2; 8192]).unwrap();
                let file = OpenOptions::new().write(true).open(&one).await.unwrap();
                let payload = Payload::File(FilePayload::Nothing(file.open_file().in_use()));
                // A worker looks the descriptor up, some time after the close that follows was queued.
                let grow = Operation::start(file.open_file().core(), payload, |payload| {
                    let Payload::File(FilePayload::Nothing(file)) = payload else {
                        unreachable!("made above")
                    };
                    Op::File(FileOp::Allocate { file: file.raw(), mode: 0, offset: 0, len: 16_384 })
                });
                let Ok(grow) = grow else { panic!("the core runs") };
                drop(file);
                let next = OpenOptions::new().write(true).open(&other).await.unwrap();
                grow.await.0.unwrap();
                assert_eq!(std::fs::metadata(&one).unwrap().len(), 16_384);
                assert_eq!(std::fs::metadata(&other).unwrap().len(), 8192, "the wrong file grew");
                drop(next);
            }
            assert_nothing_is_lent().await;
        })
        .unwrap();
}

#[test]
fn a_dropped_close_closes() {
    alone("ring::tests::files::a_dropped_close_closes", || {
        tiny()
            .block_on(async {
                let before = descriptors_at_rest().await;
                for turns in 0..20 {
                    let file = File::open("/dev/null").await.unwrap();
                    let mut close = Box::pin(file.close());
                    for _ in 0..turns % 3 {
                        if touch(&mut close).await.is_some() {
                            close = Box::pin(File::open("/dev/null").await.unwrap().close());
                        }
                    }
                    drop(close);
                    assert_descriptors(before).await;
                }
            })
            .unwrap();
    });
}

/// Does random things to files, each for a random time.
async fn ill_treat(directory: &Path, choices: Choices) {
    for _ in 0..choices.below(10) {
        let path = directory.join(format!("f{}", choices.below(5)));
        let other = directory.join(format!("f{}", choices.below(5)));
        let options = OpenOptions::new().read(true).write(true).create(choices.below(2) == 0);
        let Some(Ok(file)) = choices.some_time_for(options.direct(choices.below(4) == 0).open(&path)).await
        else {
            continue;
        };
        for _ in 0..choices.below(6) {
            let (offset, len) = (choices.below(1 << 20), choices.below(1 << 18));
            match choices.below(10) {
                0 => drop(choices.some_time_for(file.read_at(vec![0; 5], offset)).await),
                1 => drop(
                    choices.some_time_for(file.read_at(AlignedBuf::new(65_536, 4096), offset & !4095)).await,
                ),
                2 => drop(choices.some_time_for(file.write_all_at(choices.buffer(), offset)).await),
                3 => drop(
                    choices
                        .some_time_for(
                            file.write_vectored_at(vec![choices.buffer(), choices.buffer()], offset),
                        )
                        .await,
                ),
                4 => drop(choices.some_time_for(file.sync_data()).await),
                5 => drop(choices.some_time_for(file.set_len(len)).await),
                6 => {
                    drop(choices.some_time_for(file.allocate(fs::Allocation::Extend, offset, len + 1)).await)
                }
                7 => drop(choices.some_time_for(file.metadata()).await),
                8 => drop(choices.some_time_for(fs::rename(&path, &other)).await),
                _ => drop(choices.some_time_for(fs::write_atomic(&other, choices.buffer())).await),
            }
        }
        match choices.below(5) {
            0 => drop(choices.some_time_for(file.close()).await),
            1 => {
                let mut reader = ReadAhead::new().block_size(4096).depth(9).start(file);
                for _ in 0..choices.below(4) {
                    drop(choices.some_time_for(reader.next()).await);
                }
            }
            2 => {
                let mut writer = WriteBehind::new().block_size(4096).depth(5).start(file);
                for _ in 0..choices.below(4) {
                    drop(choices.some_time_for(writer.write(choices.buffer())).await);
                }
                if choices.below(2) == 0 {
                    drop(choices.some_time_for(writer.finish(fs::Durability::Data)).await);
                }
            }
            3 => {
                if let Some(Ok(mut entries)) = choices.some_time_for(fs::read_dir(directory)).await {
                    drop(choices.some_time_for(entries.next()).await);
                }
            }
            _ => drop(file),
        }
    }
}

async fn run_wild(directory: &Path, seed: u64) {
    let choices = Choices(Rc::new(RefCell::new(seed)));
    let mut tasks = Vec::new();
    for _ in 0..60 {
        let (directory, random) = (directory.to_owned(), choices.clone());
        tasks.push(spawn(async move { ill_treat(&directory, random).await }));
        if choices.below(4) == 0 {
            let chosen = choices.below(tasks.len() as u64) as usize;
            tasks.swap_remove(chosen).cancel();
        }
        if choices.below(3) == 0 {
            yield_now().await;
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
}

#[test]
fn no_descriptor_is_missing_after_thousands_of_random_operations() {
    alone("ring::tests::files::no_descriptor_is_missing_after_thousands_of_random_operations", || {
        let scratch = Scratch::new();
        let before = descriptors();
        let end = Instant::now() + Duration::from_secs(4);
        let mut rounds = 0;
        while rounds < 10 && Instant::now() < end || rounds < 2 {
            let builder = if rounds % 2 == 0 { tiny() } else { Builder::default() };
            let seed = 0x9E37_79B9_7F4A_7C15 + rounds * 977;
            println!("seed {seed:#x}");
            builder
                .block_on(async {
                    let inside = descriptors();
                    run_wild(&scratch, seed).await;
                    // The atomic writes go on by themselves.
                    let end = Instant::now() + PATIENCE;
                    while descriptors() > inside + 1 && Instant::now() < end {
                        time::sleep(Duration::from_millis(5)).await;
                    }
                    assert_nothing_is_lent().await;
                })
                .unwrap();
            assert_eq!(descriptors(), before, "descriptors leaked");
            rounds += 1;
        }
        // And once more with the end of the core in the midst of it all.
        for seed in 1..6u64 {
            let directory = scratch.to_owned();
            tiny()
                .block_on(async move {
                    spawn(async move { run_wild(&directory, seed).await }).detach();
                    time::sleep(Duration::from_millis(seed * 7)).await;
                })
                .unwrap();
            assert_eq!(descriptors(), before, "descriptors leaked by a core that ended");
        }
        let kept: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
        assert_eq!(descriptors(), before + 1, "a leak would have been seen");
        drop(kept);
    });
}
