//! Several agents on a root, readers during swaps, and agents that are killed.

mod support;
mod synced;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::agent::http_get;
use support::free_port;
use synced::{RUN, Synced, files, names, succeeds};

fn status(port: u16) -> u16 {
    http_get(([127, 0, 0, 1], port).into(), "/", &[]).map_or(0, |reply| reply.status)
}

#[test]
fn two_agents_one_root_second_waits_or_exits() {
    let world = Synced::new();
    let first_commit = world.repo.head();
    let first = world.launch().start();
    first.wait_published(&world.root, "repo", &first_commit);

    // The second waits, and says that what is published is there.
    let port = free_port();
    let second = world.launch().set("http-bind", format!("127.0.0.1:{port}")).start();
    second.wait_for_text("standing by", RUN);
    second.wait_until("the standby to be ready", || status(port) == 200);
    let next = world.repo.commit(&[("a.py", "2")]);
    first.wait_published(&world.root, "repo", &next);

    // A third was told not to wait.
    let failing = world.launch().args(["--on-locked=fail"]).run(RUN);
    assert_eq!(failing.status.code(), Some(1));
    assert!(failing.stderr.contains("belongs to another agent (pid "), "{}", failing.stderr);

    // An init container beside the sidecar has nothing to do.
    let init = succeeds(&world.launch().args(["--one-time"]));
    assert!(init.stderr.contains("nothing to do"), "{}", init.stderr);

    // The owner dies without a word: the standby takes over.
    first.signal(Signal::KILL);
    let last = world.repo.commit(&[("a.py", "3")]);
    second.wait_published(&world.root, "repo", &last);
    assert_eq!(status(port), 200);
    assert_eq!(files(&world.link())["a.py"].1, b"3");
}

#[test]
fn an_init_container_waits_until_somebody_has_published() {
    let world = Synced::empty();
    let owner = world.launch().args(["--max-failures=-1"]).start();
    owner.wait_for_text("no commit yet", RUN);
    let init = world.launch().args(["--one-time"]).start();
    init.wait_for_text("standing by", RUN);
    let head = world.repo.commit(&[("a.py", "1")]);
    let finished = init.finish(RUN);
    assert!(finished.status.success(), "{finished:?}");
    assert_eq!(world.published(), Some(head));
}

/// What is in every file of a tree, through a path that was resolved once: all must name one revision.
fn one_revision(link: &Path, count: usize) -> u64 {
    let tree = fs::canonicalize(link).expect("the link always leads to a tree");
    let mut revision = None;
    let mut seen = 0;
    for folder in names(&tree).into_iter().filter(|name| name != ".git") {
        for name in names(&tree.join(&folder)) {
            let text = fs::read_to_string(tree.join(&folder).join(&name)).expect("files of a tree stay");
            let number: u64 = text.trim().parse().expect("a whole file");
            assert_eq!(*revision.get_or_insert(number), number, "two revisions in one tree");
            seen += 1;
        }
    }
    assert_eq!(seen, count, "a whole tree");
    revision.expect("a tree with files")
}

const FILES: usize = 16;

fn revision_files(revision: u64) -> impl Iterator<Item = (String, String)> {
    (0..FILES).map(move |n| (format!("d{}/f{n}.py", n % 4), format!("{revision}\n")))
}

#[test]
fn reader_walks_tree_during_100_swaps_sees_one_commit() {
    let world = Synced::empty();
    let mut commits = vec![world.repo.import(revision_files(0))];
    // A replaced tree stays while its readers walk it: that is what the timeout is for.
    let agent = world.launch().args(["--stale-worktree-timeout=30s"]).start();
    agent.wait_published(&world.root, "repo", &commits[0]);
    let (done, walks) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut last = 0;
                    while !done.load(Ordering::Relaxed) {
                        let revision = one_revision(&world.link(), FILES);
                        assert!(revision >= last, "never backwards: {revision} after {last}");
                        last = revision;
                        walks.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for revision in 1..=100 {
                commits.push(world.repo.import(revision_files(revision)));
                agent.wait_published(&world.root, "repo", commits.last().unwrap());
            }
        }));
        done.store(true, Ordering::Relaxed);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        ran.unwrap();
    });
    assert!(walks.into_inner() > 20);
    assert_eq!(one_revision(&world.link(), FILES), 100);
    drop(agent);
    world.once(&["--stale-worktree-timeout=0"]);
    world.nothing_is_left_over();
    assert_eq!(names(&world.root.join(".worktrees")), [commits.last().unwrap().clone()]);
    world.git_in_tree(&["fsck", "--no-dangling"]);
}

#[test]
fn killed_at_any_time_it_leaves_one_whole_commit_and_nothing_else() {
    let world = Synced::empty();
    world.repo.import(revision_files(0));
    world.once(&["--stale-worktree-timeout=0"]);
    let mut rng = fastrand::Rng::new();
    let (mut revision, mut last) = (0, 0);
    for round in 0..50 {
        revision += 1;
        world.repo.import(revision_files(revision));
        let agent = world.launch().args(["--stale-worktree-timeout=0", "--period=10ms"]).start();
        // From before its first system call to after its publication.
        let end = Instant::now() + Duration::from_micros(rng.u64(0..90_000));
        let mut looks = 0_u32;
        while Instant::now() < end {
            let target = fs::read_link(world.link()).expect("the link is always there");
            assert!(target.starts_with(".worktrees"));
            looks += 1;
        }
        agent.signal(Signal::KILL);
        drop(agent);
        let shown = one_revision(&world.link(), FILES);
        assert!((last..=revision).contains(&shown), "round {round}, {looks} looks: {shown} after {last}");
        last = shown;
        let commit = world.published().unwrap();
        assert_eq!(
            fs::read_to_string(world.root.join(".git/worktrees").join(name_of(&world)).join("HEAD"))
                .unwrap()
                .trim(),
            commit
        );
        assert_eq!(world.git_in_tree(&["rev-parse", "HEAD"]), commit);
        if round % 10 == 9 {
            world.once(&["--stale-worktree-timeout=0"]);
            assert_eq!(one_revision(&world.link(), FILES), revision);
            world.nothing_is_left_over();
        }
    }
    world.once(&["--stale-worktree-timeout=0"]);
    assert_eq!(one_revision(&world.link(), FILES), revision);
    assert_eq!(world.git_in_tree(&["status", "--porcelain"]), "");
    world.git_in_tree(&["fsck", "--no-dangling"]);
    world.nothing_is_left_over();
}

/// The name of the published tree's metadata.
fn name_of(world: &Synced) -> String {
    let text = fs::read_to_string(world.link().join(".git")).unwrap();
    text.trim().rsplit('/').next().unwrap().to_owned()
}
