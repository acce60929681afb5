//! Where things go below a root, and what happens when something else is there.

mod support;
mod synced;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use support::agent::{Launch, published};
use synced::{Synced, fails, files, names, succeeds};

/// One pass with this root and link, in `folder`.
fn launch(world: &Synced, root: &str, link: &str) -> Launch {
    let launch = Launch::default().set("repo", world.repo.work()).set("root", root).set("link", link);
    launch.args(["--one-time"]).folder(world.dir.path())
}

#[test]
fn the_link_is_relative_wherever_it_is() {
    let world = Synced::new();
    let head = world.repo.head();
    let dir = world.dir.path().display().to_string();
    for (root, link, at, target) in [
        ("r1", "repo".to_owned(), "r1/repo", ".worktrees/"),
        ("r2", "a/b/repo".to_owned(), "r2/a/b/repo", "../../.worktrees/"),
        ("r3", format!("{dir}/elsewhere/dags"), "elsewhere/dags", "../r3/.worktrees/"),
        ("r4/../..//x/./y//", "repo".to_owned(), "../x/y/repo", ".worktrees/"),
    ] {
        let inner = world.path("inner");
        fs::create_dir_all(&inner).unwrap();
        let folder = if root.starts_with("r4") { &inner } else { world.dir.path() };
        succeeds(&launch(&world, root, &link).folder(folder));
        let at = folder.join(at);
        assert_eq!(fs::read_link(&at).unwrap(), Path::new(&format!("{target}{head}")), "{root} {link}");
        assert_eq!(fs::read(at.join("a.py")).unwrap(), b"print(1)\n");
    }
}

#[test]
fn a_root_behind_symlinks_works() {
    let world = Synced::new();
    fs::create_dir_all(world.path("real/volume/root")).unwrap();
    symlink("real/volume", world.path("alias")).unwrap();
    symlink(world.path("real"), world.path("real/volume/root/up")).unwrap();
    succeeds(&launch(&world, "alias/root", "up/link"));
    let head = world.repo.head();
    assert_eq!(published(&world.path("real"), "link"), Some(head));
    assert!(world.path("real/link/a.py").is_file());
    // A root that is itself a link, and a dangling one on the way to the link.
    symlink("real/volume/root", world.path("root-alias")).unwrap();
    succeeds(&launch(&world, "root-alias", "repo"));
    assert!(world.path("real/volume/root/repo/a.py").is_file());
    symlink("nowhere", world.path("dangling")).unwrap();
    let text = fails(&launch(&world, "dangling/root", "repo"));
    assert!(text.contains("dangling` is a link to nowhere"), "{text}");
}

#[test]
fn what_is_in_the_place_of_the_link_is_never_lost() {
    let world = Synced::new();
    fs::create_dir_all(&world.root).unwrap();
    fs::create_dir(world.path("precious")).unwrap();
    fs::write(world.path("precious/x"), "x").unwrap();
    let link = world.link();
    let check = |what: &str, contains: &str| {
        let text = fails(&world.launch().args(["--one-time"]));
        assert!(text.contains(contains) && text.contains("hint: move it away"), "{what}: {text}");
        assert!(!world.root.join(".git/objects/pack").read_dir().is_ok_and(|mut d| d.next().is_some()));
    };
    fs::write(&link, "a file").unwrap();
    check("file", "is a file");
    assert_eq!(fs::read(&link).unwrap(), b"a file");
    fs::remove_file(&link).unwrap();
    fs::create_dir(&link).unwrap();
    check("empty folder", "is a folder");
    fs::write(link.join("x"), "x").unwrap();
    check("folder", "is a folder");
    assert_eq!(fs::read(link.join("x")).unwrap(), b"x");
    fs::remove_dir_all(&link).unwrap();
    symlink("../precious", &link).unwrap();
    check("link", "a link to `../precious`");
    assert_eq!(fs::read(link.join("x")).unwrap(), b"x");
    fs::remove_file(&link).unwrap();
    // Away: it works, in the running agent too.
    fs::write(&link, "again").unwrap();
    let agent = world.launch().args(["--max-failures=-1"]).start();
    agent.wait_for_text("is a file", synced::RUN);
    fs::remove_file(&link).unwrap();
    agent.wait_published(&world.root, "repo", &world.repo.head());
}

#[test]
fn a_file_in_the_way_of_a_folder_is_named() {
    let world = Synced::new();
    fs::write(world.path("file"), "x").unwrap();
    let text = fails(&launch(&world, "file/root", "repo"));
    assert!(text.contains("/file` is not a folder"), "{text}");
    // A `.git` file: the root is somebody's work tree.
    fs::create_dir(&world.root).unwrap();
    fs::write(world.root.join(".git"), "gitdir: /somewhere\n").unwrap();
    let text = fails(&world.launch().args(["--one-time"]));
    assert!(text.contains("/.git` is not a folder"), "{text}");
    assert_eq!(fs::read_to_string(world.root.join(".git")).unwrap(), "gitdir: /somewhere\n");
}

#[test]
fn stale_tmp_link_does_not_block_publish() {
    let world = Synced::new();
    fs::create_dir_all(world.root.join(".dagsync")).unwrap();
    symlink(".worktrees/gone", world.root.join("tmp-link")).unwrap();
    symlink("x", world.root.join(".dagsync/.dagsync-link-1-0")).unwrap();
    world.once(&[]);
    world.nothing_is_left_over();
    assert!(!names(&world.root).contains(&"tmp-link".to_owned()));
    // And while we run: somebody else's goes with the next start, and is in nobody's way until then.
    symlink("nowhere", world.root.join("tmp-link")).unwrap();
    let head = world.repo.commit(&[("a.py", "2")]);
    world.once(&[]);
    world.shows(&head);
}

#[test]
fn things_among_the_trees_that_are_not_ours_go_and_nothing_else_does() {
    let world = Synced::new();
    world.once(&[]);
    let trees = world.root.join(".worktrees");
    fs::create_dir_all(trees.join("lost+found/deep")).unwrap();
    fs::create_dir_all(trees.join(".new-1-00000000/dags")).unwrap();
    fs::create_dir_all(trees.join(".gone-1-00000000/dags")).unwrap();
    fs::create_dir_all(trees.join("again-7")).unwrap();
    fs::write(trees.join("file"), "x").unwrap();
    symlink("/nonexistent", trees.join("dangling")).unwrap();
    symlink("/nonexistent", trees.join("2".repeat(40))).unwrap();
    symlink(world.repo.work(), trees.join("to-a-folder")).unwrap();
    fs::create_dir_all(world.root.join(".git/worktrees/orphan")).unwrap();
    fs::write(world.root.join("of-a-user"), "x").unwrap();
    fs::create_dir(world.root.join("logs")).unwrap();
    let before = files(&world.link());
    world.once(&[]);
    assert_eq!(names(&trees), [world.repo.head()]);
    assert_eq!(world.names(".git/worktrees").len(), 1);
    assert_eq!(files(&world.link()), before);
    assert!(world.root.join("of-a-user").exists() && world.root.join("logs").exists());
    assert!(world.repo.work().join("a.py").exists(), "links are removed, not what they lead to");
}

#[test]
fn the_guard_is_written_once_and_can_be_turned_off() {
    let world = Synced::new();
    world.once(&["--airflowignore-guard=false"]);
    let guard = world.root.join(".airflowignore");
    assert!(!guard.exists());
    world.once(&[]);
    let inode = fs::metadata(&guard).unwrap().ino();
    world.once(&[]);
    assert_eq!(fs::metadata(&guard).unwrap().ino(), inode);
    fs::write(&guard, "mine\n").unwrap();
    world.once(&[]);
    assert_eq!(fs::read_to_string(&guard).unwrap(), "mine\n");
}

/// A configuration of sources that share the root.
fn config(world: &Synced, sources: &[(&str, &Path, &str)]) -> std::path::PathBuf {
    let mut text = String::new();
    for (name, repo, link) in sources {
        text += &format!(
            "[[source]]\nname = \"{name}\"\nrepo = {repo:?}\nroot = {:?}\nlink = \"{link}\"\nperiod = \"20ms\"\n",
            world.root
        );
    }
    let path = world.path("dagsync.toml");
    let temp = world.path("dagsync.toml.new");
    fs::write(&temp, text).unwrap();
    fs::rename(temp, &path).unwrap();
    path
}

#[test]
fn two_sources_share_a_root() {
    let world = Synced::new();
    let other = support::Repo::new(world.path("other"));
    let theirs = other.commit(&[("o.py", "o")]);
    let sources = [("a", world.repo.work(), "a"), ("b", other.work(), "sub/b")];
    let path = config(&world, &sources);
    let once = || succeeds(&Launch::new(["--one-time"]).set("config", &path));
    once();
    assert_eq!(published(&world.root, "a"), Some(world.repo.head()));
    assert_eq!(published(&world.root, "sub/b"), Some(theirs));
    assert_eq!(synced::git_in(&world.root.join("sub/b"), &["status", "--porcelain"]), "");
    let next = other.commit(&[("o.py", "2")]);
    once();
    assert_eq!(published(&world.root, "a"), Some(world.repo.head()));
    assert_eq!(published(&world.root, "sub/b"), Some(next));
    assert_eq!(fs::read(world.root.join("sub/b/o.py")).unwrap(), b"2");
}

#[test]
fn a_source_that_leaves_a_shared_root_leaves_what_it_published() {
    let world = Synced::new();
    let other = support::Repo::new(world.path("other"));
    let theirs = other.commit(&[("o.py", "o")]);
    let path = config(&world, &[("a", world.repo.work(), "a"), ("b", other.work(), "b")]);
    let agent = Launch::default().set("config", &path).start();
    agent.wait_published(&world.root, "a", &world.repo.head());
    agent.wait_published(&world.root, "b", &theirs);
    // Readers of both must never see a gap while `a` moves to the layout of an only source.
    config(&world, &[("a", world.repo.work(), "a")]);
    let mut gap = false;
    agent.wait_until("the layout of an only source", || {
        gap |= !world.root.join("a/a.py").is_file() || !world.root.join("b/o.py").is_file();
        fs::read_link(world.root.join("a")).is_ok_and(|target| target.components().count() == 2)
    });
    assert!(!gap && world.root.join("b/o.py").is_file());
    let next = world.repo.commit(&[("a.py", "next")]);
    agent.wait_published(&world.root, "a", &next);
    assert_eq!(fs::read(world.root.join("b/o.py")).unwrap(), b"o");
    drop(agent);
    succeeds(&Launch::new(["--one-time"]).set("config", &path));
    assert_eq!(fs::read(world.root.join("b/o.py")).unwrap(), b"o");
}
