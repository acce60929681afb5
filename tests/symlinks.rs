//! Our verdict on links against what the kernel does with them.

mod objects;

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use dagsync::config::{Limits, Symlinks};
use dagsync::tree::{Error, LinkProblem, Policy};
use objects::{FILE, LINK, Objects};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

const FOLDERS: [&str; 5] = ["", "a/", "a/b/", "a/b/c/", "d/"];
const NAMES: [&str; 6] = ["l0", "l1", "l2", "l3", "l4", "l5"];

/// Steps of a target: up as often as down, through real folders, links, a file and nothing.
fn target() -> impl Strategy<Value = String> {
    let step = prop_oneof![
        6 => Just(".."),
        1 => Just("."),
        1 => Just(""),
        1 => Just("f"),
        1 => Just("missing"),
        2 => Just("a"),
        2 => Just("b"),
        2 => Just("c"),
        1 => Just("d"),
        8 => prop::sample::select(&NAMES[..]),
    ];
    prop::collection::vec(step, 1..7)
        .prop_map(|steps| steps.join("/"))
        .prop_filter("relative", |target| !target.is_empty() && !target.starts_with('/'))
}

fn links() -> impl Strategy<Value = Vec<(String, String)>> {
    let place = (prop::sample::select(&FOLDERS[..]), prop::sample::select(&NAMES[..]));
    prop::collection::btree_map(place.prop_map(|(folder, name)| format!("{folder}{name}")), target(), 1..9)
        .prop_map(|map| map.into_iter().collect())
}

/// Folders around the tree that have the names of its own: whatever leaves it finds something there.
fn surroundings(base: &Path) -> PathBuf {
    let mut outer = base.to_path_buf();
    for name in ["o1", "o2", "o3", "o4"] {
        outer.push(name);
        FOLDERS.iter().for_each(|folder| std::fs::create_dir_all(outer.join(folder)).unwrap());
        NAMES.iter().for_each(|name| std::fs::create_dir(outer.join(name)).unwrap());
    }
    std::fs::create_dir(outer.join("tree-evil")).unwrap();
    outer.canonicalize().unwrap()
}

/// The tree on disk.
fn build(root: &Path, links: &[(String, String)]) {
    for folder in FOLDERS {
        std::fs::create_dir_all(root.join(folder)).unwrap();
        std::fs::write(root.join(folder).join("f"), "").unwrap();
    }
    for (path, target) in links {
        symlink(target, root.join(path)).unwrap();
    }
}

fn agree(root: &Path, links: &[(String, String)]) -> Result<(), TestCaseError> {
    let mut o = Objects::default();
    let mut files: Vec<_> =
        FOLDERS.iter().map(|folder| (FILE, format!("{folder}f"), String::new())).collect();
    files.extend(links.iter().map(|(path, target)| (LINK, path.clone(), target.clone())));
    let tree = o.tree_of(&files);
    match o.walk(tree) {
        // Allowed: no link of it leads out, however the kernel goes there.
        Ok(_) => {
            for (path, _) in links {
                if let Ok(end) = root.join(path).canonicalize() {
                    prop_assert!(end.starts_with(root), "{path} leads to {}", end.display());
                }
            }
        }
        // Refused: the link that is named does lead out, or would if what it misses were a folder.
        Err(Error::Link { path, problem, .. }) => {
            prop_assert_eq!(problem, LinkProblem::Outside);
            if let Ok(end) = root.join(path.to_string()).canonicalize() {
                prop_assert!(!end.starts_with(root), "{path} leads to {}", end.display());
            }
        }
        Err(other) => prop_assert!(false, "{other}"),
    }
    let any = Policy { symlinks: Symlinks::Any, case_insensitive: false };
    prop_assert!(o.walk_with(tree, &Limits::default(), &any).is_ok());
    Ok(())
}

#[test]
fn composed_symlinks_are_resolved_physically() {
    let disk = tempfile::tempdir().unwrap();
    let outer = surroundings(disk.path());
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
    let result = TestRunner::new(config).run(&links(), |links| {
        let root = outer.join("tree");
        build(&root, &links);
        let verdict = agree(&root, &links);
        std::fs::remove_dir_all(&root).unwrap();
        verdict
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}
