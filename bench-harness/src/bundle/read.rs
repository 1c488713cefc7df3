//! Reading a bundle, and refusing what is not one or is not what it was.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};

use super::hlog::{self, LogInterval};
use super::write::{MANIFEST_SCHEMA, Manifest};
use super::{BundleError, RESULT_SCHEMA, ResultDocument, RunDocument};
use crate::digest::hex;

/// A bundle that was read and found whole.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Where it lies.
    pub folder: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
    /// Its runs; at least one.
    pub runs: Vec<RunDocument>,
}

impl Bundle {
    /// The bundle that these runs, begun then, would be, without a folder.
    pub fn unsaved(begun: SystemTime, runs: Vec<RunDocument>) -> Bundle {
        Bundle { folder: PathBuf::new(), manifest: Manifest::of(begun, &runs), runs }
    }

    /// Reads a bundle and checks every file against the manifest.
    ///
    /// # Errors
    /// When it is no bundle, of another version, or a file is missing or changed.
    pub fn read(folder: &Path) -> Result<Bundle, BundleError> {
        if fs::metadata(folder).map_err(BundleError::io("read", folder))?.is_dir() {
            let path = folder.join("manifest.json");
            if !path.exists() {
                return Err(BundleError::NotABundle(folder.to_owned()));
            }
            let bytes = fs::read(&path).map_err(BundleError::io("read", &path))?;
            let manifest: Manifest = parse(&path, &bytes)?;
            expect_schema(&path, &manifest.schema, MANIFEST_SCHEMA)?;
            for (name, entry) in &manifest.files {
                let path = folder.join(name);
                if name.contains('/') || name.starts_with('.') {
                    return Err(BundleError::damaged(&path, "a file outside the bundle"));
                }
                let bytes = fs::read(&path).map_err(BundleError::io("read", &path))?;
                if hex(digest(&SHA256, &bytes).as_ref()) != entry.sha256 {
                    return Err(BundleError::damaged(&path, "its SHA-256 is not that of the manifest"));
                }
            }
            if !manifest.files.contains_key("result.json") {
                return Err(BundleError::damaged(&path, "it names no result.json"));
            }
            let path = folder.join("result.json");
            let bytes = fs::read(&path).map_err(BundleError::io("read", &path))?;
            let result: ResultDocument = parse(&path, &bytes)?;
            expect_schema(&path, &result.schema, RESULT_SCHEMA)?;
            if result.runs.is_empty() {
                return Err(BundleError::damaged(&path, "it has no run"));
            }
            return Ok(Bundle { folder: folder.to_owned(), manifest, runs: result.runs });
        }
        Err(BundleError::NotABundle(folder.to_owned()))
    }

    /// The intervals of a series of run `number` (from 1); `None` where the bundle has no such log.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log(&self, number: usize, series: &str) -> Result<Option<Vec<LogInterval>>, BundleError> {
        let name = format!("run-{number}.{series}.hlog");
        if !self.manifest.files.contains_key(&name) {
            return Ok(None);
        }
        let path = self.folder.join(name);
        let bytes = fs::read(&path).map_err(BundleError::io("read", &path))?;
        hlog::read(&bytes, 1.0).map(Some).map_err(|error| BundleError::damaged(&path, error))
    }

    /// The names of the series that run `number` has logs of.
    pub fn series(&self, number: usize) -> Vec<String> {
        let prefix = format!("run-{number}.");
        let names = self.manifest.files.keys();
        names.filter_map(|name| Some(name.strip_prefix(&prefix)?.strip_suffix(".hlog")?.to_owned())).collect()
    }
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, BundleError> {
    serde_json::from_slice(bytes).map_err(|error| BundleError::damaged(path, error))
}

fn expect_schema(path: &Path, found: &str, wanted: &str) -> Result<(), BundleError> {
    if found == wanted {
        return Ok(());
    }
    Err(BundleError::damaged(path, format!("its schema is `{found}`, and this version reads `{wanted}`")))
}
