//! A disk that is full: what was measured is printed, and one line says what could not be kept.

mod folder;
mod judging;
mod server;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use folder::Folder;
use judging::{fails_in_one_line, program};
use server::Server;

/// What a line of shell puts out with a disk of its own at `$DISK` that has a page left, and the program as `$BENCH`.
/// `None` where neither root nor a user namespace may mount one: the limit on the size of a file stands in for it then,
/// in the tests of bundles.
fn on_a_full_disk(line: &str) -> Option<Output> {
    const MOUNTED: &[u8] = b"mounted\n";
    let folder = Folder::new("full-disk");
    let script = format!(
        "mount -t tmpfs -o size=64k none \"$DISK\" && head -c 61440 /dev/zero >\"$DISK/rest\" || exit; \
         echo mounted; {line}"
    );
    [&["--mount"][..], &["--mount", "--map-root-user"]].into_iter().find_map(|namespace| {
        let output = Command::new("unshare")
            .args(namespace)
            .args(["sh", "-c", &script])
            .env("DISK", folder.as_str())
            .env("BENCH", program())
            .output()
            .expect("util-linux is there");
        let stdout = output.stdout.strip_prefix(MOUNTED)?.to_vec();
        Some(Output { stdout, ..output })
    })
}

#[test]
fn a_run_is_printed_though_its_bundle_and_its_page_find_no_room() {
    let server = Server::start();
    let load = format!("run http://{}/plaintext -c 2 -d 300ms --warmup 0", server.address);
    for (option, words) in [
        (
            "-o \"$DISK/out\"",
            &["cannot write", "/out/", "No space left on device", "The result is printed"][..],
        ),
        ("--html \"$DISK/page.html\"", &["cannot write", "page.html", "No space left on device"]),
        ("--html \"$DISK/new.html\"", &["cannot write", "new.html", "No space left on device"]),
    ] {
        let line = format!(
            "echo before >\"$DISK/page.html\"; \"$BENCH\" {load} {option}; status=$?
             cat \"$DISK/page.html\"; echo left: $(find \"$DISK\" -type f | wc -l); exit $status"
        );
        let Some(output) = on_a_full_disk(&line) else { return };
        fails_in_one_line(&output, 1, words);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("requests/s") && text.contains("  verdict     "), "{text}");
        // What fills the disk, and the page of a run before.
        assert!(text.ends_with("before\nleft: 2\n"), "{text}");
    }
}

#[test]
fn a_verdict_is_printed_though_its_report_finds_no_room() {
    let folder = Folder::new("full-disk");
    let claim = Path::new(env!("CARGO_MANIFEST_DIR")).join("../claims/memory-500mb.toml");
    let text = fs::read_to_string(claim).expect("the claim is there");
    let claim = folder.0.join("claim.toml");
    fs::write(&claim, text.replace("connections = 10000", "connections = 16")).expect("it is written");
    let line = format!(
        "\"$BENCH\" verify {} --repeats 2 --out \"$DISK/reports\"; status=$?
         echo \"left: $(ls -A \"$DISK\")\"; exit $status",
        claim.display()
    );
    let Some(output) = on_a_full_disk(&line) else { return };
    fails_in_one_line(&output, 1, &["the report cannot be written to", "No space left on device", "--out"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("CONFIRMED") && text.contains("a connection"), "{text}");
    assert!(!text.contains("report.html") && !text.contains("report.json"), "{text}");
    assert!(text.ends_with("left: rest\n"), "half a report is left, or its folder: {text}");
}
