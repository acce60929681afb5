//! `dagsync demo`, the README's first command: run as a newcomer runs it, with nothing installed.

mod support;

use std::fs;
use std::time::Duration;

use rustix::process::Signal;
use support::agent::{Agent, Launch, published};
use support::wait::PATIENCE;

fn demo(args: &[&str], temp: &std::path::Path) -> Launch {
    // An empty PATH: no git program, no shell.
    Launch::new([&["demo"], args].concat()).env("PATH", "").env("TMPDIR", temp)
}

fn is_empty(dir: &std::path::Path) -> bool {
    fs::read_dir(dir).unwrap().next().is_none()
}

#[test]
fn the_demo_needs_no_program_shows_each_commit_and_leaves_nothing() {
    let temp = support::temp();
    let ended = demo(&["--commits", "4", "--interval", "50ms"], temp.path()).run(PATIENCE);
    // Woken by the push: the period alone would take its three seconds.
    let said = String::from_utf8_lossy(ended.stdout.as_bytes()).into_owned();
    let (_, median) = said.split_once("commits live after ").expect("a summary");
    let median: f64 = median.split(' ').next().and_then(|number| number.parse().ok()).expect("milliseconds");
    assert!(median < 2_000.0, "{said}");
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(ended.stderr, "", "the agent's log would garble the picture");
    let text = &ended.stdout;
    assert_eq!(text.matches("live after").count(), 6, "first, four commits, summary:\n{text}");
    for expected in [
        "└─ orders.sql",
        "orders_daily: start at 5",
        "        - schedule=\"0 4 * * *\",\n        + schedule=\"0 5 * * *\",\n",
        "files +2 ~0 -0",
        "    + dags/ml/churn_model.py\n",
        "(tag v1.0)",
        "+ dags/growth/campaigns.py  renamed",
        "repo -> .worktrees/",
        "4 commits live after",
        "each walk saw exactly one commit",
        "dagsync --repo=",
    ] {
        assert!(text.contains(expected), "`{expected}` is not in:\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "no colour in a pipe:\n{text}");
    assert!(is_empty(temp.path()), "the temporary folder is gone");
}

#[test]
fn a_commit_of_the_demo_goes_live_by_the_watch_and_not_by_the_period() {
    let temp = support::temp();
    let ended = demo(&["--commits=4", "--interval=50ms"], temp.path()).run(PATIENCE);
    let line = ended.stdout.lines().find(|line| line.contains("(median)")).expect("a summary");
    let median: f64 = line.split("live after ").nth(1).unwrap().split(" ms").next().unwrap().parse().unwrap();
    // The period is a second, of which a commit would wait for nearly the whole.
    assert!(median < 700.0, "{line}");
}

#[test]
fn a_rollback_goes_back_to_the_tagged_commit() {
    let temp = support::temp();
    let ended = demo(&["--commits=6", "--interval=10ms"], temp.path()).run(PATIENCE);
    assert!(ended.status.success(), "{ended:?}");
    let commit_of = |what: &str| {
        let line =
            ended.stdout.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{ended:?}"));
        line.split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(commit_of("(tag v1.0)"), commit_of("ROLLBACK"));
    assert!(ended.stdout.contains("6 commits and 1 rollback live after"), "{}", ended.stdout);
}

#[test]
fn a_kept_folder_holds_a_real_repository_and_what_was_published() {
    let temp = support::temp();
    let keep = temp.path().join("keep");
    let args = ["--commits=1", "--interval=10ms", "--keep-dir", keep.to_str().unwrap()];
    let ended = demo(&args, temp.path()).run(PATIENCE);
    assert!(ended.status.success(), "{ended:?}");
    assert!(ended.stdout.contains("Everything is still there"), "{}", ended.stdout);
    let mut log = support::repo::git();
    log.arg("--git-dir").arg(keep.join("dags.git")).args(["log", "--format=%H %an", "main"]);
    let log = support::repo::text_of("git log", log.output().unwrap());
    assert_eq!(log.matches(" dagsync demo").count(), 2, "{log}");
    let root = keep.join("git");
    let tip = log.split(' ').next().map(str::to_owned);
    assert_eq!(published(&root, "repo"), tip);
    assert!(fs::read_to_string(root.join("repo/dags/sales/orders_daily.py")).unwrap().contains("0 5 * * *"));
    let mut fsck = support::repo::git();
    fsck.arg("--git-dir").arg(keep.join("dags.git")).args(["fsck", "--strict"]);
    support::repo::text_of("git fsck", fsck.output().unwrap());

    let again = demo(&args, temp.path()).run(PATIENCE);
    assert_eq!(again.status.code(), Some(1), "a folder with something in it is not written to");
    assert!(again.stderr.contains("is not empty"), "{again:?}");
}

#[test]
fn a_signal_ends_it_cleanly_with_a_summary() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let temp = support::temp();
        let agent = Agent::spawn(demo(&["--interval=1h"], temp.path()).with_terminal_signals("default"));
        agent.wait_for_text("the first commit", PATIENCE);
        agent.signal(signal);
        let ended = agent.finish(Duration::from_secs(10));
        assert!(ended.status.success(), "{ended:?}");
        assert!(ended.stdout.contains("0 commits"), "{ended:?}");
        assert!(is_empty(temp.path()), "the temporary folder is gone");
    }
}
