//! What the commands over bundles share: reading one, and creating a new one.

use std::io::ErrorKind;
use std::path::Path;

use super::exit::{Advice, Exit};
use crate::bundle::{Bundle, BundleError, BundleWriter};

/// Reads a bundle, or says what to do instead.
pub(super) fn read(path: &Path) -> anyhow::Result<Bundle> {
    Bundle::read(path).map_err(|error| advise(error, "Give the folder that `covet-bench run --out` wrote"))
}

/// Creates a new bundle, or says what to do instead.
pub(super) fn create(path: &Path) -> anyhow::Result<BundleWriter> {
    BundleWriter::create(path).map_err(|error| match &error {
        BundleError::Exists(_) => {
            advise(error, "A bundle is never overwritten: name a folder that does not exist")
        }
        // A full disk is no mistake of the command line.
        BundleError::Io { source, .. }
            if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) =>
        {
            advise(error, "Make room, or name a folder on another disk")
        }
        _ => Advice::error(Exit::Usage, what(&error), "Name a folder that you may create"),
    })
}

/// Attaches what to do to an error of a bundle; what is not the user's choice of folder exits with 1.
pub(super) fn advise(error: BundleError, remedy: &str) -> anyhow::Error {
    let exit = match error {
        BundleError::Exists(_) | BundleError::NotABundle(_) => Exit::Usage,
        BundleError::Io { .. } | BundleError::Damaged { .. } => Exit::Runtime,
    };
    Advice::error(exit, what(&error), remedy)
}

fn what(error: &BundleError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// What a bundle is called in a result: the last part of its path.
pub(super) fn name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}
