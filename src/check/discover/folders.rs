//! The folders of a snapshot, and where its links lead, as the kernel would say.

use std::cell::RefCell;
use std::collections::HashMap;

use gix::bstr::{BStr, BString, ByteSlice as _};

use crate::check::Snapshot;
use crate::check::snapshot::{Kind, Unreadable};

/// How many links the kernel follows in one path (`MAXSYMLINKS`).
const MOST_LINKS: u32 = 40;

/// Index of a folder in [`Folders`].
pub(super) type FolderId = usize;

/// Where the top of the revision is.
const TOP: FolderId = 0;

/// What a path leads to in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Folder(FolderId),
    /// The index of its entry.
    File(usize),
    /// Nothing is there, or it is outside, or the links never end. Python says "neither a folder nor a file".
    Nothing,
}

/// What is at a name: a target, or a link to be followed, by the index of its entry.
#[derive(Debug, Clone, Copy)]
enum Slot {
    Real(Target),
    Link(usize),
}

/// A name of a folder, followed to its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Child<'s> {
    pub name: &'s BStr,
    pub target: Target,
    /// The entry of the link that it is, if it is one.
    pub link: Option<usize>,
    /// How many links were followed, all told.
    pub links: u32,
}

#[derive(Debug)]
struct Folder<'s> {
    path: &'s BStr,
    parent: FolderId,
    /// Ordered by name.
    children: Vec<(&'s BStr, Slot)>,
}

/// Folders, links and files of a snapshot.
pub(super) struct Folders<'s> {
    snapshot: &'s dyn Snapshot,
    folders: Vec<Folder<'s>>,
    /// Where each link leads that somebody asked for, and how many links that takes.
    followed: RefCell<HashMap<usize, (Target, u32)>>,
    /// Why a link could not be read, if one could not.
    failed: RefCell<Option<Unreadable>>,
}

impl<'s> Folders<'s> {
    /// Of a snapshot. Git orders its paths so that all of a folder comes in one run; one pass is enough.
    pub fn of(snapshot: &'s dyn Snapshot) -> Folders<'s> {
        let mut folders = vec![Folder { path: BStr::new(""), parent: TOP, children: Vec::new() }];
        let mut open: Vec<FolderId> = vec![TOP];
        for (index, entry) in (0..snapshot.len()).map(|index| (index, snapshot.entry(index))) {
            let path = entry.path;
            // Close what this path is not in.
            while let Some(&last) = open.last() {
                if last == TOP || is_below(path, folders[last].path) {
                    break;
                }
                open.pop();
            }
            let mut parent = open.last().copied().unwrap_or(TOP);
            let mut start = if parent == TOP { 0 } else { folders[parent].path.len() + 1 };
            while let Some(slash) = path[start..].find_byte(b'/') {
                let (name, whole) = (&path[start..start + slash], &path[..start + slash]);
                let id = folders.len();
                folders.push(Folder { path: whole.as_bstr(), parent, children: Vec::new() });
                folders[parent].children.push((name.as_bstr(), Slot::Real(Target::Folder(id))));
                open.push(id);
                (parent, start) = (id, start + slash + 1);
            }
            let slot = match entry.kind {
                Kind::File => Slot::Real(Target::File(index)),
                Kind::Link => Slot::Link(index),
                Kind::Submodule => {
                    folders.push(Folder { path, parent, children: Vec::new() });
                    Slot::Real(Target::Folder(folders.len() - 1))
                }
            };
            folders[parent].children.push((path[start..].as_bstr(), slot));
        }
        for folder in &mut folders {
            folder.children.sort_by_key(|(name, _)| *name);
        }
        Folders { snapshot, folders, followed: RefCell::default(), failed: RefCell::default() }
    }

    /// Where the DAGs folder of the snapshot really is, if it is there, and how many links lead to it.
    pub fn dags(&self) -> Option<(FolderId, u32)> {
        let ahead = self.snapshot.folder().split(|byte| *byte == b'/').rev().map(BString::from).collect();
        match self.lead(TOP, None, ahead) {
            (Target::Folder(folder), links) => Some((folder, links)),
            _ => None,
        }
    }

    /// The real path of a folder, below the top.
    pub fn path(&self, folder: FolderId) -> &'s BStr {
        self.folders[folder].path
    }

    /// What is in a folder, by name, when the way to it took so many links.
    pub fn children(&self, folder: FolderId, links: u32) -> impl Iterator<Item = Child<'s>> {
        self.folders[folder].children.iter().map(move |(name, slot)| self.child(folder, name, *slot, links))
    }

    /// What has this name in a folder.
    pub fn named(&self, folder: FolderId, name: &BStr, links: u32) -> Option<Child<'s>> {
        let children = &self.folders[folder].children;
        let at = children.binary_search_by_key(&name, |(name, _)| name).ok()?;
        Some(self.child(folder, children[at].0, children[at].1, links))
    }

    /// Whether every link that was followed could be read.
    pub fn into_result(self) -> Result<(), Unreadable> {
        self.failed.into_inner().map_or(Ok(()), Err)
    }

    fn child(&self, folder: FolderId, name: &'s BStr, slot: Slot, links: u32) -> Child<'s> {
        match slot {
            Slot::Real(target) => Child { name, target, link: None, links },
            Slot::Link(entry) => {
                let (target, more) = self.follow(folder, entry);
                let links = links + more;
                let target = if links > MOST_LINKS { Target::Nothing } else { target };
                Child { name, target, link: Some(entry), links }
            }
        }
    }

    fn follow(&self, folder: FolderId, link: usize) -> (Target, u32) {
        if let Some(known) = self.followed.borrow().get(&link) {
            return *known;
        }
        let found = self.lead(folder, Some(link), Vec::new());
        self.followed.borrow_mut().insert(link, found);
        found
    }

    /// Component by component: `..` is the parent of where one really is, not of what the text says.
    fn lead(&self, folder: FolderId, mut next: Option<usize>, mut ahead: Vec<BString>) -> (Target, u32) {
        let mut at = Target::Folder(folder);
        let mut links = 0;
        loop {
            if let Some(link) = next.take() {
                links += 1;
                if links > MOST_LINKS {
                    return (Target::Nothing, links);
                }
                let text = self.target_of(link);
                if text.is_empty() || text[0] == b'/' || text.contains(&0) {
                    return (Target::Nothing, links);
                }
                ahead.extend(text.split(|byte| *byte == b'/').rev().map(BString::from));
            }
            let Some(part) = ahead.pop() else { return (at, links) };
            let Target::Folder(here) = at else { return (Target::Nothing, links) };
            match part.as_slice() {
                b"" | b"." => {}
                b".." if here == TOP => return (Target::Nothing, links),
                b".." => at = Target::Folder(self.folders[here].parent),
                name => {
                    let children = &self.folders[here].children;
                    let Ok(found) = children.binary_search_by_key(&name.as_bstr(), |(name, _)| name) else {
                        return (Target::Nothing, links);
                    };
                    match children[found].1 {
                        Slot::Real(target) => at = target,
                        Slot::Link(link) => next = Some(link),
                    }
                }
            }
        }
    }

    fn target_of(&self, link: usize) -> Vec<u8> {
        self.snapshot.read(link).unwrap_or_else(|failed| {
            *self.failed.borrow_mut() = Some(failed);
            Vec::new()
        })
    }
}

fn is_below(path: &BStr, folder: &BStr) -> bool {
    path.strip_prefix(folder.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::snapshot::InMemory;

    fn world(files: &[&str], links: &[(&str, &str)]) -> InMemory {
        let files = files.iter().map(|path| (*path, Kind::File, ""));
        InMemory::new(files.chain(links.iter().map(|(path, to)| (*path, Kind::Link, *to))))
    }

    /// What a path of one or two names leads to: a real path, or `-`.
    fn leads(snapshot: &InMemory, path: &str) -> String {
        let folders = Folders::of(snapshot);
        let mut at = Target::Folder(TOP);
        for name in path.split('/') {
            let Target::Folder(folder) = at else { return "-".into() };
            let Some(child) = folders.named(folder, name.into(), 0) else { return "-".into() };
            at = child.target;
        }
        match at {
            Target::Folder(folder) => format!("{}/", folders.path(folder)),
            Target::File(entry) => snapshot.entry(entry).path.to_string(),
            Target::Nothing => "-".into(),
        }
    }

    #[test]
    fn names_between_a_folder_and_its_files_do_not_split_it() {
        let snapshot = world(&["a-b", "a/b", "a/c/d", "a/c0", "a0"], &[]);
        let folders = Folders::of(&snapshot);
        let names: Vec<_> = folders.children(TOP, 0).map(|child| child.name.to_string()).collect();
        assert_eq!(names, ["a", "a-b", "a0"]);
        assert_eq!(folders.folders.len(), 3);
        assert_eq!(leads(&snapshot, "a/c"), "a/c/");
    }

    #[test]
    fn links_are_followed_as_the_kernel_follows_them() {
        let snapshot = world(
            &["a/b/f.py", "a/x.py", "z.py"],
            &[
                ("to_b", "a/b"),
                ("up", "to_b/../x.py"),
                ("by_text", "to_b/../z.py"),
                ("slash", "a//./b/"),
                ("file_slash", "z.py/"),
                ("file_dot", "z.py/."),
                ("outside", "../elsewhere"),
                ("there_and_back", "../top/z.py"),
                ("absolute", "/z.py"),
                ("self", "self"),
                ("ping", "pong"),
                ("pong", "ping"),
                ("a/top", ".."),
                ("dangling", "nothing"),
            ],
        );
        for (path, real) in [
            ("to_b", "a/b/"),
            ("up", "a/x.py"),
            ("by_text", "-"),
            ("slash", "a/b/"),
            ("file_slash", "-"),
            ("file_dot", "-"),
            ("outside", "-"),
            ("there_and_back", "-"),
            ("absolute", "-"),
            ("self", "-"),
            ("ping", "-"),
            ("dangling", "-"),
            ("a/top", "/"),
        ] {
            assert_eq!(leads(&snapshot, path), real, "{path}");
        }
    }

    #[test]
    fn the_forty_first_link_is_one_too_many() {
        let chain = |length: usize| {
            let names: Vec<_> = (0..length).map(|n| format!("l{n}")).collect();
            let targets = (1..length).map(|n| format!("l{n}")).chain(["f".to_owned()]);
            let links: Vec<_> = names.iter().cloned().zip(targets).collect();
            let links: Vec<_> = links.iter().map(|(path, to)| (path.as_str(), to.as_str())).collect();
            leads(&world(&["f"], &links), "l0")
        };
        assert_eq!((chain(40), chain(41)), ("f".to_owned(), "-".to_owned()));
    }
}
