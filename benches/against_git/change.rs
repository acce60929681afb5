//! One file changes upstream: until the link shows it. git's counterpart is what git-sync runs: a fetch, a new worktree,
//! the swap of a symlink, the removal of the old tree.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::cold::{number, published, stages_of};
use crate::cost::{self, Cost, cpu_ever, while_watching, written_by};
use crate::report::{Bar, Report};
use crate::repositories::Served;
use crate::series::Series;
use crate::support::Agent;
use crate::world::World;

pub fn run(world: &World, served: &Served, report: &mut Report) {
    let ours = Ours::start(world, served);
    let theirs = Theirs::start(world, served);
    let (mut own, mut git, mut stages) = (Vec::<Cost>::new(), Vec::<Cost>::new(), Vec::new());
    for round in 1..=world.options.pairs(served.shape) {
        let (cost, line) = ours.change(served, round);
        own.push(cost);
        stages.push(stages_of(&line));
        git.push(theirs.change(round));
    }
    // The kernel tells it in ticks of 10 ms: one round says little, all together enough.
    let cpu = own.iter().map(|cost| cost.cpu).sum::<Duration>() / own.len() as u32;
    own.iter_mut().for_each(|cost| cost.cpu = cpu);
    let millis = |of: fn(&Cost) -> Duration| {
        (Series::millis(own.iter().map(of)), Some(Series::millis(git.iter().map(of))))
    };
    let (time, their_time) = millis(|cost| cost.wall);
    let name = served.shape.name();
    let bars = served.shape.change_bars();
    let (ratio, most) = (bars.map(|(ratio, _)| Bar::Ratio(ratio)), bars.map(|(_, most)| Bar::AtMost(most)));
    report.add(
        format!("one file changed, {name}: poll to swap, time"),
        "ms",
        time.clone(),
        their_time,
        ratio,
    );
    report.add("  … the same, the server's part in it", "ms", time, None, most);
    let (cpu, their_cpu) = millis(|cost| cost.cpu);
    report.add("  … processor time, removal included", "ms", cpu, their_cpu, None);
    let anon = |costs: &[Cost]| Series::mib(costs.iter().map(|cost| cost.anon));
    report.add("  … anonymous memory at its peak", "MiB", anon(&own), Some(anon(&git)), None);
    report.written(&own, &git);
    report.stages(stages);
}

/// A running agent that follows the repository.
pub struct Ours {
    root: TempDir,
    agent: Agent,
}

impl Ours {
    pub fn start(world: &World, served: &Served) -> Ours {
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
        Ours { root, agent }
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// One commit, until the agent has told it: what that cost, and the line.
    pub fn change(&self, served: &Served, round: usize) -> (Cost, serde_json::Value) {
        let pid = self.agent.pid();
        let (cpu, (written, to_disk)) = (cpu_ever(pid), written_by(pid));
        let (line, anon) = while_watching(pid, || {
            let commit = served.change(round);
            self.agent.wait_published(self.root.path(), "link", &commit);
            // The pass ends after the swap, with the removal of an older tree; its line comes last.
            let told = || published(&self.agent.stderr());
            self.agent.wait_until("the pass to be told", || told()["commit"] == commit.as_str());
            told()
        });
        let (written_now, to_disk_now) = written_by(pid);
        let cost = Cost {
            // From poll to swap, by its own clock: what comes before is the pause between two polls.
            wall: Duration::from_secs_f64(number(&line, "total_ms") / 1e3),
            cpu: cpu_ever(pid) - cpu,
            anon,
            written: written_now - written,
            to_disk: to_disk_now - to_disk,
        };
        (cost, line)
    }
}

/// What git-sync does, by the git program.
pub struct Theirs<'a> {
    world: &'a World,
    clone: TempDir,
    url: &'a str,
}

impl<'a> Theirs<'a> {
    pub fn start(world: &'a World, served: &'a Served) -> Theirs<'a> {
        let theirs = Theirs { world, clone: world.folder(), url: &served.url };
        theirs.git(&["init", "-q"]);
        theirs.fetch();
        theirs.git(&["worktree", "add", "-q", "--detach", "tree0", "FETCH_HEAD"]);
        theirs.swap("tree0");
        theirs
    }

    pub fn root(&self) -> &Path {
        self.clone.path()
    }

    /// Goes to what is upstream now.
    pub fn change(&self, round: usize) -> Cost {
        let (old, new) = (format!("tree{}", round - 1), format!("tree{round}"));
        self.fetch()
            + self.git(&["worktree", "add", "-q", "--detach", &new, "FETCH_HEAD"])
            + self.swap(&new)
            + self.git(&["worktree", "remove", "--force", &old])
    }

    fn fetch(&self) -> Cost {
        self.git(&["fetch", "-q", "--depth=1", self.url, "main"])
    }

    /// git-sync does this itself, without a program.
    fn swap(&self, tree: &str) -> Cost {
        let start = Instant::now();
        let fresh = self.clone.path().join("fresh");
        symlink(tree, &fresh).expect("a link is made");
        fs::rename(&fresh, self.clone.path().join("link")).expect("a link is put in place");
        Cost { wall: start.elapsed(), ..Cost::default() }
    }

    fn git(&self, args: &[&str]) -> Cost {
        let mut command = self.world.git(["-C".as_ref(), self.clone.path().as_os_str()]);
        cost::run(command.args(args)).0
    }
}
