//! Building a peer with cargo.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Peer;

/// Why a peer could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// cargo itself could not be run.
    #[error("cargo could not be run: peers are built from source, so install Rust")]
    NoCargo(#[source] io::Error),
    /// The workspace is not where this program was built.
    #[error("no peers' workspace at {0}: run from a checkout of the repository or name it with --workspace")]
    NoWorkspace(PathBuf),
    /// cargo could not fetch the crates.
    #[error("crates could not be fetched, and are not in cargo's cache: {0}")]
    Offline(String),
    /// The compiler or cargo refused.
    #[error("{0}")]
    Refused(String),
}

/// Builds one peer in release mode and returns its executable.
///
/// # Errors
/// When there is no cargo or no workspace, the crates can't be fetched, or the build fails; in the last two
/// cases with cargo's first error.
pub fn build(peer: Peer, workspace: &Path, target: &Path) -> Result<PathBuf, BuildError> {
    let manifest = workspace.join("Cargo.toml");
    if !manifest.is_file() {
        return Err(BuildError::NoWorkspace(workspace.to_owned()));
    }
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "--locked", "--quiet", "--package", &peer.package(), "--manifest-path"])
        .arg(&manifest)
        .arg("--target-dir")
        .arg(target)
        .stdin(Stdio::null())
        .output()
        .map_err(BuildError::NoCargo)?;
    if output.status.success() {
        return Ok(target.join("release").join(peer.package()));
    }
    Err(explain(&String::from_utf8_lossy(&output.stderr)))
}

/// cargo's first error in one line, and whether it is the network's.
fn explain(stderr: &str) -> BuildError {
    const NETWORK: [&str; 4] =
        ["failed to download", "Couldn't resolve host", "failed to get `", "download of config.json failed"];
    let error = stderr.lines().find(|line| line.starts_with("error")).unwrap_or("cargo gave no reason");
    let error = error.trim_start_matches("error: ").to_owned();
    match NETWORK.iter().any(|sign| stderr.contains(sign)) {
        true => BuildError::Offline(error),
        false => BuildError::Refused(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_errors_become_one_line() {
        let offline = explain("warning: spurious\nerror: failed to download `x v1`\n\nCaused by:\n  curl\n");
        assert!(
            matches!(&offline, BuildError::Offline(line) if line == "failed to download `x v1`"),
            "{offline}"
        );
        let refused = explain("   Compiling x\nerror[E0425]: cannot find value `y`\n --> src/main.rs\n");
        assert_eq!(refused.to_string(), "error[E0425]: cannot find value `y`");
    }

    #[test]
    fn a_missing_workspace_is_named() {
        let nowhere = Path::new("/nowhere/peers");
        let error = build(super::super::ALL[0], nowhere, nowhere).expect_err("there is none");
        assert!(error.to_string().contains("/nowhere/peers"), "{error}");
    }
}
