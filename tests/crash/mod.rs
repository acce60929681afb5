//! A pass that dies at a crash point, and what has to be true afterwards.
//!
//! A [`Scenario`] is a root in some state and one pass over it. [`World`] brings a root into that state, lets the pass die, looks
//! at what readers see, starts the agent again and compares what lies below the root with what an undisturbed pass leaves.

// Each integration test compiles this module for itself and uses a part of it only.
#![allow(dead_code)]

pub mod broken;
pub mod scenarios;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use dagsync::tree::manifest;
use gix::hash::Kind;

use crate::support::agent::Launch;
use crate::support::{GitServer, Repo};
use crate::synced::{Files, RUN, Synced, files, names, of_commit};

/// The variable that names a fault.
pub const VARIABLE: &str = "DAGSYNC_TEST_FAULT";
const SIGKILL: Option<i32> = Some(9);

/// A root in some state, and a pass that dies.
pub struct Scenario {
    /// For messages.
    pub name: &'static str,
    /// The upstream's commits: all but the last are published before, one after the other.
    pub history: fn(&Repo) -> Vec<String>,
    /// Arguments of the passes before.
    pub first: &'static [&'static str],
    /// Arguments of the pass that dies, and of the one after it.
    pub args: &'static [&'static str],
    /// Over HTTP instead of from a folder.
    pub over_http: bool,
    /// What else happens to the root before.
    pub before: fn(&World),
    /// A fault beside the kill, which leads to the point.
    pub fault: &'static str,
    /// Paths that a crash may cost: what they begin with.
    pub may_lack: &'static [&'static str],
    /// Paths that stay until there is more of their kind: what they begin with.
    pub may_keep: &'static [&'static str],
}

/// An upstream and a root, again and again in the state that a scenario begins with.
pub struct World {
    /// The upstream and the root.
    pub synced: Synced,
    scenario: &'static Scenario,
    commits: Vec<String>,
    contents: BTreeMap<String, Files>,
    server: Option<GitServer>,
}

impl World {
    /// The upstream; no root yet.
    pub fn new(scenario: &'static Scenario) -> World {
        let synced = Synced::empty();
        let commits = (scenario.history)(&synced.repo);
        let of = |commit: &String| (commit.clone(), of_commit(&synced.repo, commit));
        let contents = commits.iter().map(of).collect();
        let server = scenario.over_http.then(|| GitServer::plain(synced.dir.path()));
        World { scenario, commits, contents, server, synced }
    }

    /// How often the pass changes something at each point.
    pub fn points(&self) -> BTreeMap<String, usize> {
        self.prepare();
        let count = self.synced.path("count");
        let _ = fs::remove_file(&count);
        // A scenario of a failure fails here too.
        self.run(&format!("count:{}", count.display()));
        let mut points = BTreeMap::new();
        for name in fs::read_to_string(&count).unwrap_or_default().lines() {
            *points.entry(name.to_owned()).or_default() += 1;
        }
        points
    }

    /// What is below the root after a pass that nothing disturbs.
    pub fn undisturbed(&self) -> Result<BTreeSet<String>, String> {
        self.prepare();
        self.pass_again()?;
        self.synced.nothing_is_left_over();
        Ok(paths(&self.synced.root))
    }

    /// The pass dies of `kill`; readers see a whole tree; the next start mends everything.
    pub fn survives(&self, kill: &str, undisturbed: &BTreeSet<String>) -> Result<(), String> {
        self.prepare();
        let before = self.synced.seen();
        let status = self.run(kill);
        let what = |what: String| format!("{} {kill}: {what}", self.scenario.name);
        if status.signal() != SIGKILL {
            return Err(what(format!("not killed, but {status:?}")));
        }
        let seen = self.synced.seen();
        if seen != before {
            self.shows_the_newest().map_err(|err| what(format!("after the kill: {err}")))?;
        }
        self.pass_again().map_err(&what)?;
        let now = paths(&self.synced.root);
        let begins = |path: &&String, with: &[&str]| with.iter().any(|begin| path.starts_with(begin));
        let may_keep = |path: &&String| begins(path, self.scenario.may_keep);
        let may_lack = |path: &&String| begins(path, self.scenario.may_lack);
        let left: Vec<_> = now.difference(undisturbed).filter(|path| !may_keep(path)).collect();
        let lost: Vec<_> = undisturbed.difference(&now).filter(|path| !may_lack(path)).collect();
        match (left.is_empty(), lost.is_empty()) {
            (true, true) => Ok(()),
            _ => Err(what(format!("left over: {left:?}, not there: {lost:?}"))),
        }
    }

    /// The state that the scenario begins with.
    fn prepare(&self) {
        let _ = fs::remove_dir_all(&self.synced.root);
        let (last, earlier) = self.commits.split_last().expect("a scenario has a commit");
        for commit in earlier {
            self.point_at(commit);
            let finished = self.launch(self.scenario.first).args(["--one-time"]).run(RUN);
            assert!(finished.status.success(), "{}: {finished:?}", self.scenario.name);
        }
        if let Some(commit) = earlier.last() {
            let (_, seen) = self.synced.seen().expect("published before");
            assert_eq!(seen, self.contents[commit], "{}", self.scenario.name);
        }
        self.point_at(last);
        (self.scenario.before)(self);
    }

    fn point_at(&self, commit: &str) {
        point_at(&self.synced.repo, commit);
    }

    fn launch(&self, args: &[&str]) -> Launch {
        let launch = match &self.server {
            Some(server) => self.synced.launch_from(server.url("upstream/.git")),
            None => self.synced.launch(),
        };
        launch.args(args)
    }

    /// The scenario's pass, with its own fault and one more.
    fn run(&self, fault: &str) -> std::process::ExitStatus {
        let faults: Vec<&str> =
            [self.scenario.fault, fault].into_iter().filter(|part| !part.is_empty()).collect();
        let launch = self.launch(self.scenario.args).args(["--one-time"]);
        launch.env(VARIABLE, faults.join(";")).run(RUN).status
    }

    /// A pass without a fault, which has to succeed and to show the newest commit.
    fn pass_again(&self) -> Result<(), String> {
        let finished = self.launch(self.scenario.args).args(["--one-time"]).run(RUN);
        if !finished.status.success() || finished.stderr.contains("panicked") {
            return Err(format!("the next start fails: {}", finished.stderr));
        }
        self.shows_the_newest().map_err(|err| format!("after the next start: {err}\n{}", finished.stderr))
    }

    fn shows_the_newest(&self) -> Result<(), String> {
        let newest = self.commits.last().expect("a scenario has a commit");
        let tree = match (self.synced.published(), fs::canonicalize(self.synced.link())) {
            (Some(commit), Ok(tree)) if commit == *newest => tree,
            other => return Err(format!("the link shows {other:?}, not {newest}")),
        };
        if files(&tree) != self.contents[newest] {
            return Err(format!("the link's tree is not {newest}: {:?}", files(&tree).keys()));
        }
        match manifest::damage(&tree, &self.synced.root.join(".git"), Kind::Sha1) {
            Ok(None) => Ok(()),
            damage => Err(format!("the link's tree is damaged: {damage:?}")),
        }
    }
}

/// Moves the upstream's branch: as git does it, without starting git for each of many hundred cases.
pub fn point_at(repo: &Repo, commit: &str) {
    let branch = repo.git_dir().join("refs/heads/main");
    fs::write(branch.with_extension("lock"), format!("{commit}\n")).unwrap();
    fs::rename(branch.with_extension("lock"), branch).unwrap();
}

/// Every path below a root, but for what differs from run to run: the names of packs, a second place for the same commit, the
/// count of live bytes, which is made again when it is needed, and a tree that is kept for the next build, if there is one.
pub fn paths(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut queue = vec![String::new()];
    let spares = names(&root.join(".dagsync")).into_iter().filter(|name| name.starts_with("spare-"));
    let spares: Vec<String> = spares.map(|name| format!(".dagsync/{name}")).collect();
    let metadata = spares.iter().filter_map(|spare| {
        let text = fs::read_to_string(root.join(spare).join(".git")).ok()?;
        Some(format!(".git/worktrees/{}", text.trim().rsplit('/').next()?))
    });
    let apart: Vec<String> = metadata.chain(spares.clone()).collect();
    while let Some(at) = queue.pop() {
        for name in names(&root.join(&at)) {
            let path = if at.is_empty() { name } else { format!("{at}/{name}") };
            if apart.contains(&path) {
                continue;
            }
            let full = root.join(&path);
            if full.is_dir() && !full.is_symlink() {
                queue.push(path.clone());
            }
            let is_again = |part: &&str| part.starts_with("again-");
            let is_count = path == ".git/dagsync.live";
            if !is_count && !path.rsplit('/').next().is_some_and(|name| is_again(&name)) {
                let parts: Vec<_> = path.split('/').filter(|part| !is_again(part)).map(one_name).collect();
                found.insert(parts.join("/"));
            }
        }
    }
    found
}

fn one_name(part: &str) -> String {
    if let Some((_, ending)) = part.strip_prefix("pack-").and_then(|rest| rest.split_once('.')) {
        return format!("pack-*.{ending}");
    }
    match part.split_once('-') {
        Some((commit, _)) if commit.len() == 40 => commit.to_owned(),
        _ => part.to_owned(),
    }
}

/// Does all jobs, a few at a time: most of each is waiting for a child or the disk.
pub fn side_by_side<J: Sync, R: Send>(jobs: &[J], work: impl Fn(&J) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = work(job);
                    done.lock().expect("no panic while pushing").push(result);
                }
            });
        }
    });
    done.into_inner().expect("no panic while pushing")
}
