//! Our verdict on links against what the kernel does with them.

mod objects;

use std::os::unix::fs::symlink;
use std::path::Path;

use dagsync::config::{Limits, Symlinks};
use dagsync::tree::{Error, LinkProblem, Policy};
use objects::{FILE, LINK, Objects};
use proptest::prelude::*;

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

/// The tree on disk, some folders down, among folders that have the names of its own: whatever leaves finds something.
fn build(base: &Path, links: &[(String, String)]) -> std::path::PathBuf {
    let root = base.join("o1/o2/o3/o4/tree");
    let mut outer = base.to_path_buf();
    for name in ["o1", "o2", "o3", "o4"] {
        outer.push(name);
        for folder in FOLDERS {
            std::fs::create_dir_all(outer.join(folder)).unwrap();
        }
        NAMES.iter().for_each(|name| std::fs::create_dir(outer.join(name)).unwrap());
        std::fs::create_dir(outer.join("tree-evil")).unwrap();
    }
    for folder in FOLDERS {
        std::fs::create_dir_all(root.join(folder)).unwrap();
        std::fs::write(root.join(folder).join("f"), "").unwrap();
    }
    for (path, target) in links {
        symlink(target, root.join(path)).unwrap();
    }
    root.canonicalize().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn composed_symlinks_are_resolved_physically(links in links()) {
        let mut o = Objects::default();
        let mut files: Vec<_> =
            FOLDERS.iter().map(|folder| (FILE, format!("{folder}f"), String::new())).collect();
        files.extend(links.iter().map(|(path, target)| (LINK, path.clone(), target.clone())));
        let root_tree = o.tree_of(&files);
        let disk = tempfile::tempdir().unwrap();
        let root = build(disk.path(), &links);
        match o.walk(root_tree) {
            // Allowed: no link of it leads out, however the kernel goes there.
            Ok(_) => for (path, _) in &links {
                if let Ok(end) = root.join(path).canonicalize() {
                    prop_assert!(end.starts_with(&root), "{path} leads to {}", end.display());
                }
            },
            // Refused: the link that is named does, or would if what it misses were a folder.
            Err(Error::Link { path, problem, .. }) => {
                prop_assert_eq!(problem, LinkProblem::Outside);
                if let Ok(end) = root.join(path.to_string()).canonicalize() {
                    prop_assert!(!end.starts_with(&root), "{path} leads to {}", end.display());
                }
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
        let any = Policy { symlinks: Symlinks::Any, case_insensitive: false };
        prop_assert!(o.walk_with(root_tree, &Limits::default(), &any).is_ok());
    }
}
