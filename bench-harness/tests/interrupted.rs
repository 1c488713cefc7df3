//! `covet-bench run` and the signals that end it.

mod server;

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use server::Server;

/// A run whose signals are as `disposition` says, an option of env(1).
fn run(disposition: &str, url: &str, more: &[&str]) -> Child {
    Command::new("env")
        .args([disposition, env!("CARGO_BIN_EXE_covet-bench"), "run", url, "-c", "4", "--probes", "off"])
        .args(more)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("env is there")
}

/// Sends the signal after so long, and waits for the end.
fn signal_after(mut run: Child, signal: Signal, patience: Duration) -> (ExitStatus, String) {
    thread::sleep(patience);
    kill_process(Pid::from_child(&run), signal).expect("it runs still");
    let mut text = String::new();
    run.stdout.take().expect("it is piped").read_to_string(&mut text).expect("it is text");
    (run.wait().expect("it ends"), text)
}

#[test]
fn a_signal_ends_the_run_with_what_was_measured() {
    let server = Server::start();
    let url = format!("http://{}/plaintext", server.address);
    let line = ["-d", "600s", "--warmup", "0", "--repeats", "3"];
    for (signal, name) in [(Signal::INT, "SIGINT"), (Signal::TERM, "SIGTERM")] {
        let begun = Instant::now();
        // A machine with much else to do may have measured nothing yet, and then there is nothing to print.
        let ends = [2, 5, 15, 45]
            .map(Duration::from_secs)
            .into_iter()
            .map(|patience| signal_after(run("--default-signal=INT,TERM", &url, &line), signal, patience));
        let (status, text) =
            ends.into_iter().find(|(_, text)| !text.is_empty()).expect("a result is printed");
        assert_eq!(status.signal(), Some(signal.as_raw()), "{text}");
        assert!(text.contains(&format!("ABORTED     {name} came, after ")), "{text}");
        assert!(text.contains("valid responses") && text.contains("p99"), "{text}");
        assert_eq!(text.matches("ABORTED").count(), 1, "the other runs are not made: {text}");
        assert!(begun.elapsed() < Duration::from_secs(300), "{:?}", begun.elapsed());
    }
}

#[test]
fn a_signal_before_anything_was_measured_ends_it_at_once() {
    let server = Server::start();
    let url = format!("http://{}/plaintext", server.address);
    let waiting = run("--default-signal=INT", &url, &["-d", "1s", "--warmup", "600s"]);
    let begun = Instant::now();
    let (status, text) = signal_after(waiting, Signal::INT, Duration::from_millis(500));
    assert_eq!((status.signal(), text.as_str()), (Some(Signal::INT.as_raw()), ""));
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[test]
fn a_signal_that_was_ignored_from_the_start_stays_so() {
    let server = Server::start();
    let url = format!("http://{}/plaintext", server.address);
    let run = run("--ignore-signal=INT", &url, &["-d", "4s", "--warmup", "0"]);
    let (status, text) = signal_after(run, Signal::INT, Duration::from_secs(2));
    // A run of a busy machine may be invalid.
    assert!(matches!(status.code(), Some(0 | 97)), "{status} {text}");
    assert!(text.contains("verdict") && !text.contains("ABORTED"), "{text}");
}
