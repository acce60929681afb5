//! The first sync: an empty root, a repository, a link. git's counterpart is `git clone --depth 1`.

use crate::cost::{self, Cost};
use crate::report::{Bar, Report};
use crate::repositories::Served;
use crate::series::Series;
use crate::world::World;

pub fn run(world: &World, served: &Served, report: &mut Report) {
    let (mut ours, mut clone, mut worktree) = (Vec::new(), Vec::new(), Vec::new());
    let (mut bytes, mut stages) = (0.0, Vec::new());
    for pair in 0..world.options.pairs(served.shape) {
        let mut sync = || {
            let (cost, line) = first_sync(world, served);
            bytes = number(&line, "bytes");
            stages.push(stages_of(&line));
            cost
        };
        // Who goes first has the colder caches: by turns.
        if pair % 2 == 0 {
            ours.push(sync());
            clone.push(clone_cost(world, served));
        } else {
            clone.push(clone_cost(world, served));
            ours.push(sync());
        }
        if pair < 3 {
            worktree.push(worktree_cost(world, served));
        }
    }
    let name = served.shape.name();
    let wall = |costs: &[Cost]| Series::millis(costs.iter().map(|cost| cost.wall));
    let cpu = |costs: &[Cost]| Series::millis(costs.iter().map(|cost| cost.cpu));
    let anon = |costs: &[Cost]| Series::mib(costs.iter().map(|cost| cost.anon));
    let half = Some(Bar::Ratio(0.5));
    report.add(format!("first sync, {name}: time"), "ms", wall(&ours), Some(wall(&clone)), half);
    report.add("  … processor time", "ms", cpu(&ours), Some(cpu(&clone)), half);
    let bar = Some(Bar::AtMost(served.shape.memory_bar()));
    report.add("  … anonymous memory at its peak", "MiB", anon(&ours), Some(anon(&clone)), bar);
    report.written(&ours, &clone);
    let worktree_too = (Some(wall(&worktree)), Some(cpu(&worktree)));
    report.add(
        "  … against fetch + worktree add: time",
        "ms",
        wall(&ours[..worktree.len()]),
        worktree_too.0,
        None,
    );
    report.add("  … and its processor time", "ms", cpu(&ours[..worktree.len()]), worktree_too.1, None);
    report.add("  … bytes received", "MB", Series::new([bytes / 1e6]), None, None);
    report.stages(stages);
}

/// What the line `published` tells.
pub const STAGES: [&str; 6] = ["resolve_ms", "fetch_ms", "check_ms", "stage_ms", "publish_ms", "total_ms"];

/// How long each took, of one line.
pub fn stages_of(line: &serde_json::Value) -> [f64; STAGES.len()] {
    STAGES.map(|name| number(line, name))
}

fn first_sync(world: &World, served: &Served) -> (Cost, serde_json::Value) {
    let root = world.folder();
    let args = [
        format!("--repo={}", served.url),
        format!("--root={}", root.path().display()),
        "--link=link".into(),
        "--ref=main".into(),
        "--one-time".into(),
        "--log-format=json".into(),
    ];
    let (cost, said) = cost::run(&mut world.dagsync(args));
    let seen = std::fs::read_dir(root.path().join("link/dags")).map_or(0, Iterator::count);
    assert!(seen > 0, "nothing was published:\n{said}");
    (cost, published(&said))
}

/// The last line that says what was published.
pub fn published(said: &str) -> serde_json::Value {
    let mut lines = said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    lines.rfind(|line| line["msg"] == "published").unwrap_or_else(|| panic!("not published:\n{said}"))
}

/// A field of a log line.
pub fn number(line: &serde_json::Value, name: &str) -> f64 {
    line[name].as_f64().or_else(|| line["args"][name].as_f64()).unwrap_or_else(|| panic!("no {name}: {line}"))
}

fn clone_cost(world: &World, served: &Served) -> Cost {
    let folder = world.folder();
    let to = folder.path().join("clone");
    let mut command =
        world.git(["clone", "-q", "--depth=1", "--single-branch", "--branch=main", &served.url]);
    cost::run(command.arg(to)).0
}

/// What git-sync does.
fn worktree_cost(world: &World, served: &Served) -> Cost {
    let folder = world.folder();
    let at = |args: &[&str]| {
        let mut command = world.git(["-C".as_ref(), folder.path().as_os_str()]);
        cost::run(command.args(args)).0
    };
    at(&["init", "-q"])
        + at(&["fetch", "-q", "--depth=1", &served.url, "main"])
        + at(&["worktree", "add", "-q", "--detach", "tree", "FETCH_HEAD"])
}
