//! Upstreams on this machine: every shape of repository, read without a git program.

mod support;
mod synced;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use support::{Entry, Repo, repo::git};
use synced::{Synced, fails, git_in, is_root, ok, succeeds};

/// A second repository made of the first by the git program.
fn clone_of(world: &Synced, args: &[&str], name: &str) -> std::path::PathBuf {
    let to = world.path(name);
    let from = format!("file://{}", world.repo.work().display());
    ok(git().arg("clone").arg("-q").args(args).arg("--").arg(from).arg(&to));
    to
}

#[test]
fn every_shape_of_repository_is_read() {
    let world = Synced::new();
    world.repo.commit(&[("a.py", "print(10)\n")]);
    let head = world.repo.commit(&[("new.py", "new\n")]);
    let bare = clone_of(&world, &["--bare"], "bare.git");
    let shallow = clone_of(&world, &["--depth=2"], "shallow");
    let packed = clone_of(&world, &[], "packed");
    git_in(&packed, &["repack", "-adq"]);
    git_in(&packed, &["pack-refs", "--all"]);
    let borrowing = world.path("borrowing");
    ok(git().args(["clone", "-q", "--shared", "--"]).arg(world.repo.work()).arg(&borrowing));
    let separate = world.path("separate");
    ok(git()
        .args(["clone", "-q", "--separate-git-dir"])
        .arg(world.path("elsewhere.git"))
        .arg("--")
        .arg(world.repo.work())
        .arg(&separate));
    let linked = world.path("linked");
    world.repo.git(&["worktree", "add", "-q", "--detach", linked.to_str().unwrap(), "HEAD"]);
    let url = |path: &Path| format!("file://{}", path.display());
    let work = world.repo.work();
    for upstream in [
        bare.display().to_string(),
        work.display().to_string(),
        work.join(".git").display().to_string(),
        url(work),
        url(&bare),
        shallow.display().to_string(),
        packed.display().to_string(),
        borrowing.display().to_string(),
        separate.display().to_string(),
        linked.display().to_string(),
    ] {
        for depth in ["1", "2", "0"] {
            let _ = fs::remove_dir_all(&world.root);
            succeeds(&world.launch_from(&upstream).args(["--one-time"]).set("depth", depth));
            world.shows(&head);
            assert_eq!(world.git_in_tree(&["status", "--porcelain"]), "", "{upstream}");
            world.git_in_tree(&["fsck", "--no-dangling"]);
        }
    }
}

#[test]
fn a_sha256_repository_is_synced_and_a_root_can_change_to_it_and_back() {
    let world = Synced::new();
    let old = world.repo.head();
    world.once(&[]);
    let modern = Repo::bare_sha256(world.path("modern.git"));
    let head = modern.commit(&[("dags/x.py", "x\n")]);
    succeeds(&world.launch_from(modern.git_dir()).args(["--one-time", "--ref=main"]));
    assert_eq!(world.published().unwrap(), head);
    assert_eq!(world.git_in_tree(&["rev-parse", "HEAD"]), head);
    assert_eq!(world.git_in_tree(&["status", "--porcelain"]), "");
    let next = modern.commit(&[("dags/y.py", "y\n")]);
    succeeds(&world.launch_from(modern.git_dir()).args(["--one-time", "--depth=0"]));
    assert_eq!(world.published().unwrap(), next);
    assert_eq!(world.git_in_tree(&["rev-list", "--count", "HEAD"]), "2");
    world.once(&[]);
    world.shows(&old);
    assert_eq!(world.git_in_tree(&["status", "--porcelain"]), "");
}

#[test]
fn an_empty_or_unborn_upstream_is_waited_for() {
    let world = Synced::empty();
    let text = world.fails(&[]);
    assert!(text.contains("no commit yet"), "{text}");
    let text = world.fails(&["--ref=release"]);
    assert!(text.contains("no branch and no tag"), "{text}");
    let agent = world.launch().args(["--max-failures=-1"]).start();
    agent.wait_for_text("no commit yet", synced::RUN);
    let first = world.repo.commit(&[("a.py", "1")]);
    agent.wait_published(&world.root, "repo", &first);
}

#[test]
fn a_tree_without_files_is_a_tree() {
    let world = Synced::empty();
    let head = world.repo.commit(&[]);
    world.once(&[]);
    world.shows(&head);
    assert_eq!(world.git_in_tree(&["status", "--porcelain"]), "");
}

#[test]
fn history_has_the_depth_that_was_asked_for_and_changes_with_it() {
    let world = Synced::new();
    (0..5).for_each(|n| drop(world.repo.commit(&[("a.py", &n.to_string())])));
    let head = world.repo.head();
    for depth in ["1", "3", "0", "2", "0", "1", "4"] {
        world.once(&["--depth", depth]);
        world.shows(&head);
        let count = world.git_in_tree(&["rev-list", "--count", "HEAD"]);
        // A smaller depth does not throw away what is there.
        let least: usize = if depth == "0" { 6 } else { depth.parse().unwrap() };
        assert!(count.parse::<usize>().unwrap() >= least, "depth {depth} gives {count}");
        world.git_in_tree(&["fsck", "--no-dangling"]);
    }
    let fresh = Synced { root: world.path("fresh"), ..world };
    for (depth, count) in [("1", "1"), ("3", "3"), ("0", "6")] {
        let _ = fs::remove_dir_all(&fresh.root);
        // With the gate a first start asks for as much as it may play back.
        fresh.once(&["--check=off", "--depth", depth]);
        assert_eq!(fresh.git_in_tree(&["rev-list", "--count", "HEAD"]), count);
    }
}

#[test]
fn one_commit_after_another_brings_just_what_is_new() {
    let world = Synced::new();
    world.repo.import((0..300).map(|n| (format!("dags/d{}/f{n}.py", n % 7), format!("{n}\n"))));
    world.repo.reset("main");
    world.once(&[]);
    let size = |world: &Synced| -> u64 {
        let packs = world.root.join(".git/objects/pack");
        fs::read_dir(packs).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
    };
    let first = size(&world);
    for n in 0..5 {
        let head = world.repo.commit(&[("dags/d1/f1.py", &format!("changed {n}"))]);
        let text = world.once(&[]).stderr;
        world.shows(&head);
        assert!(text.contains(r#""changed":1"#), "{text}");
        assert_eq!(world.git_in_tree(&["status", "--porcelain"]), "");
        world.git_in_tree(&["fsck", "--no-dangling"]);
    }
    assert!(size(&world) - first < first, "five small changes cost less than the whole");
}

#[test]
fn an_upstream_that_goes_wrong_is_named_and_what_is_published_stays() {
    let world = Synced::new();
    world.once(&[]);
    let upstream = world.repo.work().to_owned();
    let moved = world.path("moved");
    fs::rename(&upstream, &moved).unwrap();
    let text = world.fails(&[]);
    assert!(text.contains("No such file") && text.contains("upstream"), "{text}");
    fs::create_dir(&upstream).unwrap();
    let text = world.fails(&[]);
    assert!(text.contains("not a git repository"), "{text}");
    fs::remove_dir(&upstream).unwrap();
    fs::write(&upstream, "a file").unwrap();
    let text = world.fails(&[]);
    assert!(text.contains("not a git repository"), "{text}");
    fs::remove_file(&upstream).unwrap();
    fs::rename(&moved, &upstream).unwrap();

    // A commit whose blob was lost.
    world.repo.commit(&[("precious.py", "lost")]);
    let blob = world.repo.id("HEAD:precious.py");
    let loose = world.repo.git_dir().join("objects").join(&blob[..2]).join(&blob[2..]);
    fs::set_permissions(&loose, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&loose, "garbage").unwrap();
    let text = world.fails(&[]);
    assert!(text.contains(&blob) && text.contains("upstream"), "{text}");
    fs::remove_file(&loose).unwrap();
    let text = world.fails(&[]);
    assert!(text.contains(&blob), "{text}");
    world.nothing_is_left_over();
    world.repo.blob("lost");
    world.once(&[]);
    world.shows(&world.repo.head());

    // A branch that names what is not there.
    let good = world.repo.head();
    fs::write(world.repo.git_dir().join("refs/heads/main"), format!("{}\n", "1".repeat(40))).unwrap();
    world.fails(&["--ref=main"]);
    fs::write(world.repo.git_dir().join("refs/heads/main"), format!("{good}\n")).unwrap();
    world.once(&["--ref=main"]);
}

#[test]
fn a_repository_of_another_uid_is_read() {
    let world = Synced::new();
    let head = world.repo.head();
    if is_root() {
        ok(std::process::Command::new("chown").args(["-R", "4711:4711"]).arg(world.repo.work()));
        world.once(&[]);
    } else {
        // Without root nobody else's repository can be made; one that is ours but read-only is the nearest.
        ok(std::process::Command::new("chmod").args(["-R", "a-w"]).arg(world.repo.work()));
        world.once(&[]);
        ok(std::process::Command::new("chmod").args(["-R", "u+w"]).arg(world.repo.work()));
    }
    world.shows(&head);
}

#[test]
fn no_program_is_needed_and_none_is_run() {
    let world = Synced::new();
    // Launch gives an empty environment: no PATH, no HOME. A git in the current folder is not ours to run either.
    let fake = world.path("git");
    let ran = world.path("ran");
    fs::write(&fake, format!("#!/bin/sh\ntouch {}\n", ran.display())).unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    succeeds(&world.launch().args(["--one-time"]).folder(world.dir.path()).env("PATH", world.dir.path()));
    world.shows(&world.repo.head());
    assert!(!ran.exists());
}

#[test]
fn option_like_repo_is_refused() {
    let world = Synced::new();
    for repo in ["--upload-pack=touch x", "-x", "file://--upload-pack=x"] {
        let finished = world.launch_from(repo).args(["--one-time"]).run(synced::RUN);
        assert!(!finished.status.success(), "{repo}: {finished:?}");
        assert!(world.published().is_none());
    }
    let text = fails(&world.launch_from(world.path("absent")).args(["--one-time"]));
    assert!(text.contains("absent"), "{text}");
}

#[test]
fn an_object_of_another_kind_or_of_no_sane_size_is_refused_by_its_header() {
    let world = Synced::new();
    world.once(&[]);
    let good = world.repo.head();
    let blob = world.repo.blob("not a tree");
    let tree = world.repo.mktree(&[Entry::tree("dags", &blob)]);
    world.repo.publish_tree(&tree);
    let text = world.fails(&["--ref=main"]);
    assert!(text.contains(&format!("object {blob}: a blob where a tree has to be")), "{text}");
    let raw = format!("tree {}\n{}", world.repo.id(&format!("{good}^{{tree}}")), "x".repeat(65 << 20));
    let commit = world.repo.raw_object("commit", raw.as_bytes());
    fs::write(world.repo.git_dir().join("refs/heads/main"), format!("{commit}\n")).unwrap();
    let text = world.fails(&["--ref=main"]);
    assert!(text.contains("of at most 64 MiB"), "{text}");
}
