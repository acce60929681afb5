//! The end of the agent: in time, with exit code 0, and with the published tree whole, whatever it was doing.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::agent::published;
use support::observe::{said, sidecar, upstream};
use support::process::program;
use support::{Agent, Answer, Hostile};

/// What an operator is promised, with room for a busy machine.
const IN_TIME: Duration = Duration::from_secs(5 + 5);
const LONG: Duration = Duration::from_secs(30);

/// Sends the signal; the agent has to end with exit code 0 in time.
#[track_caller]
fn ends_well(mut agent: Agent, signal: Signal) {
    let start = Instant::now();
    agent.signal(signal);
    let status = agent.wait_exit(LONG).unwrap_or_else(|| panic!("it does not end:\n{}", agent.stderr()));
    assert_eq!(status.code(), Some(0), "{}", agent.stderr());
    assert!(start.elapsed() < IN_TIME, "{:?}\n{}", start.elapsed(), agent.stderr());
}

/// A ref file that nobody ever writes to: whoever opens it waits, in the kernel, deaf to everything.
fn stuck(folder: &Path) -> PathBuf {
    let fifo = folder.join("ref.fifo");
    assert!(Command::new(program("mkfifo")).arg(&fifo).status().unwrap().success());
    fifo
}

#[test]
fn sigterm_and_sigint_end_an_idle_agent() {
    let (_folder, repo, root) = upstream();
    for signal in [Signal::TERM, Signal::INT] {
        let agent = sidecar(repo.git_dir(), &root).args(["--period=1h"]).start();
        agent.wait_until("an idle agent", || agent.stderr().contains("published"));
        ends_well(agent, signal);
        assert_eq!(published(&root, "current"), Some(repo.head()));
    }
}

#[test]
fn sigterm_ends_an_agent_that_waits_after_a_failure() {
    let (folder, _, root) = upstream();
    let args = ["--period=1h", "--max-failures=-1"];
    let agent = sidecar(folder.path().join("missing"), &root).args(args).start();
    agent.wait_for_text("\"failures\":1", LONG);
    ends_well(agent, Signal::TERM);
}

#[test]
fn sigterm_ends_a_stalled_pass_and_what_is_published_stays() {
    let (_folder, repo, root) = upstream();
    let head = repo.head();
    let done = sidecar(repo.git_dir(), &root).args(["--one-time"]).run(LONG);
    assert!(done.status.success());
    let next = repo.commit(&[("dags/a.py", "a = 2\n")]);
    for stall in ["refs", "fetch", "pack"] {
        let hostile = Hostile::over(&repo, move |asked, honest| match stall {
            "refs" if asked.is_ls_refs() => Answer::silence(),
            "fetch" if asked.is_fetch() => Answer::silence(),
            "pack" if asked.is_fetch() => honest.stall_after(60),
            _ => honest,
        });
        let agent = sidecar(hostile.url(), &root).start();
        hostile.wait_for_requests(if stall == "refs" { 2 } else { 3 });
        ends_well(agent, Signal::TERM);
        assert_eq!(published(&root, "current").as_ref(), Some(&head), "{stall}");
    }
    // Nothing that was abandoned is in the way of the next one.
    let done = sidecar(repo.git_dir(), &root).args(["--one-time"]).run(LONG);
    assert!(done.status.success(), "{}", done.stderr);
    assert_eq!(published(&root, "current"), Some(next));
}

/// How far a pass has come, seen from outside.
fn reached(root: &Path, point: usize, next: &str) -> bool {
    let trees = root.join(".worktrees");
    match point {
        0 => fs::read_dir(root.join(".git/objects/pack")).is_ok_and(|packs| packs.count() > 2),
        1 => fs::read_dir(&trees).is_ok_and(|all| all.count() > 1),
        2 => trees.join(next).exists(),
        _ => published(root, "current").as_deref() == Some(next),
    }
}

#[test]
fn sigterm_during_publish_finishes_or_rolls_back() {
    let (_folder, repo, root) = upstream();
    for number in 0..400 {
        repo.write(&format!("dags/d{}/f{number}.py", number % 40), format!("n = {number}\n"));
    }
    let mut old = repo.commit_all("many files");
    let run = || sidecar(repo.git_dir(), &root).args(["--period=1h"]);
    assert!(run().args(["--one-time"]).run(LONG).status.success());
    for point in 0..4 {
        for number in 0..400 {
            repo.write(&format!("dags/d{}/f{number}.py", number % 40), format!("n = {number} + {point}\n"));
        }
        let next = repo.commit_all("all of them differ");
        let agent = run().start();
        agent.wait_until("the pass to come so far", || reached(&root, point, &next));
        ends_well(agent, Signal::TERM);
        let live = published(&root, "current").expect("something is published");
        assert!(live == old || live == next, "{live} is neither {old} nor {next}");
        // Whichever it is, it is whole.
        let count = |dir: &Path| fs::read_dir(dir).unwrap().flatten().count();
        let tree = root.join("current/dags");
        assert_eq!(count(&tree), 41);
        let files: usize = (0..40).map(|folder| count(&tree.join(format!("d{folder}")))).sum();
        assert_eq!(files, 400);
        // The next one finishes it, and leaves nothing of the one that was stopped.
        let done = run().args(["--one-time", "--stale-worktree-timeout=0"]).run(LONG);
        assert!(done.status.success(), "{}", done.stderr);
        assert_eq!(published(&root, "current").as_ref(), Some(&next));
        let left: Vec<_> =
            fs::read_dir(root.join(".worktrees")).unwrap().flatten().map(|e| e.file_name()).collect();
        assert!(left.iter().all(|name| name.len() == 40), "{left:?}");
        old = next;
    }
}

#[test]
fn a_pass_that_cannot_be_interrupted_is_abandoned_in_time() {
    let (folder, repo, root) = upstream();
    let agent = sidecar(repo.git_dir(), &root).set("ref-file", stuck(folder.path())).start();
    agent.wait_until("the pass to hang", || root.join(".git/HEAD").exists());
    ends_well(agent, Signal::TERM);
}

#[test]
fn who_asks_twice_does_not_want_to_wait() {
    let (folder, repo, root) = upstream();
    for signals in [[Signal::TERM, Signal::TERM], [Signal::INT, Signal::TERM]] {
        let fifo = stuck(folder.path());
        let mut agent = sidecar(repo.git_dir(), &root).set("ref-file", &fifo).start();
        agent.wait_until("the pass to hang", || root.join(".git/HEAD").exists());
        agent.signal(signals[0]);
        agent.wait_for_text("asked to stop", LONG);
        let start = Instant::now();
        agent.signal(signals[1]);
        let status = agent.wait_exit(LONG).expect("an end");
        assert_eq!(status.code(), Some(1), "{}", agent.stderr());
        // The first signal alone would have taken four seconds.
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
        assert!(said(&agent, "stopped").is_empty());
        fs::remove_file(fifo).unwrap();
        fs::remove_dir_all(&root).unwrap();
    }
}

#[test]
fn a_signal_at_the_very_start_is_heard() {
    let (_folder, repo, root) = upstream();
    let agent = sidecar(repo.git_dir(), &root).args(["--period=1h"]).start();
    // The first line is written before anything runs.
    agent.wait_for_text("are served", LONG);
    ends_well(agent, Signal::TERM);
}
