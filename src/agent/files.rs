//! The two files that tell others how we are: the touch-file and the error-file.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use serde::Serialize;

use crate::disk::{self, Point};

/// Makes the file, or gives it the time of now.
pub fn touch(path: &Path) -> io::Result<()> {
    disk::open_or_create(Point::TouchFileOpen, path)?.set_modified(Point::TouchFileTime, SystemTime::now())
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
    name.push(format!(".tmp-{}-{:08x}", std::process::id(), fastrand::u32(..)));
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

/// Removes the error-file.
pub fn clear_error(path: &Path) -> io::Result<()> {
    match disk::remove_file(Point::ErrorFileClear, path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
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
}
