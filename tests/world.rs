//! The test world proven with other clients than ours: what holds here and fails elsewhere is dagsync's fault.
//!
//! The clients are the git program and curl; `world_hostile.rs` does the same for the hostile server.

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::agent::{http_get, published};
use support::canary::{assert_not_below, assert_not_in, assert_not_in_arguments, base64, canary};
use support::client::{clone, clone_fails, curl, served, trusting};
use support::http::KeepAlive;
use support::repo::{EPOCH, git, text_of};
use support::tls::Certificate;
use support::wait::PATIENCE;
use support::{Agent, Entry, GitServer, Repo, temp, wait_until};

// Repositories

#[test]
fn the_same_verbs_give_the_same_ids() {
    let (_one, first) = served();
    let (_two, second) = served();
    assert_eq!(first.head(), second.head());
    assert_eq!(first.head().len(), 40);
}

#[test]
fn verbs_do_what_they_say() {
    let folder = temp();
    let repo = Repo::new(folder.path().join("with files"));
    let first = repo.commit(&[("dags/a.py", "1"), ("run.sh", "#!/bin/sh\n"), ("old/gone.py", "")]);
    repo.chmod("run.sh", 0o755).symlink("latest", "dags/a.py").remove("old");
    let second = repo.commit_all("changes");
    let listing = repo.git(&["ls-tree", "-r", "HEAD"]);
    assert!(listing.contains("120000 blob") && listing.contains("100755 blob"), "{listing}");
    assert!(!listing.contains("gone"), "{listing}");

    repo.tag("light").branch("copy");
    let tag = repo.annotated_tag("v1.0.0", EPOCH + 5);
    assert_ne!(tag, second);
    assert_eq!(repo.id("v1.0.0^{commit}"), second);
    assert_eq!(
        repo.git(&["for-each-ref", "--format=%(creatordate:unix)", "refs/tags/v1.0.0"]),
        (EPOCH + 5).to_string()
    );
    assert_eq!(repo.reset(&first), first);
    assert_ne!(repo.amend(&[("dags/a.py", "3")]), first);
    assert_eq!(repo.id("copy"), second);
    assert_eq!(repo.switch("other").commit(&[("x", "")]), repo.id("refs/heads/other"));
    repo.delete_ref("refs/tags/light");
    assert!(!repo.git(&["tag"]).contains("light"));
}

#[test]
fn invalid_trees_can_be_made() {
    let (_root, repo) = served();
    let blob = repo.blob("evil\n");
    let inner = repo.mktree(&[Entry::file("f", &blob)]);
    for name in ["..", ".git", "a/b", ".", "c\r", "\u{200c}.git"] {
        let tree =
            repo.mktree(&[Entry::file(name, &blob), Entry::link("x", &blob), Entry::tree("x", &inner)]);
        let commit = repo.publish_tree(&tree);
        assert_eq!(repo.head(), commit);
        assert_eq!(repo.git(&["cat-file", "-t", &tree]), "tree");
        assert!(!repo.try_git(&["fsck", "--strict"]).status.success(), "git finds {name:?} in order");
    }
}

#[test]
fn twenty_thousand_refs_and_files_are_made_in_seconds() {
    let (root, repo) = served();
    repo.annotated_tag("v1", EPOCH);
    repo.many_refs("b", 20_000).branch("after");
    let server = GitServer::plain(root.path());
    let listing =
        text_of("ls-remote", git().args(["ls-remote", &server.url("repo.git")]).output().expect("git"));
    assert_eq!(listing.lines().filter(|line| line.contains("refs/heads/b")).count(), 20_000);
    assert!(listing.contains("refs/tags/v1^{}") && listing.contains("refs/heads/after"));

    let big = Repo::bare(root.path().join("big.git"));
    let commit = big.big(20_000);
    assert_eq!(big.git(&["ls-tree", "-r", "--name-only", &commit]).lines().count(), 20_000);
    assert_eq!(clone(&server.url("big.git"), &[]), Ok(commit));
}

#[test]
fn sha256_repositories_are_served() {
    let root = temp();
    let repo = Repo::bare_sha256(root.path().join("repo.git"));
    let tip = repo.commit(&[("a", "b")]);
    assert_eq!(tip.len(), 64);
    let tree = repo.mktree(&[Entry::file("..", &repo.blob("x"))]);
    assert_eq!(tree.len(), 64);
    assert_eq!(clone(&GitServer::plain(root.path()).url("repo.git"), &[]), Ok(tip));
}

// The web server

#[test]
fn plain_http_serves_clones_in_v2_and_v0() {
    let (root, repo) = served();
    let server = GitServer::plain(root.path());
    assert_eq!(clone(&server.url("repo.git"), &[]), Ok(repo.head()));
    let requests = server.requests();
    assert!(requests.iter().all(|one| one.status == 200 && one.git_protocol.as_deref() == Some("version=2")));
    assert!(requests[0].method == "GET" && requests[0].path.contains("/info/refs?service=git-upload-pack"));
    assert_eq!(
        requests.iter().filter(|one| one.method == "POST").count(),
        2,
        "ls-refs and fetch: {requests:?}"
    );
    assert!(
        requests.iter().all(|one| one.client_port == requests[0].client_port),
        "one connection: {requests:?}"
    );

    let old = GitServer::over(root.path()).only_v0().start();
    assert_eq!(clone(&old.url("repo.git"), &[]), Ok(repo.head()));
    old.forget_requests();
    text_of("ls-remote", git().args(["ls-remote", &old.url("repo.git")]).output().expect("git"));
    assert_eq!(old.requests().len(), 1, "v0 lists refs in its first answer: {:?}", old.requests());
}

#[test]
fn unknown_repositories_are_not_found() {
    let (root, _repo) = served();
    clone_fails(&GitServer::plain(root.path()).url("other.git"), &[], "not found");
}

#[test]
fn exact_objects_and_filters_are_served() {
    let (root, repo) = served();
    let server = GitServer::plain(root.path());
    let (target, old) = (temp(), repo.id("HEAD~1"));
    text_of("init", git().args(["init", "-q"]).arg(target.path()).output().expect("git"));
    let mut fetch = git();
    fetch.arg("-C").arg(target.path()).args(["fetch", "-q", "--depth=1", "--filter=blob:none"]);
    text_of("fetch", fetch.args([&server.url("repo.git"), &old]).output().expect("git"));
}

#[test]
fn https_needs_the_private_authority_and_speaks_http2() {
    let (root, repo) = served();
    let server = GitServer::over(root.path()).tls().start();
    clone_fails(&server.url("repo.git"), &[], "certificate");
    assert_eq!(clone(&server.url("repo.git"), &[&trusting(&server)]), Ok(repo.head()));
    assert_eq!(clone(&server.url_by("localhost", "repo.git"), &[&trusting(&server)]), Ok(repo.head()));
    assert!(server.requests().iter().all(|one| one.protocol == "HTTP/2.0"), "{:?}", server.requests());

    let older = GitServer::over(root.path()).tls().without_http2().start();
    assert_eq!(clone(&older.url("repo.git"), &[&trusting(&older)]), Ok(repo.head()));
    assert!(older.requests().iter().all(|one| one.protocol == "HTTP/1.1"));
}

#[test]
fn expired_and_foreign_certificates_are_what_they_say_until_renewed() {
    let (root, repo) = served();
    let foreign = GitServer::over(root.path()).certificate(Certificate::OtherName).start();
    clone_fails(&foreign.url("repo.git"), &[&trusting(&foreign)], "does not match");
    let mut expired = GitServer::over(root.path()).certificate(Certificate::Expired).start();
    clone_fails(&expired.url("repo.git"), &[&trusting(&expired)], "certificate");
    // Git's message depends on its TLS library; curl names the reason.
    let said = curl(&["--cacert", &expired.ca_pem().display().to_string(), &expired.url("repo.git")]).stderr;
    assert!(String::from_utf8_lossy(&said).contains("expired"), "{}", String::from_utf8_lossy(&said));
    let port = expired.port();
    expired.renew_certificate(Certificate::Good);
    assert_eq!(expired.port(), port);
    assert_eq!(clone(&expired.url("repo.git"), &[&trusting(&expired)]), Ok(repo.head()));
}

#[test]
fn accounts_are_checked_and_can_change_while_running() {
    let (root, repo) = served();
    let server = GitServer::over(root.path()).account("ada", "first").start();
    clone_fails(&server.url("repo.git"), &[], "terminal prompts disabled");
    assert_eq!(clone(&server.url_with("ada", "first", "repo.git"), &[]), Ok(repo.head()));
    let sent = server.requests().into_iter().filter_map(|one| one.authorization).next();
    assert_eq!(sent, Some(format!("Basic {}", base64(b"ada:first"))));
    server.set_account("ada", "second");
    clone_fails(&server.url_with("ada", "first", "repo.git"), &[], "Authentication failed");
    assert_eq!(clone(&server.url_with("ada", "second", "repo.git"), &[]), Ok(repo.head()));
    server.forget_requests();
    assert!(server.requests().is_empty());
}

#[test]
fn connections_close_when_told() {
    let (root, repo) = served();
    let server = GitServer::over(root.path()).keep_alive(KeepAlive::OneRequest).start();
    assert_eq!(clone(&server.url("repo.git"), &[]), Ok(repo.head()));
    let mut ports: Vec<_> = server.requests().iter().map(|one| one.client_port).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), server.requests().len(), "a connection per request");

    let server = GitServer::over(root.path()).keep_alive(KeepAlive::OneSecond).start();
    let mut idle = TcpStream::connect(("127.0.0.1", server.port())).expect("a connection");
    idle.set_read_timeout(Some(PATIENCE)).expect("a limit");
    idle.write_all(b"GET /repo.git/HEAD HTTP/1.1\r\nHost: x\r\n\r\n").expect("a request");
    let begun = Instant::now();
    idle.read_to_end(&mut Vec::new()).expect("an end of the connection");
    assert!(begun.elapsed() < Duration::from_secs(20), "closed after {:?}", begun.elapsed());
}

#[test]
fn answers_are_compressed_on_request() {
    let (root, repo) = served();
    let server = GitServer::over(root.path()).gzip().start();
    assert_eq!(clone(&server.url("repo.git"), &[]), Ok(repo.head()));
    assert!(
        server.requests().iter().any(|one| one.encoding.as_deref() == Some("gzip")),
        "{:?}",
        server.requests()
    );
}

#[test]
fn redirects_lead_where_they_point() {
    let (root, repo) = served();
    let plain = GitServer::plain(root.path());
    let other = GitServer::plain(root.path());
    let secure = GitServer::over(root.path()).tls().start();
    for target in [plain.url("repo.git"), other.url("repo.git"), other.url_by("localhost", "repo.git")] {
        assert_eq!(clone(&plain.redirect_to(&target), &[]), Ok(repo.head()), "{target}");
    }
    let trust = trusting(&secure);
    assert_eq!(clone(&plain.redirect_to(&secure.url("repo.git")), &[&trust]), Ok(repo.head()));
    assert_eq!(clone(&secure.redirect_to(&plain.url("repo.git")), &[&trust]), Ok(repo.head()));
    assert_eq!(plain.requests()[0].status, 301);
}

#[test]
fn a_stopped_server_refuses_and_comes_back_on_its_port() {
    let (root, repo) = served();
    let mut server = GitServer::plain(root.path());
    let url = server.url("repo.git");
    server.stop();
    clone_fails(&url, &[], "Failed to connect");
    server.start();
    assert_eq!(clone(&url, &[]), Ok(repo.head()));
    server.stop();
    assert!(!server.requests().is_empty(), "the log outlives the server");
}

// Canaries

#[test]
fn canaries_are_found_in_clear_in_base64_in_names_and_in_targets() {
    let found = |hide: &dyn Fn(&Path, &str)| {
        let (folder, secret) = (temp(), canary());
        fs::create_dir(folder.path().join("deep")).expect("a folder");
        fs::write(folder.path().join("deep/innocent"), "nothing here").expect("a file");
        assert_not_below(&secret, folder.path());
        hide(&folder.path().join("deep"), &secret);
        std::panic::catch_unwind(|| assert_not_below(&secret, folder.path())).is_err()
    };
    assert!(found(&|folder, secret| fs::write(folder.join("f"), format!("url = x:{secret}@y")).unwrap()));
    assert!(found(&|folder, secret| fs::write(folder.join(secret), "").unwrap()));
    assert!(found(&|folder, secret| std::os::unix::fs::symlink(secret, folder.join("l")).unwrap()));
    for user in ["a", "ab", "abc"] {
        let login = |secret: &str| base64(format!("{user}:{secret}").as_bytes());
        assert!(found(&|folder, secret| fs::write(folder.join("f"), login(secret)).unwrap()), "{user}");
    }
    assert_not_in("CANARY-0123456789abcdef", "a text", "CANARY-0123456789abcdeF");
}

// The agent, played by a shell

#[test]
fn an_agent_is_heard_signalled_and_ended() {
    let shell = |script: &str, secret: &str| {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).env("SECRET", secret);
        Agent::spawn(command)
    };
    let agent = shell(
        "trap 'kill $!; echo bye; exit 7' TERM; sleep 1000 >/dev/null 2>&1 & echo out; echo err >&2; wait",
        "",
    );
    agent.wait_for_text("out", PATIENCE);
    agent.wait_for_text("err", PATIENCE);
    assert!(!agent.stderr().contains("out"));
    agent.signal(Signal::TERM);
    let finished = agent.finish(PATIENCE);
    assert_eq!((finished.status.code(), finished.stdout.as_str()), (Some(7), "out\nbye\n"));

    let secret = canary();
    let child = "sh -c 'while kill -0 $PPID; do sleep 0.05; done' sh \"$SECRET\" >/dev/null 2>&1 & wait";
    let mut careless = shell(child, &secret);
    let pid = careless.pid();
    careless.wait_until("the secret in a child's arguments", || {
        std::panic::catch_unwind(|| assert_not_in_arguments(&secret, pid)).is_err()
    });
    careless.signal(Signal::KILL);
    assert_eq!(careless.wait_exit(PATIENCE).and_then(|status| status.code()), None);

    let endless = shell("exec sleep 1000", "");
    let proc = format!("/proc/{}", endless.pid());
    drop(endless);
    assert!(!Path::new(&proc).exists(), "killed and reaped on drop");
}

#[test]
fn pages_and_links_are_read() {
    let (root, repo) = served();
    let server = GitServer::plain(root.path());
    let address = ([127, 0, 0, 1], server.port()).into();
    let page = http_get(address, "/repo.git/info/refs?service=git-upload-pack", &[("Accept", "*/*")])
        .expect("an answer");
    assert_eq!(page.status, 200);
    assert_eq!(page.headers["content-type"], "application/x-git-upload-pack-advertisement");
    assert!(
        page.text().starts_with("001e# service=git-upload-pack\n0000"),
        "chunks are joined: {}",
        page.text()
    );

    let (folder, id) = (temp(), repo.head());
    assert_eq!(published(folder.path(), "link"), None);
    std::os::unix::fs::symlink(format!(".worktrees/{id}"), folder.path().join("link")).expect("a link");
    assert_eq!(published(folder.path(), "link"), Some(id));
    std::os::unix::fs::symlink("elsewhere", folder.path().join("other")).expect("a link");
    assert_eq!(published(folder.path(), "other"), None);
}

#[test]
fn servers_are_gone_when_dropped() {
    let (root, _repo) = served();
    let server = GitServer::plain(root.path());
    let port = server.port();
    drop(server);
    wait_until(PATIENCE, "the port to be free", || TcpListener::bind(("127.0.0.1", port)).is_ok());
}
