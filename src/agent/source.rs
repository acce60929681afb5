//! Everything that one source owns while it runs: its root, its objects, its remote, its memory.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use gix::hash::Kind;
use gix::{ObjectId, oid};

use super::failure::Failure;
use super::files;
use super::found::Found;
use super::pid1::Children;
use super::retire::Compaction;
use crate::check::Gate;
use crate::config::{SourceConfig, Submodules};
use crate::git::store::Usage;
use crate::git::{self, Remote, Store};
use crate::hooks::Announcer;
use crate::metrics::{SourceMetrics, Stage};
use crate::publish::state::{Retired, State, seconds};
use crate::publish::{self, AtLink, Layout, RootLock, guard, link, retain};
use crate::tree::durable::Disk;
use crate::tree::volume::{folds_case, holds_modes};
use crate::tree::{Policy, manifest, verify};

/// One source, opened. Lives in its worker's thread; nobody else touches what it owns.
pub struct Source {
    pub(super) config: SourceConfig,
    pub(super) layout: Layout,
    pub(super) lock: Arc<RootLock>,
    pub(super) store: Store,
    pub(super) remote: Remote,
    pub(super) state: State,
    pub(super) metrics: SourceMetrics,
    pub(super) gate: Box<dyn Gate>,
    pub(super) announcer: Box<dyn Announcer>,
    pub(super) children: Children,
    /// The volume takes `a` and `A` for one name.
    pub(super) folds_case: bool,
    /// What was found of revisions.
    pub(super) found: Found,
    /// The tip below which a first start found nothing to publish, and the rules of the gate then.
    pub(super) nothing_below: Option<(ObjectId, String)>,
    /// What a first start has fetched, and with how much history.
    pub(super) searched: Option<(ObjectId, Option<NonZeroU32>)>,
    /// When tags were made, by their id: a tie is not asked about twice.
    pub(super) tag_dates: HashMap<ObjectId, i64>,
    /// The ref whose clash with a tag was reported.
    pub(super) warned_shadow: Option<String>,
    /// The path whose failed removal was reported.
    pub(super) warned_removal: Option<PathBuf>,
    /// Something could not be removed or done, and is tried again.
    pub(super) leftovers: bool,
    /// How making few packs of many goes.
    pub(super) compaction: Compaction,
    /// The disk, for flushing what is to be published.
    pub(super) disk: Disk,
    /// Trees of an earlier process, which may not have been flushed.
    pub(super) inherited: HashSet<PathBuf>,
    /// The root was laid out by this process: its folders and the store's own files may not be on disk.
    pub(super) new_root: bool,
    /// Files of packs that are on disk.
    pub(super) flushed: HashSet<PathBuf>,
    /// The last swap may not be on disk: nothing that the old link leads to may be touched.
    pub(super) link_unflushed: bool,
    /// The volume keeps the modes of files.
    pub(super) holds_modes: bool,
    /// How far the published tree was verified, and when that goes on.
    pub(super) verified: verify::Progress,
    /// When.
    pub(super) verify_at: Instant,
    /// The published tree was found damaged or gone, and the next publication mends that.
    pub(super) repairing: bool,
    /// The readers' tree, found damaged, as long as it still counts as whole.
    pub(super) damaged: Option<PathBuf>,
    /// What an earlier process published was looked at.
    pub(super) seen: bool,
}

/// The parts that come from outside.
pub struct Parts {
    /// The gate that every new revision passes.
    pub gate: Box<dyn Gate>,
    /// Who is told about publications.
    pub announcer: Box<dyn Announcer>,
}

impl Source {
    /// Takes over what is on disk: removes a dead owner's leftovers, lays out what is missing, reads our memory. The
    /// published tree, ours or git-sync's, is left as it is.
    pub fn open(
        config: SourceConfig,
        layout: Layout,
        lock: Arc<RootLock>,
        parts: Parts,
        children: Children,
        metrics: SourceMetrics,
    ) -> Result<Self, Failure> {
        let on_disk = |err| Failure::of(Stage::Resolve, &publish::Error::io("look at", &layout.root)(err));
        // Before anything is written: it hears of every failed write since.
        let disk = Disk::open(&layout.root).map_err(on_disk)?;
        // A kill may have come between the last swap and its flush.
        let link_unflushed = disk.is_durable(config.durable);
        let new_root = !layout.store.join("HEAD").exists();
        let (store, remote, state, folds_case) = Self::prepare(&config, &layout, &lock)?;
        let holds_modes = holds_modes(&layout.state).map_err(on_disk)?;
        let mut source = Source {
            verify_at: Instant::now() + config.verify_period.unwrap_or_default(),
            config,
            layout,
            lock,
            store,
            remote,
            state,
            metrics,
            gate: parts.gate,
            announcer: parts.announcer,
            children,
            folds_case,
            found: Found::default(),
            nothing_below: None,
            searched: None,
            tag_dates: HashMap::new(),
            warned_shadow: None,
            warned_removal: None,
            leftovers: false,
            compaction: Compaction::default(),
            disk,
            inherited: HashSet::new(),
            new_root,
            flushed: HashSet::new(),
            link_unflushed,
            holds_modes,
            verified: verify::Progress::default(),
            repairing: false,
            damaged: None,
            seen: false,
        };
        source.after_crash();
        let on_disk = |err: publish::Error| Failure::of(Stage::Resolve, &err);
        let trees = source.layout.trees().map_err(on_disk)?.into_iter().map(|(path, _)| path);
        source.inherited = trees.chain(source.layout.spares().map_err(on_disk)?).collect();
        Ok(source)
    }

    fn prepare(
        config: &SourceConfig,
        layout: &Layout,
        lock: &RootLock,
    ) -> Result<(Store, Remote, State, bool), Failure> {
        let on_disk = |err: publish::Error| Failure::of(Stage::Resolve, &err);
        let in_git = |err: git::Error| Failure::of(Stage::Resolve, &err);
        if let AtLink::Foreign(what) = layout.at_link().map_err(on_disk)? {
            return Err(on_disk(publish::Error::Occupied { path: layout.link.clone(), what }));
        }
        link::remove_leftovers(lock, layout).map_err(on_disk)?;
        let store = Store::open(&layout.store, config.group_write).map_err(in_git)?;
        let (state, warning) = State::load(&layout.state);
        if let Some(warning) = warning {
            tracing::warn!("{warning}");
        }
        if config.airflowignore_guard {
            guard::write(lock, layout).map_err(on_disk)?;
        }
        let folds = folds_case(&layout.state)
            .map_err(|err| on_disk(publish::Error::io("write to", &layout.state)(err)))?;
        let mut remote = Remote::new(&config.repo, &config.http).map_err(in_git)?;
        remote.expect_entries(config.limits.entries);
        remote.hide(&config.hidden);
        Ok((store, remote, state, folds))
    }

    /// Leftovers of a crash go now, not at the next publication.
    fn after_crash(&mut self) {
        if let Some(path) = &self.config.error_file
            && let Err(err) = files::remove_leftovers(path)
        {
            tracing::debug!("cannot tidy the folder of `{}`: {err}", path.display());
        }
        let disowned = self.look_for_damage();
        if let Some(path) = self.config.touch_file.as_ref().filter(|_| live(&self.layout).is_some())
            && let Err(err) = files::touch_if_missed(path, &self.layout.link)
        {
            tracing::warn!("cannot touch `{}`: {err}", path.display());
        }
        let mut swept = retain::sweep(&self.lock, &self.layout);
        self.give_up_spares_of_others(&mut swept);
        if swept.removed > 0 {
            tracing::info!(count = swept.removed, "removed leftovers of an earlier run");
        }
        self.leftovers = !disowned || !swept.failed.is_empty();
        self.measure_disk();
    }

    /// Files of the object store that may not be on disk yet, with the folders that name them.
    pub(super) fn unflushed_objects(&self) -> Vec<PathBuf> {
        let (packs, store) = (self.store.pack_dir(), &self.layout.store);
        let mut new: Vec<PathBuf> = inside(&packs).filter(|path| !self.flushed.contains(path)).collect();
        if self.new_root {
            new.extend(inside(store));
            new.extend([&self.layout.root, &self.layout.state].map(Clone::clone));
            // One that we may not read is not ours to flush.
            let above = self.layout.root.parent().filter(|above| std::fs::File::open(above).is_ok());
            new.extend(above.map(Path::to_owned));
        }
        if !new.is_empty() {
            new.extend(Some(self.store.shallow_file()).filter(|file| file.exists()));
            new.extend([packs, store.clone()]);
        }
        new
    }

    /// The files of all packs.
    pub(super) fn objects_on_disk(&self) -> HashSet<PathBuf> {
        inside(&self.store.pack_dir()).collect()
    }

    /// After something failed: what it left goes, what it did not do is done. Whether all of that worked; the next pass tries
    /// again.
    pub(super) fn tidy(&mut self) -> bool {
        let disowned = self.disown_damaged();
        let (lock, layout) = (&self.lock, &self.layout);
        let live = live(layout).map(|(commit, _)| commit);
        let touched = self.config.touch_file.as_ref().filter(|_| live.is_some());
        let done = [
            link::remove_leftovers(lock, layout).map_err(|err| err.to_string()),
            self.store.tidy(live).map_err(|err| err.to_string()),
            self.state.save(lock, layout).map_err(|err| err.to_string()),
            touched.map_or(Ok(()), |path| {
                files::touch_if_missed(path, &layout.link).map_err(|err| err.to_string())
            }),
            self.config
                .error_file
                .as_ref()
                .map_or(Ok(()), |path| files::remove_leftovers(path).map_err(|err| err.to_string())),
        ];
        for err in done.iter().filter_map(|done| done.as_ref().err()) {
            tracing::debug!("not tidied yet: {err}");
        }
        disowned && done.iter().all(Result::is_ok)
    }

    /// Commits of history, 0 = all.
    pub(super) fn depth(&self) -> u32 {
        self.config.depth.map_or(0, |depth| depth.get())
    }

    /// What shapes a tree's bytes and modes; a tree built with other settings is built again.
    pub(super) fn settings(&self) -> String {
        let config = &self.config;
        format!(
            "umask={:03o} group-write={} autocrlf={:?} eol-crlf={} submodules={}",
            crate::umask::current(),
            config.group_write,
            config.checkout.autocrlf,
            config.checkout.eol_crlf,
            config.submodules != Submodules::Off,
        )
    }

    /// What a tree had to pass; another version may have other rules.
    pub(super) fn rules(&self) -> String {
        format!("{} {:?} {:?}", env!("CARGO_PKG_VERSION"), self.tree_policy(), self.config.limits)
    }

    /// What may be in a tree, apart from the limits.
    pub(super) fn tree_policy(&self) -> Policy {
        Policy { symlinks: self.config.symlinks, case_insensitive: self.folds_case }
    }

    /// The checksum of the manifest that lists just what the walk of `commit` would, if nobody has written it since.
    pub(super) fn vouched(&self, commit: &oid) -> Option<ObjectId> {
        let published = self.state.of(commit)?;
        // An index holds the lower 32 bits of a size.
        let sized = published.bytes < u64::from(u32::MAX);
        let passed = published.passed.as_ref().filter(|passed| sized && passed.rules == self.rules())?;
        ObjectId::from_hex(passed.manifest.as_bytes()).ok()
    }

    /// Which replaced trees stay.
    pub(super) fn policy(&self) -> retain::Policy {
        retain::Policy { timeout: self.config.stale_worktree_timeout, keep: self.config.keep }
    }

    /// The commits whose trees are on disk, and which the store could hold: the root may have served a repository with
    /// the other kind of id before.
    pub(super) fn kept_commits(&self) -> Result<Vec<ObjectId>, publish::Error> {
        let hash = self.store.hash();
        let commits = self.layout.trees()?.into_iter().map(|(_, commit)| commit);
        // A spare out of sight still has a worktree's metadata: git programs would trip over a commit that is not there.
        let spares = self.layout.spares()?;
        let parked = spares.iter().filter_map(|spare| manifest::commit_of(spare, &self.layout.store));
        Ok(commits.chain(parked).filter(|id| id.kind() == hash).collect())
    }

    /// The replaced tree that the next build may use up. The link is looked at now: somebody else may have moved it.
    pub(super) fn spare(&self) -> Option<Retired> {
        let settings = self.settings();
        let parked = self.layout.spare_of(&settings);
        if self.policy().timeout.is_some() && parked.is_dir() {
            return Some(Retired { settings, ..Retired::unknown(parked, 0) });
        }
        let live = match self.layout.at_link().ok()? {
            AtLink::Tree { path, .. } => path,
            AtLink::Nothing => PathBuf::new(),
            AtLink::Foreign(_) => return None,
        };
        let here: Vec<PathBuf> = self.layout.trees().ok()?.into_iter().map(|(path, _)| path).collect();
        let now = seconds(SystemTime::now());
        retain::spare(&self.state.retired, &here, &live, self.policy(), now).cloned()
    }

    /// With a time-out, trees past their time leave the readers' sight at once, and the youngest that the next build can use is
    /// kept for it. Returns that one.
    pub(super) fn park(&mut self, doomed: &[PathBuf], removal: &mut retain::Removal) -> Option<PathBuf> {
        self.policy().timeout.filter(|_| !doomed.is_empty())?;
        let (lock, layout, settings) = (&self.lock, &self.layout, self.settings());
        let parked = layout.spare_of(&settings);
        let usable =
            self.state.retired.iter().filter(|tree| doomed.contains(&tree.path) && tree.settings == settings);
        let tree = usable.max_by_key(|tree| tree.at)?.path.clone();
        if !retain::park(lock, layout, &tree, &settings, removal) {
            return None;
        }
        self.inherited.remove(&parked);
        if self.inherited.remove(&tree) {
            self.inherited.insert(parked);
        }
        Some(tree)
    }

    /// What was kept for builds with other settings goes. Without a time-out all of it: the replaced trees that readers still see
    /// are spare enough.
    fn give_up_spares_of_others(&self, removal: &mut retain::Removal) {
        let ours = self.policy().timeout.map(|_| self.layout.spare_of(&self.settings()));
        // One that cannot be seen now is seen by the sweep, which says so.
        for spare in self.layout.spares().unwrap_or_default() {
            if ours.as_ref() != Some(&spare) {
                retain::remove(&self.lock, &self.layout, &spare, removal);
            }
        }
    }

    /// On a volume without room: all that is on disk for the next build only goes. Readers are promised none of it.
    pub(super) fn give_up_spares(&self, removal: &mut retain::Removal) {
        self.give_up_spares_of_others(removal);
        if let Some(spare) = self.spare() {
            retain::remove(&self.lock, &self.layout, &spare.path, removal);
        }
    }

    /// Counts what could not be removed, and says so once.
    pub(super) fn tell_removal(&mut self, removal: &retain::Removal) {
        let Some((path, reason)) = removal.failed.first() else { return };
        self.metrics.removal_failures(removal.failed.len() as u64);
        let first = self.warned_removal.replace(path.clone()).as_ref() != Some(path);
        if first {
            let count = removal.failed.len();
            tracing::warn!(count, "cannot remove `{}` yet: {reason}", path.display());
        }
    }

    /// The remote's kind of object id decides ours.
    pub(super) fn set_hash(&mut self, hash: Kind) -> Result<(), git::Error> {
        self.store.set_hash(hash)
    }

    /// Sizes for the metrics.
    pub(super) fn measure_disk(&self) {
        self.tell_disk(self.store.usage());
    }

    /// The same, with what is known of the object store.
    pub(super) fn tell_disk(&self, usage: Usage) {
        self.metrics.packs(usage.packs as u64);
        if let Ok(trees) = self.layout.trees() {
            self.metrics.trees(trees.len() as u64);
        }
        self.metrics.objects_bytes(usage.bytes);
        let live = self.state.published.as_ref().map_or(0, |published| published.bytes);
        self.metrics.trees_bytes(live + self.state.retired.iter().map(|tree| tree.bytes).sum::<u64>());
    }

    /// Files and links of the tree that readers see, by its manifest.
    pub(super) fn files_of_live(&self) -> u64 {
        let tree = live(&self.layout).map(|(_, tree)| tree);
        tree.and_then(|tree| manifest::count(&tree, &self.layout.store)).unwrap_or(0)
    }

    /// The commit that readers see, if its tree is whole.
    pub fn live(&self) -> Option<ObjectId> {
        live(&self.layout).map(|(commit, _)| commit)
    }
}

fn inside(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// What the link leads to, if that is a whole tree.
pub(super) struct Live {
    pub(super) path: PathBuf,
    pub(super) commit: ObjectId,
}

/// The tree that readers see, if it is whole. Needs no lock: a standby looks too.
pub(super) fn look(layout: &Layout) -> Result<Option<Live>, publish::Error> {
    match layout.at_link()? {
        AtLink::Tree { path, commit } if manifest::is_complete(&path, &layout.store, &commit) => {
            Ok(Some(Live { path, commit }))
        }
        AtLink::Tree { .. } | AtLink::Nothing => Ok(None),
        AtLink::Foreign(what) => Err(publish::Error::Occupied { path: layout.link.clone(), what }),
    }
}

/// The same for those to whom it does not matter why there is none.
pub(super) fn live(layout: &Layout) -> Option<(ObjectId, PathBuf)> {
    look(layout).ok().flatten().map(|live| (live.commit, live.path))
}

/// The layout of a source; `shared` when another source uses the same root.
pub fn layout_of(config: &SourceConfig, shared: bool) -> Layout {
    let (root, link): (&Path, &Path) = (&config.root, &config.link);
    if shared { Layout::shared(root, link, &config.name) } else { Layout::sole(root, link) }
}
