//! The hostile server proven with git and curl as its victims: that each misbehaviour arrives as it is meant.

mod support;

use std::time::{Duration, Instant};

use support::canary::{base64, canary};
use support::client::{clone, clone_fails, curl, served, trusting};
use support::hostile::Asked;
use support::pack::{ObjectKind, Pack, delta};
use support::proxy::Proxy;
use support::repo::{git, run_with_input, text_of};
use support::{Answer, GitServer, Hostile, Repo, temp};

#[test]
fn honest_answers_pass_through_in_v2_and_v0() {
    let (_root, repo) = served();
    let server = Hostile::over(&repo, |_, real| real);
    assert_eq!(clone(&server.url(), &[]), Ok(repo.head()));
    let asked = server.requests();
    assert!(asked[0].is_advertisement() && asked[1].is_ls_refs() && asked[2].is_fetch() && asked.len() == 3);
    assert!(asked.iter().all(|one| one.client_port == asked[0].client_port), "one connection");
    let old = Hostile::over_v0(&repo, |_, real| real);
    assert_eq!(clone(&old.url(), &[]), Ok(repo.head()));
    assert!(old.requests()[1].is_fetch());
    let closing = Hostile::over(&repo, |_, real| real.then_close());
    assert_eq!(clone(&closing.url(), &[]), Ok(repo.head()));
    let unframed = Hostile::over(&repo, |_, real| real.unframed());
    assert_eq!(clone(&unframed.url(), &[]), Ok(repo.head()));
}

#[test]
fn spoilt_packs_are_refused_by_git() {
    let (_root, repo) = served();
    type Spoil = fn(Answer) -> Answer;
    let ways: [Spoil; 5] = [
        |real| real.with_wrong_checksum(),
        |real| real.with_damaged_pack(),
        |real| real.cut_after(60),
        |real| real.unframed().cut_after(100),
        |real| real.with_pack(|pack| pack.truncate(40)),
    ];
    for spoil in ways {
        let server =
            Hostile::over(&repo, move |asked, real| if asked.is_fetch() { spoil(real) } else { real });
        clone_fails(&server.url(), &[], "fatal");
        let old =
            Hostile::over_v0(&repo, move |asked, real| if asked.is_fetch() { spoil(real) } else { real });
        clone_fails(&old.url(), &[], "fatal");
    }
}

#[test]
fn packs_made_by_hand_are_packs_when_they_tell_the_truth() {
    let folder = temp();
    let repo = Repo::new(folder.path());
    let base = repo.blob("base");
    let check = |pack: &[u8]| {
        let mut command = repo.command();
        run_with_input(command.args(["index-pack", "--stdin", "--fix-thin"]), pack)
    };
    let first = Pack::claiming(1).object(ObjectKind::Blob, b"one");
    text_of("an honest pack", check(&first.finish()));
    let thin = Pack::claiming(1).reference_delta(&base, &delta(4, b"two"));
    text_of("an honest thin pack", check(&thin.finish()));

    let lies = [
        Pack::claiming(u32::MAX).object(ObjectKind::Blob, b"one"),
        Pack::claiming(1).object_claiming(ObjectKind::Blob, 1 << 63, b"one"),
        Pack::claiming(1).offset_delta(1 << 40, &delta(4, b"two")),
        Pack::claiming(1).reference_delta(&"7".repeat(40), &delta(4, b"two")),
    ];
    for lie in lies {
        assert!(!check(&lie.finish()).status.success());
    }
    let server = Hostile::over(&repo, |asked, real| {
        let pack = Pack::claiming(1).object_claiming(ObjectKind::Blob, 1 << 63, b"x").finish();
        if asked.is_fetch() { Answer::v2_pack(asked, &pack) } else { real }
    });
    repo.commit(&[("a", "b")]);
    clone_fails(&server.url(), &[], "fatal");
}

#[test]
fn stalls_end_with_the_server_and_trickles_take_their_time() {
    let (_root, repo) = served();
    let server = Hostile::over(&repo, |asked, real| match asked.path.as_str() {
        "/silence" => Answer::silence(),
        "/stall" => Answer::status(200).body("0123456789").stall_after(4),
        "/trickle" => Answer::status(200).body("0123456789").trickle_after(5, Duration::from_millis(20)),
        _ => real,
    });
    let url = |path: &str| format!("http://127.0.0.1:{}/{path}", server.port());
    let slow = Instant::now();
    assert_eq!(curl(&[&url("trickle")]).stdout, b"0123456789");
    assert!(slow.elapsed() >= Duration::from_millis(100));
    assert_eq!(curl(&["-m", "1", &url("stall")]).stdout, b"0123");
    assert_eq!(curl(&["-m", "1", &url("silence")]).status.code(), Some(28), "curl's code for a time limit");

    let (silence, stall) = (url("silence"), url("stall"));
    std::thread::scope(|scope| {
        let waiting =
            [silence, stall].map(|url| scope.spawn(move || curl(&["-m", "30", &url]).status.code()));
        server.wait_for_requests(5);
        drop(server);
        for one in waiting {
            assert!(matches!(one.join(), Ok(Some(18 | 52 | 56))), "curl's codes for a closed connection");
        }
    });
}

#[test]
fn statuses_pages_and_errors_are_seen_by_git() {
    let (_root, repo) = served();
    let id = repo.head();
    type Script = Box<dyn Fn(&Asked) -> Answer + Send + Sync>;
    let scripts: [(&str, Script); 10] = [
        ("terminal prompts disabled", Box::new(|_| Answer::unauthorized())),
        ("403", Box::new(|_| Answer::status(403))),
        ("not found", Box::new(|_| Answer::status(404))),
        ("429", Box::new(|_| Answer::too_many(7))),
        ("500", Box::new(|_| Answer::status(500))),
        ("503", Box::new(|_| Answer::status(503))),
        ("not valid", Box::new(|_| Answer::web_page())),
        ("go away", Box::new(|asked| Answer::git_error(asked, "\x1b[31mgo away\x07"))),
        ("redirects", Box::new(|asked| Answer::redirect(&asked.url()))),
        ("", Box::new(|_| Answer::raw("SSH-2.0-OpenSSH_9.2\r\n"))),
    ];
    for (reason, script) in scripts {
        let server = Hostile::new(script);
        clone_fails(&server.url(), &[], reason);
    }
    let dumb = Hostile::new(move |_| Answer::dumb(&id, "refs/heads/main"));
    let listing = text_of("ls-remote", git().args(["ls-remote", &dumb.url()]).output().expect("git"));
    assert!(listing.contains(&repo.head()), "{listing}");
    let wait = Hostile::new(|_| Answer::too_many(7));
    let head = curl(&["-D", "-", &wait.url()]).stdout;
    assert!(String::from_utf8_lossy(&head).contains("Retry-After: 7"));
}

#[test]
fn invented_refs_and_empty_packets_arrive() {
    let (_root, repo) = served();
    let id = repo.head();
    let tamper = move |asked: &Asked, real: Answer| {
        let lists =
            asked.is_ls_refs() || (asked.is_advertisement() && asked.header("git-protocol").is_none());
        if lists { real.with_ref(&id, "refs/heads/../../config") } else { real }
    };
    for (server, version) in [
        (Hostile::over(&repo, tamper.clone()), "protocol.version=2"),
        (Hostile::over_v0(&repo, tamper), "protocol.version=0"),
    ] {
        let listing = git().args(["-c", version, "ls-remote", &server.url()]).output().expect("git");
        assert!(text_of("ls-remote", listing).contains("refs/heads/../../config"), "{version}");
    }
    let empty =
        Hostile::over(&repo, |asked, real| if asked.is_fetch() { real.with_empty_packet() } else { real });
    // Git takes it for the end of the pack or for an error, by version; what counts is that it came.
    let _ = clone(&empty.url(), &[]);
    assert!(empty.requests().iter().any(Asked::is_fetch));
}

#[test]
fn another_host_sees_what_a_client_sends_it() {
    let evil = Hostile::new(|_| Answer::unauthorized());
    let target = evil.url_by("localhost");
    let good = Hostile::new(move |asked| Answer::redirect(&format!("{target}/info/refs?{}", asked.query)));
    let secret = canary();
    // curl with this switch is the careless client; without it the careful one.
    let login = format!("ada:{secret}");
    curl(&["-L", "-u", &login, &good.url()]);
    assert_eq!(evil.requests()[0].header("authorization"), None);
    curl(&["--location-trusted", "-u", &login, &good.url()]);
    assert_eq!(
        evil.requests()[1].header("authorization"),
        Some(&*format!("Basic {}", base64(login.as_bytes())))
    );
}

#[test]
fn a_proxy_tunnels_https_and_is_asked_for_http() {
    let (root, repo) = served();
    let secure = GitServer::over(root.path()).tls().start();
    let proxy = Proxy::start();
    let through = format!("http.proxy=http://ada:secret@127.0.0.1:{}", proxy.port());
    assert_eq!(clone(&secure.url("repo.git"), &[&through, &trusting(&secure)]), Ok(repo.head()));
    let tunnel = &proxy.tunnels()[0];
    assert_eq!(tunnel.target, format!("127.0.0.1:{}", secure.port()));

    // For plain HTTP a proxy is a server that is asked with whole URLs: the hostile one will do.
    let plain = Hostile::over(&repo, |_, real| real);
    let through = format!("http.proxy=http://127.0.0.1:{}", plain.port());
    assert_eq!(clone("http://git.example/repo.git", &[&through]), Ok(repo.head()));
    assert_eq!(plain.requests()[0].path, "http://git.example/repo.git/info/refs");
}

#[test]
#[should_panic(expected = "the tests need the program `no-such-program`")]
fn a_missing_program_fails_the_test() {
    support::process::program("no-such-program");
}
