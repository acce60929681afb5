//! What is watched acts at once, with the period as the fallback: here the period is an hour.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use support::agent::published;
use support::observe::{address, ready, sample, sidecar, upstream, wait_for_passes};
use support::{Agent, GitServer, Repo, temp};

const LONG: Duration = Duration::from_secs(30);
/// "At once", in a debug build on a machine that does other things: the period is an hour.
const AT_ONCE: Duration = Duration::from_secs(10);

/// Runs `change`, which has to bring `commit` at once; how long that took.
#[track_caller]
fn brings(agent: &Agent, root: &Path, commit: &str, change: impl FnOnce()) -> Duration {
    let start = Instant::now();
    change();
    agent.wait_published(root, "current", commit);
    let took = start.elapsed();
    assert!(took < AT_ONCE, "{took:?}\n{}", agent.stderr());
    took
}

/// A volume as the kubelet makes it: names lead through `..data`, which is moved from version to version.
struct ConfigMap(PathBuf, u32);

impl ConfigMap {
    fn new(folder: PathBuf, files: &[(&str, &str)]) -> ConfigMap {
        fs::create_dir(&folder).unwrap();
        let mut map = ConfigMap(folder, 0);
        map.update(files);
        for (name, _) in files {
            symlink(Path::new("..data").join(name), map.0.join(name)).unwrap();
        }
        map
    }

    fn update(&mut self, files: &[(&str, &str)]) {
        let old = self.0.join(format!("..2026_{}", self.1));
        self.1 += 1;
        let version = format!("..2026_{}", self.1);
        fs::create_dir(self.0.join(&version)).unwrap();
        for (name, text) in files {
            fs::write(self.0.join(&version).join(name), text).unwrap();
        }
        symlink(&version, self.0.join("..data_tmp")).unwrap();
        fs::rename(self.0.join("..data_tmp"), self.0.join("..data")).unwrap();
        let _ = fs::remove_dir_all(old);
    }
}

#[test]
fn a_promotion_by_ref_file_is_live_at_once() {
    let (folder, repo, root) = upstream();
    let first = repo.head();
    repo.tag("v1");
    let second = repo.commit(&[("dags/a.py", "a = 2\n")]);
    repo.tag("v2");
    // Over HTTP, so that only the file can tell.
    let server = GitServer::plain(folder.path());
    let file = folder.path().join("ref");
    fs::write(&file, "v1\n").unwrap();
    let agent = sidecar(server.url("up.git"), &root).args(["--period=1h"]).set("ref-file", &file).start();
    agent.wait_published(&root, "current", &first);
    brings(&agent, &root, &second, || fs::write(&file, "v2\n").unwrap());
    // As an editor does it.
    brings(&agent, &root, &first, || {
        fs::write(folder.path().join("ref.new"), "v1").unwrap();
        fs::rename(folder.path().join("ref.new"), &file).unwrap();
    });
}

#[test]
fn a_promotion_by_config_map_is_live_at_once_again_and_again() {
    let (folder, repo, root) = upstream();
    let mut commits = vec![repo.head()];
    repo.tag("v0");
    for number in 1..4 {
        commits.push(repo.commit(&[("dags/a.py", &format!("a = {number}\n"))]));
        repo.tag(&format!("v{number}"));
    }
    let server = GitServer::plain(folder.path());
    let mut map = ConfigMap::new(folder.path().join("map"), &[("ref", "v0")]);
    let file = folder.path().join("map/ref");
    let agent = sidecar(server.url("up.git"), &root).args(["--period=1h"]).set("ref-file", file).start();
    agent.wait_published(&root, "current", &commits[0]);
    for number in [1, 2, 3, 0] {
        brings(&agent, &root, &commits[number], || map.update(&[("ref", &format!("v{number}"))]));
    }
}

#[test]
fn a_bad_ref_in_the_file_keeps_what_is_published_and_says_so() {
    let (folder, repo, root) = upstream();
    let head = repo.head();
    repo.tag("v1");
    let file = folder.path().join("ref");
    fs::write(&file, "v1").unwrap();
    let launch =
        sidecar(repo.git_dir(), &root).args(["--period=1h", "--max-failures=-1"]).set("ref-file", &file);
    let agent = launch.start();
    agent.wait_published(&root, "current", &head);
    for (bad, says) in [("v2", "v2"), ("--upload-pack=x", "the ref cannot be used"), ("\n", "empty")] {
        fs::write(&file, bad).unwrap();
        agent.wait_until(says, || {
            agent.stderr().lines().any(|line| line.contains("error") && line.contains(says))
        });
        assert_eq!(published(&root, "current").as_ref(), Some(&head));
    }
    fs::remove_file(&file).unwrap();
    agent.wait_for_text("No such file", LONG);
    assert_eq!(ready(address(&agent)), 200);
    let next = repo.commit(&[("dags/a.py", "a = 2\n")]);
    brings(&agent, &root, &next, || fs::write(&file, "main").unwrap());
}

#[test]
fn a_new_password_in_the_file_acts_at_once() {
    let (folder, repo, root) = upstream();
    let server = GitServer::over(folder.path()).account("me", "old").start();
    let mut secret = ConfigMap::new(folder.path().join("secret"), &[("password", "wrong\n")]);
    let agent = sidecar(server.url("up.git"), &root)
        .args(["--period=1h", "--max-failures=-1", "--username=me"])
        .set("password-file", folder.path().join("secret/password"))
        .start();
    agent.wait_for_text("\"failures\":1", LONG);
    // Not before a moment after the failure, so that a file that changes in a hurry is not a failure each time.
    brings(&agent, &root, &repo.head(), || secret.update(&[("password", "old\n")]));
    server.set_account("me", "new");
    let next = repo.commit(&[("dags/a.py", "a = 2\n")]);
    brings(&agent, &root, &next, || secret.update(&[("password", "new\n")]));
}

#[test]
fn a_push_to_a_local_upstream_is_live_at_once() {
    let folder = temp();
    for (name, repo) in [
        ("bare", Repo::bare(folder.path().join("bare.git"))),
        ("with files", Repo::new(folder.path().join("files"))),
    ] {
        let root = folder.path().join(format!("root of {name}"));
        let first = repo.commit(&[("dags/a.py", "a = 1\n")]);
        let upstream = if name == "bare" { repo.git_dir() } else { repo.work() };
        let agent = sidecar(upstream, &root).args(["--period=1h", "--ref=main"]).start();
        agent.wait_published(&root, "current", &first);
        // The quickest of three: somebody else's build may have had the machine during one of them.
        let quickest = (2..5).map(|number| {
            let next = repo.commit(&[("dags/a.py", &format!("a = {number}\n"))]);
            brings(&agent, &root, &next, || {})
        });
        let quickest = quickest.min().unwrap();
        assert!(quickest < Duration::from_secs(2), "{quickest:?}");
        let branch = repo.commit(&[("dags/a.py", "a = 9\n")]);
        brings(&agent, &root, &branch, || _ = repo.git(&["pack-refs", "--all"]));
        brings(&agent, &root, &first, || _ = repo.reset(&first));
    }
}

#[test]
fn a_push_to_the_upstream_of_a_linked_worktree_is_live_at_once() {
    let (folder, repo, root) = upstream();
    let linked = folder.path().join("linked");
    repo.git(&["worktree", "add", "-q", "--detach", &linked.display().to_string()]);
    let agent = sidecar(&linked, &root).args(["--period=1h", "--ref=main"]).start();
    agent.wait_published(&root, "current", &repo.head());
    let next = repo.commit(&[("dags/a.py", "a = 2\n")]);
    brings(&agent, &root, &next, || {});
}

#[test]
fn an_idle_agent_is_woken_by_nothing_of_its_own() {
    let (folder, repo, root) = upstream();
    let file = folder.path().join("ref");
    fs::write(&file, "main").unwrap();
    // Its own root lies beside the file it watches.
    let launch = sidecar(repo.git_dir(), &root).args(["--period=1h", "-v", "1"]).set("ref-file", &file);
    let agent = launch.start();
    agent.wait_published(&root, "current", &repo.head());
    let next = repo.commit(&[("dags/a.py", "a = 2\n")]);
    agent.wait_published(&root, "current", &next);
    fs::write(folder.path().join("neighbour"), "x").unwrap();
    fs::write(&file, "main").unwrap();
    let last = repo.commit(&[("dags/a.py", "a = 3\n")]);
    agent.wait_published(&root, "current", &last);
    wait_for_passes(address(&agent), "current", "success", 3);
    // git writes a ref in several steps, and a step may come while the pass runs: a few passes more, not a loop.
    let passes = sample(address(&agent), r#"dagsync_passes_total{result="noop",source="current"}"#);
    assert!(passes.unwrap_or(0.0) <= 8.0, "{passes:?}\n{}", agent.stderr());
}
