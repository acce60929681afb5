//! A reader like Airflow: looks through the link again and again, and knows what each commit should look like.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use gix::ObjectId;

use super::upstream::Files;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// What the reader saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Looks {
    /// Walks over the whole folder.
    pub(super) walks: u64,
    /// Those that did not see exactly the files of one commit.
    pub(super) torn: u64,
}

type Expected = Arc<Mutex<HashMap<String, Files>>>;

/// A thread that reads; it ends when dropped.
pub(super) struct Reader {
    expected: Expected,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<Looks>>,
}

impl Reader {
    pub(super) fn start(link: &Path) -> io::Result<Self> {
        let (expected, end) = (Expected::default(), Arc::new(AtomicBool::new(false)));
        let (link, shared, asked) = (link.to_owned(), expected.clone(), end.clone());
        let thread = std::thread::Builder::new().name("reader".into()).spawn(move || {
            let mut looks = Looks::default();
            while !asked.load(Ordering::Relaxed) {
                if let Some(whole) = look(&link, &shared) {
                    looks.walks += 1;
                    looks.torn += u64::from(!whole);
                }
                std::thread::park_timeout(PAUSE);
            }
            looks
        })?;
        Ok(Reader { expected, end, thread: Some(thread) })
    }

    /// From now on `commit` may be seen, with these files.
    pub(super) fn expect(&self, commit: ObjectId, files: Files) {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).insert(commit.to_string(), files);
    }

    /// Ends the reading.
    pub(super) fn stop(&mut self) -> Looks {
        self.end.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return Looks::default() };
        thread.thread().unpark();
        thread.join().unwrap_or_default()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether one walk sees exactly one commit; `None` when there is nothing to see yet.
fn look(link: &Path, expected: &Expected) -> Option<bool> {
    // Resolved once, as Airflow's walk does: from here on it reads one folder.
    let tree = fs::canonicalize(link).ok()?;
    let mut seen = Files::new();
    let walked = walk(&tree, &tree, &mut seen);
    if !tree.exists() {
        // Replaced twice while we were reading: dagsync keeps one replaced tree unless told to keep more.
        return None;
    }
    let expected = expected.lock().unwrap_or_else(PoisonError::into_inner);
    Some(walked.is_ok() && expected.get(tree.file_name()?.to_str()?) == Some(&seen))
}

fn walk(top: &Path, folder: &Path, seen: &mut Files) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path: PathBuf = entry?.path();
        if path.is_dir() {
            walk(top, &path, seen)?;
        } else if let Ok(name) = path.strip_prefix(top)
            && name != Path::new(".git")
        {
            seen.insert(name.display().to_string(), fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_revision_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let commit = "0123456789012345678901234567890123456789";
        let (tree, link) = (dir.path().join(commit), dir.path().join("repo"));
        let expected = Expected::default();
        assert_eq!(look(&link, &expected), None, "nothing is published");
        fs::create_dir_all(tree.join("dags")).unwrap();
        std::os::unix::fs::symlink(commit, &link).unwrap();
        fs::write(tree.join(".git"), "gitdir: elsewhere").unwrap();
        fs::write(tree.join("dags/a.py"), "a").unwrap();
        let files =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let expect = |pairs| expected.lock().unwrap().insert(commit.to_owned(), files(pairs));
        expect(&[("dags/a.py", "a")]);
        assert_eq!(look(&link, &expected), Some(true));
        expect(&[("dags/a.py", "a"), ("dags/b.py", "b")]);
        assert_eq!(look(&link, &expected), Some(false));
    }
}
