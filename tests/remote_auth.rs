//! Who we are to a host, and to whom that is told: logins, redirects, headers, proxies.

mod engine;
mod support;

use std::fs;

use dagsync::config::HttpConfig;
use dagsync::error::{Advice as _, Remedy};
use dagsync::git::Error;
use engine::{Engine, Site, failure, login};
use support::canary::{base64, canary};
use support::client::served;
use support::http::Request;
use support::proxy::Proxy;
use support::wait::PATIENCE;
use support::{Answer, GitServer, Hostile};

fn logins(requests: &[Request]) -> Vec<Option<&str>> {
    requests.iter().map(|one| one.authorization.as_deref()).collect()
}

// Logins

#[test]
fn a_login_is_sent_at_once_wherever_it_comes_from() {
    let (root, repo) = served();
    let server = GitServer::over(root.path()).account("ada", "s3cret%with@all").start();
    let url = server.url("repo.git");
    let site = Site::new();
    let file = site.file("password", "s3cret%with@all\n");
    let from_file = format!("--password-file={}", file.display());
    site.publishes(&server.url_with("ada", "s3cret%25with%40all", "repo.git"), &[], &repo.head());
    site.publishes(&url, &["--username=ada", &from_file], &repo.head());
    let run = site.agent(&url).set("username", "ada").env("GITSYNC_PASSWORD", "s3cret%with@all");
    let run = run.args(["--one-time"]).run(PATIENCE);
    assert!(run.status.success(), "{}", run.stderr);
    let expected = format!("Basic {}", base64(b"ada:s3cret%with@all"));
    assert!(logins(&server.requests()).iter().all(|sent| *sent == Some(&*expected)));
    assert!(server.requests().iter().all(|one| one.status == 200), "no 401 round trip");
}

#[test]
fn a_refused_login_says_whether_one_was_sent() {
    let (root, _repo) = served();
    let server = GitServer::over(root.path()).account("ada", "right").start();
    let error = failure(Engine::of(&server.url("repo.git")).poll());
    assert!(matches!(error, Error::Unauthorized { sent: false, status: 401, .. }), "{error:?}");
    assert!(error.hint().is_some_and(|hint| hint.contains("--password-file")));
    assert_eq!(error.remedy(), Remedy::Human);
    let secret = canary();
    let error = failure(Engine::of(&server.url_with("ada", &secret, "repo.git")).poll());
    assert!(matches!(error, Error::Unauthorized { sent: true, .. }), "{error:?}");
    assert!(error.hint().is_some_and(|hint| hint.contains("token")));
    assert!(!format!("{error} {error:?} {:?}", error.hint()).contains(&secret));
    assert_eq!(server.requests().len(), 2, "nothing is tried twice with the same login");
}

#[test]
fn token_rotated_between_polls() {
    let (root, repo) = served();
    let server = GitServer::over(root.path()).account("ada", "first").start();
    let site = Site::new();
    let file = site.file("password", "first\n");
    let launch = site.agent(&server.url("repo.git")).set("username", "ada").set("password-file", &file);
    let agent = site.serving(&launch, &repo.head());
    server.set_account("ada", "second");
    let fresh = site.file("password.new", "second\n");
    fs::rename(fresh, &file).expect("the secret is replaced");
    let next = repo.commit(&[("dags/a.py", "rotated\n")]);
    agent.wait_published(&site.root(), "live", &next);

    // The other way round: the host is first, and the login fails until the file follows.
    server.set_account("ada", "third");
    agent.wait_for_text("refuses the login (HTTP 401)", PATIENCE);
    site.file("password", "third");
    let next = repo.commit(&[("dags/a.py", "rotated again\n")]);
    agent.wait_published(&site.root(), "live", &next);

    // Within one engine the connection stays, only the header changes.
    let mut engine = Engine::of(&server.url("repo.git"));
    engine.login = login("ada", "third");
    engine.pull().unwrap();
    server.set_account("ada", "fourth");
    failure(engine.poll());
    engine.login = login("ada", "fourth");
    assert_eq!(engine.pull().unwrap(), next);
}

#[test]
fn extra_headers_and_user_agent_are_sent_as_configured() {
    let (_root, repo) = served();
    let server = Hostile::over(&repo, |_, real| real);
    let site = Site::new();
    let pairs = "http.extraHeader:X-One: 1,http.extraHeader:Authorization: Bearer t,http.userAgent:mine/2";
    let file = site.file("password", "unused");
    let from_file = format!("--password-file={}", file.display());
    let more = [&format!("--git-config={pairs}"), "--username=ada", &from_file];
    site.publishes(&server.url(), &more, &repo.head());
    for one in server.requests() {
        assert_eq!(one.header("x-one"), Some("1"));
        assert_eq!(one.header("user-agent"), Some("mine/2"));
        let sent: Vec<_> = one.headers.iter().filter(|(name, _)| name == "authorization").collect();
        assert_eq!(sent, [&("authorization".to_owned(), "Bearer t".to_owned())], "the header wins, alone");
    }
}

// Redirects

fn secretive(url: &str) -> (Engine, String) {
    let secret = canary();
    let config = HttpConfig {
        extra_headers: vec![("X-Token".into(), secret.clone().into())],
        ..HttpConfig::default()
    };
    let mut engine = Engine::with(url, config);
    engine.login = login("ada", &secret);
    (engine, secret)
}

#[test]
fn a_redirect_on_the_same_host_keeps_the_login() {
    let (_root, repo) = served();
    let secret = canary();
    let server =
        Hostile::over(&repo, |asked, real| match asked.path.starts_with("/old/") && asked.method == "GET" {
            true => Answer::redirect(&format!("/repo.git/info/refs?{}", asked.query)),
            false => real,
        });
    let mut engine = Engine::of(&format!("http://127.0.0.1:{}/old/name.git", server.port()));
    engine.login = login("ada", &secret);
    assert_eq!(engine.pull().unwrap(), repo.head());
    assert_eq!(engine.poll().unwrap(), repo.head());
    let asked = server.requests();
    let paths: Vec<_> = asked.iter().map(|one| one.path.as_str()).collect();
    let post = "/repo.git/git-upload-pack";
    assert_eq!(paths, ["/old/name.git/info/refs", "/repo.git/info/refs", post, post, post]);
    assert!(asked.iter().all(|one| one.header("authorization").is_some()), "{asked:?}");
}

#[test]
fn redirect_to_other_port_drops_auth() {
    let (root, repo) = served();
    let (first, second) = (GitServer::plain(root.path()), GitServer::plain(root.path()));
    let (mut engine, _) = secretive(&first.redirect_to(&second.url("repo.git")));
    assert_eq!(engine.pull().unwrap(), repo.head());
    assert!(first.requests()[0].authorization.is_some());
    assert_eq!(logins(&second.requests()), [None, None, None]);
    assert_eq!(engine.poll().unwrap(), repo.head());
    assert_eq!(first.requests().len(), 1, "a permanent redirect is followed once a session");
    assert_eq!(logins(&second.requests()), [None; 4]);
}

#[test]
fn redirect_to_other_host_drops_auth() {
    let (_root, repo) = served();
    let evil = Hostile::over(&repo, |_, real| real);
    let target = evil.url_by("localhost");
    let good = Hostile::new(move |asked| Answer::redirect(&format!("{target}/info/refs?{}", asked.query)));
    let (mut engine, secret) = secretive(&good.url());
    assert_eq!(engine.pull().unwrap(), repo.head());
    assert_eq!(engine.poll().unwrap(), repo.head());
    assert!(good.requests()[0].header("authorization").is_some());
    for one in evil.requests() {
        assert!(one.header("authorization").is_none() && one.header("x-token").is_none(), "{one:?}");
        assert!(!format!("{one:?}").contains(&secret));
    }
}

#[test]
fn a_login_wanted_behind_a_redirect_is_not_sent_there_and_that_is_said() {
    let (root, _repo) = served();
    let second = GitServer::over(root.path()).account("ada", "right").start();
    let first = GitServer::plain(root.path());
    let (mut engine, secret) = secretive(&first.redirect_to(&second.url("repo.git")));
    let error = failure(engine.poll());
    assert_eq!(logins(&second.requests()), [None]);
    assert!(matches!(error, Error::Elsewhere { status: 401, .. }), "{error:?}");
    assert!(error.to_string().contains(&format!("http://127.0.0.1:{}", second.port())), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("--repo")), "{:?}", error.hint());
    assert!(!error.to_string().contains(&secret));
}

#[test]
fn https_to_http_redirect_is_refused() {
    let (root, repo) = served();
    let secure = GitServer::over(root.path()).tls().start();
    let plain = GitServer::plain(root.path());
    let url = secure.redirect_to(&plain.url("repo.git"));
    let error = failure(Engine::trusting(&url, secure.ca_pem()).poll());
    assert!(matches!(error, Error::Redirect { .. }), "{error:?}");
    assert!(error.to_string().contains("it would leave TLS"), "{error}");
    assert!(plain.requests().is_empty());
    // The other direction is what hosts do to everybody.
    let up = plain.redirect_to(&secure.url("repo.git"));
    assert_eq!(Engine::trusting(&up, secure.ca_pem()).pull().unwrap(), repo.head());
}

#[test]
fn redirects_are_refused_when_told_so_or_when_they_lead_nowhere() {
    let (root, _repo) = served();
    let server = GitServer::plain(root.path());
    let url = server.redirect_to(&server.url("repo.git"));
    let never = HttpConfig { follow_redirects: false, ..HttpConfig::default() };
    let error = failure(Engine::with(&url, never).poll());
    assert!(error.to_string().contains("redirects are not followed (`http.followRedirects`)"), "{error}");

    let circle = Hostile::new(|asked| Answer::redirect(&asked.url()));
    let error = failure(Engine::of(&circle.url()).poll());
    assert!(error.to_string().contains("too many redirects in a row"), "{error}");
    assert!(circle.requests().len() <= 7, "{}", circle.requests().len());

    let page = Hostile::new(|asked| match asked.path.as_str() {
        "/login" => Answer::web_page(),
        _ => Answer::redirect("/login?token=CANARY"),
    });
    let error = failure(Engine::of(&page.url()).poll());
    assert!(error.to_string().contains("/login: it does not lead to a git repository"), "{error}");
    assert!(!error.to_string().contains("CANARY"), "{error}");

    for target in ["file:///etc/passwd", "ftp://x/", "http://[bad", "ssh://x/", "gopher://x"] {
        let server = Hostile::new(move |_| Answer::redirect(target));
        let error = failure(Engine::of(&server.url()).poll());
        assert!(matches!(error, Error::Redirect { .. }), "{target}: {error:?}");
        assert_eq!(error.remedy(), Remedy::Human);
    }
    let post = Hostile::new(move |asked| match asked.is_advertisement() {
        true => Answer::git(
            asked,
            [support::pack::pkt("version 2\n"), support::pack::pkt("ls-refs\n"), b"0000".to_vec()].concat(),
        ),
        false => Answer::redirect("http://127.0.0.1:1/x").header("X", "y"),
    });
    let error = failure(Engine::of(&post.url()).poll());
    assert!(error.to_string().contains("HTTP 302"), "only the first request is redirected: {error}");
}

#[test]
fn credentials_are_bound_to_configured_origin() {
    let (root, repo) = served();
    // The same name with another port, and another name for the same port, are other origins.
    let server = GitServer::plain(root.path());
    let (mut engine, secret) = secretive(&server.redirect_to(&server.url_by("localhost", "repo.git")));
    assert_eq!(engine.pull().unwrap(), repo.head());
    let sent = server.requests();
    assert_eq!(logins(&sent)[1..], [None, None, None], "{sent:?}");
    assert!(!format!("{:?}", &sent[1..]).contains(&secret));
    // A session that begins again starts at the configured URL, with the login.
    let (mut engine, _) = secretive(&server.redirect_to(&server.url("repo.git")));
    engine.pull().unwrap();
    assert!(logins(&server.requests()).last().unwrap().is_some(), "the same origin keeps it");
}

// Proxies

#[test]
fn proxies_are_used_as_git_users_expect() {
    let (root, repo) = served();
    let secure = GitServer::over(root.path()).tls().start();
    let trust = format!("http.sslCAInfo:{}", secure.ca_pem().display());
    let secret = canary();
    let url = secure.url("repo.git");
    let run = |pairs: &str, env: &[(&str, &str)]| {
        let site = Site::new();
        let launch = site.agent(&url).set("git-config", format!("{trust}{pairs}")).args(["--one-time"]);
        let run = env.iter().fold(launch, |launch, (name, value)| launch.env(name, value)).run(PATIENCE);
        assert!(run.status.success(), "{}", run.stderr);
        support::canary::assert_not_in(&secret, "stderr", &run.stderr);
        assert_eq!(site.published(), Some(repo.head()));
    };
    let proxy = Proxy::start();
    let address = format!("http://ada:{secret}@127.0.0.1:{}", proxy.port());
    run(&format!(",http.proxy:{address}"), &[]);
    let first = proxy.tunnels();
    assert_eq!(first.len(), 1, "one tunnel for the whole pass");
    assert_eq!(first[0].target, format!("127.0.0.1:{}", secure.port()));
    let expected = format!("Basic {}", base64(format!("ada:{secret}").as_bytes()));
    assert_eq!(first[0].authorization.as_deref(), Some(&*expected));
    run("", &[("HTTPS_PROXY", &address)]);
    run("", &[("https_proxy", &address), ("NO_PROXY", "example.com")]);
    assert_eq!(proxy.tunnels().len(), 3);
    run("", &[("HTTPS_PROXY", &address), ("NO_PROXY", "127.0.0.0/8")]);
    run("", &[("HTTPS_PROXY", &address), ("no_proxy", "*")]);
    run(",http.proxy:", &[("HTTPS_PROXY", &address)]);
    run("", &[("http_proxy", &address)]);
    assert_eq!(proxy.tunnels().len(), 3, "none of these went through");

    // Plain HTTP goes to a proxy with whole URLs; the login stays with the host's own requests.
    let plain = Hostile::over(&repo, |_, real| real);
    let config = HttpConfig {
        proxy: Some(format!("http://127.0.0.1:{}", plain.port()).into()),
        ..HttpConfig::default()
    };
    let mut engine = Engine::with("http://git.example/repo.git", config);
    assert_eq!(engine.pull().unwrap(), repo.head());
    assert_eq!(plain.requests()[0].path, "http://git.example/repo.git/info/refs");

    let gone = HttpConfig {
        proxy: Some("http://ada:CANARY@127.0.0.1:1".to_owned().into()),
        ..HttpConfig::default()
    };
    let error = failure(Engine::with("https://git.example/repo.git", gone).poll());
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("CANARY"));
}
