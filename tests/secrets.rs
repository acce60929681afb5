//! A password like no other text, given in every way there is, through success and every failure: it is nowhere
//! afterwards but where it was put.

mod engine;
mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use engine::Site;
use support::agent::{Launch, http_get};
use support::canary::{assert_not_below, assert_not_in, assert_not_in_arguments, canary};
use support::client::served;
use support::hostile::Asked;
use support::tls::Certificate;
use support::wait::PATIENCE;
use support::{Agent, Answer, GitServer, Hostile, free_port};

/// The ways to hand a secret to dagsync for a repository.
const WAYS: [&str; 7] = ["url", "user", "query", "variable", "file", "header", "proxy"];

/// So many characters of a server's words are repeated.
const LONGEST_SAID: usize = 400;

/// An agent that has `secret` in one of the [`WAYS`], with every window to the outside open.
fn launch(way: &str, site: &Site, url: &str, secret: &str, port: u16) -> Launch {
    let base = Launch::new([
        "--period=30ms",
        "--max-failures=-1",
        "--link=live",
        "--verbose=9",
        "--sync-timeout=5s",
    ])
    .set("root", site.root())
    .set("error-file", "error.json")
    .set("http-bind", format!("127.0.0.1:{port}"));
    let with_userinfo = |userinfo: String| url.replacen("://", &format!("://{userinfo}@"), 1);
    match way {
        "url" => base.env("GITSYNC_REPO", with_userinfo(format!("ada:{secret}"))),
        "user" => base.env("GITSYNC_REPO", with_userinfo(secret.to_owned())),
        "query" => base.env("GITSYNC_REPO", format!("{url}?token={secret}#{secret}")),
        "variable" => base.env("GITSYNC_REPO", url).set("username", "ada").env("GITSYNC_PASSWORD", secret),
        "file" => {
            let file = site.file("password", secret);
            base.env("GITSYNC_REPO", url).set("username", "ada").set("password-file", file)
        }
        "header" => base
            .env("GITSYNC_REPO", url)
            .env("GITSYNC_GIT_CONFIG", format!("http.extraHeader:Authorization: Bearer {secret}")),
        "proxy" => base
            .env("GITSYNC_REPO", url)
            .env("GITSYNC_GIT_CONFIG", format!("http.proxy:http://ada:{secret}@127.0.0.1:1")),
        _ => unreachable!("a way"),
    }
}

/// Looks everywhere.
#[track_caller]
fn assert_nowhere(secret: &str, agent: &Agent, root: &Path, port: u16) {
    assert_not_in(secret, "stdout", agent.stdout());
    assert_not_in(secret, "stderr", agent.stderr());
    assert_not_below(secret, root);
    assert_not_in_arguments(secret, agent.pid());
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    for page in ["/", "/metrics", "/status", "/nothing", "/healthz"] {
        let reply = http_get(address, page, &[]).expect("an answer of the agent");
        assert_not_in(secret, page, reply.text());
        assert_not_in(secret, page, format!("{:?}", reply.headers));
    }
}

#[test]
fn no_secret_on_disk_after_sync() {
    let (root, repo) = served();
    let server = GitServer::plain(root.path());
    for way in WAYS.iter().filter(|way| !["query", "proxy"].contains(way)) {
        let (site, secret, port) = (Site::new(), canary(), free_port());
        let launch = launch(way, &site, &server.url("repo.git"), &secret, port);
        let mut agent = site.serving(&launch, &repo.head());
        let next = repo.commit(&[("dags/a.py", &format!("by = '{way}'\n"))]);
        agent.wait_published(&site.root(), "live", &next);
        assert_nowhere(&secret, &agent, &site.root(), port);
        agent.signal(rustix::process::Signal::TERM);
        assert!(agent.wait_exit(PATIENCE).is_some_and(|status| status.success()));
        assert_not_in(&secret, "stderr", agent.stderr());
        assert_not_below(&secret, &site.root());
    }
    let sent = server.requests();
    assert!(sent.iter().all(|one| one.authorization.is_some()), "the secrets were used: {sent:?}");
}

#[test]
fn no_failure_of_a_host_shows_a_secret() {
    let (_root, repo) = served();
    const KINDS: usize = 12;
    let step = Arc::new(AtomicUsize::new(0));
    let current = step.clone();
    let server = Hostile::over(&repo, move |asked: &Asked, real| {
        // A host that throws back what it was told: the worst it can do.
        let told = asked.header("authorization").unwrap_or_default().to_owned();
        match current.load(Ordering::SeqCst) {
            0 => Answer::unauthorized().header("X-Told", &told),
            1 => Answer::status(403).body(told),
            2 => Answer::status(404),
            3 => Answer::too_many(0),
            4 => Answer::status(503),
            5 => Answer::web_page(),
            6 => Answer::redirect(&asked.url()),
            7 => Answer::redirect("ftp://127.0.0.1/"),
            8 => Answer::raw("garbage"),
            9 if asked.is_fetch() => real.with_wrong_checksum(),
            10 if asked.is_fetch() => real.cut_after(100),
            11 if asked.is_ls_refs() => real.trickle_after(5, Duration::from_millis(500)),
            _ => real,
        }
    });
    for way in WAYS {
        let (site, secret, port) = (Site::new(), canary(), free_port());
        step.store(0, Ordering::SeqCst);
        let launch = launch(way, &site, &server.url(), &secret, port).set("sync-timeout", "200ms");
        let agent = launch.set("sync-on-signal", "SIGHUP").start();
        // Before that a signal would end it.
        agent.wait_for_text("\"failures\":1", PATIENCE);
        for kind in 0..KINDS {
            step.store(kind, Ordering::SeqCst);
            // Each of them in its turn, without the pauses that failures bring.
            let count = || agent.stderr().matches("\"failures\":").count();
            let before = count();
            agent.signal(rustix::process::Signal::HUP);
            agent.wait_until(&format!("failure {kind} by {way}"), || count() > before);
        }
        assert_nowhere(&secret, &agent, &site.root(), port);
    }
}

#[test]
fn what_a_server_repeats_of_our_login_is_told_nowhere() {
    for way in WAYS.iter().filter(|way| **way != "proxy") {
        let (site, secret, port) = (Site::new(), canary(), free_port());
        let known = secret.clone();
        let server = Hostile::new(move |asked: &Asked| {
            let told = asked.header("authorization").unwrap_or_default();
            let words = format!("denied for ada:{known} {told} {}", asked.query);
            match asked.number % 3 {
                0 => Answer::git_error(asked, &words),
                1 => Answer::redirect(&format!("ftp://127.0.0.1/{known}")),
                // So long that it is cut, in the middle of the secret.
                _ => Answer::git_error(asked, &format!("{}{known}", "x".repeat(LONGEST_SAID - 12))),
            }
        });
        let launch = launch(way, &site, &server.url(), &secret, port);
        let agent = launch.set("sync-on-signal", "SIGHUP").start();
        agent.wait_for_text("\"failures\":1", PATIENCE);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let error = || {
            let status = http_get(address, "/status", &[]).expect("an answer of the agent");
            let all: serde_json::Value = serde_json::from_slice(&status.body).expect("JSON");
            all["sources"][0]["error"].as_str().unwrap_or_default().to_owned()
        };
        for told in ["says: denied for ada:*** ", "redirects to ftp://127.0.0.1/***", "x***…"] {
            agent.wait_until(&format!("`{told}` by {way}"), || error().contains(told));
            agent.wait_for_text(told, PATIENCE);
            let in_file = || std::fs::read_to_string(site.root().join("error.json")).unwrap_or_default();
            agent.wait_until("the error file", || in_file().contains(told));
            assert_nowhere(&secret, &agent, &site.root(), port);
            assert!(!error().contains("CANARY-"), "{}", error());
            agent.signal(rustix::process::Signal::HUP);
        }
    }
    // Nor by whoever looks once, for a person or a CI.
    let secret = canary();
    let server = Hostile::new(|asked: &Asked| {
        Answer::git_error(asked, asked.header("authorization").unwrap_or_default())
    });
    let site = Site::new();
    let url = server.url().replacen("://", &format!("://ada:{secret}@"), 1);
    let plan = Launch::new(["plan", "--link=live"]).set("root", site.root());
    for command in [Launch::new(["check"]), plan] {
        let run = command.set("repo", &url).run(PATIENCE);
        assert!(run.stderr.contains("says: Basic ***"), "{}", run.stderr);
        assert_not_in(&secret, "what it says", run.stderr + &run.stdout);
    }
}

#[test]
fn no_failure_of_the_network_or_of_tls_shows_a_secret() {
    let (root, _repo) = served();
    let expired = GitServer::over(root.path()).certificate(Certificate::Expired).start();
    let urls = [
        "http://127.0.0.1:1/repo.git".to_owned(),
        "https://no-such-host.invalid/repo.git".to_owned(),
        expired.url("repo.git"),
    ];
    for url in urls {
        for way in WAYS {
            let (site, secret, port) = (Site::new(), canary(), free_port());
            let agent = launch(way, &site, &url, &secret, port).start();
            agent.wait_for_text("\"failures\":1", PATIENCE);
            agent.wait_until("the error file", || site.root().join("error.json").exists());
            assert_nowhere(&secret, &agent, &site.root(), port);
        }
    }
}

#[test]
fn no_refused_setting_shows_a_secret() {
    let secret = canary();
    let site = Site::new();
    let bad = [
        ("GITSYNC_REPO", format!("https://ada:{secret}@[bad/repo.git")),
        ("GITSYNC_REPO", format!("ext::sh -c {secret}")),
        ("GITSYNC_REPO", format!("https://ada:{secret}\n@host/repo.git")),
        ("GITSYNC_GIT_CONFIG", format!("http.proxy:socks5://ada:{secret}@x")),
        ("GITSYNC_GIT_CONFIG", format!("http.extraHeader:{secret}")),
        ("GITSYNC_GIT_CONFIG", format!("\"http.extraHeader:{secret}")),
        ("HTTPS_PROXY", format!("http://ada:{secret}@[bad")),
    ];
    for (name, value) in bad {
        let run = Launch::new(["--one-time", "--link=live"])
            .set("root", site.root())
            .env("GITSYNC_REPO", "https://127.0.0.1:1/repo.git")
            .env(name, value)
            .run(PATIENCE);
        assert!(!run.status.success(), "{name}: {}", run.stderr);
        assert_not_in(&secret, name, run.stderr + &run.stdout);
    }
}
