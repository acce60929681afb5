//! Bounds: what a few objects can blow up to, and what happens when one is missing. See `hostile_trees.rs`.

mod objects;

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use dagsync::config::Limits;
use dagsync::tree::{Bound, Error, Policy, walk};
use gix::ObjectId;
use objects::{DIR, FILE, LINK, Objects};

fn bound(o: &Objects, root: ObjectId, limits: &Limits) -> Option<Bound> {
    match o.walk_with(root, limits, &Policy::default()) {
        Ok(_) => None,
        Err(Error::TooMuch { bound, .. }) => Some(bound),
        Err(other) => panic!("{other}"),
    }
}

/// CVE-2023-40584 and git's own "tree bomb": 10 levels of 10 shared trees are 10^10 files from 11 objects.
#[test]
fn tree_bomb_is_stopped_by_limits() {
    for leaf in ["file", "nothing"] {
        let mut o = Objects::default();
        let blob = o.blob("x");
        let names: Vec<_> = (0..10).map(|n| format!("d{n}")).collect();
        let files: Vec<_> = names.iter().map(|n| (FILE, n.as_str(), blob)).collect();
        let mut tree = o.tree(if leaf == "file" { &files } else { &[] });
        for _ in 0..10 {
            let level: Vec<_> = names.iter().map(|n| (DIR, n.as_str(), tree)).collect();
            tree = o.tree(&level);
        }
        let started = Instant::now();
        let limits = Limits { entries: 100_000, ..Limits::default() };
        assert!(matches!(bound(&o, tree, &limits), Some(Bound::Entries | Bound::Folders)));
        assert!(started.elapsed() < Duration::from_secs(10), "{leaf}: {:?}", started.elapsed());
    }
    // Names: one over what a file system holds.
    let mut o = Objects::default();
    let blob = o.blob("x");
    for (len, expected) in [(255, None), (256, Some(Bound::Name))] {
        let root = o.tree(&[(FILE, "n".repeat(len), blob)]);
        assert_eq!(bound(&o, root, &Limits::default()), expected);
    }
    // Paths: 16 folders of 255 bytes and a file.
    let mut root = o.tree(&[(FILE, "f", blob)]);
    for _ in 0..16 {
        root = o.tree(&[(DIR, "n".repeat(255), root)]);
    }
    assert_eq!(bound(&o, root, &Limits::default()), Some(Bound::Path));
    // Few objects, long paths, many entries: the list itself is the bomb.
    let files: Vec<_> = (0..1000).map(|n| (FILE, format!("f{n:03}"), blob)).collect();
    let files: Vec<_> = files.iter().map(|(m, n, id)| (*m, n.as_str(), *id)).collect();
    let mut root = o.tree(&files);
    for _ in 0..10 {
        root = o.tree(&[(DIR, "n".repeat(255), root)]);
    }
    assert_eq!(bound(&o, root, &Limits { entries: 2000, ..Limits::default() }), Some(Bound::PathBytes));
    // Bytes: one blob of 1 GiB, a hundred times.
    let giant = o.blob_of(1 << 30);
    let names: Vec<_> = (0..100).map(|n| format!("f{n:02}")).collect();
    let files: Vec<_> = names.iter().map(|n| (FILE, n.as_str(), giant)).collect();
    let root = o.tree(&files);
    assert_eq!(bound(&o, root, &Limits::default()), Some(Bound::Bytes));
}

/// CVE-2022-31016.
#[test]
fn single_blob_limit() {
    let mut o = Objects::default();
    let limits = Limits { blob_bytes: 1000, ..Limits::default() };
    for (size, expected) in [(1000, None), (1001, Some(Bound::BlobBytes)), (u64::MAX, Some(Bound::BlobBytes))]
    {
        let blob = o.blob_of(size);
        let root = o.tree(&[(FILE, "dags.csv", blob)]);
        assert_eq!(bound(&o, root, &limits), expected);
    }
    // No blob is read for it, whatever it says.
    let blob = o.blob_of(u64::MAX);
    let root = o.tree(&[(FILE, "dags.csv", blob)]);
    o.reads.set(0);
    bound(&o, root, &limits);
    assert_eq!(o.reads.get(), 1);
}

/// gix 0.90 takes 10 GB for this one.
#[test]
fn a_hundred_thousand_nested_folders_are_stopped_by_the_depth() {
    let mut o = Objects::default();
    let blob = o.blob("x");
    let mut root = o.tree(&[(FILE, "f", blob)]);
    let mut depths = vec![root];
    for _ in 0..100_000 {
        root = o.tree(&[(DIR, "d", root)]);
        depths.push(root);
    }
    o.reads.set(0);
    assert_eq!(bound(&o, root, &Limits::default()), Some(Bound::Depth));
    assert!(o.reads.get() < 200, "{}", o.reads.get());
    // Exactly the limit is allowed.
    assert_eq!(bound(&o, depths[128], &Limits::default()), None);
    assert_eq!(bound(&o, depths[129], &Limits::default()), Some(Bound::Depth));
    // With no limit the length of the path ends it, still without recursion.
    let endless = Limits { depth: u32::MAX, ..Limits::default() };
    assert_eq!(bound(&o, root, &endless), Some(Bound::Path));
}

/// A tree object that says it is larger than all entries that may be left is not even loaded.
#[test]
fn a_giant_tree_object_is_not_loaded() {
    let mut o = Objects::default();
    let blob = o.blob("x");
    let files: Vec<_> = (0..50_000).map(|n| (FILE, format!("f{n:05}"), blob)).collect();
    let files: Vec<_> = files.iter().map(|(m, n, id)| (*m, n.as_str(), *id)).collect();
    let root = o.tree(&files);
    o.reads.set(0);
    assert_eq!(bound(&o, root, &Limits { entries: 1000, ..Limits::default() }), Some(Bound::Entries));
    assert_eq!(o.reads.get(), 0);
}

#[test]
fn a_missing_object_is_an_error_that_fetching_can_mend() {
    use dagsync::error::{Advice, Remedy};
    let mut full = Objects::default();
    let blob = full.blob("x");
    let folder = full.tree(&[(FILE, "f", blob)]);
    let link = full.blob("d/f");
    let root = full.tree(&[(DIR, "d", folder), (LINK, "l", link)]);
    full.walk(root).unwrap();
    // A store that lost one of them; the link is looked for by its header and by its content.
    for lost in [blob, folder, link, root] {
        let mut o = Objects::default();
        for (id, make) in [(blob, "x"), (link, "d/f")] {
            if id != lost {
                o.blob(make);
            }
        }
        if lost != folder {
            o.tree(&[(FILE, "f", blob)]);
        }
        if lost != root {
            o.tree(&[(DIR, "d", folder), (LINK, "l", link)]);
        }
        let error = o.walk(root).unwrap_err();
        assert!(matches!(error, Error::Missing { id } if id == lost), "{error}");
        assert_eq!(error.remedy(), Remedy::Retry { after: None });
    }
}

#[test]
fn a_walk_can_be_interrupted() {
    let mut o = Objects::default();
    let blob = o.blob("x");
    let root = o.tree(&[(FILE, "f", blob)]);
    let stop = AtomicBool::new(true);
    let error = walk(&o, &root, &Limits::default(), &Policy::default(), &stop).unwrap_err();
    assert!(matches!(error, Error::Interrupted));
}

#[test]
fn entries_come_in_the_order_of_the_index() {
    let mut o = Objects::default();
    let file = |path: &str| (FILE, path.to_owned(), path.to_owned());
    let root = o.tree_of(&[
        file("a"),
        file("a-/x"),
        file("a.b"),
        file("ab/c"),
        file("b/c/d"),
        file("b/c.d"),
        file("b/.gitattributes"),
        file("a0"),
        file("b-"),
        file("b0"),
    ]);
    let listing = o.walk(root).unwrap();
    let paths: Vec<_> = listing.paths().map(ToOwned::to_owned).collect();
    let mut sorted = paths.clone();
    sorted.sort();
    assert_eq!(paths, sorted);
    assert!(listing.has_attributes());
    for path in &paths {
        assert_eq!(listing.find(path.as_ref()).unwrap().path, path);
    }
    assert!(listing.find("b".into()).is_none());
}
