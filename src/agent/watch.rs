//! Files that matter, watched: a change wakes somebody at once, with the period as the fallback.
//!
//! One `notify` watcher for the process: inotify instances are few per user. A file is watched through its folder, and through the
//! folder of every symlink on the way to it: a mounted ConfigMap or Secret changes by moving a link (`..data`) far from the name that was
//! configured. Where nothing can be watched (NFS, no inotify left), the period remains.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

/// Symlinks on the way to a file; more are a loop.
const MAX_LINKS: usize = 16;
/// A watched file that is larger is compared by its size and time alone.
const MAX_COMPARED: u64 = 1 << 20;
/// Files that say what refs are, beside the folders of refs.
const HEADS: [&str; 2] = ["HEAD", "packed-refs"];

/// Wakes somebody.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// What is watched, and for whom.
pub struct Watch {
    watcher: RecommendedWatcher,
    /// What the kernel watches for us; `true` with everything below.
    kernel: BTreeMap<PathBuf, bool>,
    watched: Arc<Mutex<Vec<Watched>>>,
}

struct Watched {
    owner: String,
    what: What,
    wake: Wake,
}

enum What {
    /// A file, through its folder and those of the links to it, as they are now.
    File { path: PathBuf, folders: BTreeSet<PathBuf>, content: u64 },
    /// A local upstream: the folders that `HEAD` and `packed-refs` are in, and those whose every file is a ref.
    Refs { path: PathBuf, heads: BTreeSet<PathBuf>, refs: BTreeSet<PathBuf> },
}

impl Watch {
    /// Starts the watcher's thread. An error means that nothing can be watched here at all.
    pub fn new() -> notify::Result<Self> {
        let watched = Arc::new(Mutex::new(Vec::new()));
        let seen = watched.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if let Ok(event) = event {
                let wakes = hear(&mut seen.lock().unwrap_or_else(PoisonError::into_inner), &event);
                wakes.iter().for_each(|wake| wake());
            }
        })?;
        Ok(Watch { watcher, kernel: BTreeMap::new(), watched })
    }

    /// Wakes when the file's content changes, however that happens. `owner` is who asks, for [`Watch::forget`].
    pub fn file(&mut self, owner: &str, path: &Path, wake: Wake) {
        let what = What::File { path: path.to_owned(), folders: folders_of(path), content: content(path) };
        self.push(owner, what, wake);
    }

    /// Wakes when a ref of a local repository moves.
    pub fn repository(&mut self, owner: &str, path: &Path, wake: Wake) {
        let (heads, refs) = ref_folders(path);
        self.push(owner, What::Refs { path: path.to_owned(), heads, refs }, wake);
    }

    fn push(&mut self, owner: &str, what: What, wake: Wake) {
        self.lock().push(Watched { owner: owner.to_owned(), what, wake });
        self.tell_kernel(false);
        // What changed before the kernel watched it.
        self.look();
    }

    /// Follows links again: call it when something woke, since a link may lead elsewhere now. Wakes for what was missed.
    pub fn refresh(&mut self) {
        self.follow(false);
    }

    /// The same for everything, call it now and then: a folder that was removed and made again, or was not there at the
    /// start, has no other way to be found.
    pub fn renew(&mut self) {
        self.follow(true);
    }

    fn follow(&mut self, renew: bool) {
        for watched in self.lock().iter_mut() {
            match &mut watched.what {
                What::File { path, folders, .. } => *folders = folders_of(path),
                What::Refs { path, heads, refs } => (*heads, *refs) = ref_folders(path),
            }
        }
        self.tell_kernel(renew);
        self.look();
    }

    /// Ends what `owner` asked for.
    pub fn forget(&mut self, owner: &str) {
        self.lock().retain(|watched| watched.owner != owner);
        self.tell_kernel(false);
    }

    /// Makes the kernel watch what somebody wants, and nothing else. `renew` asks again for what it should be watching.
    fn tell_kernel(&mut self, renew: bool) {
        let mut wanted: BTreeMap<PathBuf, bool> = BTreeMap::new();
        for watched in self.lock().iter() {
            match &watched.what {
                What::File { folders, .. } => {
                    folders.iter().for_each(|folder| _ = wanted.entry(folder.clone()).or_default());
                }
                What::Refs { heads, refs, .. } => {
                    heads.iter().for_each(|folder| _ = wanted.entry(folder.clone()).or_default());
                    wanted.extend(refs.iter().map(|folder| (folder.clone(), true)));
                }
            }
        }
        let stale: Vec<PathBuf> = self
            .kernel
            .iter()
            .filter(|(path, deep)| wanted.get(*path) != Some(deep))
            .map(|(path, _)| path.clone())
            .collect();
        for folder in stale {
            self.kernel.remove(&folder);
            // It may be gone itself.
            let _ = self.watcher.unwatch(&folder);
        }
        for (folder, deep) in wanted {
            if !renew && self.kernel.contains_key(&folder) {
                continue;
            }
            let mode = if deep { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
            match self.watcher.watch(&folder, mode) {
                Ok(()) => _ = self.kernel.insert(folder, deep),
                Err(err) => {
                    self.kernel.remove(&folder);
                    tracing::debug!("cannot watch `{}`, the period has to do: {err}", folder.display());
                }
            }
        }
    }

    /// Wakes for files that differ from when they were last looked at.
    fn look(&self) {
        let wakes: Vec<Wake> = self.lock().iter_mut().filter_map(changed).collect();
        wakes.iter().for_each(|wake| wake());
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whom an event wakes.
fn hear(all: &mut [Watched], event: &Event) -> Vec<Wake> {
    if matches!(event.kind, EventKind::Access(_)) {
        return Vec::new();
    }
    let mut wakes: Vec<Wake> = Vec::new();
    for watched in all {
        let is_in = |path: &PathBuf, folders: &BTreeSet<PathBuf>| {
            path.parent().is_some_and(|folder| folders.contains(folder))
        };
        match &watched.what {
            What::File { folders, .. } => {
                if event.paths.iter().any(|path| is_in(path, folders)) {
                    wakes.extend(changed(watched));
                }
            }
            What::Refs { heads, refs, .. } => {
                // A ref is written as `main.lock` and renamed; only the rename matters.
                let is_ref = |path: &PathBuf| {
                    path.extension().is_none_or(|ext| ext != "lock")
                        && refs.iter().any(|folder| path.starts_with(folder))
                };
                // Beside the refs, git writes other files that say nothing about them: `index`, `FETCH_HEAD`.
                let is_head = |path: &PathBuf| {
                    is_in(path, heads)
                        && path.file_name().is_some_and(|name| HEADS.iter().any(|head| name == *head))
                };
                if event.paths.iter().any(|path| is_ref(path) || is_head(path)) {
                    wakes.push(watched.wake.clone());
                }
            }
        }
    }
    wakes
}

/// Whom a file wakes whose content is not what it was.
fn changed(watched: &mut Watched) -> Option<Wake> {
    let What::File { path, content: known, .. } = &mut watched.what else { return None };
    // Who writes a file in place empties it first, and who is woken by that reads half a change; what follows wakes too. A file
    // that stays empty is found by the period.
    if fs::metadata(&*path).is_ok_and(|meta| meta.is_file() && meta.len() == 0) {
        return None;
    }
    let now = content(path);
    (now != std::mem::replace(known, now)).then(|| watched.wake.clone())
}

/// Where the refs of a repository are: folders with `HEAD` and `packed-refs`, and folders of refs alone. A linked worktree
/// has its `HEAD` and the rest in two places.
fn ref_folders(path: &Path) -> (BTreeSet<PathBuf>, BTreeSet<PathBuf>) {
    let dot_git = path.join(".git");
    let git = match fs::read_to_string(&dot_git) {
        Ok(text) => path.join(text.trim_end().strip_prefix("gitdir: ").unwrap_or(".git")),
        Err(_) if dot_git.is_dir() => dot_git,
        Err(_) => path.to_owned(),
    };
    let shared = fs::read_to_string(git.join("commondir")).map(|text| git.join(text.trim_end()));
    let heads: BTreeSet<PathBuf> =
        [Ok(git), shared].into_iter().flatten().filter_map(|folder| fs::canonicalize(folder).ok()).collect();
    let refs = heads.iter().flat_map(|folder| ["refs", "reftable"].map(|name| folder.join(name)));
    let refs = refs.filter(|folder| folder.is_dir()).collect();
    (heads, refs)
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
        let wake: Wake = Arc::new(move || _ = send.send(()));
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
    fn a_file_that_is_written_in_place_wakes_for_its_content_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ref");
        fs::write(&path, "main").unwrap();
        let (wake, woken) = waker();
        let mut watch = Watch::new().unwrap();
        watch.file("a", &path, wake.clone());
        let (other, heard) = waker();
        let marker = dir.path().join("marker");
        watch.file("b", &marker, other);
        fs::File::create(&path).unwrap();
        // Events come in order: when this one was heard, the emptying was too.
        fs::write(&marker, "x").unwrap();
        heard.recv_timeout(SOON).expect("the marker");
        assert!(woken.try_recv().is_err(), "half a change");
        fs::write(&path, "release").unwrap();
        woken.recv_timeout(SOON).expect("the whole change");
    }

    #[test]
    fn a_folder_that_comes_later_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("later");
        let (wake, woken) = waker();
        let mut watch = Watch::new().unwrap();
        watch.file("a", &folder.join("ref"), wake.clone());
        watch.repository("b", &folder, wake);
        fs::create_dir_all(folder.join(".git/refs/heads")).unwrap();
        fs::write(folder.join("ref"), "main").unwrap();
        watch.renew();
        woken.recv_timeout(SOON).expect("the file that was missed wakes");
        fs::write(folder.join("ref"), "release").unwrap();
        woken.recv_timeout(SOON).expect("from here on the kernel tells");
        fs::write(folder.join(".git/refs/heads/main"), "0").unwrap();
        woken.recv_timeout(SOON).expect("also of refs");
    }

    #[test]
    fn what_git_writes_beside_the_refs_wakes_nobody() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("refs/heads")).unwrap();
        let (wake, woken) = waker();
        let mut watch = Watch::new().unwrap();
        watch.repository("a", dir.path(), wake);
        for name in ["index", "FETCH_HEAD", "packed-refs.lock", "refs/heads/main.lock"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        fs::write(dir.path().join("packed-refs"), "x").unwrap();
        woken.recv_timeout(SOON).expect("packed refs wake");
        fs::write(dir.path().join("index"), "y").unwrap();
        // Events come in order: what came before `packed-refs` woke nobody, apart from its own two or three.
        let before = woken.try_iter().count();
        assert!(before <= 2, "{before}");
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
