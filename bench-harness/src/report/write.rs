//! Reports on disk: a new folder each time, never an overwritten one.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use thiserror::Error;

use super::{Report, html};

/// Why a report could not be written.
#[derive(Debug, Error)]
#[error("{path} cannot be written")]
pub struct WriteError {
    path: String,
    source: io::Error,
}

/// Writes `report.html` and `report.json` into a new folder of `parent` named after the time, and returns it.
///
/// # Errors
/// When the folder or a file cannot be created or written; nothing of it is left then.
pub fn write(report: &Report, parent: &Path, now: SystemTime) -> Result<PathBuf, WriteError> {
    let folder = new_folder(parent, now)?;
    let json =
        serde_json::to_string_pretty(report).expect("a report has string keys and finite nesting only");
    let files = [("report.json", json), ("report.html", html::page(report))];
    let written = files.iter().try_for_each(|(name, text)| create(&folder.join(name), text.as_bytes()));
    match written {
        Ok(()) => Ok(folder),
        Err(error) => {
            // Half a report would be taken for a whole one; where it cannot be removed, it stays.
            let _ = fs::remove_dir_all(&folder);
            Err(error)
        }
    }
}

fn new_folder(parent: &Path, now: SystemTime) -> Result<PathBuf, WriteError> {
    fs::create_dir_all(parent).map_err(|source| failed(parent, source))?;
    let stem = folder_name(now);
    for attempt in 1..1000 {
        let name = if attempt == 1 { stem.clone() } else { format!("{stem}-{attempt}") };
        let folder = parent.join(name);
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(failed(&folder, source)),
        }
    }
    Err(failed(&parent.join(stem), io::ErrorKind::AlreadyExists.into()))
}

fn create(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(bytes))
        .map_err(|source| failed(path, source))
}

/// Writes a file, over what is there, and all of it or nothing: where it fails, what was there is as it was.
///
/// It is written under another name beside it first. What is no file, such as `/dev/stdout` or a named pipe, is written to.
///
/// # Errors
/// When the folder is missing or may not be written to, or has no room.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Where a link leads, so that the link stays one.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let before = fs::metadata(&path).ok();
    if before.as_ref().is_some_and(|before| !before.is_file()) {
        return fs::write(path, bytes);
    }
    let part = part_of(&path);
    let written = File::create(&part).and_then(|mut file| {
        file.write_all(bytes)?;
        if let Some(before) = before {
            file.set_permissions(before.permissions())?;
        }
        // A full disk behind a network or quota is told only here.
        file.sync_all()
    });
    let replaced = written.and_then(|()| fs::rename(&part, &path));
    if replaced.is_err() {
        // Where it cannot be removed, its name says what it is.
        let _ = fs::remove_file(&part);
    }
    replaced
}

/// The name of a file while it is being written: `.report.html.part`, beside `report.html`.
pub fn part_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".part");
    path.with_file_name(name)
}

fn failed(path: &Path, source: io::Error) -> WriteError {
    WriteError { path: path.display().to_string(), source }
}

/// The time as UTC in RFC 3339, to the second: `2026-11-23T22:42:05Z`.
pub fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// The same without punctuation that file systems or shells dislike: `20261123T224205Z`.
fn folder_name(time: SystemTime) -> String {
    utc(time).replace(['-', ':'], "")
}

/// Year, month and day of a number of days since 1970-01-01 in the proleptic Gregorian calendar.
///
/// Counting in eras of 400 years (146,097 days) that begin on 1 March puts the leap day at the end of a year.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    // The expected dates come from `date -u -d @SECONDS +%FT%TZ`.
    #[test]
    fn times_agree_with_date() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_795_473_725, "2026-11-23T22:42:05Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (seconds, text) in cases {
            assert_eq!(utc(at(seconds)), text);
        }
        assert_eq!(folder_name(at(1_795_473_725)), "20261123T224205Z");
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_a_link_to_it_stays_one() {
        let folder = std::env::temp_dir().join(format!("covet-bench-replace-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (page, link) = (folder.join("page.html"), folder.join("latest.html"));
        replace(&page, b"first").unwrap();
        std::os::unix::fs::symlink(&page, &link).unwrap();
        replace(&link, b"second").unwrap();
        let read = fs::read(&page).unwrap();
        let linked = fs::symlink_metadata(&link).unwrap().is_symlink();
        // What cannot be written leaves what was there; a folder in the way is as good as a full disk.
        fs::create_dir(part_of(&page)).unwrap();
        let refused = replace(&page, b"third").is_err();
        let kept = fs::read(&page).unwrap();
        let names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let nowhere = replace(&folder.join("no/page.html"), b"").is_err();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!((read, linked, kept), (b"second".to_vec(), true, b"second".to_vec()));
        assert!(refused && nowhere);
        assert_eq!(names.len(), 3, "{names:?}");
        replace(Path::new("/dev/null"), b"anything").unwrap();
    }

    #[test]
    fn two_reports_of_one_second_get_two_folders() {
        let parent = std::env::temp_dir().join(format!("covet-bench-write-{}", std::process::id()));
        let first = new_folder(&parent, at(7)).unwrap();
        let second = new_folder(&parent, at(7)).unwrap();
        create(&first.join("report.json"), b"{}").unwrap();
        let again = create(&first.join("report.json"), b"[]").unwrap_err();
        let kept = fs::read(first.join("report.json")).unwrap();
        fs::remove_dir_all(&parent).unwrap();
        assert_ne!(first, second);
        assert_eq!(kept, b"{}");
        assert!(again.to_string().ends_with("report.json cannot be written"));
    }
}
