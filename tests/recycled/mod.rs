//! Trees that are built by the library, one after the other, each from the one before the last.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use dagsync::config::{CheckoutConfig, HttpConfig, Limits, RepoUrl};
use dagsync::deadline::{Deadline, Stop};
use dagsync::git::{Remote, Store};
use dagsync::tree::attributes::Converter;
use dagsync::tree::recycle::{self, Done, Help, Job};
use dagsync::tree::write::Error;
use dagsync::tree::{Earlier, Policy, manifest, walk, walk_after};
use gix::ObjectId;
use tempfile::TempDir;

use crate::support::{Repo, temp};

/// A root without an agent: trees are built by the library, two at a time stay.
pub struct World {
    pub dir: TempDir,
    pub repo: Repo,
    pub store: Store,
    remote: Remote,
    pub deadline: Rc<Deadline>,
    runtime: tokio::runtime::Runtime,
    pub spare: Option<PathBuf>,
    current: Option<PathBuf>,
    /// The readers' tree and the checksum of its manifest, if that has the sizes of the blobs.
    passed: Option<(ObjectId, ObjectId)>,
}

impl World {
    pub fn new() -> World {
        let dir = temp();
        let repo = Repo::new(dir.path().join("repo"));
        let store = Store::open(&dir.path().join("root/.git"), false).unwrap();
        fs::create_dir_all(dir.path().join("root/.worktrees")).unwrap();
        let remote = Remote::new(&RepoUrl::Local(repo.work().to_owned()), &HttpConfig::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let deadline = Rc::new(Deadline::start(Duration::from_secs(600), &Stop::new(), runtime.handle()));
        World { dir, repo, store, remote, deadline, runtime, spare: None, current: None, passed: None }
    }

    /// Builds the tree of a commit from the spare, and makes it the readers' one.
    pub fn publish(&mut self, commit: &str) -> Done {
        self.try_publish(commit).unwrap()
    }

    /// The same where it may fail: then readers keep what they have, and there is no spare any more.
    pub fn try_publish(&mut self, commit: &str) -> Result<Done, Error> {
        let _inside = self.runtime.enter();
        let id = ObjectId::from_hex(commit.as_bytes()).unwrap();
        self.remote.arm(&self.deadline, None);
        self.remote.fetch(&self.store, &[id], &[], std::num::NonZeroU32::new(1)).unwrap();
        let objects = self.store.objects().unwrap();
        let (_, root) = self.store.peel_to_commit(&objects, &id, "").unwrap();
        let help = |path: &'static Path| Help { path, same_settings: true };
        let leak = |path: &Option<PathBuf>| path.clone().map(|p| help(Box::leak(p.into_boxed_path())));
        let (spare, current) = (leak(&self.spare), leak(&self.current));
        let looked = recycle::look(self.store.dir(), id.kind(), spare, current, &self.deadline);
        let (limits, policy) = (Limits::default(), Policy::default());
        let listing = walk(&objects, &root, &limits, &policy, self.deadline.interrupt()).unwrap();
        if let Some((root_before, checksum)) = &self.passed {
            let manifest = looked.manifest_of_current(checksum).expect("nobody has changed it");
            let earlier = Some(Earlier { root: root_before, manifest });
            let quick =
                walk_after(earlier, &objects, &root, &limits, &policy, self.deadline.interrupt()).unwrap();
            assert_eq!(quick, listing, "{commit}: what is the same may be taken over");
        }
        let converter = Converter::new(&listing, &objects, CheckoutConfig::default()).unwrap();
        let trees = self.dir.path().join("root/.worktrees");
        let (new, place) = (trees.join(".new-1"), trees.join(format!("{commit}-{}", fastrand_id())));
        let others: Vec<PathBuf> =
            self.current.iter().filter_map(|tree| manifest::admin_of(tree, self.store.dir())).collect();
        let done = Job {
            store: self.store.dir(),
            new: &new,
            trash: &trees.join(format!(".gone-{}", fastrand_id())),
            place: &place,
            commit: &id,
            listing: &listing,
            converter: converter.as_ref(),
            spare,
            current,
            others: &others,
            times: Default::default(),
            group_write: false,
            deadline: &self.deadline,
        }
        .run(&objects, looked);
        let done = done.inspect_err(|_| {
            let _ = fs::remove_dir_all(&new);
            self.spare = None;
        })?;
        self.passed = converter.is_none().then(|| (root, done.manifest.unwrap()));
        fs::rename(&new, &place).unwrap();
        self.spare = self.current.replace(place);
        Ok(done)
    }

    pub fn tree(&self) -> &Path {
        self.current.as_deref().unwrap()
    }
}

fn fastrand_id() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
