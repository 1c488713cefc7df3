//! A `covet-bench null` in a process of its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// The responder, on a free port; it is killed when dropped.
pub(crate) struct Null {
    process: Child,
    pub(crate) url: String,
}

impl Null {
    /// Starts it with these options beside where it listens.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_covet-bench"))
            .args(["null", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("it is piped"))
            .read_line(&mut line)
            .expect("it says where it listens");
        let url = line.split_whitespace().nth(2).expect("listening on URL").to_owned();
        Self { process, url }
    }
}

impl Drop for Null {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
