//! One file changes upstream: until the link shows it. git's counterpart is what git-sync runs: a fetch, a new worktree,
//! the removal of the old one.

use std::time::Duration;

use crate::cold::{number, published};
use crate::cost::{self, Cost, cpu_of};
use crate::report::{Report, Series};
use crate::support::Agent;
use crate::world::{Served, World};

pub fn run(world: &World, served: &Served, report: &mut Report) {
    let root = world.folder();
    let args = [
        format!("--repo={}", served.url),
        format!("--root={}", root.path().display()),
        "--link=link".into(),
        "--ref=main".into(),
        "--period=10ms".into(),
        "--log-format=json".into(),
    ];
    let agent = Agent::spawn(world.dagsync(args));
    agent.wait_published(root.path(), "link", &served.repo.head());
    let clone = world.folder();
    let at = |args: &[&str]| {
        let mut command = world.git(["-C".as_ref(), clone.path().as_os_str()]);
        cost::run(command.args(args)).0
    };
    at(&["init", "-q"]);
    at(&["fetch", "-q", "--depth=1", &served.url, "main"]);
    at(&["worktree", "add", "-q", "--detach", "tree0", "FETCH_HEAD"]);
    let (mut passes, mut cpu, mut git) = (Vec::new(), Vec::new(), Vec::<Cost>::new());
    for round in 1..=world.options.pairs(served.files) {
        let before = cpu_of(agent.pid());
        let commit = served.change(round);
        agent.wait_published(root.path(), "link", &commit);
        // The pass ends after the swap, with the removal of an older tree; its line comes last.
        agent.wait_until("the pass to be told", || published(&agent.stderr())["commit"] == commit.as_str());
        cpu.push(cpu_of(agent.pid()) - before);
        passes.push(Duration::from_secs_f64(number(&published(&agent.stderr()), "total_ms") / 1e3));
        let (old, new) = (format!("tree{}", round - 1), format!("tree{round}"));
        git.push(
            at(&["fetch", "-q", "--depth=1", &served.url, "main"])
                + at(&["worktree", "add", "-q", "--detach", &new, "FETCH_HEAD"])
                + at(&["worktree", "remove", "--force", &old]),
        );
    }
    let files = served.files;
    let theirs = |time: fn(&Cost) -> Duration| Some(Series::millis(git.iter().map(time)));
    report.add(
        format!("one file of {files} changed: pass, from poll to swap"),
        "ms",
        Series::millis(passes),
        theirs(|cost| cost.wall),
        None,
    );
    report.add(
        "  … processor time, removal included",
        "ms",
        Series::millis(cpu),
        theirs(|cost| cost.cpu),
        None,
    );
}
