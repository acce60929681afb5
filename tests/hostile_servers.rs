//! Hosts that stall, trickle, cut, refuse or are no git hosts: each ends in a clear message, in time, with the published
//! tree untouched, and the next pass works when the host does.

mod engine;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dagsync::config::HttpConfig;
use dagsync::deadline::Expired;
use dagsync::error::{Advice as _, Remedy};
use dagsync::git::Error;
use engine::{Engine, Site, failure};
use support::client::served;
use support::hostile::Asked;
use support::wait::PATIENCE;
use support::{Answer, GitServer, Hostile, Repo};

/// An honest server that turns hostile for requests of a kind, as long as the switch is on.
fn turncoat(
    repo: &Repo,
    which: fn(&Asked) -> bool,
    spoil: impl Fn(&Asked, Answer) -> Answer + Send + Sync + 'static,
) -> (Hostile, Arc<AtomicBool>) {
    let hostile = Arc::new(AtomicBool::new(true));
    let switch = hostile.clone();
    let server = Hostile::over(repo, move |asked, real| {
        if hostile.load(Ordering::SeqCst) && which(asked) { spoil(asked, real) } else { real }
    });
    (server, switch)
}

/// Nothing is left in a store but what a start removes.
#[track_caller]
fn assert_clean_after_restart(engine: &mut Engine) {
    engine.reopen_store();
    for folder in [engine.git_dir(), engine.store.pack_dir()] {
        for entry in std::fs::read_dir(folder).expect("the store").flatten() {
            let name = entry.file_name().into_string().expect("a name");
            let left = [".lock", ".keep"].iter().any(|end| name.ends_with(end)) || name.starts_with(".tmp");
            assert!(!left, "left behind: {name}");
        }
    }
}

// Time

#[test]
fn stalls_end_at_the_deadline_wherever_they_begin() {
    let (_root, repo) = served();
    type Which = fn(&Asked) -> bool;
    type Stall = fn(Answer) -> Answer;
    let advertises: Which = Asked::is_advertisement;
    let cases: [(Which, Stall, &str); 7] = [
        (advertises, |_| Answer::silence(), "waiting for http://127.0.0.1"),
        (advertises, |real| real.stall_after(20), "reading from http://127.0.0.1"),
        (Asked::is_ls_refs, |_| Answer::silence(), "waiting for http://127.0.0.1"),
        (Asked::is_ls_refs, |real| real.stall_after(10), "reading from http://127.0.0.1"),
        (Asked::is_fetch, |_| Answer::silence(), "waiting for http://127.0.0.1"),
        (Asked::is_fetch, |real| real.stall_after(0), "reading from http://127.0.0.1"),
        (Asked::is_fetch, |real| real.stall_after(150), "reading from http://127.0.0.1"),
    ];
    for (which, stall, doing) in cases {
        let (server, switch) = turncoat(&repo, which, move |_, real| stall(real));
        let mut engine = Engine::of(&server.url());
        engine.timeout = Duration::from_millis(300);
        let begun = Instant::now();
        let error = failure(engine.pull());
        let took = begun.elapsed();
        assert!(matches!(error, Error::Expired { expired: Expired::TimedOut(_), .. }), "{error:?}");
        assert!(error.to_string().starts_with(doing), "{error}");
        assert!(error.to_string().ends_with("timed out after 300ms"), "{error}");
        assert!(took >= Duration::from_millis(300) && took < Duration::from_millis(1300), "{took:?}");
        assert_eq!(error.remedy(), Remedy::Retry { after: None });
        assert_clean_after_restart(&mut engine);
        switch.store(false, Ordering::SeqCst);
        engine.timeout = PATIENCE;
        assert_eq!(engine.pull().unwrap(), repo.head());
    }
}

#[test]
fn slow_loris_upstream_hits_stall_timeout() {
    let (_root, repo) = served();
    let every = Duration::from_millis(20);
    let kinds: [fn(&Asked) -> bool; 3] = [Asked::is_advertisement, Asked::is_ls_refs, Asked::is_fetch];
    for which in kinds {
        let (server, switch) = turncoat(&repo, which, move |_, real| real.trickle_after(5, every));
        let mut engine = Engine::of(&server.url());
        engine.timeout = Duration::from_millis(500);
        let begun = Instant::now();
        let error = failure(engine.pull());
        assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
        assert!(matches!(error, Error::Expired { .. }), "{error:?}");
        assert_clean_after_restart(&mut engine);
        switch.store(false, Ordering::SeqCst);
        engine.timeout = PATIENCE;
        assert_eq!(engine.pull().unwrap(), repo.head());
    }

    let (server, _) = turncoat(&repo, Asked::is_fetch, move |_, real| real.trickle_after(5, every));
    let begun = Instant::now();
    Site::new().fails(&server.url(), &["--sync-timeout=1s"], &["reading from http", "timed out after 1s"]);
    assert!(begun.elapsed() < Duration::from_millis(2500), "{:?}", begun.elapsed());
}

#[test]
fn stopping_does_not_wait_for_a_stalled_host() {
    let (_root, repo) = served();
    let (server, _) = turncoat(&repo, Asked::is_fetch, |_, real| real.stall_after(100));
    let site = Site::new();
    let mut agent = site.agent(&server.url()).start();
    server.wait_for_requests(3);
    let begun = Instant::now();
    agent.signal(rustix::process::Signal::TERM);
    let status = agent.wait_exit(PATIENCE).expect("an end");
    assert!(begun.elapsed() < Duration::from_secs(5) && status.success(), "{:?} {status}", begun.elapsed());
}

#[test]
fn low_speed_settings_bound_a_transfer_also_before_its_first_byte() {
    let (_root, repo) = served();
    let every = Duration::from_millis(50);
    let slow = || HttpConfig { low_speed: Some((1000, Duration::from_secs(1))), ..HttpConfig::default() };
    let ways: [fn(Answer, Duration) -> Answer; 3] =
        [|real, every| real.trickle_after(5, every), |real, _| real.stall_after(5), |_, _| Answer::silence()];
    for way in ways {
        let (server, _) = turncoat(&repo, Asked::is_fetch, move |_, real| way(real, every));
        let begun = Instant::now();
        let error = failure(Engine::with(&server.url(), slow()).pull());
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        assert!(error.to_string().contains("slower than 1000 bytes per second for 1s"), "{error}");
        assert_eq!(error.remedy(), Remedy::Retry { after: None });
    }
    let honest = Hostile::over(&repo, |_, real| real);
    assert_eq!(Engine::with(&honest.url(), slow()).pull().unwrap(), repo.head());
}

// Cuts

#[test]
fn server_closes_mid_pack() {
    let (_root, repo) = served();
    type Cut = fn(Answer) -> Answer;
    let cuts: [(Cut, &[&str]); 4] = [
        (|real| real.cut_after(150), &["while reading its answer"]),
        (|real| real.cut_after(0), &["while reading its answer"]),
        // Without a length a cut looks like an end, and only git's own framing tells.
        (|real| real.unframed().cut_after(150), &["lost http", "damaged pack"]),
        (|_| Answer::raw(""), &["while waiting for an answer"]),
    ];
    for (cut, said) in cuts {
        let (server, switch) = turncoat(&repo, Asked::is_fetch, move |_, real| cut(real));
        let mut engine = Engine::of(&server.url());
        let error = failure(engine.pull());
        assert!(said.iter().any(|text| error.to_string().contains(text)), "{error}");
        assert_eq!(error.remedy(), Remedy::Retry { after: None });
        assert_clean_after_restart(&mut engine);
        switch.store(false, Ordering::SeqCst);
        assert_eq!(engine.pull().unwrap(), repo.head());
        engine.git(&["fsck", "--no-dangling"]);
    }
    let kinds: [fn(&Asked) -> bool; 2] = [Asked::is_advertisement, Asked::is_ls_refs];
    for which in kinds {
        for cut in [0, 12] {
            let (server, switch) = turncoat(&repo, which, move |_, real| real.unframed().cut_after(cut));
            let mut engine = Engine::of(&server.url());
            let error = failure(engine.pull());
            assert!(error.to_string().contains("http://127.0.0.1"), "{error}");
            switch.store(false, Ordering::SeqCst);
            assert_eq!(engine.pull().unwrap(), repo.head());
        }
    }
}

#[test]
fn a_published_tree_outlives_every_failure_and_is_followed_by_the_next() {
    let (_root, repo) = served();
    let step = Arc::new(AtomicUsize::new(0));
    let current = step.clone();
    let server = Hostile::over(&repo, move |asked, real| match current.load(Ordering::SeqCst) {
        1 if asked.is_fetch() => real.cut_after(100),
        2 if asked.is_fetch() => real.with_wrong_checksum(),
        3 => Answer::status(503),
        4 => Answer::web_page(),
        5 if asked.is_fetch() => real.with_empty_packet().cut_after(200),
        6 => Answer::raw("garbage\r\n\r\n"),
        _ => real,
    });
    let site = Site::new();
    let first = repo.head();
    let agent = site.serving(&site.agent(&server.url()), &first);
    for failing in 1..=6 {
        let before = site.published().unwrap();
        let count = agent.stderr().matches("\"failures\":1").count();
        step.store(failing, Ordering::SeqCst);
        let next = repo.commit(&[("dags/a.py", &format!("a = {failing}00\n"))]);
        agent.wait_until(&format!("failure {failing}"), || {
            agent.stderr().matches("\"failures\":1").count() > count
        });
        assert_eq!(site.published().unwrap(), before, "untouched by failure {failing}");
        assert_eq!(site.git(&["status", "--porcelain"]), "", "whole in spite of failure {failing}");
        step.store(0, Ordering::SeqCst);
        agent.wait_published(&site.root(), "live", &next);
    }
    assert!(!agent.stderr().contains("panicked"), "{}", agent.stderr());
    assert_eq!(site.git(&["fsck", "--no-dangling"]), "");
}

// Refusals

#[test]
fn statuses_say_what_to_do() {
    let after = |seconds| Remedy::Retry { after: Some(Duration::from_secs(seconds)) };
    let cases = [
        (Answer::unauthorized(), Remedy::Human, "refuses the login (HTTP 401)", "no credentials"),
        (Answer::status(403), Remedy::Human, "refuses the login (HTTP 403)", "no credentials"),
        (Answer::status(404), Remedy::Human, "answers HTTP 404", "check the URL"),
        (Answer::status(410), Remedy::Human, "answers HTTP 410", ""),
        (Answer::too_many(7), after(7), "answers HTTP 429", ""),
        (Answer::status(500), Remedy::Retry { after: None }, "answers HTTP 500", ""),
        (Answer::status(503), Remedy::Retry { after: None }, "answers HTTP 503", ""),
        (Answer::status(503).header("Retry-After", "99999999"), after(3600), "answers HTTP 503", ""),
        (Answer::web_page(), Remedy::Human, "is not a git repository served over smart HTTP", "login page"),
        (Answer::dumb(&"1".repeat(40), "refs/heads/main"), Remedy::Human, "is not a git repository", ""),
        (Answer::status(204), Remedy::Human, "is not a git repository", ""),
        (Answer::status(304), Remedy::Human, "answers HTTP 304", ""),
    ];
    for (answer, remedy, message, hint) in cases {
        let status = answer.status;
        let server = Hostile::new(move |_| answer.clone());
        let error = failure(Engine::of(&server.url()).poll());
        assert!(error.to_string().contains(message), "{status}: {error}");
        assert_eq!(error.remedy(), remedy, "{status}");
        assert!(error.hint().unwrap_or_default().contains(hint), "{status}: {:?}", error.hint());
        assert_eq!(server.requests().len(), 1, "asked once: {status}");
    }
}

#[test]
fn a_busy_host_is_left_alone_for_as_long_as_it_asks() {
    let (_root, repo) = served();
    let (server, _) = turncoat(&repo, Asked::is_advertisement, |_, _| Answer::too_many(30));
    let site = Site::new();
    let agent = site.agent(&server.url()).start();
    agent.wait_for_text("answers HTTP 429", PATIENCE);
    // The period is 50 ms: a poll that comes anyway is there within a few of them.
    assert!(!support::wait::holds_within(Duration::from_millis(400), || server.requests().len() > 1));
}

#[test]
fn what_is_not_git_is_named_as_such() {
    for answer in [
        Answer::raw("SSH-2.0-OpenSSH_9.2\r\n"),
        Answer::raw("HTTP/1.1 200 OK\r\n\r\n"),
        Answer::raw(vec![0; 4096]),
        Answer::raw(format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20))),
        Answer::status(200).header("Content-Type", "application/x-git-upload-pack-advertisement"),
        Answer::status(200)
            .header("Content-Type", "application/x-git-upload-pack-advertisement")
            .body("zzzz not a packet"),
        Answer::status(200)
            .header("Content-Type", "application/x-git-upload-pack-advertisement")
            .body(vec![b'0'; 100]),
    ] {
        let shown = format!("{:?}", String::from_utf8_lossy(&answer.body[..answer.body.len().min(40)]));
        let server = Hostile::new(move |_| answer.clone());
        let error = failure(Engine::of(&server.url()).poll());
        let known = matches!(error, Error::NotGit { .. } | Error::Broken { .. });
        assert!(known && error.to_string().contains("http://127.0.0.1"), "{shown}: {error:?}");
        assert!(error.to_string().len() < 400, "{shown}: {error}");
    }
}

#[test]
fn terminal_escapes_of_a_server_are_escaped_in_logs() {
    let (_root, repo) = served();
    let words = "\x1b[31mgo away\x07\u{202e}";
    let kinds: [fn(&Asked) -> bool; 3] = [Asked::is_advertisement, Asked::is_ls_refs, Asked::is_fetch];
    for which in kinds {
        for format in ["json", "human"] {
            let (server, _) = turncoat(&repo, which, |asked, _| Answer::git_error(asked, words));
            let site = Site::new();
            let said =
                site.fails(&server.url(), &[&format!("--log-format={format}")], &[" says: ", "go away"]);
            let bare = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!said.contains(bare), "{format}: {said:?}");
        }
    }
    let endless = "x".repeat(60_000);
    let (server, _) = turncoat(&repo, Asked::is_ls_refs, move |asked, _| Answer::git_error(asked, &endless));
    assert!(failure(Engine::of(&server.url()).poll()).to_string().len() < 1000, "bounded");
}

#[test]
fn hostile_ref_name_from_server_is_dropped() {
    let (_root, repo) = served();
    let id = repo.head();
    let names = [
        "refs/heads/../../config",
        "refs/heads/main.lock",
        "refs/heads/a\x1b[2J",
        "../evil",
        "refs/heads/a b",
    ];
    for name in names {
        let evil = id.clone();
        let tamper = move |asked: &Asked, real: Answer| match asked.is_ls_refs() || asked.is_advertisement() {
            true if asked.is_ls_refs() => real.with_ref(&evil, name),
            true if asked.header("git-protocol") != Some("version=2") => real.with_ref(&evil, name),
            _ => real,
        };
        for version in [None, Some(0)] {
            let server = Hostile::over(&repo, tamper.clone());
            let settings = HttpConfig { protocol_version: version, ..HttpConfig::default() };
            let listed = Engine::with(&server.url(), settings).list(&[]);
            match listed {
                Ok(refs) => assert!(
                    refs.iter().all(|one| one.name != name)
                        && refs.iter().any(|one| one.name == "refs/heads/main"),
                    "{name:?}: {refs:?}"
                ),
                // A line that breaks the protocol takes the whole list with it.
                Err(error) => assert!(
                    name.contains(' ') && error.to_string().ends_with("a line of its answer makes no sense"),
                    "{name:?}: {error}"
                ),
            }
        }
    }
    let server = Hostile::over(&repo, move |asked, real| {
        if asked.is_ls_refs() { real.with_ref(&id, "refs/heads/../../config") } else { real }
    });
    let site = Site::new();
    site.publishes(&server.url(), &[], &repo.head());
    site.fails(&server.url(), &["--ref=conf"], &["has no branch or tag `conf`"]);
}

#[test]
fn bundle_uri_is_never_followed() {
    let (_root, repo) = served();
    let elsewhere = Hostile::new(|_| Answer::status(404));
    let bundle = format!("http://127.0.0.1:{}/evil.bundle", elsewhere.port());
    repo.config("uploadpack.advertiseBundleURIs", "true");
    repo.config("bundle.version", "1");
    repo.config("bundle.mode", "all");
    repo.config("bundle.evil.uri", &bundle);
    let server = Hostile::over(&repo, |_, real| real);
    let site = Site::new();
    site.publishes(&server.url(), &[], &repo.head());
    let asked = server.requests();
    assert!(asked.iter().all(|one| !String::from_utf8_lossy(&one.body).contains("bundle-uri")));
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn a_host_that_never_ends_its_list_of_refs_is_left() {
    let (_root, repo) = served();
    let id = repo.head();
    let (server, _) = turncoat(&repo, Asked::is_ls_refs, move |asked, _| {
        let line = support::pack::pkt(format!("{id} refs/heads/{}\n", "x".repeat(60_000)));
        Answer::git(asked, line.repeat(2500))
    });
    let error = failure(Engine::of(&server.url()).list(&[]));
    assert!(error.to_string().contains("longer than any list of refs"), "{error}");
}

#[test]
fn a_real_server_that_dies_and_returns_is_followed_again() {
    let (root, repo) = served();
    let mut server = GitServer::plain(root.path());
    let site = Site::new();
    let agent = site.serving(&site.agent(&server.url("repo.git")), &repo.head());
    server.stop();
    agent.wait_for_text("cannot reach http://127.0.0.1", PATIENCE);
    server.start();
    agent.wait_for_text("working again", PATIENCE);
    let next = repo.commit(&[("dags/a.py", "back\n")]);
    agent.wait_published(&site.root(), "live", &next);
}
