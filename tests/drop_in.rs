//! One image name changes: what charts and operators set for git-sync works as it is, and what cannot work says so.

mod support;

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use support::agent::{Launch, http_get, published};
use support::observe::{log_lines, wait_for_sample};
use support::wait::{PATIENCE, free_port, wait_until};
use support::{GitServer, Repo, temp};
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(30);

/// A git host with a repository, and a volume.
struct Cluster {
    folder: TempDir,
    repo: Repo,
    server: GitServer,
}

impl Cluster {
    fn new() -> Cluster {
        let folder = temp();
        let repo = Repo::bare(folder.path().join("srv/dags.git"));
        repo.commit(&[("dags/hello.py", "hello = 1\n")]);
        let server = GitServer::plain(folder.path().join("srv"));
        Cluster { folder, repo, server }
    }

    fn url(&self) -> String {
        self.server.url("dags.git")
    }

    fn volume(&self) -> std::path::PathBuf {
        self.folder.path().join("volume")
    }

    /// The link of a volume is a relative one, and Airflow's `dags/<subPath>` is below it.
    #[track_caller]
    fn has_published(&self, root: &Path, link: &str, commit: &str) {
        assert_eq!(published(root, link).as_deref(), Some(commit));
        assert_eq!(fs::read_link(root.join(link)).unwrap(), Path::new(".worktrees").join(commit));
        assert!(root.join(link).join("dags/hello.py").is_file());
    }
}

/// What the official chart 1.10 sets, v3 names only.
fn official_1_10(url: &str, root: &Path) -> Launch {
    Launch::default()
        .env("GIT_SYNC_REV", "HEAD")
        .env("GIT_SYNC_BRANCH", "main")
        .env("GIT_SYNC_REPO", url)
        .env("GIT_SYNC_DEPTH", "1")
        .env("GIT_SYNC_ROOT", root)
        .env("GIT_SYNC_DEST", "repo")
        .env("GIT_SYNC_ADD_USER", "true")
        .env("GIT_SYNC_WAIT", "5")
        .env("GIT_SYNC_MAX_SYNC_FAILURES", "0")
}

/// What the official chart 1.22 sets: both families of names.
fn official_1_22(url: &str, root: &Path) -> Launch {
    official_1_10(url, root)
        .env("GITSYNC_REPO", url)
        .env("GITSYNC_REF", "v2-2-stable")
        .env("GITSYNC_DEPTH", "1")
        .env("GITSYNC_ROOT", root)
        .env("GITSYNC_LINK", "repo")
        .env("GITSYNC_ADD_USER", "true")
        .env("GITSYNC_PERIOD", "5s")
        .env("GIT_SYNC_WAIT", "")
        .env("GITSYNC_MAX_FAILURES", "0")
        .env("GIT_KNOWN_HOSTS", "false")
        .env("GITSYNC_SSH_KNOWN_HOSTS", "false")
        .env("GITSYNC_SUBMODULES", "recursive")
}

#[test]
fn the_official_chart_1_10_runs_as_it_is() {
    let cluster = Cluster::new();
    let root = cluster.volume();
    let head = cluster.repo.head();
    let done = official_1_10(&cluster.url(), &root).env("GIT_SYNC_ONE_TIME", "true").run(LONG);
    assert_eq!(done.status.code(), Some(0), "{}", done.stderr);
    cluster.has_published(&root, "repo", &head);
    assert!(log_lines(&done.stderr).iter().all(|line| line["level"] == "info"), "{}", done.stderr);

    // The sidecar takes the volume over from the init container, and follows.
    let sidecar = official_1_10(&cluster.url(), &root).env("GIT_SYNC_WAIT", "0.1").start();
    sidecar.wait_for_text("already published", LONG);
    let next = cluster.repo.commit(&[("dags/new.py", "new = 1\n")]);
    sidecar.wait_published(&root, "repo", &next);
    cluster.has_published(&root, "repo", &next);
    assert!(!sidecar.stderr().contains("are served"), "no bind, no listener");
}

#[test]
fn the_official_chart_1_22_runs_as_it_is() {
    let cluster = Cluster::new();
    let root = cluster.volume();
    let head = cluster.repo.head();
    let port = free_port();
    let bind = format!(":{port}");

    let init = official_1_22(&cluster.url(), &root)
        .env("GITSYNC_HTTP_BIND", &bind)
        .env("GIT_SYNC_ONE_TIME", "true")
        .env("GITSYNC_ONE_TIME", "true");
    // In one-time mode nothing is bound: somebody else may have the port.
    let taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let done = init.run(LONG);
    assert_eq!(done.status.code(), Some(0), "{}", done.stderr);
    cluster.has_published(&root, "repo", &head);
    drop(taken);

    let mut sidecar = official_1_22(&cluster.url(), &root)
        .env("GITSYNC_HTTP_BIND", &bind)
        .env("GIT_SYNC_HTTP_BIND", &bind)
        .env("GITSYNC_PERIOD", "100ms")
        .start();
    let at = ([127, 0, 0, 1], port).into();
    // The startup probe: GET / every few seconds until it is 200.
    wait_until(PATIENCE, "the startup probe", || {
        http_get(at, "/", &[]).is_ok_and(|reply| reply.status == 200)
    });
    let next = cluster.repo.commit(&[("dags/new.py", "new = 1\n")]);
    sidecar.wait_published(&root, "repo", &next);
    wait_for_sample(at, r#"git_sync_count_total{status="success"}"#, 1.0);
    assert!(!sidecar.stderr().contains("\"level\":\"warn\""), "{}", sidecar.stderr());
    sidecar.signal(Signal::TERM);
    assert_eq!(sidecar.wait_exit(LONG).and_then(|status| status.code()), Some(0));
    cluster.has_published(&root, "repo", &next);
}

#[test]
fn the_community_chart_8_9_runs_as_it_is() {
    let cluster = Cluster::new();
    let root = cluster.volume();
    cluster.repo.branch("master");
    let launch = Launch::default()
        .env("GIT_SYNC_ROOT", &root)
        .env("GIT_SYNC_DEST", "repo")
        .env("GIT_SYNC_REPO", cluster.url())
        .env("GIT_SYNC_BRANCH", "master")
        .env("GIT_SYNC_REV", "HEAD")
        .env("GIT_SYNC_DEPTH", "1")
        .env("GIT_SYNC_WAIT", "60")
        .env("GIT_SYNC_TIMEOUT", "120")
        .env("GIT_SYNC_ADD_USER", "true")
        .env("GIT_SYNC_MAX_SYNC_FAILURES", "0")
        .env("GIT_SYNC_SUBMODULES", "recursive")
        .env("GIT_KNOWN_HOSTS", "false")
        .env("GIT_SSH_KEY_FILE", "/etc/git-secret/id_rsa");
    let done = launch.clone().env("GIT_SYNC_ONE_TIME", "true").run(LONG);
    assert_eq!(done.status.code(), Some(0), "{}", done.stderr);
    cluster.has_published(&root, "repo", &cluster.repo.head());
    // Airflow mounts it read-write and leaves its own files inside the tree: the next revision comes nevertheless.
    fs::create_dir(root.join("repo/dags/__pycache__")).unwrap();
    fs::write(root.join("repo/dags/__pycache__/hello.cpython-312.pyc"), "x").unwrap();
    let next = cluster.repo.commit(&[("dags/new.py", "new = 1\n")]);
    cluster.repo.branch("master");
    let sidecar = launch.env("GIT_SYNC_WAIT", "0.1").start();
    sidecar.wait_published(&root, "repo", &next);
    cluster.has_published(&root, "repo", &next);
}

#[test]
fn the_stackable_operator_runs_as_it_is() {
    let cluster = Cluster::new();
    let root = cluster.folder.path().join("tmp/git");
    let there = cluster.folder.path().join("ca.crt");
    fs::copy("/etc/ssl/certs/ca-certificates.crt", &there).unwrap();
    let config = format!("--git-config=safe.directory:{},http.sslCAInfo:{}", root.display(), there.display());
    let args = [
        "--depth=1",
        &config,
        "--link=current",
        "--period=20s",
        "--ref=main",
        "--one-time=true",
        "--rev",
        "HEAD",
    ];
    let done = Launch::new(args).set("repo", cluster.url()).set("root", &root).run(LONG);
    assert_eq!(done.status.code(), Some(0), "{}", done.stderr);
    cluster.has_published(&root, "current", &cluster.repo.head());
}

#[test]
fn every_bad_setting_is_reported_at_once_and_nothing_is_touched() {
    let folder = temp();
    let root = folder.path().join("root");
    let done = Launch::new(["--no-such-flag=1", "--period=abc", "--submodules=maybe", "--username=me"])
        .set("root", &root)
        .env("GITSYNC_MAX_FAILURES", "many")
        .env("GITSYNC_HTTP_BIND", "nonsense")
        .env("GIT_SYNC_PERMISSIONS", "0777")
        .run(LONG);
    assert_eq!(done.status.code(), Some(64), "{}", done.stderr);
    for part in [
        "no-such-flag",
        "--period",
        "submodules",
        "username",
        "GITSYNC_MAX_FAILURES",
        "GITSYNC_HTTP_BIND",
        "GIT_SYNC_PERMISSIONS",
        "repo: required",
    ] {
        assert!(done.stderr.contains(part), "`{part}` is not in:\n{}", done.stderr);
    }
    assert!(!root.exists(), "nothing is written before the settings are right");
}

#[test]
fn unknown_variables_are_warned_about_once_with_the_nearest_name() {
    let cluster = Cluster::new();
    let done = Launch::new(["--one-time", "--link=x"])
        .set("repo", cluster.repo.git_dir())
        .set("root", cluster.volume())
        .env("GITSYNC_PERIODE", "5s")
        .env("GITSYNC_FROBNICATE_EVERYTHING_TWICE", "1")
        .env("UNRELATED", "1")
        .run(LONG);
    assert_eq!(done.status.code(), Some(0), "{}", done.stderr);
    let warnings: Vec<String> = log_lines(&done.stderr)
        .into_iter()
        .filter(|line| line["level"] == "warn")
        .map(|line| line["msg"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    let about = |name: &str| warnings.iter().find(|text| text.contains(name)).expect("a warning");
    assert!(about("GITSYNC_PERIODE").contains("GITSYNC_PERIOD`"), "{warnings:?}");
    assert!(!about("GITSYNC_FROBNICATE").contains("did you mean"), "{warnings:?}");
}

#[test]
fn what_is_not_there_yet_is_refused_by_name_and_never_ignored() {
    let folder = temp();
    let settings = [
        ("GITSYNC_EXECHOOK_COMMAND", "/bin/notify"),
        ("GITSYNC_WEBHOOK_URL", "http://127.0.0.1/hook"),
        ("GITSYNC_ASKPASS_URL", "http://127.0.0.1/ask"),
        ("GITSYNC_SPARSE_CHECKOUT_FILE", "/etc/sparse"),
        ("GITSYNC_COOKIE_FILE", "true"),
    ];
    let launch = Launch::default().set("repo", folder.path()).set("root", folder.path().join("root"));
    let launch = settings.iter().fold(launch, |launch, (name, value)| launch.env(name, value));
    let done = launch.run(LONG);
    assert_eq!(done.status.code(), Some(64), "{}", done.stderr);
    for (name, value) in settings {
        let line = done
            .stderr
            .lines()
            .find(|line| line.contains(name))
            .unwrap_or_else(|| panic!("{name}:\n{}", done.stderr));
        assert!(line.contains("not supported yet") && !line.contains(value), "{line}");
    }
    // What is set to "off" matters to nobody.
    let repo = Repo::bare(folder.path().join("up.git"));
    repo.commit(&[("a", "1\n")]);
    let done = Launch::new(["--one-time", "--cookie-file=false", "--link=x"])
        .set("repo", repo.git_dir())
        .set("root", folder.path().join("root"))
        .env("GITSYNC_EXECHOOK_COMMAND", "")
        .run(LONG);
    assert_eq!(done.status.code(), Some(0), "{}", done.stderr);
}

#[test]
fn one_time_ends_with_0_1_or_64() {
    let folder = temp();
    let root = folder.path().join("root");
    let one_time =
        |repo: &str| Launch::new(["--one-time", "--link=x"]).set("repo", repo).set("root", &root).run(LONG);
    let missing = one_time("/nonexistent/repo.git");
    assert_eq!(missing.status.code(), Some(1), "{}", missing.stderr);
    assert!(missing.stderr.contains("/nonexistent/repo.git"), "{}", missing.stderr);
    assert_eq!(one_time("ftp://example.com/x").status.code(), Some(64));
    let repo = Repo::new(folder.path().join("up"));
    let head = repo.commit(&[("a", "1\n")]);
    let done = one_time(&repo.work().display().to_string());
    assert_eq!(done.status.code(), Some(0), "{}", done.stderr);
    assert_eq!(published(&root, "x"), Some(head));
    // Again on the same volume, as a pod that is started again.
    assert_eq!(one_time(&repo.work().display().to_string()).status.code(), Some(0));
}
