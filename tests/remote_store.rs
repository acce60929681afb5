//! What many passes and restarts make of the store, and what of the machine's git never gets in.

mod engine;
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use engine::{Engine, Site};
use support::client::served;
use support::repo::Repo;
use support::{GitServer, temp};

/// A served repository with five commits.
fn long() -> (tempfile::TempDir, Repo, GitServer) {
    let (root, repo) = served();
    for number in 3..=5 {
        repo.commit(&[("dags/a.py", &format!("a = {number}\n")), (&format!("dags/{number}.py"), "")]);
    }
    let server = GitServer::plain(root.path());
    (root, repo, server)
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
    all.filter(|path| path.to_string_lossy().ends_with(ending)).collect()
}

#[test]
fn depth_changes_on_restart_and_git_agrees_each_time() {
    let (_root, repo, server) = long();
    let (site, url) = (Site::new(), server.url("repo.git"));
    // For its check a first start asks for more history than it is told.
    let off = "--check=off";
    for (depth, commits) in [(1, 1), (3, 3), (1, 1), (0, 5), (1, 1), (2, 2), (100, 5), (1, 1)] {
        site.publishes(&url, &[&format!("--depth={depth}"), off], &repo.head());
        assert_eq!(site.git(&["log", "--format=%H"]).lines().count(), commits, "depth {depth}");
        assert_eq!(site.git(&["fsck", "--no-dangling"]), "", "depth {depth}");
        assert_eq!(site.git(&["status", "--porcelain"]), "", "depth {depth}");
        let shallow = site.root().join(".git/shallow");
        assert_eq!(shallow.exists(), commits < 5, "depth {depth}");
        // A poll finds nothing to do, whatever the depth.
        server.forget_requests();
        site.publishes(&url, &[&format!("--depth={depth}"), off], &repo.head());
        assert_eq!(server.requests().len(), 2, "a handshake and a list: {:?}", server.requests());
    }
    // And with a new commit each time.
    for (number, (depth, commits)) in [(1, 1), (3, 3), (0, 8), (1, 1)].into_iter().enumerate() {
        let tip = repo.commit(&[("dags/a.py", &format!("b = {number}\n"))]);
        site.publishes(&url, &[&format!("--depth={depth}"), off], &tip);
        assert_eq!(site.git(&["log", "--format=%H"]).lines().count(), commits, "depth {depth}");
        assert_eq!(site.git(&["fsck", "--no-dangling"]), "", "depth {depth}");
    }
}

#[test]
fn history_stays_whole_while_new_commits_come() {
    let (_root, repo, server) = long();
    for (depth, limit) in [(0, usize::MAX), (3, 3)] {
        let site = Site::new();
        let launch = site.agent(&server.url("repo.git")).set("depth", depth.to_string());
        let agent = site.serving(&launch, &repo.head());
        for number in 0..4 {
            let tip = repo.commit(&[("dags/a.py", &format!("c = {depth}{number}\n"))]);
            agent.wait_published(&site.root(), "live", &tip);
            let commits: usize = repo.git(&["rev-list", "--count", "HEAD"]).parse().unwrap();
            // What was fetched for the commit before may show more, never less.
            let shown = site.git(&["log", "--format=%H"]).lines().count();
            assert!(shown >= commits.min(limit), "depth {depth}: {shown} of {commits}");
            assert_eq!(site.git(&["fsck", "--no-dangling"]), "", "depth {depth}");
        }
    }
}

#[test]
fn a_hundred_revisions_pass_through_one_process_and_the_shallow_list_stays_short() {
    // A long-lived handle of gix is full after 32 packs, and its shallow list is never pruned.
    let (root, repo) = served();
    let server = GitServer::plain(root.path());
    let site = Site::new();
    let agent = site.serving(&site.agent(&server.url("repo.git")).set("period", "10ms"), &repo.head());
    for number in 0..70 {
        let tree = repo.mktree(&[support::Entry::file("a.py", &repo.blob(format!("a = {number}\n")))]);
        let tip = repo.publish_tree(&tree);
        agent.wait_published(&site.root(), "live", &tip);
        assert_eq!(fs::read_to_string(site.link().join("a.py")).unwrap(), format!("a = {number}\n"));
    }
    let shallow = site.root().join(".git/shallow");
    agent.wait_until("a short shallow list", || {
        fs::read_to_string(&shallow).map_or(0, |text| text.lines().count()) <= 3
    });
    assert_eq!(site.git(&["log", "--format=%H"]).lines().count(), 1);
    let said = agent.stderr();
    assert!(!said.contains("\"level\":\"error\"") && !said.contains("\"level\":\"warn\""), "{said}");
    drop(agent);
    // A restart with all those packs.
    repo.set_ref("refs/heads/main", &repo.id("HEAD"));
    site.publishes(&server.url("repo.git"), &[], &repo.head());
    assert_eq!(site.git(&["fsck", "--no-dangling"]), "");
}

#[test]
fn the_shallow_list_holds_what_the_engine_needs_and_requests_stay_small() {
    let (root, repo) = served();
    let server = GitServer::plain(root.path());
    let mut engine = Engine::of(&server.url("repo.git"));
    let mut last = engine.pull().unwrap();
    for number in 0..5 {
        repo.commit(&[("dags/a.py", &format!("d = {number}\n"))]);
        let tip = engine.poll().unwrap();
        let fetched = engine.fetch(&tip, &[&last], 1).unwrap();
        assert!(fetched.objects < 12 && fetched.bytes < 3000, "only what changed: {fetched:?}");
        let objects = engine.store.objects().unwrap();
        engine.store.tidy_shallow(&objects, &[engine::object(&tip)]).unwrap();
        assert_eq!(fs::read_to_string(engine.store.shallow_file()).unwrap(), format!("{tip}\n"));
        last = tip;
    }
}

#[test]
fn a_lock_on_the_shallow_list_that_stayed_stops_no_fetch_and_goes() {
    let (root, repo) = served();
    let server = GitServer::plain(root.path());
    let mut engine = Engine::of(&server.url("repo.git"));
    let last = engine.pull().unwrap();
    let lock = engine.store.dir().join("shallow.lock");
    // With less history than there is, and with all of it: then there is no boundary, and gix writes no list.
    for depth in [1, 32] {
        fs::write(&lock, "").unwrap();
        let tip = repo.commit(&[("dags/a.py", &format!("beside a lock, {depth}\n"))]);
        engine.fetch(&tip, &[&last], depth).unwrap();
        assert!(!lock.exists(), "a lock is still there after a fetch of {depth}");
    }
}

#[test]
fn leftovers_of_a_dead_agent_are_cleaned_at_the_start() {
    let (root, repo) = served();
    let server = GitServer::plain(root.path());
    let (site, url) = (Site::new(), server.url("repo.git"));
    site.publishes(&url, &[], &repo.head());
    let git = site.root().join(".git");
    let pack = files(&git.join("objects/pack"), ".pack").remove(0);
    let (pack_dir, worktree) = (pack.parent().unwrap(), files(&git.join("worktrees"), "").remove(0));
    let lonely = pack_dir.join("pack-1111111111111111111111111111111111111111.pack");
    fs::copy(&pack, &lonely).unwrap();
    let idx = pack_dir.join("pack-2222222222222222222222222222222222222222.idx");
    fs::copy(pack.with_extension("idx"), &idx).unwrap();
    let left = [
        git.join("shallow.lock"),
        git.join("HEAD.lock"),
        git.join("config.lock"),
        git.join("index.lock"),
        pack_dir.join(".tmpAbCdEf"),
        pack_dir.join("tmp_pack_x"),
        pack_dir.join("pack-3333333333333333333333333333333333333333.keep"),
        worktree.join("index.lock"),
        lonely,
        idx,
    ];
    left.iter().filter(|path| !path.exists()).for_each(|path| fs::write(path, "x").unwrap());
    // That of a whole pack is no leftover: somebody asked for it.
    let wish = pack.with_extension("keep");
    fs::write(&wish, "mine").unwrap();
    let tip = repo.commit(&[("dags/a.py", "after the crash\n")]);
    site.publishes(&url, &[], &tip);
    let still: Vec<_> = left.iter().filter(|path| path.exists()).collect();
    assert!(still.is_empty(), "{still:?}");
    assert_eq!(fs::read_to_string(wish).unwrap(), "mine");
    assert_eq!(site.git(&["fsck", "--no-dangling"]), "");
    assert_eq!(site.git(&["status", "--porcelain"]), "");
}

#[test]
fn packs_can_be_read_by_everybody_as_gits_own() {
    let (root, repo) = served();
    let server = GitServer::plain(root.path());
    let site = Site::new();
    site.publishes(&server.url("repo.git"), &[], &repo.head());
    for ending in [".pack", ".idx"] {
        for file in files(&site.root().join(".git/objects/pack"), ending) {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o444, "{}", file.display());
        }
    }
}

// The machine's git

#[test]
fn parent_repository_is_never_discovered() {
    let (root, repo) = served();
    let server = GitServer::plain(root.path());
    // Somebody's repository above the root, with a configuration that would redirect every fetch.
    let above = temp();
    let outer = Repo::new(above.path());
    outer.commit(&[("secret.txt", "not yours\n")]);
    outer.config("url.http://127.0.0.1:1/.insteadOf", "http://127.0.0.1");
    outer.config("http.proxy", "http://127.0.0.1:1");
    let before = outer.git(&["status", "--porcelain", "--ignored"]);
    let inner = above.path().join("volume/root");
    let run = support::agent::Launch::new(["--one-time", "--link=live"])
        .set("repo", server.url("repo.git"))
        .set("root", &inner)
        .folder(above.path())
        .run(support::wait::PATIENCE);
    assert!(run.status.success(), "{}", run.stderr);
    assert_eq!(support::agent::published(&inner, "live"), Some(repo.head()));
    assert_eq!(before, "");
    assert_eq!(outer.git(&["log", "--format=%s"]), "a change");
    assert_eq!(outer.git(&["for-each-ref"]).lines().count(), 1, "nothing was fetched into it");
    // A local upstream is opened where it is said to be, never above.
    let nowhere = above.path().join("volume/none");
    fs::create_dir_all(&nowhere).unwrap();
    let site = Site::new();
    site.fails(&nowhere.display().to_string(), &[], &["cannot read the repository"]);
}

#[test]
fn user_and_system_gitconfig_are_not_read() {
    let (root, repo) = served();
    let server = GitServer::plain(root.path());
    let home = temp();
    let touched = home.path().join("touched");
    let script = home.path().join("evil");
    fs::write(&script, format!("#!/bin/sh\ntouch {}\n", touched.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let evil = script.display();
    let poison = format!(
        "[url \"http://127.0.0.1:1/\"]\n\tinsteadOf = http://127.0.0.1\n[http]\n\tproxy = http://127.0.0.1:1\n\
         \textraHeader = X-Poison: yes\n\tuserAgent = poison\n[credential]\n\thelper = !{evil}\n\
         [core]\n\taskPass = {evil}\n\tautocrlf = true\n\thooksPath = {}\n\tfsmonitor = {evil}\n\
         \tattributesFile = {}/attributes\n\tsshCommand = {evil}\n[filter \"x\"]\n\tsmudge = {evil}\n\
         \tprocess = {evil}\n\trequired = true\n[protocol]\n\tversion = 0\n",
        home.path().display(),
        home.path().display(),
    );
    fs::write(home.path().join("attributes"), "* filter=x text\n").unwrap();
    fs::create_dir_all(home.path().join("git")).unwrap();
    for name in [".gitconfig", "git/config", "global", "system"] {
        fs::write(home.path().join(name), &poison).unwrap();
    }
    fs::copy(home.path().join("attributes"), home.path().join("git/attributes")).unwrap();
    let site = Site::new();
    repo.commit(&[("dags/unix.py", "a\nb\n"), (".gitattributes", "*.py filter=x\n")]);
    let inside = |name: &str| home.path().join(name);
    let run = site
        .agent(&server.url("repo.git"))
        .args(["--one-time"])
        .env("HOME", home.path())
        .env("XDG_CONFIG_HOME", home.path())
        .env("PATH", "/usr/bin:/bin")
        .env("GIT_CONFIG", inside("global"))
        .env("GIT_CONFIG_GLOBAL", inside("global"))
        .env("GIT_CONFIG_SYSTEM", inside("system"))
        .env("GIT_CONFIG_COUNT", "2")
        .env("GIT_CONFIG_KEY_0", "http.proxy")
        .env("GIT_CONFIG_VALUE_0", "http://127.0.0.1:1")
        .env("GIT_CONFIG_KEY_1", "core.autocrlf")
        .env("GIT_CONFIG_VALUE_1", "true")
        .env("GIT_CONFIG_PARAMETERS", "'http.proxy=http://127.0.0.1:1'")
        .env("GIT_DIR", inside("nowhere"))
        .env("GIT_OBJECT_DIRECTORY", inside("nowhere"))
        .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", inside("nowhere"))
        .env("GIT_ASKPASS", &script)
        .env("SSH_ASKPASS", &script)
        .env("GIT_SSH_COMMAND", &script)
        .env("GIT_HTTP_USER_AGENT", "poison")
        .env("GIT_PROTOCOL", "version=0")
        .run(support::wait::PATIENCE);
    assert!(run.status.success(), "{}", run.stderr);
    assert_eq!(site.published(), Some(repo.head()));
    assert_eq!(fs::read_to_string(site.link().join("dags/unix.py")).unwrap(), "a\nb\n");
    assert!(!touched.exists(), "a program of the configuration ran");
    for one in server.requests() {
        assert!(one.user_agent.starts_with("git/dagsync-"), "{one:?}");
        assert_eq!(one.git_protocol.as_deref(), Some("version=2"));
    }
    // The same with an account that the helper would know: nobody is asked.
    let locked = GitServer::over(root.path()).account("ada", "secret").start();
    let site = Site::new();
    let run = site
        .agent(&locked.url("repo.git"))
        .args(["--one-time", "--max-failures=0"])
        .env("HOME", home.path())
        .env("GIT_ASKPASS", &script)
        .run(support::wait::PATIENCE);
    assert!(run.stderr.contains("no credentials are configured"), "{}", run.stderr);
    assert!(!touched.exists() && !inside("nowhere").exists());
}
