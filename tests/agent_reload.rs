//! The configuration file changes while the agent runs.

mod support;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::agent::{Launch, published};
use support::observe::{address, metrics, ready, said, sample, wait_for_passes, wait_for_sample};
use support::{Agent, Answer, Hostile, Repo, temp};
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(30);
const IN_USE: &str = "the changed configuration is in use";

/// Repositories `a`, `b`, `c` with a commit each, and a file to configure them in.
struct World {
    folder: TempDir,
    file: PathBuf,
}

impl World {
    fn new() -> World {
        let folder = temp();
        for name in ["a", "b", "c"] {
            Repo::bare(folder.path().join(name)).commit(&[("dags/x.py", name)]);
        }
        let file = folder.path().join("dagsync.toml");
        World { folder, file }
    }

    fn head(&self, name: &str) -> String {
        let id = fs::read_to_string(self.folder.path().join(name).join("refs/heads/main")).unwrap();
        id.trim().to_owned()
    }

    fn root(&self, name: &str) -> PathBuf {
        self.folder.path().join("roots").join(name)
    }

    /// The file's text for sources, each with more lines of its own.
    fn text(&self, sources: &[(&str, &str)]) -> String {
        let mut text = "period = \"1h\"\n".to_owned();
        for (name, more) in sources {
            let (repo, root) = (self.folder.path().join(name), self.root(name));
            writeln!(
                text,
                "[[source]]\nname = \"{name}\"\nrepo = {repo:?}\nroot = {root:?}\nlink = \"current\"\n{more}"
            )
            .unwrap();
        }
        text
    }

    fn configure(&self, sources: &[(&str, &str)]) {
        fs::write(&self.file, self.text(sources)).unwrap();
    }

    fn start(&self) -> Agent {
        Launch::new(["--http-bind=127.0.0.1:0", "--log-format=json"]).set("config", &self.file).start()
    }

    #[track_caller]
    fn wait_published(&self, agent: &Agent, name: &str) {
        agent.wait_published(&self.root(name), "current", &self.head(name));
    }
}

/// What a pass that published again, or at all, would change.
fn identity(root: &Path) -> (u64, i64) {
    let link = fs::symlink_metadata(root.join("current")).unwrap();
    (link.ino(), link.mtime_nsec())
}

#[test]
fn sources_come_change_and_go_and_the_others_notice_nothing() {
    let world = World::new();
    world.configure(&[("a", ""), ("b", "")]);
    let agent = world.start();
    let at = address(&agent);
    for name in ["a", "b"] {
        world.wait_published(&agent, name);
        wait_for_passes(at, name, "success", 1);
    }
    let untouched = identity(&world.root("a"));

    // `b` changes, `c` is new.
    let text = world.text(&[("a", ""), ("b", ""), ("c", "")]).replacen(
        &format!("root = {:?}\nlink = \"current\"", world.root("b")),
        &format!("root = {:?}\nlink = \"moved\"", world.root("b")),
        1,
    );
    fs::write(&world.file, text).unwrap();
    world.wait_published(&agent, "c");
    agent.wait_published(&world.root("b"), "moved", &world.head("b"));
    wait_for_passes(at, "c", "success", 1);
    let line = said(&agent, IN_USE).pop().expect("a line about it");
    assert_eq!((line["restarted"].as_u64(), line["kept"].as_u64()), (Some(2), Some(1)), "{line}");

    // `b` goes; what it published stays.
    world.configure(&[("a", ""), ("c", "")]);
    agent.wait_for_text("no longer configured", LONG);
    agent.wait_until("the series of `b` to go", || !metrics(at).contains("source=\"b\""));
    assert_eq!(published(&world.root("b"), "moved"), Some(world.head("b")));
    let line = said(&agent, IN_USE).pop().expect("a line about it");
    assert_eq!((line["restarted"].as_u64(), line["kept"].as_u64()), (Some(0), Some(2)), "{line}");

    // Nothing happened to `a` in all that time.
    assert_eq!(identity(&world.root("a")), untouched);
    let passes = |result| sample(at, &format!("dagsync_passes_total{{result=\"{result}\",source=\"a\"}}"));
    assert_eq!((passes("success"), passes("noop")), (Some(1.0), None), "{}", agent.stderr());
    assert_eq!(ready(at), 200);
}

/// Advisories: `config_reload_bad_file`; CVE-2022-39272 is a configuration that stopped everything.
#[test]
fn bad_reload_keeps_old_config() {
    let world = World::new();
    world.configure(&[("a", "")]);
    let agent = world.start();
    let at = address(&agent);
    wait_for_passes(at, "a", "success", 1);
    let reloads = |result| format!("dagsync_config_reloads_total{{result=\"{result}\"}}");
    let good = world.text(&[("a", ""), ("b", "")]);
    let bad = [
        ("[[source]\nname =", "config file, line 1"),
        (&*good.replace("1h", "5 bananas"), "bananas"),
        (&*good.replace("link = \"current\"", "lnik = \"current\""), "lnik"),
        ("\n", "repo: required"),
    ];
    for (number, (text, says)) in bad.into_iter().enumerate() {
        fs::write(&world.file, text).unwrap();
        wait_for_sample(at, &reloads("error"), (number + 1) as f64);
        let line = said_of(&agent, says);
        assert_eq!(line["level"], "error", "{line}");
    }
    fs::remove_file(&world.file).unwrap();
    wait_for_sample(at, &reloads("error"), 5.0);
    assert_eq!(sample(at, &reloads("success")), None);

    // The old settings are in force: the source still listens for its upstream.
    assert_eq!(ready(at), 200);
    let repo = world.folder.path().join("a");
    let next = commit(&repo, "second");
    agent.wait_published(&world.root("a"), "current", &next);
    assert!(!world.root("b").exists());

    // And a good file ends it.
    fs::write(&world.file, good).unwrap();
    world.wait_published(&agent, "b");
    wait_for_sample(at, &reloads("success"), 1.0);
}

/// The line that says why the file was not taken.
#[track_caller]
fn said_of(agent: &Agent, part: &str) -> serde_json::Value {
    let lines = support::observe::log_lines(&agent.stderr());
    let about = lines.into_iter().rev().find(|line| {
        let text = line["msg"].as_str().unwrap_or_default();
        text.contains("the old one stays") && text.contains(part)
    });
    about.unwrap_or_else(|| panic!("nothing is said about `{part}`:\n{}", agent.stderr()))
}

/// One more commit on `main` of a bare repository.
fn commit(repo: &Path, message: &str) -> String {
    let git = |args: &[&str]| {
        let output = support::repo::git().arg("--git-dir").arg(repo).args(args).output().unwrap();
        support::repo::text_of("git", output)
    };
    let id = git(&["commit-tree", "-p", "main", "-m", message, "main^{tree}"]);
    git(&["update-ref", "refs/heads/main", &id]);
    id
}

#[test]
fn a_config_map_is_followed_again_and_again() {
    let world = World::new();
    let map = world.folder.path().join("map");
    fs::create_dir(&map).unwrap();
    let publish = |version: u32, text: &str| {
        let folder = format!("..{version}");
        fs::create_dir(map.join(&folder)).unwrap();
        fs::write(map.join(&folder).join("dagsync.toml"), text).unwrap();
        symlink(&folder, map.join("..data_tmp")).unwrap();
        fs::rename(map.join("..data_tmp"), map.join("..data")).unwrap();
        let _ = fs::remove_dir_all(map.join(format!("..{}", version - 1)));
    };
    publish(1, &world.text(&[("a", "")]));
    symlink("..data/dagsync.toml", map.join("dagsync.toml")).unwrap();
    let world = World { file: map.join("dagsync.toml"), ..world };
    let agent = world.start();
    world.wait_published(&agent, "a");
    publish(2, &world.text(&[("a", ""), ("b", "")]));
    world.wait_published(&agent, "b");
    publish(3, &world.text(&[("a", ""), ("b", ""), ("c", "")]));
    world.wait_published(&agent, "c");
}

#[test]
fn what_belongs_to_the_process_is_said_to_need_a_start() {
    let world = World::new();
    world.configure(&[("a", "")]);
    let agent = world.start();
    world.wait_published(&agent, "a");
    fs::write(&world.file, format!("verbose = 3\n{}", world.text(&[("a", "")]))).unwrap();
    agent.wait_for_text("take effect with the next start", LONG);
    agent.wait_for_text(IN_USE, LONG);
}

#[test]
fn a_source_that_hangs_is_replaced_and_holds_no_signal_up() {
    let world = World::new();
    let hostile = Hostile::new(|_| Answer::silence());
    let hangs = world.text(&[("a", "")]).replace(
        &format!("repo = {:?}", world.folder.path().join("a")),
        &format!("repo = {:?}", hostile.url()),
    );
    fs::write(&world.file, hangs).unwrap();
    let mut agent = world.start();
    hostile.wait_for_requests(1);
    let start = Instant::now();
    world.configure(&[("a", "")]);
    world.wait_published(&agent, "a");
    // Its pass had two minutes.
    assert!(start.elapsed() < LONG, "{:?}", start.elapsed());

    // A pass that nothing can interrupt: its successor waits for it, and the process does not.
    let fifo = world.folder.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    world.configure(&[("a", &format!("ref-file = {fifo:?}\n"))]);
    agent.wait_until("the second change to be in use", || said(&agent, IN_USE).len() == 2);
    world.configure(&[("a", ""), ("b", "")]);
    world.wait_published(&agent, "b");
    agent.signal(Signal::TERM);
    assert!(
        agent.wait_exit(Duration::from_secs(10)).is_some_and(|status| status.success()),
        "{}",
        agent.stderr()
    );
}
