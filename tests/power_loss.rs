//! The power goes at any moment: with `--durable=on` the link leads to one whole commit, and without it that can be lost.
//!
//! The root is an ext4 in a file, mounted so that the kernel writes next to nothing on its own. A copy of that file, made while the
//! agent is stopped, is what a machine would find after a power cut: only what was flushed is in it.

mod support;
mod synced;
mod volume;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use support::agent::Launch;
use support::wait::holds_within;
use support::{Agent, Repo, wait_until};
use synced::{Files, RUN, Synced, files, of_commit, ok};
use tempfile::TempDir;
use volume::{Volume, fast_folder, new_image};

const IMAGE: u64 = 64 << 20;

/// An upstream, and a root on a disk of its own.
struct World {
    synced: Synced,
    // Unmounted before its folder goes.
    _disk: Volume,
    folder: TempDir,
    image: PathBuf,
    /// Every commit, oldest first.
    commits: Vec<String>,
    content: HashMap<String, Files>,
    dice: fastrand::Rng,
}

impl World {
    fn new(bytes: u64) -> Option<World> {
        let seed = fastrand::u64(..);
        eprintln!("seed {seed}");
        let folder = fast_folder();
        let image = folder.path().join("disk");
        let disk = new_image(&image, bytes)
            .then(|| Volume::of_image(&image, &folder.path().join("mnt"), "commit=300"))??;
        let mut synced = Synced::empty();
        synced.root = disk.path().join("root");
        let dice = fastrand::Rng::with_seed(seed);
        let (commits, content) = (Vec::new(), HashMap::new());
        let mut world = World { synced, _disk: disk, folder, image, commits, content, dice };
        let many: Vec<_> = (0..60).map(|at| (format!("dags/d{}/f{at}.py", at / 10), world.text())).collect();
        for (path, text) in &many {
            world.synced.repo.write(path, text);
        }
        world.commit();
        Some(world)
    }

    fn text(&mut self) -> String {
        let lines = self.dice.usize(1..400);
        (0..lines).map(|_| format!("x = {:016x}\n", self.dice.u64(..))).collect()
    }

    /// One more commit: mostly a few files, now and then so many that they are flushed together.
    fn commit(&mut self) -> String {
        let files = if self.dice.u8(..5) == 0 { 160 } else { self.dice.usize(1..6) };
        for _ in 0..files {
            let path = format!("dags/d{}/g{}.py", self.dice.u8(..9), self.dice.u8(..40));
            let text = self.text();
            let repo = &self.synced.repo;
            let removes = self.dice.u8(..6) == 0 && repo.work().join(&path).exists();
            if removes {
                repo.remove(&path)
            } else {
                repo.write(&path, text)
            };
        }
        let commit = self.synced.repo.commit_all("more");
        self.commits.push(commit.clone());
        commit
    }

    fn launch(&self, root: &Path, durable: &str) -> Launch {
        let launch = Launch::default().set("repo", self.synced.repo.work()).set("root", root);
        launch
            .args(["--link=repo", "--period=10ms", "--max-failures=-1", "--log-format=json"])
            .set("durable", durable)
    }

    /// What the disk holds now, with the agent standing still.
    fn cut(&self, agent: &Agent, to: &Path) -> Option<String> {
        agent.signal(Signal::STOP);
        let stands = || {
            let tasks = fs::read_dir(format!("/proc/{}/task", agent.pid())).unwrap();
            // The state is behind the name, which is in parentheses.
            let state = |task: PathBuf| fs::read_to_string(task.join("stat")).unwrap_or_default();
            tasks
                .flatten()
                .all(|task| state(task.path()).rsplit(") ").next().is_some_and(|s| s.starts_with('T')))
        };
        wait_until(RUN, "the agent to stand still", stands);
        let told = told(agent);
        ok(Command::new("cp").arg("--sparse=always").arg(&self.image).arg(to));
        agent.signal(Signal::CONT);
        told
    }

    /// What a reader finds on that disk, if it is not one whole commit; `told` was said to be published before.
    fn look(&mut self, root: &Path, told: Option<&str>) -> Result<(), String> {
        let link = root.join("repo");
        let Some(commit) = support::agent::published(root, "repo") else {
            return match told {
                None if fs::symlink_metadata(&link).is_err() => Ok(()),
                _ => Err(format!("{told:?} was published, and the link is gone: {:?}", fs::read_link(&link))),
            };
        };
        let place = |commit: &str| self.commits.iter().position(|known| known == commit);
        if place(&commit) < told.and_then(place) {
            return Err(format!("{told:?} was published, and the link leads to {commit}"));
        }
        let repo: &Repo = &self.synced.repo;
        let wanted = self.content.entry(commit.clone()).or_insert_with(|| of_commit(repo, &commit));
        let found = files(&link);
        if found != *wanted {
            let differs = |path: &&String| found.get(*path) != wanted.get(*path);
            let some: Vec<_> = wanted.keys().chain(found.keys()).filter(differs).take(3).collect();
            return Err(format!("the tree of {commit} differs: {some:?}"));
        }
        // Its manifest and its objects: git says that the tree is its commit, and reads all of it.
        for args in [&["status", "--porcelain"][..], &["archive", "-o/dev/null", "HEAD"]] {
            let output = support::repo::git().arg("-C").arg(&link).args(args).output().unwrap();
            if !output.status.success() || args[0] == "status" && !output.stdout.is_empty() {
                return Err(format!("git {args:?} in the tree of {commit}: {output:?}"));
            }
        }
        Ok(())
    }

    /// A number of power cuts. What each destroyed; after all of them an agent publishes the tip again.
    fn cuts(&mut self, durable: &str, number: usize) -> Vec<String> {
        let agent = self.launch(&self.synced.root, durable).start();
        let mut losses = Vec::new();
        for at in 0..number {
            let commit = self.commit();
            match at % 4 {
                // In the middle of things, mostly.
                0..3 => drop(holds_within(Duration::from_micros(self.dice.u64(..90_000)), || false)),
                _ => agent.wait_until("the commit to be told", || told(&agent).as_ref() == Some(&commit)),
            }
            let copy = self.folder.path().join("copy");
            let told = self.cut(&agent, &copy);
            let disk = Volume::of_image(&copy, &self.folder.path().join("after"), "rw")
                .expect("the copy is mounted");
            let root = disk.path().join("root");
            losses.extend(self.look(&root, told.as_deref()).err().map(|loss| format!("cut {at}: {loss}")));
            let again = self.launch(&root, durable).args(["--one-time"]).run(RUN);
            assert!(again.status.success(), "after cut {at} it does not recover: {again:?}");
            assert_eq!(self.look(&root, self.commits.last().cloned().as_deref()), Ok(()), "after cut {at}");
        }
        losses
    }
}

/// The commit that the agent last said it had published.
fn told(agent: &Agent) -> Option<String> {
    let said = agent.stderr();
    let line = said.lines().rfind(|line| line.contains("\"msg\":\"published\""))?.to_owned();
    let line: serde_json::Value = serde_json::from_str(&line).ok()?;
    Some(line["commit"].as_str()?.to_owned())
}

#[test]
fn after_a_power_cut_at_any_moment_the_link_leads_to_one_whole_commit() {
    let Some(mut world) = World::new(IMAGE) else { return };
    let losses = world.cuts("on", 24);
    assert_eq!(losses, Vec::<String>::new());
}

/// Without this one the test above would prove nothing.
#[test]
fn what_is_not_flushed_is_lost_in_a_power_cut_and_comes_back_with_the_next_pass() {
    let Some(mut world) = World::new(IMAGE) else { return };
    let losses = world.cuts("off", 12);
    assert!(!losses.is_empty(), "nothing was lost: is a copy of the disk not what a power cut leaves?");
}

#[test]
fn a_disk_that_fails_to_take_a_tree_fails_the_pass_and_what_is_published_stays() {
    let folder = fast_folder();
    // The image promises more than there is below it.
    let Some(below) = Volume::in_memory(&folder.path().join("below"), "size=24m") else { return };
    let image = below.path().join("disk");
    if !new_image(&image, IMAGE) {
        return;
    }
    let Some(disk) = Volume::of_image(&image, &folder.path().join("mnt"), "commit=300") else { return };
    let mut world = Synced::new();
    // Packed at once: a loose one would be unpacked on this disk first, and fail it too early.
    world.repo.git(&["config", "core.bigFileThreshold", "1m"]);
    world.root = disk.path().join("root");
    let first = world.repo.head();
    let agent = world.launch().args(["--max-failures=-1", "--durable=on"]).start();
    agent.wait_published(&world.root, "repo", &first);
    let mut noise = vec![0; 14 << 20];
    fastrand::Rng::with_seed(1).fill(&mut noise);
    world.repo.write("noise.bin", noise);
    let second = world.repo.commit_all("more than the disk takes");
    agent.wait_until("passes to fail", || agent.stderr().contains("cannot flush"));
    // ext4 tells either, by where its writes failed.
    let why = ["Input/output error", "No space left on device"];
    assert!(why.iter().any(|why| agent.stderr().contains(why)), "{}", agent.stderr());
    assert_eq!(world.published().as_deref(), Some(first.as_str()));
    assert_eq!(files(&world.link()), of_commit(&world.repo, &first));
    assert_ne!(first, second);
}
