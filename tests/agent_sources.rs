//! Several sources in one process: each at its own pace, and none in another's way.

mod support;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use support::agent::{Launch, published};
use support::observe::{address, log_lines, metrics, ready, sample, wait_for_passes};
use support::{Agent, Answer, Hostile, Repo, temp};
use tempfile::TempDir;

struct World {
    folder: TempDir,
    text: String,
}

impl World {
    fn new(head: &str) -> World {
        World { folder: temp(), text: format!("{head}\n") }
    }

    fn repo(&self, name: &str) -> Repo {
        let repo = Repo::bare(self.folder.path().join(format!("{name}.git")));
        repo.commit(&[("dags/x.py", name)]);
        repo
    }

    fn root(&self, name: &str) -> PathBuf {
        self.folder.path().join("roots").join(name)
    }

    /// A source with its root, link `current`, and more lines.
    fn source(&mut self, name: &str, repo: impl AsRef<str>, root: &str, more: &str) {
        let (repo, root) = (repo.as_ref(), self.root(root));
        let link = if more.contains("link") { "" } else { "link = \"current\"\n" };
        write!(self.text, "[[source]]\nname = \"{name}\"\nrepo = {repo:?}\nroot = {root:?}\n{link}{more}\n")
            .unwrap();
    }

    fn start(&self) -> Agent {
        let file = self.folder.path().join("dagsync.toml");
        fs::write(&file, &self.text).unwrap();
        Launch::new(["--http-bind=127.0.0.1:0", "--log-format=json"]).set("config", file).start()
    }
}

fn path(repo: &Repo) -> String {
    repo.git_dir().display().to_string()
}

fn passes(at: std::net::SocketAddr, source: &str, result: &str) -> f64 {
    let series = format!("dagsync_passes_total{{result=\"{result}\",source=\"{source}\"}}");
    sample(at, &series).unwrap_or(0.0)
}

#[test]
fn each_source_has_its_own_pace() {
    let mut world = World::new("");
    let (fast, slow) = (world.repo("fast"), world.repo("slow"));
    world.source("fast", path(&fast), "fast", "period = \"20ms\"");
    world.source("slow", path(&slow), "slow", "period = \"1h\"");
    let agent = world.start();
    let at = address(&agent);
    wait_for_passes(at, "fast", "noop", 10);
    wait_for_passes(at, "slow", "success", 1);
    assert_eq!(passes(at, "slow", "noop"), 0.0);
    assert_eq!(ready(at), 200);
}

#[test]
fn a_source_that_hangs_or_fails_slows_no_other_one() {
    let mut world = World::new("period = \"50ms\"");
    let good = world.repo("good");
    let stalls =
        Hostile::over(&good, |asked, honest| if asked.is_fetch() { honest.stall_after(60) } else { honest });
    let silent = Hostile::new(|_| Answer::silence());
    let broken = Hostile::new(|_| Answer::status(500));
    world.source("good", path(&good), "good", "");
    world.source("stalls", stalls.url(), "stalls", "");
    world.source("silent", silent.url(), "silent", "");
    world.source("broken", broken.url(), "broken", "");
    let agent = world.start();
    let at = address(&agent);
    stalls.wait_for_requests(3);
    silent.wait_for_requests(1);
    broken.wait_for_requests(2);
    // While one hangs in the middle of a pack, the other publishes what is pushed, again and again, and not late.
    let mut slowest = Duration::ZERO;
    for number in 0..5 {
        let start = std::time::Instant::now();
        let head = good.commit(&[("dags/x.py", &format!("{number}"))]);
        agent.wait_published(&world.root("good"), "current", &head);
        slowest = slowest.max(start.elapsed());
    }
    // The others' passes have two minutes; a commit and a pass take milliseconds, or seconds on a machine that builds.
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");
    assert_eq!(passes(at, "stalls", "error") + passes(at, "silent", "error"), 0.0, "they still hang");
    assert!(passes(at, "broken", "error") >= 1.0);
    assert_eq!(ready(at), 503, "ready only when all are");
}

#[test]
fn a_source_whose_root_cannot_be_opened_holds_no_other_up() {
    let mut world = World::new("period = \"50ms\"");
    let good = world.repo("good");
    fs::create_dir_all(world.folder.path().join("roots")).unwrap();
    fs::write(world.root("bad"), "a file, not a folder").unwrap();
    world.source("bad", path(&good), "bad", "");
    world.source("good", path(&good), "good", "");
    let agent = world.start();
    let at = address(&agent);
    wait_for_passes(at, "good", "noop", 2);
    wait_for_passes(at, "bad", "error", 2);
    fs::remove_file(world.root("bad")).unwrap();
    agent.wait_published(&world.root("bad"), "current", &good.head());
    agent.wait_until("both to be ready", || ready(at) == 200);
}

#[test]
fn sources_share_a_root_and_keep_out_of_each_others_trees() {
    let mut world = World::new("period = \"20ms\"\nstale-worktree-timeout = \"0\"");
    let (one, two) = (world.repo("one"), world.repo("two"));
    world.source("one", path(&one), "shared", "link = \"one\"");
    world.source("two", path(&two), "shared", "link = \"two\"");
    // The same repository at another ref, in the same root.
    one.branch("release");
    world.source("three", path(&one), "shared", "link = \"deep/er/three\"\nref = \"release\"");
    let agent = world.start();
    let at = address(&agent);
    let root = world.root("shared");
    let release = one.id("release");
    for number in 0..4 {
        let text = format!("{number}");
        let (first, second) = (one.commit(&[("dags/x.py", &text)]), two.commit(&[("dags/x.py", &text)]));
        agent.wait_published(&root, "one", &first);
        agent.wait_published(&root, "two", &second);
        assert_eq!(fs::read_to_string(root.join("one/dags/x.py")).unwrap(), text);
        assert_eq!(fs::read_to_string(root.join("deep/er/three/dags/x.py")).unwrap(), "one");
        assert_eq!(published(&root, "deep/er/three").as_ref(), Some(&release));
    }
    for source in ["one", "two", "three"] {
        wait_for_passes(at, source, "noop", 3);
        assert_eq!(passes(at, source, "error"), 0.0, "{}", agent.stderr());
    }
}

#[test]
fn every_line_and_every_series_names_its_source() {
    let mut world = World::new("period = \"1h\"");
    for name in ["alpha", "beta"] {
        let repo = world.repo(name);
        world.source(name, path(&repo), name, "");
    }
    let agent = world.start();
    let at = address(&agent);
    ["alpha", "beta"].iter().for_each(|name| wait_for_passes(at, name, "success", 1));
    // The log comes through a pipe: the number may be there before its line.
    agent.wait_until("both lines", || agent.stderr().matches("\"msg\":\"published\"").count() == 2);
    let lines = log_lines(&agent.stderr());
    let published: BTreeSet<&str> = lines
        .iter()
        .filter(|line| line["msg"] == "published")
        .filter_map(|line| line["source"].as_str())
        .collect();
    assert_eq!(published, BTreeSet::from(["alpha", "beta"]));
    let page = metrics(at);
    let names = |source: &str| -> BTreeSet<String> {
        let label = format!("source=\"{source}\"");
        let of = page.lines().filter(|line| !line.starts_with('#') && line.contains(&label));
        of.map(|line| line.split('{').next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(names("alpha"), names("beta"));
    assert!(names("alpha").contains("dagsync_published_info"), "{page}");
    let one = |name: &str| page.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!(one("git_sync_count_total{"), 1, "git-sync's names add all sources up: {page}");
    assert!(Path::new(&world.root("alpha")).join("current").exists());
}
