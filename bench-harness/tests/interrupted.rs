//! The signals that end a run, and whatever else is measured.

mod disturbed;
mod folder;
mod server;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use disturbed::expect_told;
use folder::Folder;
use rustix::process::{Pid, Signal, kill_process};
use server::Server;

/// A machine with much else to do may have come to nothing yet after the shorter ones.
const PATIENCES: [Duration; 4] =
    [Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(15), Duration::from_secs(45)];

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

/// Whether a process hears of a signal by now (`SigCgt` of proc_pid_status(5)).
fn hears(pid: u32, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal.as_raw() - 1)) != 0)
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
        let ends = PATIENCES
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
fn a_run_without_a_result_leaves_no_bundle() {
    let server = Server::start();
    let folder = Folder::new("interrupted");
    let url = format!("http://{}/plaintext", server.address);
    let (out, begun) = (folder.path("bundle"), Instant::now());
    let waiting = run("--default-signal=INT", &url, &["-d", "1s", "--warmup", "600s", "--out", &out]);
    while !folder.0.join("bundle").exists() || !hears(waiting.id(), Signal::INT) {
        assert!(begun.elapsed() < Duration::from_secs(60), "no bundle was begun");
        thread::sleep(Duration::from_millis(5));
    }
    let (status, text) = signal_after(waiting, Signal::INT, Duration::from_millis(500));
    assert_eq!((status.signal(), text.as_str()), (Some(Signal::INT.as_raw()), ""));
    assert!(!folder.0.join("bundle").exists());
}

/// The processes that a process has started, and those that they have.
fn descendants(pid: u32) -> BTreeSet<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<u32> =
        lists.flat_map(|list| list.split_whitespace().flat_map(str::parse).collect::<Vec<_>>()).collect();
    let further: Vec<u32> = children.iter().flat_map(|&child| descendants(child)).collect();
    children.into_iter().chain(further).collect()
}

/// A zombie waits for its new parent only, and is as good as gone.
fn is_alive(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

/// What is measured on a server of its own, which the shell that is started does not become.
fn on_a_server(arguments: &str) -> Vec<String> {
    let command = format!(
        "sh -c '\"{}\" null --listen 127.0.0.1:{{port}} --cores 0; exit 1'",
        env!("CARGO_BIN_EXE_covet-bench")
    );
    let words = arguments.split_whitespace().map(str::to_owned);
    words.chain(["--server-cmd".to_owned(), command]).collect()
}

#[test]
fn what_has_no_result_yet_ends_with_a_line_and_leaves_nothing_behind() {
    let server = Server::start();
    let url = format!("http://{}/plaintext", server.address);
    let claim = concat!(env!("CARGO_MANIFEST_DIR"), "/../claims/covetpy.toml");
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    // On one core no server is put beside a load.
    let beside = thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
    let commands = [
        (Vec::new(), true, beside),
        (words(&format!("verify {claim}")), true, beside),
        (on_a_server(&format!("verify {claim}")), true, beside),
        (on_a_server("soak -d 60s --warmup 60s"), false, true),
        (words(&format!("max {url} --slo p99<5ms")), false, false),
        (words(&format!("rate {url} --rates 100,200,300,400,500")), false, false),
        (words(&format!("ab --a {url} --b {url} -d 10s")), false, false),
    ];
    for (number, (arguments, reports, has_server)) in commands.into_iter().enumerate() {
        let folder = Folder::new("interrupted");
        let (signal, name) =
            if number % 2 == 0 { (Signal::INT, "SIGINT") } else { (Signal::TERM, "SIGTERM") };
        let mut command = Command::new("env");
        command.args(["--default-signal=INT,TERM", env!("CARGO_BIN_EXE_covet-bench")]).args(&arguments);
        if reports {
            command.args(["--out", &folder.path("new/report")]);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("env is there");
        let begun = Instant::now();
        let mut started = BTreeSet::new();
        while begun.elapsed() < Duration::from_secs(1)
            || (reports && !folder.0.join("new/report").exists())
            || (has_server && started.is_empty())
            || !hears(child.id(), signal)
        {
            assert!(begun.elapsed() < Duration::from_secs(60), "{arguments:?} has started {started:?}");
            started = descendants(child.id());
            thread::sleep(Duration::from_millis(20));
        }
        let mut said = String::new();
        let mut stderr = child.stderr.take().expect("it is piped");
        let (status, text) = signal_after(child, signal, Duration::from_millis(100));
        stderr.read_to_string(&mut said).expect("it is text");
        assert_eq!((status.signal(), text.as_str()), (Some(signal.as_raw()), ""), "{arguments:?}: {said}");
        // What it told before is of its progress.
        let last = said.lines().last().unwrap_or_default();
        assert_eq!(last, format!("covet-bench: {name} came before there was a result"), "{arguments:?}");
        assert!(!folder.0.join("new").exists(), "{arguments:?} leaves an empty folder");
        let end = Instant::now() + Duration::from_secs(60);
        while started.iter().any(|&pid| is_alive(pid)) {
            assert!(Instant::now() < end, "{arguments:?} left {started:?} behind");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn a_soak_that_is_ended_is_judged_by_what_was_read() {
    let soaked = PATIENCES.into_iter().find_map(|patience| {
        let child = Command::new("env")
            .args(["--default-signal=INT", env!("CARGO_BIN_EXE_covet-bench")])
            .args(["soak", "-d", "60s", "-R", "100", "-c", "2", "--warmup", "0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("env is there");
        // Sent twice, as timeout(1) does, it is one.
        let pid = Pid::from_child(&child);
        let again = thread::spawn(move || {
            thread::sleep(patience + Duration::from_secs(3));
            let first = kill_process(pid, Signal::INT);
            // Where this thread had to wait between the two, it may have ended by the first.
            let _ = kill_process(pid, Signal::INT);
            first
        });
        let mut text = String::new();
        let mut child = child;
        child.stdout.take().expect("it is piped").read_to_string(&mut text).expect("it is text");
        let status = child.wait().expect("it ends");
        again.join().expect("no panic").expect("it ran still");
        (!text.is_empty()).then_some((status, text))
    });
    let (status, text) = soaked.expect("a result is printed");
    assert_eq!(status.signal(), Some(Signal::INT.as_raw()), "{text}");
    assert!(text.contains("ABORTED     SIGINT came, after "), "{text}");
    assert!(text.contains("memory") && text.contains("per hour"), "{text}");
}

#[test]
fn a_signal_that_was_ignored_from_the_start_stays_so() {
    let server = Server::start();
    let url = format!("http://{}/plaintext", server.address);
    let run = run("--ignore-signal=INT", &url, &["-d", "4s", "--warmup", "0"]);
    let (status, text) = signal_after(run, Signal::INT, Duration::from_secs(2));
    expect_told(status.code(), 0, &text, "");
    assert!(text.contains("verdict") && !text.contains("ABORTED"), "{text}");
}
