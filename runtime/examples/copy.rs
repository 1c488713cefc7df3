//! Copies a file with blocks read ahead and written behind, and says how far it is.
//!
//! `cargo run --release -p covet-runtime --example copy -- [--direct] [--sync] FROM TO`
//!
//! Blocks of zeroes become holes, so that a sparse file stays sparse. With `--direct` the copy goes past the page
//! cache, with `--sync` it is on the disk when the program ends.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use covet_runtime::fs::{Durability, File, OpenOptions, ReadAhead, WriteBehind};
use covet_runtime::{block_on, fs};

struct Job {
    from: PathBuf,
    to: PathBuf,
    direct: bool,
    durability: Durability,
}

impl Job {
    fn from_arguments() -> Option<Job> {
        let (mut paths, mut direct, mut durability) = (Vec::new(), false, Durability::Cached);
        for argument in std::env::args_os().skip(1) {
            match argument.to_str() {
                Some("--direct") => direct = true,
                Some("--sync") => durability = Durability::All,
                _ => paths.push(PathBuf::from(argument)),
            }
        }
        let [from, to] = <[PathBuf; 2]>::try_from(paths).ok()?;
        Some(Job { from, to, direct, durability })
    }

    async fn run(&self) -> fs::Result<u64> {
        let source: File = OpenOptions::new().read(true).direct(self.direct).open(&self.from).await?;
        let found = source.metadata().await?;
        let target = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(found.mode() & 0o777)
            .direct(self.direct)
            .open(&self.to)
            .await?;
        let mut progress = Progress::new(found.len());
        let mut reader = ReadAhead::new().start(source);
        let mut writer = WriteBehind::new().start(target);
        while let Some(block) = reader.next().await? {
            // O_DIRECT wants both ends of a hole aligned, as those of whole blocks are.
            let is_hole = block.len() == block.capacity() && block.iter().all(|byte| *byte == 0);
            if is_hole {
                writer.skip(block.len() as u64).await?;
            } else {
                writer.write(block).await?;
            }
            progress.show(writer.position());
        }
        let copied = writer.finish(self.durability).await?;
        progress.end(copied);
        Ok(copied)
    }
}

/// A line on the terminal, drawn anew with each per cent.
struct Progress {
    total: u64,
    shown: u64,
    began: Instant,
    visible: bool,
}

impl Progress {
    fn new(total: u64) -> Progress {
        Progress { total, shown: 0, began: Instant::now(), visible: std::io::stderr().is_terminal() }
    }

    fn show(&mut self, done: u64) {
        let percent = done * 100 / self.total.max(1);
        if self.visible && percent > self.shown {
            self.shown = percent;
            eprint!("\r{percent:3} %");
            let _ = std::io::stderr().flush();
        }
    }

    fn end(&self, copied: u64) {
        let seconds = self.began.elapsed().as_secs_f64();
        let rate = copied as f64 / seconds / 1e6;
        eprintln!("\r{copied} bytes in {seconds:.2} s, {rate:.0} MB/s");
    }
}

fn main() -> ExitCode {
    let Some(job) = Job::from_arguments() else {
        eprintln!("usage: copy [--direct] [--sync] FROM TO");
        return ExitCode::from(2);
    };
    match block_on(async { job.run().await }) {
        Ok(Ok(_)) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
