//! `dagsync plan`, by the binary: what it says is ahead, and that it leaves roots and agents alone.

mod support;
mod synced;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use support::agent::{Finished, Launch};
use support::canary::{assert_not_in, canary, everything_below};
use support::client::served;
use support::{GitServer, Repo, temp};
use synced::{RUN, Synced};

fn dag(id: &str) -> String {
    format!("from airflow.sdk import DAG\n\nwith DAG({id:?}):\n    pass\n")
}

fn broken(id: &str) -> String {
    format!("from airflow.sdk import DAG\n\nwith DAG({id:?})\n    pass\n")
}

/// A plan for a repository and a root.
fn launch(repo: impl AsRef<std::ffi::OsStr>, root: &Path) -> Launch {
    Launch::new(["plan"]).set("repo", repo).set("root", root).set("link", "repo")
}

fn plan(world: &Synced, args: &[&str]) -> Finished {
    launch(world.repo.work(), &world.root).args(["--check=gate"]).args(args).run(RUN)
}

#[track_caller]
fn page(finished: &Finished) -> Json {
    serde_json::from_str(&finished.stdout).unwrap_or_else(|err| panic!("{err}: {finished:?}"))
}

/// The only source of a plan in JSON.
#[track_caller]
fn json(world: &Synced, args: &[&str]) -> Json {
    page(&plan(world, &[&["--format=json"], args].concat()))["sources"][0].clone()
}

/// A root with two DAGs published.
fn world() -> Synced {
    let world = Synced::empty();
    world.repo.commit(&[("one.py", &dag("one")), ("two.py", &dag("two"))]);
    world.once(&["--check=gate"]);
    world
}

/// Everything below a folder: inode, change time and size.
fn state_of(root: &Path) -> BTreeMap<PathBuf, (u64, i64, i64, u64)> {
    let of = |path: PathBuf| {
        let file = fs::symlink_metadata(&path).expect("it stays");
        (path, (file.ino(), file.ctime(), file.ctime_nsec(), file.size()))
    };
    everything_below(root).into_iter().chain([root.to_owned()]).map(of).collect()
}

#[test]
fn what_is_published_leaves_nothing_to_do() {
    let world = world();
    let said = plan(&world, &[]);
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    assert!(said.stdout.contains("nothing to do"), "{}", said.stdout);
    assert_eq!(json(&world, &[])["next"], "nothing");
}

#[test]
fn dags_that_come_change_move_and_go_are_told_by_id_and_file() {
    let world = world();
    let importing = format!("from lib import near\n{}", dag("three"));
    let files = [("three.py", importing.as_str()), ("lib/near.py", "x = 1\n"), ("old.py", &dag("old"))];
    let before = world.repo.commit(&files);
    world.once(&["--check=gate"]);
    world.repo.remove("old.py");
    world.repo.remove("two.py");
    let files = [("lib/near.py", "x = 2\n"), ("new.py", &dag("new")), ("moved/two.py", &dag("two"))];
    let after = world.repo.commit(&files);
    world.repo.write("one.py", (dag("one") + "# more\n").as_bytes());
    let after = if after.is_empty() { after } else { world.repo.commit_all("Look here") };
    let said = plan(&world, &[]);
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    for line in
        ["  + new", "  ~ one", "  ~ three", "  > two", "  - old", "(imports lib/near.py, which differs)"]
    {
        assert!(said.stdout.contains(line), "{line}: {}", said.stdout);
    }
    assert!(
        said.stdout.contains("Look here") && said.stdout.contains("would be published"),
        "{}",
        said.stdout
    );
    let last = said.stdout.trim_end().lines().last().expect("a line");
    assert_eq!(last, "1 added, 2 changed, 1 moved, 0 renamed, 1 removed of 4 DAGs; nothing found");
    assert!(!said.stdout.contains('\x1b'), "no colours in a pipe");
    let page = json(&world, &[]);
    assert_eq!((&page["next"], &page["remote"]["commit"]), (&"publish".into(), &after.as_str().into()));
    assert_eq!(page["published"]["commit"], before.as_str());
    assert_eq!(page["remote"]["subject"], "Look here");
    let kinds: Vec<_> = page["changes"].as_array().expect("changes").iter().map(|it| &it["kind"]).collect();
    assert_eq!(kinds, ["moved", "added", "removed", "changed", "changed"]);
    world.shows(&before);
}

#[test]
fn what_the_agent_would_hold_back_is_exit_1_with_the_agents_reason_before_and_after_it_did() {
    let world = world();
    world.repo.commit(&[("one.py", &broken("one"))]);
    let said = plan(&world, &[]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(said.stdout.contains("would be held back: one.py:3"), "{}", said.stdout);
    assert!(
        said.stdout.contains("one.py:3:16: new error") && said.stdout.contains("  ~ one"),
        "{}",
        said.stdout
    );
    assert_eq!(json(&world, &[])["held"], Json::Null);
    assert_eq!(plan(&world, &["--check=report"]).status.code(), Some(0));
    assert_eq!(plan(&world, &["--check=off"]).status.code(), Some(0));
    let agent = world.once(&["--check=gate"]);
    let page = json(&world, &[]);
    let reason = page["held"]["reason"].as_str().expect("a reason");
    assert!(agent.stderr.contains(reason) && page["reason"] == reason, "{page}");
    assert_eq!((&page["next"], &page["because"]), (&"hold".into(), &"error".into()));
}

#[test]
fn findings_that_readers_have_already_are_told_as_old_ones() {
    let world = world();
    world.repo.commit(&[("one.py", &broken("one"))]);
    world.once(&["--check=report"]);
    world.repo.commit(&[("two.py", &dag("zwei"))]);
    let page = json(&world, &[]);
    assert_eq!((&page["next"], &page["findings"][0]["new"]), (&"publish".into(), &false.into()), "{page}");
    assert_eq!(
        (&page["changes"][0]["kind"], &page["changes"][0]["from_id"]),
        (&"renamed".into(), &"two".into())
    );
}

#[test]
fn guards_are_told() {
    let world = world();
    world.repo.remove("one.py");
    world.repo.remove("two.py");
    world.repo.commit(&[("readme", "nothing here")]);
    assert_eq!(json(&world, &[])["because"], "shrink");
    let world = self::world();
    let first = world.repo.head();
    world.repo.commit(&[("three.py", &dag("three"))]);
    world.once(&["--check=gate"]);
    world.repo.reset(&first);
    for (args, next) in [("--on-rewind=block", "hold"), ("--on-rewind=warn", "publish")] {
        let page = json(&world, &[args]);
        assert_eq!(page["next"], next, "{page}");
        assert_eq!(page["changes"][0]["kind"], "removed", "{page}");
    }
}

#[test]
fn a_root_without_anything_stays_without_anything() {
    let world = Synced::empty();
    world.repo.commit(&[("one.py", &dag("one"))]);
    let good = world.repo.head();
    let page = json(&world, &[]);
    assert_eq!((&page["next"], &page["published"]), (&"publish".into(), &Json::Null), "{page}");
    assert!(!world.root.exists());
    world.repo.commit(&[("one.py", &broken("one"))]);
    let page = json(&world, &[]);
    assert_eq!((&page["next"], &page["instead"]), (&"hold".into(), &good.as_str().into()), "{page}");
    assert!(!world.root.exists());
}

#[test]
fn beside_a_running_agent_nothing_of_the_root_changes_and_no_folder_is_left() {
    let world = Synced::empty();
    let first = world.repo.commit(&[("one.py", &dag("one")), ("x.txt", &"text\n".repeat(999))]);
    let agent = world.launch().args(["--period=1h", "--check=gate", "--http-bind=127.0.0.1:0"]).start();
    agent.wait_published(&world.root, "repo", &first);
    // Another upstream than the agent's, so that it has no reason to move.
    let other = Repo::new(world.path("other"));
    other.git(&["pull", "-q", world.repo.work().to_str().expect("UTF-8"), "HEAD"]);
    let second = other.commit(&[("two.py", &dag("two"))]);
    let temporary = temp();
    let at = support::observe::address(&agent);
    support::observe::wait_for_passes(at, "repo", "success", 1);
    let before = state_of(&world.root);
    let said =
        launch(other.work(), &world.root).args(["--format=json"]).env("TMPDIR", temporary.path()).run(RUN);
    assert_eq!(page(&said)["sources"][0]["remote"]["commit"], second.as_str());
    assert_eq!(page(&said)["sources"][0]["changes"][0]["id"], "two");
    assert_eq!(state_of(&world.root), before);
    assert!(everything_below(temporary.path()).is_empty(), "nothing is left");
    assert_eq!(support::observe::ready(at), 200);
    world.shows(&first);
}

#[test]
fn without_the_objects_of_the_root_what_is_published_is_read_as_it_is_on_disk() {
    let world = world();
    world.repo.commit(&[("three.py", &dag("three"))]);
    let objects = world.root.join(".git/objects");
    fs::rename(&objects, world.path("elsewhere")).expect("renamed");
    let page = json(&world, &[]);
    assert_eq!((&page["next"], &page["changes"][0]["id"]), (&"publish".into(), &"three".into()), "{page}");
    assert_eq!(page["changes"].as_array().map(Vec::len), Some(1), "{page}");
    assert!(!objects.exists());
}

#[test]
fn over_http_only_what_is_new_is_fetched_and_no_password_is_told() {
    let (root, repo) = served();
    let secret = canary();
    let server = GitServer::over(root.path()).account("ada", &secret).start();
    let site = temp();
    let folder = site.path().join("root");
    repo.commit(&[("one.py", &dag("one")), ("large", &"0123456789abcdef".repeat(9_999))]);
    let login = |launch: Launch| launch.set("username", "ada").env("GITSYNC_PASSWORD", &secret);
    let url = server.url("repo.git");
    let run = Launch::new(["--one-time", "--link=repo"]).set("root", &folder).set("repo", &url);
    assert!(login(run).run(RUN).status.success());
    repo.commit(&[("two.py", &dag("two"))]);
    server.forget_requests();
    let said = login(launch(&url, &folder)).args(["--format=json"]).run(RUN);
    assert_eq!(page(&said)["sources"][0]["changes"][0]["id"], "two", "{said:?}");
    let received: u64 = server.requests().iter().map(|request| request.sent).sum();
    assert!(received < 5_000, "{received} bytes");
    server.set_account("ada", "another");
    let refused = login(launch(&url, &folder)).run(RUN);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(refused.stderr.contains("refuses the login"), "{}", refused.stderr);
    let within = Launch::new(["plan"]).set("repo", url.replacen("://", &format!("://ada:{secret}@"), 1));
    let within = within.set("root", &folder).set("link", "repo").run(RUN);
    for run in [said, refused, within] {
        assert_not_in(&secret, "the plan", run.stdout + &run.stderr);
    }
}

#[test]
fn what_comes_back_from_before_the_history_that_was_fetched_is_seen_in_every_kind_of_repository() {
    let root = temp();
    for (name, repo) in [
        ("sha1.git", Repo::bare(root.path().join("sha1.git"))),
        ("sha256.git", Repo::bare_sha256(root.path().join("sha256.git"))),
    ] {
        let server = GitServer::plain(root.path());
        let folder = root.path().join(format!("root-of-{name}"));
        let old = dag("one") + "# as it was\n";
        repo.commit(&[("one.py", &old), ("two.py", &dag("two"))]);
        repo.commit(&[("one.py", &dag("one"))]);
        let run = Launch::new(["--one-time", "--link=repo", "--check=gate"]).set("root", &folder);
        assert!(run.set("repo", server.url(name)).run(RUN).status.success());
        repo.commit(&[("one.py", &old)]);
        for depth in ["--depth=1", "--depth=0"] {
            let plan = launch(server.url(name), &folder).args(["--format=json", "--check=gate", depth]);
            let page = page(&plan.run(RUN));
            let source = &page["sources"][0];
            assert_eq!((&source["next"], &source["compared"]), (&"publish".into(), &true.into()), "{page}");
            assert_eq!(source["changes"].as_array().map(Vec::len), Some(1), "{page}");
            assert_eq!(source["changes"][0]["id"], "one", "{page}");
        }
    }
}

#[test]
fn a_remote_that_cannot_be_reached_is_exit_1_in_one_line_and_wrong_usage_is_64() {
    let world = world();
    let said = launch("http://127.0.0.1:1/repo.git", &world.root).run(RUN);
    assert_eq!(said.status.code(), Some(1));
    assert!(said.stdout.is_empty() && said.stderr.lines().count() == 1, "{said:?}");
    assert!(said.stderr.contains("cannot reach http://127.0.0.1:1/repo.git"), "{}", said.stderr);
    for args in [&["--format=xml"][..], &["--nonsense"], &["--check=perhaps"]] {
        assert_eq!(plan(&world, args).status.code(), Some(64), "{args:?}");
    }
    assert_eq!(Launch::new(["plan"]).run(RUN).status.code(), Some(64));
    let help = Launch::new(["plan", "--help"]).run(RUN);
    assert!(help.status.success() && help.stdout.contains("--format"), "{help:?}");
}

#[test]
fn each_source_of_a_config_file_is_told_and_one_that_fails_hides_no_other() {
    let (world, other) = (world(), Repo::new(temp().keep().join("other")));
    other.commit(&[("x.py", &dag("x"))]);
    world.repo.commit(&[("three.py", &dag("three"))]);
    let source = |name: &str, repo: &Path, root: &Path| {
        format!("[[source]]\nname = {name:?}\nrepo = {repo:?}\nroot = {root:?}\nlink = \"repo\"\n")
    };
    let text = "check = \"gate\"\n".to_owned()
        + &source("repo", world.repo.work(), &world.root)
        + &source("gone", Path::new("/nonexistent/repo"), &world.path("gone"))
        + &source("new", other.work(), &world.path("new"));
    let file = world.path("dagsync.toml");
    fs::write(&file, text).expect("written");
    let said = Launch::new(["plan", "--format", "json"]).set("config", &file).run(RUN);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    let page = page(&said);
    let of = |key: &str| -> Vec<&Json> {
        page["sources"].as_array().expect("sources").iter().map(|source| &source[key]).collect()
    };
    assert_eq!(of("name"), ["repo", "gone", "new"]);
    assert_eq!(of("next"), ["publish", "error", "publish"]);
    assert!(said.stderr.contains("source `gone`"), "{}", said.stderr);
    fs::remove_dir_all(other.work().parent().expect("a folder")).expect("removed");
}
