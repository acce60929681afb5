//! Trees that somebody made to leave the directory, to fill the machine, or to be read differently by two programs.
//! One test for each lesson; the names are those of the advisory list, the ids are on the builders.

mod objects;

use dagsync::config::{Limits, Symlinks};
use dagsync::tree::{Bound, Error, Kind, LinkProblem, NameProblem, Policy};
use gix::ObjectId;
use objects::{DIR, FILE, LINK, Objects};

/// Shared volumes that fold case.
const FOLDS: Policy = Policy { symlinks: Symlinks::Inside, case_insensitive: true };
/// git's own rule for links.
const ANY: Policy = Policy { symlinks: Symlinks::Any, case_insensitive: false };

/// A tree with one file of this name, at the top and three folders down.
fn named(name: &[u8]) -> [(Objects, ObjectId); 2] {
    [false, true].map(|deep| {
        let mut o = Objects::default();
        let blob = o.blob("x");
        let mut root = o.tree(&[(FILE, name, blob)]);
        for folder in ["c", "b", "a"].into_iter().filter(|_| deep) {
            root = o.tree(&[(DIR, folder, root)]);
        }
        (o, root)
    })
}

fn name_problem(name: &[u8]) -> NameProblem {
    let [top, deep] = named(name).map(|(o, root)| match o.walk(root) {
        Err(Error::Name { problem, path }) => {
            assert!(path.ends_with(name), "{path}");
            problem
        }
        other => panic!("{name:?}: {other:?}"),
    });
    assert_eq!(top, deep);
    top
}

fn link_problem(o: &Objects, root: ObjectId) -> Option<LinkProblem> {
    match o.walk(root) {
        Ok(_) => None,
        Err(Error::Link { problem, .. }) => Some(problem),
        Err(other) => panic!("{other}"),
    }
}

fn links(links: &[(&str, &str)]) -> (Objects, ObjectId) {
    let mut o = Objects::default();
    let files: Vec<_> = links.iter().map(|(path, target)| (LINK, (*path).into(), (*target).into())).collect();
    let root = o.tree_of(&files);
    (o, root)
}

fn malformed(o: &Objects, root: ObjectId) -> &'static str {
    match o.walk(root) {
        Err(Error::Malformed { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

/// CVE-2024-35186: entries `..`, `.`, absolute, with slashes.
#[test]
fn tree_with_dotdot_entry_is_rejected() {
    assert_eq!(name_problem(b".."), NameProblem::Relative);
    assert_eq!(name_problem(b"."), NameProblem::Relative);
    assert_eq!(name_problem(b"..\\..\\etc"), NameProblem::Relative);
    for name in ["/etc/passwd", "../x", "a/b", "x/../../y", "/"] {
        assert_eq!(name_problem(name.as_bytes()), NameProblem::Separator);
    }
    assert_eq!(name_problem(b""), NameProblem::Empty);
    // As a folder, too.
    let mut o = Objects::default();
    let blob = o.blob("x");
    let inner = o.tree(&[(FILE, "x", blob)]);
    let root = o.tree(&[(DIR, "..", inner)]);
    assert!(matches!(o.walk(root), Err(Error::Name { problem: NameProblem::Relative, .. })));
}

/// CVE-2024-35186: `.git` as a component.
#[test]
fn tree_with_dot_git_component_is_rejected() {
    let mut o = Objects::default();
    let blob = o.blob("#!/bin/sh\n");
    let hooks = o.tree(&[("100755", "post-checkout", blob)]);
    let git = o.tree(&[(DIR, "hooks", hooks)]);
    for name in [".git", ".GIT", "git~1"] {
        let top = o.tree(&[(DIR, name, git)]);
        let below = o.tree(&[(DIR, "sub", top)]);
        for root in [top, below] {
            assert!(matches!(o.walk(root), Err(Error::Name { problem: NameProblem::DotGit, .. })), "{name}");
        }
    }
    // A submodule or a link of that name is no better (GHSA-crhj-59gh-8x96).
    for mode in ["160000", LINK] {
        let root = o.tree(&[(mode, ".git", blob)]);
        assert!(matches!(o.walk(root), Err(Error::Name { problem: NameProblem::DotGit, .. })), "{mode}");
    }
}

/// GHSA-crhj-59gh-8x96: the only `.git` in a tree is the one we write.
#[test]
fn tree_entry_named_dot_git_is_refused_in_any_spelling() {
    for name in [
        ".git",
        ".GiT",
        ".gIT",
        "GIT~1",
        "git~1",
        ".git.",
        ".git ",
        ".git . .",
        ".git::$INDEX_ALLOCATION",
        ".git:stream",
        ".g\u{200c}it",
        "\u{feff}.git",
        ".gi\u{202e}t",
        ".git\\hooks",
        "a\\.git\\b",
    ] {
        assert_eq!(name_problem(name.as_bytes()), NameProblem::DotGit);
    }
}

/// CVE-2025-48384: a CR at the end of a path that two programs read differently.
#[test]
fn control_characters_in_paths_are_refused() {
    for name in [&b"x\r"[..], b"a\nb", b"\x1b[31mred", b"\x07", b"tab\there", b"del\x7f", b"\x01"] {
        assert_eq!(name_problem(name), NameProblem::Control);
    }
    // A NUL ends the name in the format itself: what is left of it is no object id.
    let [(o, root), _] = named(b"a\0b");
    malformed(&o, root);
    let error = named(b"x\x1b[2J\r").map(|(o, root)| o.walk(root).unwrap_err().to_string());
    assert!(error.iter().all(|e| !e.contains(char::is_control)), "{error:?}");
}

/// GHSA-pg4w-g64p-qwhj: `.gitmodules` is a symlink. Refused, as by git: nothing ever reads what it points to.
#[test]
fn gitmodules_symlink_is_ignored() {
    let (o, root) = links(&[(".gitmodules", "dags/x")]);
    assert!(matches!(o.walk(root), Err(Error::Name { problem: NameProblem::LinkedGitmodules, .. })));
    assert!(matches!(
        o.walk_with(root, &Limits::default(), &ANY),
        Err(Error::Name { problem: NameProblem::LinkedGitmodules, .. })
    ));
}

/// GHSA-49jc-r788-3fc9: device names. Files like any other on Linux; refused where the volume is a Windows share.
#[test]
fn windows_device_names_are_refused_where_case_folds() {
    for name in ["aux.py", "CON", "nul", "com1.sql", "a:b", "x."] {
        let [(o, root), _] = named(name.as_bytes());
        o.walk(root).unwrap();
        let refused = o.walk_with(root, &Limits::default(), &FOLDS);
        assert!(matches!(refused, Err(Error::Name { problem: NameProblem::Windows, .. })), "{name}");
    }
}

/// CVE-2024-32002: `A/modules/x` and a link `a`.
#[test]
fn case_colliding_entries_are_refused() {
    let mut o = Objects::default();
    let file = |path: &str| (FILE, path.to_owned(), "x".to_owned());
    let root = o.tree_of(&[file("A/modules/x/hooks/post-checkout"), (LINK, "a".into(), "dags".into())]);
    for policy in [Policy::default(), FOLDS, ANY] {
        let refused = o.walk_with(root, &Limits::default(), &policy);
        assert!(matches!(refused, Err(Error::Collision { symlink: true, .. })));
    }
    let nested = o.tree_of(&[file("D/Sub/hook"), (LINK, "d/sub".into(), "../x".into())]);
    assert!(matches!(o.walk(nested), Err(Error::Collision { symlink: true, .. })));
    // Without a link it is a matter of the volume.
    let files = o.tree_of(&[file("README.md"), file("readme.md"), file("dags/a.py")]);
    o.walk(files).unwrap();
    let refused = o.walk_with(files, &Limits::default(), &FOLDS);
    assert!(matches!(refused, Err(Error::Collision { symlink: false, .. })));
}

/// GHSA-f89h-2fjh-2r9q (CVE-2026-44471): the link `a`, then `a/b` written through it.
#[test]
fn duplicate_symlink_then_dir_entry_does_not_escape() {
    let mut o = Objects::default();
    let (link, blob) = (o.blob("/tmp"), o.blob("x"));
    let folder = o.tree(&[(FILE, "b", blob)]);
    for entries in [
        &[(LINK, "a", link), (DIR, "a", folder)][..],
        &[(LINK, "a", link), (FILE, "a.b", blob), (DIR, "a", folder)],
        &[
            (LINK, "a", link),
            (FILE, "a-", blob),
            (FILE, "a-x", blob),
            (FILE, "a.b", blob),
            (DIR, "a", folder),
        ],
        &[(DIR, "a", folder), (LINK, "a", link)],
        &[(LINK, "a", link), (FILE, "a", blob)],
        &[(FILE, "a", blob), (FILE, "a", blob)],
        &[(DIR, "a", folder), (DIR, "a", folder)],
    ] {
        let root = o.tree(entries);
        malformed(&o, root);
    }
    // Neighbours that only look alike.
    let root = o.tree(&[(FILE, "a", blob), (FILE, "a.b", blob), (DIR, "a.c", folder), (DIR, "ab", folder)]);
    assert_eq!(o.walk(root).unwrap().entries().len(), 4);
}

#[test]
fn malformed_trees_are_refused() {
    let mut o = Objects::default();
    let blob = o.blob("x");
    let folder = o.tree(&[(FILE, "b", blob)]);
    let unsorted = o.tree(&[(FILE, "b", blob), (FILE, "a", blob)]);
    assert_eq!(malformed(&o, unsorted), "names out of order");
    // `a` the folder sorts as `a/`, behind `a.b`.
    let unsorted = o.tree(&[(DIR, "a", folder), (FILE, "a.b", blob)]);
    assert_eq!(malformed(&o, unsorted), "names out of order");
    for mode in
        ["0", "000000", "10644", "20000", "60644", "140777", "100", "777777", "140000", "1100644", "0100644"]
    {
        let root = o.tree(&[(mode, "a", blob)]);
        assert_eq!(malformed(&o, root), "an entry of unknown mode", "{mode}");
    }
    for bytes in [&b"100644 a"[..], b"100644 a\0short", b"abc", b"100648 a\0aaaaaaaaaaaaaaaaaaaa", b"\0"] {
        let root = o.put(gix::objs::Kind::Tree, bytes.to_vec());
        assert_eq!(malformed(&o, root), "an entry that cannot be read", "{bytes:?}");
    }
    let null = o.tree(&[(FILE, "a", ObjectId::null(gix::hash::Kind::Sha1))]);
    assert_eq!(malformed(&o, null), "an entry without an object");
    for (mode, id) in [(DIR, blob), (FILE, folder), (LINK, folder)] {
        let root = o.tree(&[(mode, "a", id)]);
        assert_eq!(malformed(&o, root), "an object of another kind than the entry says");
    }
}

#[test]
fn unusual_modes_of_old_repositories_are_read_as_git_reads_them() {
    let mut o = Objects::default();
    let blob = o.blob("x");
    let folder = o.tree(&[(FILE, "b", blob)]);
    let root = o.tree(&[
        ("100600", "a", blob),
        ("100664", "b", blob),
        ("100777", "c", blob),
        ("040000", "d", folder),
        ("160000", "e", blob),
    ]);
    let listing = o.walk(root).unwrap();
    let kinds: Vec<_> = listing.entries().map(|e| (e.path.to_string(), e.kind)).collect();
    let expected = [
        ("a", Kind::File),
        ("b", Kind::File),
        ("c", Kind::Executable),
        ("d/b", Kind::File),
        ("e", Kind::Submodule),
    ];
    assert_eq!(kinds, expected.map(|(p, k)| (p.to_owned(), k)));
    assert!(listing.has_submodules());
    assert_eq!(listing.bytes(), 4);
}

/// CVE-2022-24904 and its kin: a committed link to another tenant's files.
#[test]
fn symlink_out_of_tree_is_refused_by_default() {
    for target in ["..", "../x", "a/../../x", "./../x", "../../../../etc/passwd", "b/../..", "x/../../y"] {
        let (o, root) = links(&[("l", target)]);
        assert_eq!(link_problem(&o, root), Some(LinkProblem::Outside), "{target}");
        o.walk_with(root, &Limits::default(), &ANY).unwrap();
    }
    let (o, root) = links(&[("a/b/l", "../../..")]);
    assert_eq!(link_problem(&o, root), Some(LinkProblem::Outside));
    for target in [".", "a/..", "missing", "missing/x", "a//b/", "./a/./b", ".git"] {
        let (o, root) = links(&[("l", target)]);
        assert_eq!(link_problem(&o, root), None, "{target}");
    }
    let (o, root) = links(&[("a/b/l", "../../x")]);
    assert_eq!(link_problem(&o, root), None);
}

/// CVE-2022-31036.
#[test]
fn absolute_symlink_is_refused() {
    for target in ["/", "/etc/passwd", "//x", "/git/root/x"] {
        let (o, root) = links(&[("dags/l", target)]);
        assert_eq!(link_problem(&o, root), Some(LinkProblem::Absolute), "{target}");
        o.walk_with(root, &Limits::default(), &ANY).unwrap();
    }
}

#[test]
fn links_that_no_file_system_can_hold_are_refused_under_any_policy() {
    let long = "x/".repeat(2048);
    for (target, problem) in
        [("", LinkProblem::Empty), ("a\0b", LinkProblem::Nul), (long.as_str(), LinkProblem::TooLong)]
    {
        let (o, root) = links(&[("l", target)]);
        for policy in [Policy::default(), ANY] {
            match o.walk_with(root, &Limits::default(), &policy) {
                Err(Error::Link { problem: p, .. }) => assert_eq!(p, problem),
                other => panic!("{other:?}"),
            }
        }
    }
    let (o, root) = links(&[("l", &long[..4095])]);
    o.walk_with(root, &Limits::default(), &ANY).unwrap();
}

/// By reading Argo CD's `LsFiles`: `HasPrefix("/repo-evil", "/repo")`.
#[test]
fn sibling_dir_with_same_prefix_is_outside() {
    for target in ["../repo-evil/x", "../repo/../repo-evil", "../tree", "../.worktrees/x"] {
        let (o, root) = links(&[("l", target)]);
        assert_eq!(link_problem(&o, root), Some(LinkProblem::Outside), "{target}");
    }
}

/// Composed links: each stays inside by its text, together they leave.
#[test]
fn a_link_through_a_link_is_judged_where_it_really_ends() {
    let (o, root) = links(&[("a/b/c/dir", "../.."), ("a/b/c/link2", "dir/../..")]);
    assert_eq!(link_problem(&o, root), Some(LinkProblem::Outside));
    // The other way round: leaves by its text, stays inside on disk.
    let (o, root) = links(&[("d", "a/b/c"), ("l", "d/../../x")]);
    assert_eq!(link_problem(&o, root), None);
    // A volume that folds case follows `D` where Linux finds nothing.
    let (o, root) = links(&[("d", "."), ("x/l", "../D/../y/..")]);
    assert_eq!(link_problem(&o, root), None);
    assert!(matches!(o.walk_with(root, &Limits::default(), &FOLDS), Err(Error::Link { .. })));
}

/// CVE-2022-24878.
#[test]
fn circular_symlinks_terminate() {
    for circle in [
        &[("a", "a")][..],
        &[("a", "b"), ("b", "a")],
        &[("a", "b/x"), ("b", "c/y"), ("c", "a/z")],
        &[("a", "./a/a/a"), ("b", "a/../..")],
        &[("d/self", "."), ("d/l", "self/self/self/self/x")],
    ] {
        let (o, root) = links(circle);
        assert_eq!(link_problem(&o, root), None, "{circle:?}");
    }
    // 2^60 ways through it.
    let fan: Vec<_> = (0..60).map(|n| (format!("l{n}"), format!("l{}/../l{}", n + 1, n + 1))).collect();
    let fan: Vec<_> = fan.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let (o, root) = links(&fan);
    assert_eq!(link_problem(&o, root), None);
    // A chain far deeper than any stack, that leaves at its very end.
    let mut chain: Vec<_> = (0..100_000).map(|n| (format!("l{n:06}"), format!("l{:06}", n + 1))).collect();
    chain.push(("l100000".into(), "..".into()));
    let chain: Vec<_> = chain.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let (o, root) = links(&chain);
    assert_eq!(link_problem(&o, root), Some(LinkProblem::Outside));
    // Dangling ends that grow with each link.
    let long = "x".repeat(200);
    let grow: Vec<_> = (0..5000).map(|n| (format!("g{n:04}"), format!("g{:04}/{long}", n + 1))).collect();
    let grow: Vec<_> = grow.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let (o, root) = links(&grow);
    assert!(matches!(o.walk(root), Err(Error::TooMuch { bound: Bound::Path, .. })));
}
