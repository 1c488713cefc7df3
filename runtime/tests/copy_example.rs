//! `examples/copy.rs`, run as the program it is.

mod scratch;

use std::ffi::OsStr;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::process::{Command, Output};

use scratch::Scratch;

/// Cargo builds the examples with all the tests, beside them, but not with this one alone.
fn program() -> PathBuf {
    let test: PathBuf = std::env::current_exe().expect("a running test has a path");
    let built = test.parent().and_then(|deps| deps.parent()).expect("target/debug/deps");
    let program = built.join("examples/copy");
    if !program.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", "covet-runtime", "--example", "copy"]);
        if built.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().expect("cargo runs the tests, so it runs").success());
    }
    program
}

fn copy(arguments: &[&OsStr]) -> Output {
    Command::new(program()).args(arguments).output().expect("the example was built")
}

#[test]
fn it_copies_contents_permissions_and_holes() {
    let scratch = Scratch::new();
    let (from, to, direct) = (scratch.join("from"), scratch.join("to"), scratch.join("direct"));
    let file = std::fs::File::create(&from).unwrap();
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    let bytes: Vec<u8> = (0..2_000_000u32).map(|n| (n >> 7) as u8 | 1).collect();
    file.write_all_at(&bytes, 0).unwrap();
    file.write_all_at(b"far away", 64 << 20).unwrap();
    file.set_len(96 << 20).unwrap();
    let original = std::fs::read(&from).unwrap();

    let output = copy(&[from.as_ref(), to.as_ref()]);
    assert!(output.status.success(), "{output:?}");
    assert!(std::fs::read(&to).unwrap() == original);
    let copied = std::fs::metadata(&to).unwrap();
    assert_eq!(copied.mode() & 0o777, 0o640);
    assert!(copied.blocks() * 512 < 16 << 20, "{} blocks: the holes were filled", copied.blocks());

    let output = copy(&["--direct".as_ref(), "--sync".as_ref(), from.as_ref(), direct.as_ref()]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || text.contains("may not know O_DIRECT"), "{text}");
    if output.status.success() {
        assert!(std::fs::read(&direct).unwrap() == original);
    }

    let output = copy(&[from.as_ref(), to.as_ref()]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && text.contains("could not open") && text.contains("/to: File exists"),
        "{text}"
    );
    assert_eq!(copy(&[from.as_ref()]).status.code(), Some(2));
}
