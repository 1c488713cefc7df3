//! Writing a bundle: logs while the run is made, the result after it, the manifest last.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{BundleError, ResultDocument, RunDocument, hlog};
use crate::digest::hex;
use crate::record::Hist;
use crate::report::Environment;
use crate::report::write::{part_of, utc};

/// The name and version of `manifest.json`.
pub const MANIFEST_SCHEMA: &str = "covet-bench.manifest/1";

/// `manifest.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_SCHEMA`].
    pub schema: String,
    /// When the bundle was begun: UTC, RFC 3339.
    pub created: String,
    /// The version of covet-bench.
    pub version: String,
    /// The command line.
    pub arguments: Vec<String>,
    /// How many runs are in it.
    pub runs: usize,
    /// The conditions of the first run; those of all runs are in the result.
    pub conditions: Map<String, Value>,
    /// Facts of the machine and the instrument, by name.
    pub environment: BTreeMap<String, String>,
    /// Every other file.
    pub files: BTreeMap<String, FileEntry>,
}

impl Manifest {
    /// The manifest of runs that were begun then by this process, without files.
    pub fn of(begun: SystemTime, runs: &[RunDocument]) -> Manifest {
        let facts = Environment::read().facts;
        Manifest {
            schema: MANIFEST_SCHEMA.to_owned(),
            created: utc(begun),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            arguments: std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect(),
            runs: runs.len(),
            conditions: runs.first().map(|run| run.conditions.clone()).unwrap_or_default(),
            environment: facts.into_iter().map(|fact| (fact.name, fact.value)).collect(),
            files: BTreeMap::new(),
        }
    }
}

/// A file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
}

/// A bundle while it is being written.
///
/// A file has its name once it is whole. Dropped without [`BundleWriter::finish`], or where a file cannot be written, it leaves
/// nothing but the files that are whole, in a folder without a manifest, which no command takes for a bundle.
#[derive(Debug)]
pub struct BundleWriter {
    folder: PathBuf,
    begun: SystemTime,
    files: BTreeMap<String, FileEntry>,
}

impl BundleWriter {
    /// Creates the folder, and its parents where they are missing.
    ///
    /// # Errors
    /// When something is there already, empty or not, or it cannot be created.
    pub fn create(folder: &Path) -> Result<BundleWriter, BundleError> {
        if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(BundleError::io("create", parent))?;
        }
        match fs::create_dir(folder) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(BundleError::Exists(folder.to_owned()));
            }
            Err(error) => return Err(BundleError::io("create", folder)(error)),
        }
        Ok(BundleWriter { folder: folder.to_owned(), begun: SystemTime::now(), files: BTreeMap::new() })
    }

    /// The logs of run `number`, from 1. Finish each before the bundle.
    pub fn logs(&self, number: usize) -> RunLogs {
        RunLogs {
            folder: self.folder.clone(),
            number,
            begun: SystemTime::now(),
            open: BTreeMap::new(),
            failed: None,
        }
    }

    /// Takes in what [`RunLogs::finish`] returned.
    pub fn add(&mut self, files: BTreeMap<String, FileEntry>) {
        self.files.extend(files);
    }

    /// Writes the result and the manifest; returns the SHA-256 of the manifest, which stands for the whole bundle.
    ///
    /// # Errors
    /// When a file cannot be written, such as on a full disk.
    pub fn finish(mut self, runs: Vec<RunDocument>) -> Result<String, BundleError> {
        let mut manifest = Manifest::of(self.begun, &runs);
        self.write("result.json", &json(&ResultDocument::new(runs)))?;
        manifest.files = std::mem::take(&mut self.files);
        self.write("manifest.json", &json(&manifest))?;
        Ok(self.files.remove("manifest.json").map(|entry| entry.sha256).unwrap_or_default())
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), BundleError> {
        let path = self.folder.join(name);
        let mut file = Hashed::create(&path)?;
        file.write(bytes).map_err(BundleError::io("write", &path))?;
        self.files.insert(name.to_owned(), file.finish().map_err(BundleError::io("write", &path))?);
        Ok(())
    }
}

impl Drop for BundleWriter {
    fn drop(&mut self) {
        // What nothing was written to is removed; a folder that is not empty stays.
        let _ = fs::remove_dir(&self.folder);
    }
}

/// The interval logs of one run.
///
/// Nothing here stops a run: what cannot be written is told by [`RunLogs::finish`].
#[derive(Debug)]
pub struct RunLogs {
    folder: PathBuf,
    number: usize,
    begun: SystemTime,
    open: BTreeMap<String, Hashed>,
    failed: Option<BundleError>,
}

impl RunLogs {
    /// Sets what the times of the log count from, where that is not the moment at which the logs were made.
    pub fn begin(&mut self, start: SystemTime) {
        self.begun = start;
    }

    /// Appends an interval of `series` on worker `worker`.
    pub fn add(&mut self, series: &str, worker: usize, start: Duration, length: Duration, hist: &Hist) {
        if self.failed.is_none() {
            self.failed = self.append(series, worker, start, length, hist).err();
        }
    }

    fn append(
        &mut self,
        series: &str,
        worker: usize,
        start: Duration,
        length: Duration,
        hist: &Hist,
    ) -> Result<(), BundleError> {
        let name = format!("run-{}.{series}.hlog", self.number);
        let path = self.folder.join(&name);
        if !self.open.contains_key(&name) {
            let mut file = Hashed::create(&path)?;
            file.write(hlog::header(series, self.begun).as_bytes())
                .map_err(BundleError::io("write", &path))?;
            self.open.insert(name.clone(), file);
        }
        let Some(file) = self.open.get_mut(&name) else { return Ok(()) };
        let line = hlog::line(&format!("worker-{worker}"), start, length, hist);
        line.and_then(|line| file.write(&line)).map_err(|error| {
            // What lacks an interval is no log.
            self.open.remove(&name);
            BundleError::io("write", &path)(error)
        })
    }

    /// Ends the logs; what they are is for [`BundleWriter::add`].
    ///
    /// # Errors
    /// The first thing that could not be written.
    pub fn finish(self) -> Result<BTreeMap<String, FileEntry>, BundleError> {
        if let Some(error) = self.failed {
            // The other logs lack intervals as well.
            return Err(error);
        }
        let mut files = BTreeMap::new();
        for (name, file) in self.open {
            let path = self.folder.join(&name);
            files.insert(name, file.finish().map_err(BundleError::io("write", &path))?);
        }
        Ok(files)
    }
}

/// A new file that is hashed as it is written, and has its name once it is whole; dropped before, it is removed.
struct Hashed {
    file: BufWriter<File>,
    path: PathBuf,
    /// Where it is until then.
    part: Option<PathBuf>,
    hash: Context,
    bytes: u64,
}

impl std::fmt::Debug for Hashed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hashed").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Hashed {
    fn create(path: &Path) -> Result<Hashed, BundleError> {
        // The folder is ours, so nobody else puts anything in the way later.
        if path.symlink_metadata().is_ok() {
            return Err(BundleError::io("create", path)(io::ErrorKind::AlreadyExists.into()));
        }
        let part = part_of(path);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&part)
            .map_err(BundleError::io("create", path))?;
        Ok(Hashed {
            file: BufWriter::new(file),
            path: path.to_owned(),
            part: Some(part),
            hash: Context::new(&SHA256),
            bytes: 0,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn finish(mut self) -> io::Result<FileEntry> {
        self.file.flush()?;
        // A full disk behind a network or quota is told only here.
        self.file.get_ref().sync_all()?;
        if let Some(part) = &self.part {
            fs::rename(part, &self.path)?;
        }
        self.part = None;
        let hash = std::mem::replace(&mut self.hash, Context::new(&SHA256)).finish();
        Ok(FileEntry { bytes: self.bytes, sha256: hex(hash.as_ref()) })
    }
}

impl Drop for Hashed {
    fn drop(&mut self) {
        if let Some(part) = &self.part {
            // Where it cannot be removed, its name says what it is.
            let _ = fs::remove_file(part);
        }
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("string keys and finite nesting only");
    bytes.push(b'\n');
    bytes
}
