//! Tests that need a process of their own: limits, signals and filters belong to the whole process.

use std::process::Command;

const MARK: &str = "COVET_TEST_ALONE";

/// Runs `body` in a new process: this test binary again, for the test with this full name.
pub(crate) fn alone(name: &str, body: impl FnOnce()) {
    if std::env::var(MARK).is_ok_and(|wanted| wanted == name) {
        return body();
    }
    let binary = std::env::current_exe().expect("a running test has a path");
    let output = Command::new(binary)
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, name)
        .output()
        .expect("this binary can be started again");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{name}: {}\n{text}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}
