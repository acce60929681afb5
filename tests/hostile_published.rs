//! Hostile revisions through the whole agent: refused with a clear message, and what is published stays.

mod support;
mod synced;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use support::Entry;
use synced::{Synced, names};

/// A world with something good published; the bad comes after.
fn served() -> Synced {
    let world = Synced::new();
    world.once(&[]);
    world
}

#[track_caller]
fn refused(world: &Synced, args: &[&str], words: &[&str]) {
    let text = world.fails(args);
    for word in words {
        assert!(text.contains(word), "`{word}` in {text}");
    }
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    world.nothing_is_left_over();
}

#[test]
fn symlink_out_of_tree_is_refused_by_default() {
    let world = served();
    world.repo.symlink("dags/out", "../../../etc/passwd");
    let head = world.repo.commit_all("out");
    refused(&world, &[], &["dags/out", "--symlinks"]);
    world.once(&["--symlinks=any"]);
    world.shows(&head);
    assert_eq!(world.git_in_tree(&["status", "--porcelain"]), "");
}

#[test]
fn absolute_symlink_is_refused() {
    let world = served();
    world.repo.symlink("passwd", "/etc/passwd");
    let head = world.repo.commit_all("absolute");
    refused(&world, &[], &["passwd"]);
    world.once(&["--symlinks=any"]);
    world.shows(&head);
}

#[test]
fn tree_entry_named_dot_git_is_refused_in_any_spelling() {
    let world = served();
    let blob = world.repo.blob("gitdir: /tmp/evil\n");
    for name in [".git", ".GIT", ".Git", "git~1", ".git ", ".g\u{200c}it", "..", "."] {
        for sub in [false, true] {
            let bad = world.repo.mktree(&[Entry::file(name, &blob)]);
            let tree = if sub { world.repo.mktree(&[Entry::tree("dags", &bad)]) } else { bad };
            world.repo.publish_tree(&tree);
            refused(&world, &["--ref=main", "--symlinks=any"], &[]);
        }
    }
}

#[test]
fn control_characters_in_paths_are_refused() {
    let world = served();
    let blob = world.repo.blob("x");
    for name in ["a\rb", "a\nb", "\u{1b}[31mred", "tab\there", "bell\u{7}"] {
        let tree = world.repo.mktree(&[Entry::file(name, &blob)]);
        world.repo.publish_tree(&tree);
        refused(&world, &["--ref=main"], &[]);
    }
}

#[test]
fn tree_bomb_is_stopped_by_limits() {
    let world = served();
    let blob = world.repo.blob("x");
    let mut tree = world.repo.mktree(&[Entry::file("x", &blob)]);
    for _ in 0..10 {
        let entries: Vec<_> = (0..10).map(|n| Entry::tree(n.to_string(), &tree)).collect();
        tree = world.repo.mktree(&entries);
    }
    world.repo.publish_tree(&tree);
    refused(&world, &["--ref=main", "--max-entries=20000"], &["--max-entries"]);
    let wide =
        world.repo.mktree(&(0..30).map(|n| Entry::file(format!("f{n:02}"), &blob)).collect::<Vec<_>>());
    world.repo.publish_tree(&wide);
    refused(&world, &["--ref=main", "--max-entries=20"], &["--max-entries"]);
    refused(&world, &["--ref=main", "--max-tree-bytes=10"], &["--max-tree-bytes"]);
    let deep = (0..30).fold(wide, |tree, _| world.repo.mktree(&[Entry::tree("d", &tree)]));
    world.repo.publish_tree(&deep);
    refused(&world, &["--ref=main", "--max-tree-depth=8"], &["--max-tree-depth"]);
    let name = world.repo.mktree(&[Entry::file("n".repeat(300), &blob)]);
    world.repo.publish_tree(&name);
    refused(&world, &["--ref=main"], &[]);
}

#[test]
fn single_blob_limit() {
    let world = served();
    let head = world.repo.commit(&[("big.bin", &"x".repeat(5000))]);
    refused(&world, &["--max-blob-bytes=4999"], &["big.bin", "--max-blob-bytes"]);
    world.once(&["--max-blob-bytes=5000"]);
    world.shows(&head);
}

#[test]
fn a_submodule_is_refused_unless_it_is_not_wanted() {
    let world = served();
    let blob = world.repo.blob("x\n");
    let modules = world.repo.blob("[submodule \"sub\"]\n\tpath = sub\n\turl = ../evil\n");
    let tree = world.repo.mktree(&[
        Entry::file(".gitmodules", &modules),
        Entry::file("a.py", &blob),
        Entry::submodule("sub", &"1".repeat(40)),
    ]);
    let head = world.repo.publish_tree(&tree);
    refused(&world, &["--ref=main"], &["submodule at `sub`", "--submodules=off"]);
    world.once(&["--ref=main", "--submodules=off"]);
    assert_eq!(world.published(), Some(head));
    assert!(names(&world.link().join("sub")).is_empty() && world.link().join("sub").is_dir());
    assert_eq!(world.git_in_tree(&["status", "--porcelain"]), "");
}

#[test]
fn gitmodules_update_command_never_runs() {
    let world = served();
    let ran = world.path("ran");
    let modules = world.repo.blob(format!(
        "[submodule \"a\"]\n\tpath = a\n\turl = ./a\n\tupdate = !touch {0}\n[submodule \"../b\"]\n\tpath = b\n\
         \turl = ext::touch {0}\n\tupdate = !touch {0}\n",
        ran.display()
    ));
    let tree =
        world.repo.mktree(&[Entry::file(".gitmodules", &modules), Entry::submodule("a", &world.repo.head())]);
    world.repo.publish_tree(&tree);
    for submodules in ["recursive", "shallow"] {
        refused(&world, &["--ref=main", "--submodules", submodules], &["submodule"]);
    }
    world.once(&["--ref=main", "--submodules=off"]);
    assert!(!ran.exists());
    assert!(!world.root.join(".git/modules").exists());
}

#[test]
fn filters_in_gitattributes_do_not_run() {
    let world = served();
    let ran = world.path("ran");
    let trap = world.path("trap");
    fs::write(&trap, format!("#!/bin/sh\ntouch {}\ncat\n", ran.display())).unwrap();
    fs::set_permissions(&trap, fs::Permissions::from_mode(0o755)).unwrap();
    let pointer =
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 9\n", "a".repeat(64));
    world.repo.commit(&[
        (".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n*.py filter=evil\n"),
        ("model.bin", &pointer),
    ]);
    // Not even when our own store names a program for it.
    let config = world.root.join(".git/config");
    let ours = fs::read_to_string(&config).unwrap();
    let trap = trap.display();
    fs::write(
        &config,
        format!("{ours}[filter \"evil\"]\n\tsmudge = {trap}\n\tprocess = {trap}\n\trequired\n"),
    )
    .unwrap();
    world.once(&[]);
    assert!(!ran.exists());
    assert_eq!(fs::read_to_string(world.link().join("model.bin")).unwrap(), pointer);
    assert_eq!(fs::read_to_string(world.link().join("a.py")).unwrap(), "print(1)\n");
}

#[test]
fn existing_symlink_in_published_tree_is_never_traversed() {
    let world = Synced::new();
    let outside = world.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("b.py"), "precious").unwrap();
    world.repo.remove("dags").symlink("dags", outside.to_str().unwrap());
    world.repo.commit_all("a link");
    world.once(&["--symlinks=any"]);
    assert!(world.link().join("dags").is_symlink());
    // Now the link becomes a folder, and the other way round, in place as far as readers can tell.
    world.repo.remove("dags");
    let head = world.repo.commit(&[("dags/b.py", "ours")]);
    world.once(&["--symlinks=any"]);
    world.shows(&head);
    assert_eq!(fs::read_to_string(outside.join("b.py")).unwrap(), "precious");
    // Links that somebody put where the next tree, its metadata or our state will be written.
    let next = world.repo.commit(&[("dags/b.py", "next")]);
    symlink(&outside, world.root.join(".worktrees").join(&next)).unwrap();
    symlink(&outside, world.root.join(".git/worktrees").join(&next)).unwrap();
    world.once(&["--symlinks=any"]);
    world.shows(&next);
    assert_eq!(names(&outside), ["b.py"]);
    assert_eq!(fs::read_to_string(outside.join("b.py")).unwrap(), "precious");
}
