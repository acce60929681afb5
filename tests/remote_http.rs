//! The engine against a real git host: connections, protocols, TLS, and what a poll costs.

mod engine;
mod support;

use std::collections::HashSet;
use std::fs;

use dagsync::config::HttpConfig;
use dagsync::error::{Advice as _, Remedy};
use dagsync::git::Error;
use engine::{Engine, Site, failure};
use support::client::served;
use support::http::{KeepAlive, Request};
use support::tls::Certificate;
use support::wait::PATIENCE;
use support::{GitServer, Repo, temp, wait_until};

fn connections(requests: &[Request]) -> usize {
    requests.iter().map(|one| one.client_port).collect::<HashSet<_>>().len()
}

fn posts(requests: &[Request]) -> usize {
    requests.iter().filter(|one| one.method == "POST").count()
}

// Connections

#[test]
fn an_idle_poll_is_one_request_on_the_same_connection() {
    let (root, repo) = served();
    for server in [GitServer::plain(root.path()), GitServer::over(root.path()).tls().start()] {
        let mut engine = match server.url("").starts_with("https") {
            true => Engine::trusting(&server.url("repo.git"), server.ca_pem()),
            false => Engine::of(&server.url("repo.git")),
        };
        let tip = engine.pull().unwrap();
        assert_eq!(tip, repo.head());
        let before = server.requests();
        assert_eq!((before.len(), posts(&before)), (3, 2), "handshake, list, fetch: {before:?}");
        for _ in 0..20 {
            assert_eq!(engine.poll().unwrap(), tip);
        }
        let all = server.requests();
        assert_eq!((all.len(), posts(&all)), (23, 22), "one POST a poll: {all:?}");
        assert_eq!(connections(&all), 1, "{all:?}");
        assert!(all.iter().all(|one| one.git_protocol.as_deref() == Some("version=2")));
        assert!(all.iter().all(|one| one.user_agent.starts_with("git/dagsync-")), "{:?}", all[0]);
    }
}

#[test]
fn a_poll_sees_a_push_over_the_connection_it_has() {
    let (root, repo) = served();
    let server = GitServer::plain(root.path());
    let mut engine = Engine::of(&server.url("repo.git"));
    for number in 0..5 {
        let tip = repo.commit(&[("dags/a.py", &format!("a = {number}\n"))]);
        assert_eq!(engine.pull().unwrap(), tip);
        engine.git(&["cat-file", "-e", &format!("{tip}:dags/a.py")]);
    }
    assert_eq!(connections(&server.requests()), 1);
    assert_eq!(server.requests().iter().filter(|one| one.method == "GET").count(), 1, "one handshake");
}

#[test]
fn connections_closed_by_the_server_never_fail_a_pass() {
    let (root, repo) = served();
    let server = GitServer::over(root.path()).keep_alive(KeepAlive::OneRequest).start();
    let mut engine = Engine::of(&server.url("repo.git"));
    for _ in 0..10 {
        assert_eq!(engine.pull().unwrap(), repo.head());
    }
    // nginx writes its line when the connection is really over.
    drop(engine);
    let requests = || server.requests().len();
    wait_until(PATIENCE, "a handshake, ten lists and ten fetches, each sent once", || requests() == 21);

    let mut server = GitServer::over(root.path()).keep_alive(KeepAlive::OneSecond).start();
    let mut engine = Engine::of(&server.url("repo.git"));
    engine.pull().unwrap();
    let port = server.requests()[0].client_port;
    let closed = || !established(port, server.port());
    wait_until(PATIENCE, "the server to close the idle connection", closed);
    assert_eq!(engine.pull().unwrap(), repo.head());

    // HTTP/2 says goodbye in its own way.
    let polite = GitServer::over(root.path()).tls().keep_alive(KeepAlive::OneRequest).start();
    let mut secure = Engine::trusting(&polite.url("repo.git"), polite.ca_pem());
    for _ in 0..5 {
        assert_eq!(secure.pull().unwrap(), repo.head());
    }

    // A restart of the server in between is no failure either.
    server.stop();
    server.start();
    assert_eq!(engine.pull().unwrap(), repo.head());
    server.stop();
    let error = failure(engine.poll());
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("cannot reach http://127.0.0.1:"), "{error}");
    assert!(matches!(error.remedy(), Remedy::Retry { .. }));
    server.start();
    assert_eq!(engine.pull().unwrap(), repo.head());
}

/// Whether the server's side of a connection is still open.
fn established(client: u16, server: u16) -> bool {
    let table = fs::read_to_string("/proc/net/tcp").expect("the kernel's list of connections");
    let (server, client) = (format!(":{server:04X}"), format!(":{client:04X}"));
    table.lines().any(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (local, peer, state) = (words.next(), words.next(), words.next());
        let ends = |word: Option<&str>, end: &str| word.is_some_and(|word| word.ends_with(end));
        ends(local, &server) && ends(peer, &client) && state == Some("01")
    })
}

// Protocols

#[test]
fn depth_one_is_one_commit_on_servers_of_every_protocol() {
    let (root, repo) = served();
    let tip = repo.commit(&[("dags/c.py", "c = 1\n")]);
    let new = GitServer::plain(root.path());
    let old = GitServer::over(root.path()).only_v0().start();
    for (server, version) in [(&new, None), (&new, Some(0)), (&new, Some(1)), (&old, None), (&old, Some(0))] {
        let settings = HttpConfig { protocol_version: version, ..HttpConfig::default() };
        let mut engine = Engine::with(&server.url("repo.git"), settings);
        assert_eq!(engine.pull().unwrap(), tip);
        assert_eq!(engine.git(&["rev-list", "--count", &tip]), "1", "protocol {version:?}");
        assert_eq!(fs::read_to_string(engine.store.shallow_file()).unwrap(), format!("{tip}\n"));
        assert!(engine.git(&["rev-list", "--objects", &tip]).contains("dags/c.py"));
        // Again and again, also after a fetch.
        for number in 0..3 {
            let next = repo.commit(&[("dags/c.py", &format!("c = {number}{version:?}\n"))]);
            assert_eq!(engine.poll().unwrap(), next);
            engine.fetch(&next, &[&tip], 1).unwrap();
            assert_eq!(engine.git(&["rev-list", "--count", &next]), "1");
        }
        repo.reset(&tip);
    }
    old.forget_requests();
    let mut engine = Engine::of(&old.url("repo.git"));
    engine.poll().unwrap();
    engine.poll().unwrap();
    let asked = old.requests();
    assert!(asked.len() == 2 && asked.iter().all(|one| one.method == "GET"), "one request a poll: {asked:?}");
}

#[test]
fn protocol_version_is_a_setting_of_the_binary() {
    let (root, repo) = served();
    let server = GitServer::plain(root.path());
    for (setting, sent) in [
        ("protocol.version:0", Some("version=0")),
        ("protocol.version:1", None),
        ("protocol.version:2", Some("version=2")),
    ] {
        server.forget_requests();
        let site = Site::new();
        let args = [&*format!("--git-config={setting}"), "--check=off"];
        site.publishes(&server.url("repo.git"), &args, &repo.head());
        assert_eq!(server.requests()[0].git_protocol.as_deref(), sent, "{setting}");
        assert_eq!(site.git(&["rev-list", "--count", "HEAD"]), "1");
    }
}

#[test]
fn polls_of_a_1e5_refs_remote_stay_small() {
    // `1e5_refs_remote`: what a poll receives does not depend on how many refs there are.
    let (root, repo) = served();
    repo.many_refs("b", 20_000).annotated_tag("v1", support::repo::EPOCH);
    let server = GitServer::plain(root.path());
    let mut engine = Engine::of(&server.url("repo.git"));
    engine.pull().unwrap();
    server.forget_requests();
    for _ in 0..3 {
        assert_eq!(engine.poll().unwrap(), repo.head());
    }
    assert!(server.requests().iter().all(|one| one.sent < 200), "{:?}", server.requests());

    let site = Site::new();
    site.publishes(&server.url("repo.git"), &["--ref=b19999"], &repo.head());
    let most = server.requests().into_iter().filter(|one| one.method == "POST").map(|one| one.sent).max();
    assert!(most.is_some_and(|bytes| bytes < 4096), "{:?}", server.requests());
    let refs = engine.list(&[]).unwrap();
    assert_eq!(refs.len(), 20_003, "all of them when nothing narrows the list");
}

#[test]
fn gzip_is_taken_when_the_server_offers_it() {
    let (root, repo) = served();
    repo.many_refs("branch", 500);
    let server = GitServer::over(root.path()).gzip().start();
    let mut engine = Engine::of(&server.url("repo.git"));
    assert_eq!(engine.pull().unwrap(), repo.head());
    assert_eq!(engine.list(&["refs/heads/"]).unwrap().len(), 501);
    assert!(server.requests().iter().any(|one| one.encoding.as_deref() == Some("gzip")));
    let last = server.requests().pop().unwrap();
    assert!(last.sent < 20_000, "500 names of 60 bytes, packed: {last:?}");
}

#[test]
fn a_sha256_repository_is_published_over_http() {
    let root = temp();
    let repo = Repo::bare_sha256(root.path().join("repo.git"));
    let tip = repo.commit(&[("dags/a.py", "a = 1\n")]);
    let server = GitServer::plain(root.path());
    let site = Site::new();
    site.publishes(&server.url("repo.git"), &[], &tip);
    assert_eq!(site.git(&["rev-parse", "HEAD"]), tip);
    assert_eq!(site.git(&["status", "--porcelain"]), "");
    let next = repo.commit(&[("dags/a.py", "a = 2\n")]);
    site.publishes(&server.url("repo.git"), &[], &next);
    // The root is cheap to give to another repository, of the other kind too.
    let old = Repo::bare(root.path().join("sha1.git"));
    let other = old.commit(&[("dags/b.py", "b = 1\n")]);
    site.publishes(&server.url("sha1.git"), &[], &other);
    let sha1 = "1".repeat(40);
    site.fails(&server.url("repo.git"), &[&format!("--ref={sha1}")], &["uses sha256 object ids"]);
}

// TLS

#[test]
fn a_private_authority_is_trusted_when_named_and_http2_is_spoken() {
    let (root, repo) = served();
    let server = GitServer::over(root.path()).tls().start();
    let mut engine = Engine::trusting(&server.url("repo.git"), server.ca_pem());
    assert_eq!(engine.pull().unwrap(), repo.head());
    assert_eq!(engine.poll().unwrap(), repo.head());
    assert!(server.requests().iter().all(|one| one.protocol == "HTTP/2.0"), "{:?}", server.requests());

    server.forget_requests();
    let old = HttpConfig {
        ssl_ca_info: Some(server.ca_pem().to_owned()),
        http1_only: Some(true),
        ..HttpConfig::default()
    };
    assert_eq!(Engine::with(&server.url("repo.git"), old).pull().unwrap(), repo.head());
    assert!(server.requests().iter().all(|one| one.protocol == "HTTP/1.1"), "{:?}", server.requests());

    let first = GitServer::over(root.path()).tls().without_http2().start();
    let mut engine = Engine::trusting(&first.url("repo.git"), first.ca_pem());
    assert_eq!(engine.pull().unwrap(), repo.head());
}

#[test]
fn a_certificate_that_does_not_convince_is_refused_with_a_hint() {
    let (root, repo) = served();
    let server = GitServer::over(root.path()).tls().start();
    let other = GitServer::over(root.path()).tls().start();
    let foreign = GitServer::over(root.path()).certificate(Certificate::OtherName).start();
    for (url, ca) in [(server.url("repo.git"), other.ca_pem()), (foreign.url("repo.git"), foreign.ca_pem())] {
        let error = failure(Engine::trusting(&url, ca).poll());
        assert!(matches!(error, Error::Tls { .. }), "{error:?}");
        assert!(error.to_string().starts_with("the certificate of https://127.0.0.1:"), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("http.sslCAInfo")));
        assert_eq!(error.remedy(), Remedy::Human);
    }
    // Without a word about authorities: those of the system, which do not know this one.
    let site = Site::new();
    site.fails(&server.url("repo.git"), &[], &["the certificate of https://", "hint: ", "http.sslCAInfo"]);
    site.publishes(&server.url("repo.git"), &["--git-config=http.sslVerify:false"], &repo.head());
    let trust = format!("--git-config=http.sslCAInfo:{}", server.ca_pem().display());
    site.publishes(&server.url("repo.git"), &[&trust], &repo.head());
}

#[test]
fn tls_expired_then_renewed() {
    let (root, repo) = served();
    let mut server = GitServer::over(root.path()).certificate(Certificate::Expired).start();
    let mut engine = Engine::trusting(&server.url("repo.git"), server.ca_pem());
    let error = failure(engine.poll());
    assert!(matches!(error, Error::Tls { .. }) && error.to_string().contains("expired"), "{error}");
    server.renew_certificate(Certificate::Good);
    assert_eq!(engine.pull().unwrap(), repo.head());
}

#[test]
fn a_renewed_authority_is_trusted_as_soon_as_its_file_follows() {
    let (root, repo) = served();
    let (server, other) =
        (GitServer::over(root.path()).tls().start(), GitServer::over(root.path()).tls().start());
    let folder = temp();
    let file = folder.path().join("ca.pem");
    fs::copy(other.ca_pem(), &file).expect("a file");
    let mut engine = Engine::trusting(&server.url("repo.git"), &file);
    failure(engine.poll());
    fs::write(&file, "half of a file").expect("a file");
    assert!(matches!(failure(engine.poll()), Error::Tls { .. }), "what was trusted still is");
    fs::copy(server.ca_pem(), &file).expect("a file");
    assert_eq!(engine.pull().unwrap(), repo.head());
}
