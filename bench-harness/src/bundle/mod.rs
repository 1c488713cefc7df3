//! Runs on disk: bundles that are created new or refused, hashed, and read by other tools.
//!
//! A bundle is a folder:
//!
//! | file | what it holds |
//! |---|---|
//! | `manifest.json` | conditions, environment, and the SHA-256 of every other file; written last |
//! | `result.json` | the runs, as `run --output-format json` prints them, and intervals over several |
//! | `run-N.SERIES.hlog` | an HdrHistogram V2 interval log of one-second intervals, a tag for each worker |
//!
//! The schemas are published in `docs/bench/schema/`. Whatever has no manifest, or differs from its hashes, is not a
//! bundle.

mod document;
pub mod hlog;
pub mod import;
mod merge;
mod metric;
mod read;
mod write;

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use document::{
    GuardDocument, Imported, RESULT_SCHEMA, ResultDocument, RunDocument, Series, Summary, Within,
};
pub use hlog::LogError;
pub use merge::{MergeError, join, merge};
pub use metric::{Metric, MetricError, Statistic};
pub use read::Bundle;
pub use write::{BundleWriter, FileEntry, MANIFEST_SCHEMA, Manifest, RunLogs};

/// Why a bundle cannot be written or read.
#[derive(Debug, Error)]
pub enum BundleError {
    /// Something is there already.
    #[error("{0} exists already")]
    Exists(PathBuf),
    /// The system refused.
    #[error("cannot {doing} {path}")]
    Io {
        /// create, write or read.
        doing: &'static str,
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder without a manifest.
    #[error("{0} is not a run bundle: it has no manifest.json")]
    NotABundle(PathBuf),
    /// A file that is not what it was.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl BundleError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BundleError {
        let path = path.to_owned();
        move |source| BundleError::Io { doing, path, source }
    }

    fn damaged(path: &Path, reason: impl ToString) -> BundleError {
        BundleError::Damaged { path: path.to_owned(), reason: reason.to_string() }
    }
}

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
