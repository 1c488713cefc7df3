//! The notes that tell bpftrace where the probes are.
#![cfg(feature = "probes")]

use std::process::Command;

#[test]
fn the_probes_are_in_the_binary() {
    covet_runtime::block_on(covet_runtime::yield_now()).unwrap();
    let output = match Command::new("readelf").arg("-nW").arg(std::env::current_exe().unwrap()).output() {
        Ok(output) => String::from_utf8(output.stdout).unwrap(),
        Err(error) => {
            let what = format!("readelf can't be run ({error}): scripts/install-test-tools installs it");
            assert!(std::env::var_os("COVET_TEST_TOOLS").is_none(), "{what}");
            return eprintln!("SKIPPED: {what}");
        }
    };
    for name in ["poll_begins", "poll_ends", "turn_polled", "enter_begins", "enter_ends", "accepted"] {
        assert!(output.contains(&format!("Name: {name}\n")), "no note of {name}");
    }
    assert!(output.contains("Provider: covet\n"));
}
