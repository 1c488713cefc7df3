//! A folder for the files of a test.

#![allow(dead_code, reason = "each test program uses a part of this")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A new folder in the system's own for temporary files; it is removed when the test is over.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    /// The name is for who finds what a killed test left behind.
    pub(crate) fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("covet-{name}-{}-{number}", std::process::id()));
            match std::fs::create_dir(&path) {
                Ok(()) => return Self(path),
                // A killed test of a process with the same number has left it behind.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("a folder for the test, {}: {error}", path.display()),
            }
        }
    }

    /// Its own path, as an argument.
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().expect("the path is UTF-8")
    }

    /// The path of a file in it, as an argument.
    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
