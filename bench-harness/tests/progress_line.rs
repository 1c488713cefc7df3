//! The line that `run` follows its runs with on a terminal.

mod null;
mod on_terminal;

use std::process::Command;

use null::Null;
use on_terminal::{ENTER, OnTerminal};

#[test]
fn a_terminal_is_told_of_each_second_and_keeps_only_the_result() {
    let null = Null::start(&["--cores", "0"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_covet-bench"));
    command.args(["run", &null.url, "-c", "2", "-d", "2s", "--warmup", "300ms", "--probes", "off"]);
    let mut line = OnTerminal::start(command);
    line.expect("warming up for 300 ms");
    line.expect("1/2 s");
    let told = line.expect(" requests/s  p50 ");
    // The line is cleared before the result comes, and nothing takes the screen.
    let result = line.expect("closed loop, 2 connections");
    let seen = line.until(" verdict ");
    assert!(told < result && seen[told..result].contains("\x1b[2K") && !seen.contains(ENTER), "{seen:?}");
    assert!(line.process.wait().is_ok());
}
