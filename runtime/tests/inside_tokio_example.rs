//! `examples/inside_tokio.rs`, run as the program it is.

#![cfg(feature = "tokio-rt")]

use std::path::PathBuf;
use std::process::Command;

/// Cargo builds the examples with all the tests, beside them, but not with this one alone.
fn program() -> PathBuf {
    let test: PathBuf = std::env::current_exe().expect("a running test has a path");
    let built = test.parent().and_then(|deps| deps.parent()).expect("target/debug/deps");
    let program = built.join("examples/inside_tokio");
    if !program.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", "covet-runtime", "--features", "tokio-rt"]);
        cargo.args(["--example", "inside_tokio"]);
        if built.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().expect("cargo runs the tests, so it runs").success());
    }
    program
}

#[test]
fn a_core_of_ours_answers_a_client_of_tokios_on_one_thread() {
    let output = Command::new(program()).output().expect("the example was built");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for line in [
        "round 1: \"hello over tokio\"",
        "round 2: \"hello over tokio\"",
        "round 3: \"hello over tokio\"",
        "the core echoed 48 bytes",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}
