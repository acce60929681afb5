//! `dagsync check --repo`, by the binary: a revision of a remote, without a work tree.

mod support;

use std::fs;

use rustix::process::Signal;
use serde_json::Value as Json;
use support::agent::{Agent, Finished, Launch};
use support::canary::{assert_not_in, canary, everything_below};
use support::client::served;
use support::wait::PATIENCE;
use support::{Answer, GitServer, Hostile, Repo, temp};
use tempfile::TempDir;

const GOOD: &str = "from airflow.sdk import DAG\n\nwith DAG('good'):\n    pass\n";
const BAD: &str = "from airflow.sdk import DAG\n\nwith DAG('bad')\n    pass\n";

struct World {
    _root: TempDir,
    repo: Repo,
    server: GitServer,
    temporary: TempDir,
}

fn world() -> World {
    let (root, repo) = served();
    repo.commit(&[("dags/good.py", GOOD)]);
    let server = GitServer::plain(root.path());
    World { _root: root, repo, server, temporary: temp() }
}

impl World {
    fn check(&self, args: &[&str]) -> Finished {
        let launch = Launch::new(["check"]).set("repo", self.server.url("repo.git"));
        let said = launch.args(args).env("TMPDIR", self.temporary.path()).run(PATIENCE);
        assert!(everything_below(self.temporary.path()).is_empty(), "nothing is left");
        said
    }

    fn code(&self, args: &[&str]) -> Option<i32> {
        let said = self.check(args);
        assert!(said.stderr.is_empty(), "{said:?}");
        said.status.code()
    }
}

#[test]
fn a_revision_of_a_remote_is_checked_in_every_format_and_listed() {
    let world = world();
    assert_eq!(world.code(&["dags"]), Some(0));
    world.repo.tag("v1");
    world.repo.commit(&[("dags/bad.py", BAD), ("elsewhere/bad.py", BAD)]);
    let text = world.check(&["dags"]);
    assert_eq!(text.status.code(), Some(1));
    assert!(text.stdout.starts_with("bad.py:3:") && text.stdout.contains("3 | with DAG('bad')"), "{text:?}");
    assert_eq!(world.code(&["./dags/", "--ref=v1"]), Some(0));
    let all: Json = serde_json::from_str(&world.check(&["--format=json"]).stdout).expect("JSON");
    assert_eq!((&all["findings"][0]["path"], &all["dag_files"]), (&"dags/bad.py".into(), &3.into()));
    for format in ["sarif", "junit", "github", "gitlab"] {
        let said = world.check(&["dags", &format!("--format={format}")]);
        assert!(said.status.code() == Some(1) && said.stdout.contains("dags/bad.py"), "{format}: {said:?}");
    }
    assert_eq!(world.check(&["dags", "--list"]).stdout, "bad.py\ngood.py\n");
}

#[test]
fn errors_that_another_revision_has_already_do_not_count() {
    let world = world();
    world.repo.tag("clean");
    let first = world.repo.commit(&[("dags/bad.py", BAD)]);
    world.repo.branch("release");
    world.repo.commit(&[("dags/more.py", &GOOD.replace("good", "more"))]);
    for (against, code) in
        [("release", 0), ("HEAD^", 0), ("master~1", 0), (first.as_str(), 0), ("clean", 1), ("HEAD~2", 1)]
    {
        let against = against.replace("master", &world.repo.git(&["symbolic-ref", "--short", "HEAD"]));
        assert_eq!(world.code(&["dags", &format!("--against={against}")]), Some(code), "{against}");
    }
    let folder = temp();
    fs::write(folder.path().join("bad.py"), BAD).expect("written");
    assert_eq!(world.code(&["dags", &format!("--against={}", folder.path().display())]), Some(0));
    for against in ["HEAD~99", "nowhere", "HEAD^^{tree}"] {
        let said = world.check(&["dags", &format!("--against={against}")]);
        assert!(said.status.code() == Some(1) && said.stderr.contains("--against"), "{said:?}");
    }
}

#[test]
fn what_cannot_be_had_is_exit_1_in_one_line_and_wrong_usage_is_64() {
    let world = world();
    for args in [&["--ref=nowhere"][..], &["nowhere"], &["--repo=http://127.0.0.1:1/x.git"]] {
        let said = world.check(args);
        assert_eq!(said.status.code(), Some(1), "{said:?}");
        assert!(said.stdout.is_empty() && said.stderr.lines().count() == 1, "{said:?}");
    }
    for args in [&["--untracked"][..], &["../dags"], &["/dags"], &["--username=ada"], &["--ref="]] {
        let wrong = world.check(args).status.code();
        assert_eq!(wrong, Some(if args == ["--ref="] { 0 } else { 64 }), "{args:?}");
    }
    let lonely = Launch::new(["check", "--ref=main"]).run(PATIENCE);
    assert_eq!(lonely.status.code(), Some(64), "{lonely:?}");
}

#[test]
fn a_closed_terminal_leaves_no_folder_behind_and_nohup_is_heeded() {
    let server = Hostile::new(|_| Answer::silence());
    let root = temp();
    let root = format!("--root={}", root.path().join("root").display());
    for (number, args) in [vec!["check"], vec!["plan", &root]].into_iter().enumerate() {
        let temporary = temp();
        let launch = Launch::new(args).set("repo", server.url()).env("TMPDIR", temporary.path());
        for (signal, how) in [(Signal::HUP, "default"), (Signal::QUIT, "default"), (Signal::TERM, "ignore")] {
            let asked = server.requests().len();
            let running = Agent::spawn(launch.with_terminal_signals(how));
            server.wait_for_requests(asked + 1);
            assert!(!everything_below(temporary.path()).is_empty(), "{number}: it works somewhere");
            let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).expect("a process");
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("a mask");
            let caught = u64::from_str_radix(caught.trim(), 16).expect("a mask") & 1;
            assert_eq!(caught, u64::from(how == "default"), "{number}: the first signal is HUP: {status}");
            running.signal(signal);
            let ended = running.finish(PATIENCE);
            assert_eq!(ended.status.code(), Some(1), "{number}, {signal:?}: {ended:?}");
            assert!(everything_below(temporary.path()).is_empty(), "{number}, {signal:?}: nothing is left");
        }
    }
}

#[test]
fn logins_come_as_for_the_agent_and_are_told_nowhere() {
    let (root, repo) = served();
    repo.commit(&[("dags/good.py", GOOD)]);
    let secret = canary();
    let server = GitServer::over(root.path()).account("ada", &secret).start();
    let folder = temp();
    let file = folder.path().join("password");
    fs::write(&file, &secret).expect("written");
    let url = server.url("repo.git");
    let launch = || Launch::new(["check", "dags"]);
    let ways = [
        launch().set("repo", &url).set("username", "ada").env("GITSYNC_PASSWORD", &secret),
        launch().set("repo", &url).env("GITSYNC_USERNAME", "ada").set("password-file", &file),
        launch().set("repo", server.url_with("ada", &secret, "repo.git")),
    ];
    for way in &ways {
        let said = way.run(PATIENCE);
        assert_eq!(said.status.code(), Some(0), "{said:?}");
        assert_not_in(&secret, "the check", said.stdout + &said.stderr);
    }
    server.set_account("ada", "another");
    let colon = launch().set("repo", format!("https://ada:{secret}@[bad/repo.git"));
    for way in ways.iter().chain([&colon]) {
        let said = way.run(PATIENCE);
        assert!(!said.status.success(), "{said:?}");
        assert_not_in(&secret, "the check", said.stdout + &said.stderr);
    }
    // A variable makes no other check of that of a folder.
    let variable = launch().env("GITSYNC_REPO", &url).run(PATIENCE);
    assert!(variable.stderr.contains("cannot look at"), "{variable:?}");
}
