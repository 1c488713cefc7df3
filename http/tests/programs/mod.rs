//! Programs that others wrote, which tests run beside ours.

use std::env;
use std::io::Error;

/// Says that a test was left out, as this program is not installed.
///
/// # Panics
/// Where the whole suite runs, which has installed what it needs (`scripts/test` sets `COVET_TEST_TOOLS`).
pub(crate) fn missing(program: &str, error: &Error) {
    let what = format!("{program} can't be run ({error}): scripts/install-test-tools installs it");
    assert!(env::var_os("COVET_TEST_TOOLS").is_none(), "{what}");
    eprintln!("SKIPPED: {what}");
}
