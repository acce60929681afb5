//! The two files that tell others how we are: the touch-file and the error-file.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::SystemTime;

use serde::Serialize;

use crate::disk::{self, Point};

/// What an error-file that is being written has behind its name.
const TEMP: &str = ".tmp-";

/// Makes the file, or gives it the time of now.
pub fn touch(path: &Path) -> io::Result<()> {
    disk::open_or_create(Point::TouchFileOpen, path)?.set_modified(Point::TouchFileTime, SystemTime::now())
}

/// Touches the file if it is not there or older than the link: a crash between the swap and the touch must not leave whoever
/// waits for it without the news.
pub fn touch_if_missed(path: &Path, link: &Path) -> io::Result<()> {
    let swapped = fs::symlink_metadata(link)?.modified()?;
    match fs::metadata(path).and_then(|meta| meta.modified()) {
        Ok(touched) if touched >= swapped => Ok(()),
        _ => touch(path),
    }
}

/// The error-file's content. `Msg`, `Err` and `Args` are git-sync's names for the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What failed.
    #[serde(rename = "Msg")]
    pub message: String,
    /// Why.
    #[serde(rename = "Err")]
    pub error: String,
    /// The rest.
    #[serde(rename = "Args")]
    pub args: Args,
}

/// Details of a [`Report`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Args {
    /// The source's name.
    pub source: String,
    /// The stage that failed.
    pub stage: String,
    /// What a human can do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Failures in a row, this one included.
    pub failures: u32,
    /// When, in seconds since 1970.
    pub time: u64,
}

/// Replaces the error-file: written beside it, mode 0644, renamed over it.
pub fn write_error(path: &Path, report: &Report) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!("{TEMP}{}-{:08x}", std::process::id(), fastrand::u32(..)));
    let temp = path.with_file_name(name);
    let write = || -> io::Result<()> {
        let file = disk::create(Point::ErrorFileCreate, &temp, 0o666)?;
        let mut text = serde_json::to_vec_pretty(report).expect("plain data");
        text.push(b'\n');
        file.write_all(Point::ErrorFileWrite, &text)?;
        // Whoever reads it runs as another uid, whatever our umask is.
        file.set_mode(Point::ErrorFileMode, 0o644)?;
        disk::rename(Point::ErrorFileRename, &temp, path)
    };
    write().inspect_err(|_| {
        let _ = disk::remove_file(Point::ErrorFileDiscard, &temp);
    })
}

/// What an error-file says, if there is one of ours.
pub fn error_in(path: &Path) -> Option<String> {
    let report: serde_json::Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    Some(report.get("Err")?.as_str()?.to_owned())
}

/// Removes what a crash left beside the error-file.
pub fn remove_leftovers(path: &Path) -> io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let is_leftover = |entry: &fs::DirEntry| {
        let other = entry.file_name();
        let rest = other.as_bytes().strip_prefix(name.as_bytes());
        rest.is_some_and(|rest| rest.starts_with(TEMP.as_bytes()))
            && entry.file_type().is_ok_and(|kind| kind.is_file())
    };
    let entries = match fs::read_dir(folder) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries.flatten().filter(is_leftover) {
        disk::remove_file(Point::ErrorFileDiscard, &entry.path())?;
    }
    Ok(())
}

/// Removes the error-file.
pub fn clear_error(path: &Path) -> io::Result<()> {
    match disk::remove_file(Point::ErrorFileClear, path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn touching_makes_the_file_and_moves_its_time_forward() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("touched");
        touch(&path).unwrap();
        let long_ago = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1);
        File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
        touch(&path).unwrap();
        assert!(fs::metadata(&path).unwrap().modified().unwrap() > long_ago);
    }

    #[test]
    fn the_error_file_is_json_readable_by_all_and_goes_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("error.json");
        let report = Report {
            message: "sync failed".into(),
            error: "no route to host".into(),
            args: Args { source: "dags".into(), stage: "resolve".into(), hint: None, failures: 2, time: 7 },
        };
        write_error(&path, &report).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(json["Err"], "no route to host");
        assert_eq!(json["Args"]["failures"], 2);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
        clear_error(&path).unwrap();
        clear_error(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_touch_that_a_crash_ate_is_made_up_for_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("touched"), dir.path().join("link"));
        std::os::unix::fs::symlink("tree", &link).unwrap();
        touch_if_missed(&path, &link).unwrap();
        let swapped = fs::symlink_metadata(&link).unwrap().modified().unwrap();
        let set = |at| File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
        let time = || fs::metadata(&path).unwrap().modified().unwrap();
        set(swapped - std::time::Duration::from_secs(1));
        touch_if_missed(&path, &link).unwrap();
        assert!(time() >= swapped);
        set(swapped);
        touch_if_missed(&path, &link).unwrap();
        assert_eq!(time(), swapped);
    }
}
