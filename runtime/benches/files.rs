//! Files against fio: `cargo bench -p covet-runtime --bench files -- [FILE]`.
//!
//! Sequential reads of 256 KiB at depth 8 and random reads of 4 KiB at depth 32, both with O_DIRECT on the same file,
//! ours and `fio --ioengine=io_uring` by turns, so that a noisy machine is noisy for both. Prints each round and the
//! median of the rounds' ratios. Without fio it prints our figures alone.
//!
//! Our large buffers lie in huge pages and fio's do not, unless its allocator is told to: the sequential reads are
//! compared with both.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use covet_runtime::buf::AlignedBuf;
use covet_runtime::fs::{File, OpenOptions, ReadAhead};
use covet_runtime::{block_on, spawn};

const LENGTH: u64 = 1 << 30;
const ROUNDS: usize = 7;
const TIME: Duration = Duration::from_secs(2);
const DEPTH: usize = 32;
const BLOCK: usize = 256 * 1024;
const SMALL: u64 = 4096;

#[derive(Clone, Copy)]
enum Pattern {
    /// Bytes per second.
    Sequential,
    /// Reads per second.
    Random,
}

impl Pattern {
    fn name(self) -> &'static str {
        match self {
            Pattern::Sequential => "sequential, 256 KiB, depth 8: MB/s",
            Pattern::Random => "random, 4 KiB, depth 32: thousand reads/s",
        }
    }
}

async fn open(path: &Path) -> File {
    match OpenOptions::new().read(true).direct(true).open(path).await {
        Ok(file) => file,
        Err(error) => panic!("{error}: name a file on another file system"),
    }
}

/// From front to back, and from the front again, until the time is over.
async fn sequential(path: &Path) -> f64 {
    let (mut bytes, began) = (0, Instant::now());
    let mut reader = ReadAhead::new().block_size(BLOCK).depth(8).start(open(path).await);
    while began.elapsed() < TIME {
        match reader.next().await.expect("the file is read") {
            Some(block) => bytes += block.len(),
            None => reader = ReadAhead::new().block_size(BLOCK).depth(8).start(reader.into_file()),
        }
    }
    bytes as f64 / began.elapsed().as_secs_f64() / 1e6
}

/// As many tasks as reads shall be under way.
async fn random(path: &Path) -> f64 {
    let file = Rc::new(open(path).await);
    let began = Instant::now();
    let tasks: Vec<_> = (0..DEPTH as u64)
        .map(|number| {
            let file = file.clone();
            spawn(async move {
                let mut state = 0x9E37_79B9_7F4A_7C15 ^ (number + 1);
                let mut buffer = AlignedBuf::new(SMALL as usize, 4096);
                let mut count = 0u64;
                while began.elapsed() < TIME {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    buffer.clear();
                    let (read, back) = file.read_at(buffer, state % (LENGTH / SMALL) * SMALL).await;
                    assert_eq!(read.expect("the file is read"), SMALL as usize);
                    buffer = back;
                    count += 1;
                }
                count
            })
        })
        .collect();
    let mut count = 0;
    for task in tasks {
        count += task.await.expect("no read failed");
    }
    count as f64 / began.elapsed().as_secs_f64() / 1e3
}

fn ours(path: &Path, pattern: Pattern) -> f64 {
    let path = path.to_owned();
    let run = async move {
        match pattern {
            Pattern::Sequential => sequential(&path).await,
            Pattern::Random => random(&path).await,
        }
    };
    block_on(run).expect("a core can be started")
}

/// What fio's buffers lie in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    /// Pages of 4 KiB, as its allocator gives them.
    Plain,
    /// Transparent huge pages, which glibc 2.35 can ask for.
    Huge,
}

/// fio's figure for the same, or `None` if there is no fio.
fn fio(path: &Path, pattern: Pattern, memory: Memory) -> Option<f64> {
    let mut fio = Command::new("fio");
    if memory == Memory::Huge {
        // All of it from the heap, which is grown by whole huge pages.
        let heap =
            "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=1073741824:glibc.malloc.top_pad=67108864";
        fio.env("GLIBC_TUNABLES", heap);
    }
    fio.args([
        "--name=read",
        "--ioengine=io_uring",
        "--direct=1",
        "--readonly",
        "--thread",
        "--time_based=1",
    ]);
    fio.args(["--output-format=terse", "--terse-version=3", "--randrepeat=0", "--norandommap=1"]);
    fio.arg(format!("--runtime={}", TIME.as_secs())).arg(format!("--size={LENGTH}"));
    fio.arg(format!("--filename={}", path.display()));
    match pattern {
        Pattern::Sequential => fio.args(["--rw=read", "--bs=256k", "--iodepth=8"]),
        Pattern::Random => fio.args(["--rw=randread", "--bs=4k", "--iodepth=32"]),
    };
    let output = fio.output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    // The seventh field is KiB/s read, the eighth reads per second (fio(1), TERSE OUTPUT).
    let mut fields = text.split(';').skip(6).map(|field| field.parse::<f64>().expect("a number"));
    let (rate, reads) = (fields.next()?, fields.next()?);
    Some(match pattern {
        Pattern::Sequential => rate * 1024.0 / 1e6,
        Pattern::Random => reads / 1e3,
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// By turns with fio, whose buffers lie in such memory.
fn compare(path: &Path, pattern: Pattern, memory: Memory) {
    let mut ratios = Vec::new();
    // The first round warms up the device, and whatever caches for it.
    for round in 0..=ROUNDS {
        let (mine, theirs) = if round % 2 == 0 {
            let mine = ours(path, pattern);
            (mine, fio(path, pattern, memory))
        } else {
            let theirs = fio(path, pattern, memory);
            (ours(path, pattern), theirs)
        };
        match theirs {
            Some(theirs) => println!("  covet {mine:9.1}   fio {theirs:9.1}   ratio {:.3}", mine / theirs),
            None => println!("  covet {mine:9.1}   no fio here"),
        }
        if round > 0 {
            ratios.extend(theirs.map(|theirs| mine / theirs));
        }
    }
    if !ratios.is_empty() {
        println!("  median ratio {:.3}", median(ratios));
    }
}

/// The file, and whether it was made here.
fn prepare() -> (PathBuf, bool) {
    let named = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let path = named.map_or_else(|| std::env::temp_dir().join("covet-bench-file"), PathBuf::from);
    let there = path.metadata().is_ok_and(|found| found.len() >= LENGTH);
    if !there {
        let mut file = std::fs::File::create(&path).expect("the file can be made");
        let piece: Vec<u8> = (0..1u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
        for _ in 0..LENGTH / piece.len() as u64 {
            file.write_all(&piece).expect("there is a GiB of room");
        }
        file.sync_all().expect("the file reaches the disk");
    }
    (path, !there)
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return println!("a GiB is read for three minutes by `cargo bench` only");
    }
    let (path, made) = prepare();
    println!("{}, {} MiB", path.display(), LENGTH >> 20);
    for pattern in [Pattern::Sequential, Pattern::Random] {
        println!("{}", pattern.name());
        compare(&path, pattern, Memory::Plain);
    }
    println!("{}, fio's buffers in huge pages too", Pattern::Sequential.name());
    compare(&path, Pattern::Sequential, Memory::Huge);
    if made {
        let _ = std::fs::remove_file(&path);
    }
}
