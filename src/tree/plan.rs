//! From three trees to the least work: what to write, what to remove, which times to set. Pure.
//!
//! Readers hold the **current** tree (commit b). The **spare** is an expired tree (commit a) that becomes the next one
//! (commit c). Airflow parses a file again when its mtime is new, and Python's import system lists a folder again when its
//! mtime differs, so times are part of the result:
//!
//! - a file that is the same in b and c has the mtime it has in the current tree;
//! - a file that differs between b and c, or is new, gets a mtime that is later than at that path before, by the whole second
//!   when content was there (a `.pyc` outside the tree is matched by whole seconds and size);
//! - a folder whose listing is the same in b and c has the current tree's mtime, any other a later one.
//!
//! A full build is the same with an empty spare.

use std::collections::{BTreeMap, BTreeSet};

use gix::bstr::{BStr, BString, ByteSlice as _};
use gix::oid;

use super::{Kind, Listing};

/// A time as the kernel keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mtime {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds within the second.
    pub nanos: u32,
}

impl Mtime {
    /// The first whole second after it.
    fn next_second(self) -> Mtime {
        Mtime { seconds: self.seconds + 1, nanos: 0 }
    }

    /// Soon after it, for Python too: it keeps times as floating-point numbers, which in this century are 240 nanoseconds
    /// apart, and lists a folder again only when that number differs.
    fn next(self) -> Mtime {
        match self.nanos + 1_000 {
            nanos @ 1_000_000_000.. => Mtime { seconds: self.seconds + 1, nanos: nanos - 1_000_000_000 },
            nanos => Mtime { nanos, ..self },
        }
    }
}

/// An entry of a tree on disk, as its manifest has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known<'a> {
    /// The path.
    pub path: &'a BStr,
    /// What it is.
    pub kind: Kind,
    /// The blob.
    pub id: &'a oid,
    /// Its mtime.
    pub mtime: Mtime,
    /// Whether it is what the manifest says. In a spare: one that is not is written anew. For readers: one that is not is
    /// taken to differ.
    pub intact: bool,
}

/// A tree on disk: entries and folders, both sorted by path; the top folder is the empty path.
pub struct OnDisk<'a> {
    /// Files, links and submodules; one at a time, since a list of a large tree's would be as large as its manifest.
    pub entries: Box<dyn Iterator<Item = Known<'a>> + 'a>,
    /// Folders with their mtimes.
    pub folders: BTreeMap<&'a BStr, Mtime>,
}

impl Default for OnDisk<'_> {
    /// Nothing, not even a top folder.
    fn default() -> Self {
        OnDisk { entries: Box::new(std::iter::empty()), folders: BTreeMap::new() }
    }
}

/// One entry of the new tree that needs work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// Which entry of the target.
    pub entry: usize,
    /// Its mtime in the end.
    pub mtime: Mtime,
    /// Whether readers have just this at its path.
    pub same: bool,
}

/// What to do to the spare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Entries that are no longer there, or are another kind of thing now. Before anything else.
    pub remove: Vec<BString>,
    /// Folders that are no longer there, deepest first. After `remove`.
    pub remove_folders: Vec<BString>,
    /// Folders to make, parents first.
    pub make_folders: Vec<BString>,
    /// Entries to write.
    pub write: Vec<Work>,
    /// Entries whose content is right but not their time.
    pub retime: Vec<Work>,
    /// The mtime of every folder that does not have it already or is touched on the way. Last of all.
    pub folders: Vec<(BString, Mtime)>,
}

/// Plans the way from `spare` to `target`, seen by readers of `current`. `now` is the clock.
pub fn plan(spare: OnDisk<'_>, current: OnDisk<'_>, target: &Listing, now: Mtime) -> Plan {
    let mut plan = Plan::default();
    // Folders whose listing differs between what readers hold and what they get.
    let mut relisted: BTreeSet<&BStr> = BTreeSet::new();
    // Folders of the spare whose mtime the work below changes.
    let mut touched: BTreeSet<&BStr> = BTreeSet::new();
    let mut olds = spare.entries.peekable();
    // Submodules are folders on disk, and are compared with the folders.
    let mut reads = current.entries.filter(|read| read.kind != Kind::Submodule).peekable();
    let wanted = folders_of(target);
    for (index, entry) in target.entries().enumerate() {
        let path = entry.path;
        while let Some(old) = olds.next_if(|old| old.path < path) {
            plan.forget(&old, &mut touched);
        }
        while let Some(gone) = reads.next_if(|read| read.path < path) {
            relisted.insert(parent(gone.path));
        }
        let old = olds.next_if(|old| old.path == path);
        let read = reads.next_if(|read| read.path == path);
        if entry.kind == Kind::Submodule {
            // Made with the folders; what else was there goes.
            if let Some(old) = old {
                plan.forget(&old, &mut touched);
            }
            if read.is_some() {
                relisted.insert(parent(path));
            }
            continue;
        }
        if read.is_none() {
            relisted.insert(parent(path));
        }
        let is_same = |known: &Known<'_>| known.id == entry.id && known.kind == entry.kind;
        let same = read.filter(|read| read.intact && is_same(read));
        let mtime = match same {
            Some(read) => read.mtime,
            None => later(now, read.map(|read| read.mtime), old.map(|old| old.mtime)),
        };
        let work = Work { entry: index, mtime, same: same.is_some() };
        match old {
            Some(old) if old.intact && is_same(&old) => {
                if old.mtime != mtime {
                    plan.retime.push(work);
                }
            }
            _ => {
                plan.write.push(work);
                touched.insert(parent(path));
            }
        }
    }
    for old in olds {
        plan.forget(&old, &mut touched);
    }
    for gone in reads {
        relisted.insert(parent(gone.path));
    }
    for folder in current.folders.keys().filter(|folder| !wanted.contains(**folder)) {
        relisted.insert(parent(folder));
    }
    for folder in wanted.iter().filter(|folder| !current.folders.contains_key(**folder)) {
        relisted.insert(parent(folder));
    }
    for folder in spare.folders.keys().filter(|folder| !wanted.contains(**folder)) {
        plan.remove_folders.push((*folder).to_owned());
        touched.insert(parent(folder));
    }
    plan.remove_folders.sort_by_key(|folder| std::cmp::Reverse(folder.clone()));
    for folder in wanted.iter().filter(|folder| !spare.folders.contains_key(**folder)) {
        plan.make_folders.push((*folder).to_owned());
        touched.insert(parent(folder));
    }
    for folder in wanted {
        let reads = current.folders.get(folder).copied();
        let mtime = match reads.filter(|_| !relisted.contains(folder)) {
            Some(reads) => reads,
            None => now.max(reads.map_or(Mtime::default(), Mtime::next)),
        };
        if spare.folders.get(folder) != Some(&mtime) || touched.contains(folder) {
            plan.folders.push((folder.to_owned(), mtime));
        }
    }
    plan
}

impl Plan {
    /// An entry of the spare that is in the way. A submodule is a folder, and goes with the folders.
    fn forget<'a>(&mut self, old: &Known<'a>, touched: &mut BTreeSet<&'a BStr>) {
        if old.kind != Kind::Submodule {
            self.remove.push(old.path.to_owned());
            touched.insert(parent(old.path));
        }
    }
}

/// Later than everything that was at a path, by the whole second.
pub(super) fn later(now: Mtime, read: Option<Mtime>, old: Option<Mtime>) -> Mtime {
    match read.max(old) {
        Some(before) if now.seconds <= before.seconds => before.next_second(),
        _ => now,
    }
}

/// Every folder of a listing, the top one included, parents first.
fn folders_of(target: &Listing) -> BTreeSet<&BStr> {
    let mut folders = BTreeSet::from([BStr::new("")]);
    let mut last = BStr::new("");
    for entry in target.entries() {
        let mut folder = match entry.kind {
            Kind::Submodule => entry.path,
            _ => parent(entry.path),
        };
        if folder == last {
            continue;
        }
        last = folder;
        while !folder.is_empty() && folders.insert(folder) {
            folder = parent(folder);
        }
    }
    folders
}

/// The folder of a path; the empty one for the top.
pub(super) fn parent(path: &BStr) -> &BStr {
    path[..path.rfind_byte(b'/').unwrap_or(0)].as_bstr()
}

#[cfg(test)]
mod tests {
    use super::super::Entry;
    use super::*;
    use gix::ObjectId;
    use proptest::prelude::*;

    /// What is on disk, as a file system without content: what a plan does to it is done here.
    #[derive(Debug, Clone, Default)]
    struct Disk {
        entries: BTreeMap<BString, (Kind, ObjectId, Mtime)>,
        folders: BTreeMap<BString, Mtime>,
    }

    impl Disk {
        fn seen(&self) -> OnDisk<'_> {
            OnDisk {
                entries: Box::new(self.entries.iter().map(|(path, (kind, id, mtime))| Known {
                    path: path.as_bstr(),
                    kind: *kind,
                    id,
                    mtime: *mtime,
                    intact: true,
                })),
                folders: self.folders.iter().map(|(path, mtime)| (path.as_bstr(), *mtime)).collect(),
            }
        }

        /// As a kernel does it: whatever changes a listing gives the folder the time of `now`, and things must be there or not be
        /// there.
        fn apply(&mut self, plan: &Plan, target: &Listing, now: Mtime) {
            let touch = |folders: &mut BTreeMap<BString, Mtime>, path: &BStr| {
                *folders.get_mut(parent(path)).expect("the folder is there") = now;
            };
            // On disk a submodule is its folder and nothing more.
            self.entries.retain(|_, (kind, ..)| *kind != Kind::Submodule);
            for path in &plan.remove {
                assert!(self.entries.remove(path).is_some(), "{path} is there");
                touch(&mut self.folders, path.as_ref());
            }
            for folder in &plan.remove_folders {
                let inside =
                    |path: &BString| path.starts_with(folder) && path.get(folder.len()) == Some(&b'/');
                assert!(!self.entries.keys().any(inside), "{folder} is empty: {self:?}");
                assert!(!self.folders.keys().any(inside), "{folder} has no folders");
                assert!(self.folders.remove(folder).is_some(), "{folder} is there");
                touch(&mut self.folders, folder.as_ref());
            }
            for folder in &plan.make_folders {
                assert!(!self.entries.contains_key(folder), "{folder} is free");
                assert!(self.folders.insert(folder.clone(), now).is_none());
                if !folder.is_empty() {
                    touch(&mut self.folders, folder.as_ref());
                }
            }
            for work in &plan.write {
                let entry = target.entry(work.entry);
                assert!(!self.folders.contains_key(entry.path), "{} is no folder", entry.path);
                touch(&mut self.folders, entry.path);
                self.entries.insert(entry.path.to_owned(), (entry.kind, entry.id, work.mtime));
            }
            for work in &plan.retime {
                self.entries.get_mut(target.entry(work.entry).path).expect("there").2 = work.mtime;
            }
            for entry in target.entries().filter(|entry| entry.kind == Kind::Submodule) {
                assert!(self.folders.contains_key(entry.path), "{} is a folder", entry.path);
                self.entries.insert(entry.path.to_owned(), (entry.kind, entry.id, Mtime::default()));
            }
            for (folder, mtime) in &plan.folders {
                *self.folders.get_mut(folder).expect("there") = *mtime;
            }
        }

        /// What a folder lists: names, and which of them are folders.
        fn listing(&self, folder: &BStr) -> BTreeSet<(BString, bool)> {
            let direct = |path: &&BString| !path.is_empty() && parent(path.as_ref()) == folder;
            let files = self.entries.keys().filter(direct).filter(|path| !self.folders.contains_key(*path));
            let folders = self.folders.keys().filter(direct);
            files.map(|path| (path.clone(), false)).chain(folders.map(|path| (path.clone(), true))).collect()
        }
    }

    /// A tree from (path choice, content choice) pairs; what collides with a folder is left out.
    fn tree(choices: &[(usize, u8, u8)]) -> Listing {
        const PATHS: &[&str] =
            &["a", "a/b", "a/b/c", "a/d", "a-x", "b", "b/x", "b/y", "c", "d/e/f", "d/e/g", "d/h", "z"];
        let mut entries: BTreeMap<BString, (Kind, ObjectId)> = BTreeMap::new();
        for (path, content, kind) in choices {
            let path = BString::from(PATHS[path % PATHS.len()]);
            let kind = [Kind::File, Kind::File, Kind::Executable, Kind::Symlink, Kind::Submodule]
                [*kind as usize % 5];
            let under = |a: &BString, b: &BString| b.starts_with(a) && b.get(a.len()) == Some(&b'/');
            if !entries.keys().any(|other| under(other, &path) || under(&path, other)) {
                let id = ObjectId::from_bytes_or_panic(&[*content; 20]);
                entries.insert(path, (kind, id));
            }
        }
        Listing::of(entries.iter().map(|(path, (kind, id))| Entry {
            path: path.as_ref(),
            kind: *kind,
            id: *id,
            size: 0,
        }))
    }

    fn at(seconds: i64, nanos: u32) -> Mtime {
        Mtime { seconds, nanos }
    }

    fn check(before: &Disk, after: &Disk, target: &Listing) {
        let content = |disk: &Disk| -> Vec<_> {
            disk.entries.iter().map(|(p, (k, i, _))| (p.clone(), *k, *i)).collect()
        };
        let wanted: Vec<_> =
            target.entries().map(|entry| (entry.path.to_owned(), entry.kind, entry.id)).collect();
        assert_eq!(content(after), wanted);
        let folders: BTreeSet<BString> = folders_of(target).into_iter().map(ToOwned::to_owned).collect();
        assert_eq!(after.folders.keys().cloned().collect::<BTreeSet<_>>(), folders);
        for (path, (kind, id, mtime)) in &after.entries {
            match before.entries.get(path) {
                _ if *kind == Kind::Submodule => {}
                Some((k, i, m)) if (k, i) == (kind, id) => assert_eq!(m, mtime, "{path} is the same"),
                Some((k, _, m)) if *k != Kind::Submodule => {
                    assert!(mtime.seconds > m.seconds, "{path} is later by the whole second")
                }
                _ => {}
            }
        }
        for (folder, mtime) in &after.folders {
            let Some(was) = before.folders.get(folder) else { continue };
            if before.listing(folder.as_ref()) == after.listing(folder.as_ref()) {
                assert_eq!(was, mtime, "`{folder}` lists the same");
            } else {
                assert!(mtime > was, "`{folder}` is later");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

        /// Trees one after the other, each built from the one before the last, at times that may stand still or jump back.
        #[test]
        fn times_follow_content_through_any_sequence_of_trees(
            steps in prop::collection::vec(
                (prop::collection::vec((0usize..13, 0u8..3, 0u8..5), 0..10), -2i64..3), 1..8),
        ) {
            let (mut spare, mut current) = (Disk::default(), Disk::default());
            let mut clock = at(1_000, 500);
            for (choices, step) in steps {
                let target = tree(&choices);
                let plan = plan(spare.seen(), current.seen(), &target, clock);
                let mut next = spare.clone();
                next.apply(&plan, &target, clock);
                check(&current, &next, &target);
                spare = std::mem::replace(&mut current, next);
                clock.seconds += step;
            }
        }
    }

    #[test]
    fn one_changed_file_is_one_write() {
        let mut first = Disk::default();
        let target = tree(&[(1, 0, 0), (3, 0, 0), (5, 0, 0), (9, 0, 0)]);
        let plan_one = plan(OnDisk::default(), OnDisk::default(), &target, at(10, 0));
        first.apply(&plan_one, &target, at(10, 0));
        let second = first.clone();
        let changed = tree(&[(1, 0, 0), (3, 1, 0), (5, 0, 0), (9, 0, 0)]);
        let plan_two = plan(first.seen(), second.seen(), &changed, at(20, 0));
        assert_eq!(plan_two.write.len(), 1);
        assert!(plan_two.retime.is_empty() && plan_two.remove.is_empty() && plan_two.make_folders.is_empty());
        assert_eq!(
            plan_two.folders,
            vec![("a".into(), at(10, 0))],
            "the rename touched it, its listing is the same"
        );
    }

    #[test]
    fn what_the_disk_disagrees_about_is_written_with_its_old_time() {
        let mut disk = Disk::default();
        let target = tree(&[(0, 0, 0), (5, 0, 0)]);
        disk.apply(&plan(OnDisk::default(), OnDisk::default(), &target, at(10, 0)), &target, at(10, 0));
        let mut damaged = disk.seen();
        let first = damaged.entries.next().map(|known| Known { intact: false, ..known });
        damaged.entries = Box::new(first.into_iter().chain(damaged.entries));
        let plan = plan(damaged, disk.seen(), &target, at(20, 0));
        assert_eq!(plan.write, vec![Work { entry: 0, mtime: at(10, 0), same: true }]);
    }
}
