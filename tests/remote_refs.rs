//! Which commit a ref is, against a real git host: every way to say it, and every way it can move or go.

mod engine;
mod support;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dagsync::error::{Advice as _, Remedy};
use engine::{Engine, Site, failure};
use support::client::served;
use support::hostile::Asked;
use support::repo::EPOCH;
use support::{Answer, GitServer, Hostile, Repo, temp};

/// A server over a repository with tags of every kind; the second commit is the tip.
fn tagged() -> (tempfile::TempDir, Repo, GitServer) {
    let (root, repo) = served();
    repo.tag("light").annotated_tag("v1.4.0", EPOCH + 10);
    let nested = repo.git_input(
        &["mktag"],
        format!(
            "object {}\ntype tag\ntag nested\ntagger Ada <ada@example.com> {EPOCH} +0000\n\nnested\n",
            repo.id("v1.4.0")
        )
        .as_bytes(),
    );
    repo.set_ref("refs/tags/nested", &nested);
    repo.set_ref("refs/pull/7/head", &repo.id("HEAD~1"));
    let server = GitServer::plain(root.path());
    (root, repo, server)
}

#[test]
fn every_way_to_name_a_commit_leads_to_it() {
    let (_root, repo, server) = tagged();
    let (tip, older) = (repo.head(), repo.id("HEAD~1"));
    let site = Site::new();
    let tag_object = repo.id("v1.4.0");
    let nested_object = repo.id("nested");
    let upper = older.to_uppercase();
    for (name, commit) in [
        ("HEAD", &tip),
        ("refs/pull/7/head", &older),
        ("main", &tip),
        (older.as_str(), &older),
        ("light", &tip),
        (&upper, &older),
        ("v1.4.0", &tip),
        ("refs/pull/7/head", &older),
        ("nested", &tip),
        (&older, &older),
        (&tag_object, &tip),
        (&older, &older),
        (&nested_object, &tip),
        ("heads/main", &tip),
        ("refs/heads/main", &tip),
        ("tags/nested", &tip),
        ("semver:^1.2", &tip),
        ("tag:v1.*", &tip),
    ] {
        site.publishes(&server.url("repo.git"), &[&format!("--ref={name}")], commit);
        assert_eq!(site.git(&["rev-parse", "HEAD"]), *commit, "{name}");
        assert_eq!(site.git(&["status", "--porcelain"]), "", "{name}");
    }
    server.forget_requests();
    site.publishes(&server.url("repo.git"), &[&format!("--ref={tag_object}")], &tip);
    assert!(server.requests().is_empty(), "an id that is there needs no server: {:?}", server.requests());
    let blob = repo.id("HEAD:dags/a.py");
    site.fails(&server.url("repo.git"), &[&format!("--ref={blob}")], &["is a blob, not a commit"]);
    repo.set_ref("refs/tags/of-a-tree", &repo.id("HEAD^{tree}"));
    site.fails(&server.url("repo.git"), &["--ref=of-a-tree"], &["is a tree, not a commit"]);
    let nowhere = "7".repeat(40);
    site.fails(&server.url("repo.git"), &[&format!("--ref={nowhere}")], &["not our ref", "hint: "]);
}

#[test]
fn versions_are_followed_forward_and_backward() {
    let (root, repo) = served();
    let old = repo.head();
    repo.tag("v1.4.0").tag("airflow-v1.0").tag("v2.0.0");
    let new = repo.commit(&[("dags/a.py", "new\n")]);
    repo.annotated_tag("v1.10.0", EPOCH);
    repo.annotated_tag("airflow-v2.3.1", EPOCH);
    let server = GitServer::plain(root.path());
    let (site, url) = (Site::new(), server.url("repo.git"));
    site.publishes(&url, &["--ref=semver:^1.4"], &new);
    site.publishes(&url, &["--ref=semver:<1.10"], &old);
    site.publishes(&url, &["--ref=semver:airflow-v:>=2"], &new);
    repo.delete_ref("refs/tags/v1.10.0");
    site.publishes(&url, &["--ref=semver:^1.4"], &old);
    site.fails(&url, &["--ref=semver:^7"], &["has no tag with a version `^7`"]);
}

#[test]
fn tags_of_one_version_go_by_their_dates_also_without_filters() {
    for filters in [true, false] {
        let root = temp();
        let repo = Repo::bare(root.path().join("repo.git"));
        repo.config("uploadpack.allowFilter", if filters { "true" } else { "false" });
        let blue = repo.commit(&[("dags/a.py", "blue\n"), ("big", &"x".repeat(9000))]);
        repo.annotated_tag("nightly-blue", EPOCH + 5000);
        repo.commit(&[("dags/a.py", "red\n")]);
        repo.annotated_tag("nightly-red", EPOCH + 4000);
        // Lightweight: as old as its commit.
        repo.commit(&[("dags/a.py", "light\n")]);
        repo.tag("nightly-light");
        let server = GitServer::plain(root.path());
        let (site, url) = (Site::new(), server.url("repo.git"));
        let launch = site.agent(&url).set("ref", "tag:nightly-*");
        let agent = site.serving(&launch, &blue);
        assert_eq!(fs::read_to_string(site.link().join("dags/a.py")).unwrap(), "blue\n");
        // The dates are known now: a poll is one request again.
        let polls = || server.requests().len();
        let before = polls();
        agent.wait_until("three more polls", || polls() >= before + 3);
        let last = server.requests().split_off(before + 1);
        assert!(last.iter().all(|one| one.sent < 400), "only lists, filters {filters}: {last:?}");
        let red = repo.commit(&[("dags/a.py", "red again\n")]);
        repo.annotated_tag("nightly-red", EPOCH + 6000);
        agent.wait_published(&site.root(), "live", &red);
        assert_eq!(site.git(&["status", "--porcelain"]), "");
    }
}

#[test]
fn a_branch_wins_over_a_tag_of_its_name_with_one_warning() {
    let (root, repo) = served();
    repo.set_ref("refs/tags/v9", &repo.id("HEAD~1"));
    repo.branch("v9");
    let server = GitServer::plain(root.path());
    let site = Site::new();
    let agent = site.serving(&site.agent(&server.url("repo.git")).set("ref", "v9"), &repo.head());
    let next = repo.commit(&[("dags/a.py", "next\n")]);
    repo.branch("v9");
    agent.wait_published(&site.root(), "live", &next);
    assert_eq!(agent.stderr().matches("a tag has the same name; the branch wins").count(), 1);
    site.publishes_after(agent, &server.url("repo.git"), &["--ref=tags/v9"], &repo.id("refs/tags/v9"));
}

#[test]
fn a_ref_moved_backward_is_followed() {
    let (root, repo) = served();
    let (tip, older) = (repo.head(), repo.id("HEAD~1"));
    let server = GitServer::plain(root.path());
    let site = Site::new();
    let agent = site.serving(&site.agent(&server.url("repo.git")), &tip);
    repo.reset(&older);
    agent.wait_published(&site.root(), "live", &older);
    assert_eq!(fs::read_to_string(site.link().join("dags/a.py")).unwrap(), "a = 1\n");
    repo.reset(&tip);
    agent.wait_published(&site.root(), "live", &tip);
    let rewritten = repo.amend(&[("dags/a.py", "rewritten\n")]);
    agent.wait_published(&site.root(), "live", &rewritten);
    assert_eq!(site.git(&["fsck", "--no-dangling"]), "");
}

#[test]
fn branch_deleted_upstream_keeps_release_and_alerts() {
    let (root, repo) = served();
    repo.branch("release/2.0").branch("release/2.1");
    let server = GitServer::plain(root.path());
    let site = Site::new();
    let launch = site.agent(&server.url("repo.git")).set("ref", "release/2.0");
    let agent = site.serving(&launch, &repo.head());
    repo.delete_ref("refs/heads/release/2.0");
    agent.wait_for_text("has no branch or tag `release/2.0`", support::wait::PATIENCE);
    let said = agent.stderr();
    assert!(said.contains("it has `release/2.1`"), "{said}");
    let error_file = site.root().join("error.json");
    agent.wait_until("the error file", || error_file.exists());
    assert_eq!(site.published(), Some(repo.head()), "what is published stays");
    assert!(site.link().join("dags/a.py").exists());
    repo.branch("release/2.0");
    agent.wait_for_text("working again", support::wait::PATIENCE);
    agent.wait_until("the error file to go", || !error_file.exists());
}

#[test]
fn empty_repository() {
    let root = temp();
    let repo = Repo::bare(root.path().join("repo.git"));
    for server in [GitServer::plain(root.path()), GitServer::over(root.path()).only_v0().start()] {
        let (site, url) = (Site::new(), server.url("repo.git"));
        site.fails(&url, &[], &["is empty", "hint: push a first commit"]);
        site.fails(&url, &["--ref=main"], &["is empty: it has no branch and no tag"]);
    }
    let server = GitServer::plain(root.path());
    let site = Site::new();
    let agent = site.agent(&server.url("repo.git")).start();
    agent.wait_for_text("is empty", support::wait::PATIENCE);
    let first = repo.commit(&[("a", "1")]);
    agent.wait_published(&site.root(), "live", &first);
}

#[test]
fn unborn_head() {
    let (root, repo) = served();
    repo.git(&["symbolic-ref", "HEAD", "refs/heads/unborn"]);
    for server in [GitServer::plain(root.path()), GitServer::over(root.path()).only_v0().start()] {
        let (site, url) = (Site::new(), server.url("repo.git"));
        let main = repo.id("refs/heads/main");
        site.publishes(&url, &["--ref=main"], &main);
        site.fails(&url, &["--ref=HEAD"], &["http://127.0.0.1"]);
    }
    let server = GitServer::plain(root.path());
    let site = Site::new();
    site.fails(&server.url("repo.git"), &[], &["is empty: `refs/heads/unborn` has no commit yet"]);
}

#[test]
fn force_push_during_fetch() {
    // Between our look at the refs and our fetch the branch is rewritten, and the host forgets the old commit.
    let (_root, repo) = served();
    let repo = Arc::new(repo);
    repo.config("uploadpack.allowAnySHA1InWant", "false");
    repo.config("uploadpack.allowReachableSHA1InWant", "false");
    let (pusher, pushed) = (repo.clone(), Arc::new(AtomicUsize::new(0)));
    let count = pushed.clone();
    let server = Hostile::over(&repo, move |asked: &Asked, real: Answer| {
        if asked.is_ls_refs() && count.fetch_add(1, Ordering::SeqCst) == 0 {
            pusher.amend(&[("dags/a.py", "rewritten\n")]);
            pusher.git(&["reflog", "expire", "--expire=now", "--all"]);
            pusher.git(&["gc", "-q", "--prune=now"]);
        }
        real
    });
    let site = Site::new();
    let agent = site.agent(&server.url()).start();
    agent.wait_until("a publication", || site.published().is_some());
    assert_eq!(site.published(), Some(repo.head()), "the commit of the second look");
    assert!(pushed.load(Ordering::SeqCst) >= 2);

    let mut engine = Engine::of(&server.url());
    let error = failure(engine.fetch_unlisted(&"7".repeat(40)));
    assert!(error.to_string().contains("not our ref"), "{error}");
    assert!(matches!(error.remedy(), Remedy::Retry { .. }));
}
