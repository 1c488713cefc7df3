//! The part of a random program that has to do with files.

use std::path::PathBuf;

use super::*;
use crate::fs::{self, OpenOptions};

/// A directory of this program's own, removed with it.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new(seed: u64) -> Scratch {
        let path = std::env::temp_dir().join(format!("covet-chaos-{}-{seed:x}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    /// Few names, so that programs meet.
    fn path(&self, choices: &Choices) -> PathBuf {
        self.0.join(choices.below(5).to_string())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Does random things to a file, then drops it at a random moment.
pub(super) async fn ill_treat(scratch: &Scratch, choices: Choices) {
    let options = OpenOptions::new().read(true).write(true).create(true);
    let open = options.open(scratch.path(&choices));
    let Some(Ok(file)) = choices.some_time_for(open).await else { return };
    for _ in 0..choices.below(8) {
        let offset = choices.below(20_000);
        match choices.below(9) {
            0 | 1 => drop(choices.some_time_for(file.write_at(choices.buffer(), offset)).await),
            2 => drop(choices.some_time_for(file.write_all_at(choices.buffer(), offset)).await),
            3 | 4 => {
                let read = choices.some_time_for(file.read_at(Vec::with_capacity(5000), offset)).await;
                if let Some((Ok(count), buffer)) = read {
                    // Nobody writes anything else: what was read was written, or is a hole.
                    assert!(count == buffer.len() && buffer.iter().all(|&byte| byte < 4), "foreign bytes");
                }
            }
            5 => drop(choices.some_time_for(file.metadata()).await),
            6 => drop(choices.some_time_for(file.set_len(offset)).await),
            7 => {
                drop(choices.some_time_for(fs::rename(scratch.path(&choices), scratch.path(&choices))).await)
            }
            _ => drop(choices.some_time_for(fs::remove_file(scratch.path(&choices))).await),
        }
    }
    if choices.below(2) == 0 {
        drop(choices.some_time_for(file.close()).await);
    }
}
