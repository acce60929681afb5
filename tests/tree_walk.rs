//! A walk that takes over what is the same as before finds what a whole walk finds.

mod objects;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use dagsync::config::Limits;
use dagsync::tree::index::{Index, Writer};
use dagsync::tree::{Earlier, Error, Kind, Listing, Policy, walk_after};
use gix::ObjectId;
use gix::index::entry::{Mode, Stat};
use objects::{FILE, LINK, Objects};
use proptest::prelude::*;

/// The manifest of a tree, as the builder writes it.
fn manifest(listing: &Listing) -> Index {
    let hash = gix::hash::Kind::Sha1;
    let mut index = Writer::new(Vec::new(), listing.len(), hash).unwrap();
    for entry in listing.entries() {
        let mode = match entry.kind {
            Kind::File => Mode::FILE,
            Kind::Executable => Mode::FILE_EXECUTABLE,
            Kind::Symlink => Mode::SYMLINK,
            Kind::Submodule => Mode::COMMIT,
        };
        let stat = Stat { size: entry.size.try_into().unwrap(), ..Stat::default() };
        index.put(entry.path, &entry.id, mode, &stat).unwrap();
    }
    Index::of_bytes(&index.finish().unwrap().0, hash).unwrap()
}

/// Walks `after` with the help of `before`.
fn quick(o: &Objects, before: ObjectId, after: ObjectId, limits: &Limits) -> Result<Listing, Error> {
    let manifest = manifest(&o.walk(before).unwrap());
    let earlier = Some(Earlier { root: &before, manifest: &manifest });
    walk_after(earlier, o, &after, limits, &Policy::default(), &AtomicBool::new(false))
}

type Files = BTreeMap<String, (&'static str, String)>;

fn tree(o: &mut Objects, files: &Files) -> ObjectId {
    let all: Vec<_> = files.iter().map(|(path, (mode, text))| (*mode, path.clone(), text.clone())).collect();
    o.tree_of(&all)
}

/// Few names, so that neighbours like `a`, `a-b`, `a.b` and `a/b`, and a file that becomes a folder, are common.
fn paths() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "a-", "a.b", "a0", "b", "z"]);
    prop::collection::vec(name, 1..4).prop_map(|names| names.join("/"))
}

fn changes() -> impl Strategy<Value = Vec<(String, Option<(bool, u8)>)>> {
    prop::collection::vec((paths(), prop::option::of((any::<bool>(), 0..9_u8))), 0..30)
}

/// Puts in or takes out; what is in the way goes.
fn apply(files: &mut Files, changes: &[(String, Option<(bool, u8)>)]) {
    for (path, what) in changes {
        let below = format!("{path}/");
        files.retain(|other, _| {
            other != path && !other.starts_with(&below) && !path.starts_with(&format!("{other}/"))
        });
        if let Some((link, text)) = what {
            let mode = if *link { LINK } else { FILE };
            files.insert(path.clone(), (mode, "x".repeat(usize::from(*text) + 1)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_is_taken_over_is_what_would_be_found(first in changes(), second in changes(), most in 1..40_u64) {
        let mut o = Objects::default();
        let mut files = Files::new();
        apply(&mut files, &first);
        let before = tree(&mut o, &files);
        // Links to `x…` are inside the tree, so the first tree always passes.
        prop_assume!(o.walk(before).is_ok());
        apply(&mut files, &second);
        let after = tree(&mut o, &files);
        let whole = o.walk(after);
        let quick_one = quick(&o, before, after, &Limits::default());
        prop_assert_eq!(quick_one.map_err(|err| err.to_string()), whole.map_err(|err| err.to_string()));
        // Bounds are the same, whichever is reached.
        for limits in [
            Limits { entries: most, ..Limits::default() },
            Limits { bytes: most, ..Limits::default() },
            Limits { blob_bytes: most / 4, ..Limits::default() },
        ] {
            let whole = o.walk_with(after, &limits, &Policy::default());
            prop_assert_eq!(quick(&o, before, after, &limits).is_ok(), whole.is_ok(), "{:?}", limits);
        }
    }
}

#[test]
fn only_the_folders_on_the_way_to_a_change_are_read() {
    let mut o = Objects::default();
    let mut files = Files::new();
    for folder in 0..50 {
        for file in 0..50 {
            files.insert(format!("d{folder:02}/f{file:02}"), (FILE, format!("{folder} {file}")));
        }
    }
    let before = tree(&mut o, &files);
    files.insert("d07/f03".into(), (FILE, "changed".into()));
    let after = tree(&mut o, &files);
    let whole = o.walk(after).unwrap();
    let manifest = manifest(&o.walk(before).unwrap());
    o.reads.set(0);
    let earlier = Some(Earlier { root: &before, manifest: &manifest });
    let go = AtomicBool::new(false);
    let quick = walk_after(earlier, &o, &after, &Limits::default(), &Policy::default(), &go).unwrap();
    assert_eq!(quick, whole);
    assert_eq!(o.reads.get(), 4, "two folders of each tree: the top, and the one that changed");
}

#[test]
fn an_earlier_tree_whose_objects_are_gone_helps_with_sizes_only() {
    let mut o = Objects::default();
    let mut files = Files::from([("a/b".to_owned(), (FILE, "1".to_owned()))]);
    files.insert("c".into(), (FILE, "22".into()));
    let before = tree(&mut o, &files);
    let manifest = manifest(&o.walk(before).unwrap());
    let mut later = Objects::default();
    files.insert("d".into(), (FILE, "333".into()));
    let after = tree(&mut later, &files);
    let earlier = Some(Earlier { root: &before, manifest: &manifest });
    let go = AtomicBool::new(false);
    let quick = walk_after(earlier, &later, &after, &Limits::default(), &Policy::default(), &go).unwrap();
    assert_eq!(quick, later.walk(after).unwrap());
}
