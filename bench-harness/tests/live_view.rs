//! `run --tui` on a pseudo-terminal: it takes the terminal, and gives it back however the process ends.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail as loudly as it does")]
#![cfg(feature = "tui")]

mod disturbed;
mod null;
mod on_terminal;

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use disturbed::{expect_status, expect_told};
use null::Null;
use on_terminal::{ENTER, LEAVE, OnTerminal};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::LocalModes;

fn run(url: &str, duration: &str, more: &[&str]) -> Command {
    // A shell's background job has SIGINT ignored, and so would its children.
    let mut command = Command::new("env");
    command.args(["--default-signal=INT", env!("CARGO_BIN_EXE_covet-bench")]);
    command.args(["run", url, "--tui", "-c", "2", "-d", duration, "--probes", "off"]).args(more);
    if !more.contains(&"--warmup") {
        command.args(["--warmup", "200ms"]);
    }
    command
}

#[test]
fn it_draws_each_second_and_the_result_is_printed_on_the_screen_before() {
    let null = Null::start(&["--cores", "0"]);
    let mut live = OnTerminal::start(run(&null.url, "3s", &["--repeats", "2"]));
    live.expect(ENTER);
    live.expect("warming up");
    let modes = live.modes();
    assert!(!modes.contains(LocalModes::ECHO) && modes.contains(LocalModes::ISIG), "{modes:?}");
    // On a busy machine the first second may end late; those that follow are drawn all the same.
    let first = live.expect("of 3 s");
    let (status, seen) = live.end();
    let rest = &seen[first..first + seen[first..].find(LEAVE).unwrap()];
    assert!(rest.chars().any(|drawn| drawn.is_ascii_digit()), "the seconds after the first: {rest:?}");
    assert_eq!(seen.matches(ENTER).count(), 2, "each run anew");
    let result = &seen[seen.rfind(LEAVE).unwrap()..];
    assert!(result.contains("requests/s") && result.contains("verdict"), "{result}");
    expect_told(status.code(), 0, result, "");
    let wide: Vec<&str> = result.lines().filter(|line| line.trim_end().chars().count() > 95).collect();
    assert!(
        wide.is_empty(),
        "the terminal has 80 columns, and some of a line may be codes of colour: {wide:?}"
    );
}

#[test]
fn signals_end_the_run_and_give_the_terminal_back() {
    let null = Null::start(&["--cores", "0"]);
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut live = OnTerminal::start(run(&null.url, "50s", &[]));
        live.expect("warming up");
        live.enlarge();
        // Whichever it is that is drawn whole first.
        live.expect(" of 50 s");
        kill_process(Pid::from_child(&live.process), signal).unwrap();
        let (status, seen) = live.end();
        assert_eq!(status.signal(), Some(signal.as_raw()), "{seen}");
        let after = &seen[seen.rfind(LEAVE).unwrap()..];
        assert_eq!(after.contains("ABORTED"), signal != Signal::HUP, "what was measured is printed: {after}");
    }
}

#[test]
fn a_signal_before_there_is_a_result_gives_the_terminal_back_and_says_so() {
    let null = Null::start(&["--cores", "0"]);
    let mut live = OnTerminal::start(run(&null.url, "50s", &["--warmup", "50s"]));
    live.expect("warming up");
    kill_process(Pid::from_child(&live.process), Signal::TERM).unwrap();
    let (status, seen) = live.end();
    assert_eq!(status.signal(), Some(Signal::TERM.as_raw()), "{seen}");
    let after = &seen[seen.rfind(LEAVE).unwrap()..];
    assert!(after.contains("SIGTERM came before there was a result"), "{after}");
}

#[test]
fn without_a_terminal_it_says_so_and_goes_on() {
    let null = Null::start(&["--cores", "0"]);
    let output = run(&null.url, "300ms", &[]).output().unwrap();
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    expect_status(&output, 0);
    assert!(error.contains("--tui needs a terminal on standard output"), "{error}");
    assert!(out.contains("requests/s") && !out.contains('\x1b'), "{out}");
}
