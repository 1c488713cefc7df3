//! Pages of HTML that a command writes beside what it prints.

use std::path::Path;

use super::exit::{Advice, Advise, Exit};
use crate::report::write::replace;

/// Whether there is a folder for the page, so that a measurement is not made in vain.
pub(super) fn check(path: &Path) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() && !path.is_dir() {
        return Ok(());
    }
    Err(Advice::error(
        Exit::Usage,
        format!("{} cannot be written", path.display()),
        "Name a file in a folder that exists",
    ))
}

/// Writes a page, over what is there; where it cannot be written, what is there stays.
pub(super) fn write(path: &Path, page: &str) -> anyhow::Result<()> {
    replace(path, page.as_bytes()).advise(
        format!("cannot write {}", path.display()),
        "Name a file in a folder that exists and has room",
    )
}
