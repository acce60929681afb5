//! Files that matter, watched: a change wakes somebody at once, with the period as the fallback.
//!
//! One `notify` watcher for the process: inotify instances are few per user. A file is watched through its folder, and through the
//! folder of every symlink on the way to it: a mounted ConfigMap or Secret changes by moving a link (`..data`) far from the name that was
//! configured. Where nothing can be watched (NFS, no inotify left), the period remains.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

/// Symlinks on the way to a file; more are a loop.
const MAX_LINKS: usize = 16;
/// A watched file that is larger is compared by its size and time alone.
const MAX_COMPARED: u64 = 1 << 20;

/// Wakes somebody.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// What is watched, and for whom.
pub struct Watch {
    watcher: RecommendedWatcher,
    watched: Arc<Mutex<Watched>>,
}

#[derive(Default)]
struct Watched {
    files: Vec<WatchedFile>,
    /// Folders with refs of local upstreams; anything but a lock file below them counts.
    folders: Vec<(PathBuf, String, Wake)>,
    /// How many want each folder that the kernel watches for us.
    users: HashMap<PathBuf, usize>,
}

struct WatchedFile {
    path: PathBuf,
    owner: String,
    /// Folders of the file and of the links to it, as they are now.
    folders: BTreeSet<PathBuf>,
    content: u64,
    wake: Wake,
}

impl Watch {
    /// Starts the watcher's thread. An error means that nothing can be watched here at all.
    pub fn new() -> notify::Result<Self> {
        let watched = Arc::new(Mutex::new(Watched::default()));
        let seen = watched.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if let Ok(event) = event {
                for wake in hear(&mut seen.lock().unwrap_or_else(PoisonError::into_inner), &event) {
                    wake();
                }
            }
        })?;
        Ok(Watch { watcher, watched })
    }

    /// Wakes when the file's content changes, however that happens. `owner` is who asks, for [`Watch::forget`].
    pub fn file(&mut self, owner: &str, path: &Path, wake: Wake) {
        let folders = folders_of(path);
        let file = WatchedFile {
            path: path.to_owned(),
            owner: owner.to_owned(),
            content: content(path),
            folders: folders.clone(),
            wake,
        };
        self.lock().files.push(file);
        for folder in folders {
            self.add(&folder, RecursiveMode::NonRecursive);
        }
    }

    /// Wakes when a ref of a local repository moves.
    pub fn repository(&mut self, owner: &str, path: &Path, wake: Wake) {
        let git = if path.join("HEAD").is_file() { path.to_owned() } else { path.join(".git") };
        for (folder, mode) in
            [(git.clone(), RecursiveMode::NonRecursive), (git.join("refs"), RecursiveMode::Recursive)]
        {
            let Ok(folder) = fs::canonicalize(folder) else { continue };
            self.lock().folders.push((folder.clone(), owner.to_owned(), wake.clone()));
            self.add(&folder, mode);
        }
    }

    /// Follows links again: call it when something woke, since a link may lead elsewhere now.
    pub fn refresh(&mut self) {
        let mut wanted = Vec::new();
        for file in &mut self.lock().files {
            let folders = folders_of(&file.path);
            wanted.extend(folders.difference(&file.folders).cloned());
            file.folders = folders;
        }
        for folder in wanted {
            self.add(&folder, RecursiveMode::NonRecursive);
        }
    }

    /// Ends what `owner` asked for.
    pub fn forget(&mut self, owner: &str) {
        let mut gone = Vec::new();
        {
            let mut watched = self.lock();
            watched.files.retain(|file| {
                let keep = file.owner != owner;
                if !keep {
                    gone.extend(file.folders.iter().cloned());
                }
                keep
            });
            watched.folders.retain(|(folder, of, _)| {
                let keep = of != owner;
                if !keep {
                    gone.push(folder.clone());
                }
                keep
            });
        }
        for folder in gone {
            let last = {
                let mut watched = self.lock();
                match watched.users.get_mut(&folder) {
                    Some(users) if *users > 1 => {
                        *users -= 1;
                        false
                    }
                    Some(_) => watched.users.remove(&folder).is_some(),
                    None => false,
                }
            };
            if last {
                // It may be gone itself.
                let _ = self.watcher.unwatch(&folder);
            }
        }
    }

    fn add(&mut self, folder: &Path, mode: RecursiveMode) {
        let first = {
            let mut watched = self.lock();
            let users = watched.users.entry(folder.to_owned()).or_default();
            *users += 1;
            *users == 1
        };
        if first && let Err(err) = self.watcher.watch(folder, mode) {
            self.lock().users.remove(folder);
            tracing::debug!("cannot watch `{}`, the period has to do: {err}", folder.display());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whom an event wakes.
fn hear(watched: &mut Watched, event: &Event) -> Vec<Wake> {
    if matches!(event.kind, EventKind::Access(_)) {
        return Vec::new();
    }
    let mut wakes: Vec<Wake> = Vec::new();
    for file in &mut watched.files {
        if event.paths.iter().any(|path| path.parent().is_some_and(|folder| file.folders.contains(folder))) {
            let now = content(&file.path);
            if now != std::mem::replace(&mut file.content, now) {
                wakes.push(file.wake.clone());
            }
        }
    }
    for (folder, _, wake) in &watched.folders {
        // A ref is written as `main.lock` and renamed; only the rename matters.
        let moved =
            |path: &PathBuf| path.starts_with(folder) && path.extension().is_none_or(|ext| ext != "lock");
        if event.paths.iter().any(moved) {
            wakes.push(wake.clone());
        }
    }
    wakes
}

/// The folder of a file, and of every link on the way to it.
fn folders_of(path: &Path) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    let mut at = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Some(parent) = at.parent() else { break };
        // A folder on the way may be a link itself: `ref` → `..data/ref`, `..data` → `..2026_11`.
        let mut walked = PathBuf::new();
        for component in parent.components() {
            walked.push(component);
            if fs::symlink_metadata(&walked).is_ok_and(|meta| meta.is_symlink())
                && let Some(folder) = walked.parent()
                && let Ok(folder) = fs::canonicalize(folder)
            {
                folders.insert(folder);
            }
        }
        let Ok(folder) = fs::canonicalize(parent) else { break };
        folders.insert(folder.clone());
        match fs::read_link(&at) {
            Ok(target) => at = folder.join(target),
            Err(_) => break,
        }
    }
    folders
}

/// A fingerprint of what the file says; of its absence too.
fn content(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    match fs::metadata(path) {
        Ok(meta) if meta.len() <= MAX_COMPARED && meta.is_file() => fs::read(path).ok().hash(&mut hasher),
        Ok(meta) => (meta.len(), meta.modified().ok()).hash(&mut hasher),
        Err(_) => {}
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    fn waker() -> (Wake, Receiver<()>) {
        let (send, receive) = channel();
        let wake: Wake = Arc::new(move || {
            let _ = send.send(());
        });
        (wake, receive)
    }

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn a_replaced_file_wakes_and_a_neighbour_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ref");
        fs::write(&path, "main").unwrap();
        let (wake, woken) = waker();
        let mut watch = Watch::new().unwrap();
        watch.file("a", &path, wake);
        fs::write(dir.path().join("neighbour"), "x").unwrap();
        fs::write(dir.path().join("temp"), "release").unwrap();
        fs::rename(dir.path().join("temp"), &path).unwrap();
        woken.recv_timeout(SOON).expect("the change of the file wakes");
        assert!(woken.try_recv().is_err(), "and only that");
    }

    #[test]
    fn a_config_map_that_moves_its_data_link_wakes_again_and_again() {
        let dir = tempfile::tempdir().unwrap();
        let publish = |version: &str, text: &str| {
            let data = dir.path().join(format!("..{version}"));
            fs::create_dir(&data).unwrap();
            fs::write(data.join("ref"), text).unwrap();
            symlink(format!("..{version}"), dir.path().join("..data_tmp")).unwrap();
            fs::rename(dir.path().join("..data_tmp"), dir.path().join("..data")).unwrap();
        };
        publish("1", "v1");
        symlink("..data/ref", dir.path().join("ref")).unwrap();
        let (wake, woken) = waker();
        let mut watch = Watch::new().unwrap();
        watch.file("a", &dir.path().join("ref"), wake);
        for (version, text) in [("2", "v2"), ("3", "v3")] {
            publish(version, text);
            woken.recv_timeout(SOON).expect("the moved link wakes");
            watch.refresh();
        }
    }

    #[test]
    fn a_ref_of_a_local_repository_wakes_when_it_moves() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("refs/heads/team")).unwrap();
        fs::write(dir.path().join("HEAD"), "ref: refs/heads/main\n").unwrap();
        let (wake, woken) = waker();
        let mut watch = Watch::new().unwrap();
        watch.repository("a", dir.path(), wake);
        let lock = dir.path().join("refs/heads/team/x.lock");
        fs::write(&lock, "0").unwrap();
        fs::rename(&lock, dir.path().join("refs/heads/team/x")).unwrap();
        woken.recv_timeout(SOON).expect("the new ref wakes");
    }

    #[test]
    fn who_left_is_not_woken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ref");
        fs::write(&path, "main").unwrap();
        let (gone, gone_woken) = waker();
        let (stays, stays_woken) = waker();
        let mut watch = Watch::new().unwrap();
        watch.file("gone", &path, gone);
        watch.file("stays", &path, stays);
        watch.forget("gone");
        fs::write(&path, "release").unwrap();
        stays_woken.recv_timeout(SOON).expect("the other one is still watching");
        assert!(gone_woken.try_recv().is_err());
    }
}
