use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Parsed, UrlError> {
    parse(text, Path::new("/somewhere"))
}

fn shown(text: &str) -> String {
    read(text).unwrap_or_else(|error| panic!("{text}: {error}")).repo.shown()
}

#[test]
fn the_allowed_forms_are_read() {
    for (text, expected) in [
        ("https://example.com/org/dags.git", "https://example.com/org/dags.git"),
        ("HTTP://Example.COM:8080/dags", "http://example.com:8080/dags"),
        ("https://example.com:443/x", "https://example.com/x"),
        ("https://[::1]:8443/x", "https://[::1]:8443/x"),
        ("file:///srv/dags.git", "/srv/dags.git"),
        ("file://localhost/srv/a%20b", "/srv/a b"),
        ("FILE:///srv/x", "/srv/x"),
        ("/srv/dags", "/srv/dags"),
        ("/srv/../srv//./dags/", "/srv/dags"),
        ("../dags", "/dags"),
        ("dags", "/somewhere/dags"),
        ("./a:b", "/somewhere/a:b"),
        ("/a:b", "/a:b"),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn userinfo_is_taken_out_of_the_url() {
    let parsed = read("https://user%40x:p%3Aw%25@example.com/dags").unwrap();
    let login = parsed.login.unwrap();
    assert_eq!((login.username.expose(), login.password.expose()), ("user@x", "p:w%"));
    let RepoUrl::Http(url) = &parsed.repo else { panic!("not http") };
    assert_eq!(url.as_str(), "https://example.com/dags");

    let token = read("https://TOKEN@example.com/dags").unwrap().login.unwrap();
    assert_eq!((token.username.expose(), token.password.expose()), ("TOKEN", ""));
    assert_eq!(read("https://example.com/dags").unwrap().login, None);
}

/// CVE-2026-28292: a scheme in other case, and everything that git would hand to a helper program.
#[test]
fn scheme_allow_list_is_case_insensitive_and_closed() {
    for text in [
        "ext::sh -c id",
        "EXT::sh -c id",
        "eXt::sh -c id",
        "fd::17",
        "http::https://example.com/",
        "git://example.com/x",
        "GIT://example.com/x",
        "ftp://example.com/x",
        "ftps://example.com/x",
        "rsync://example.com/x",
        "javascript://x/",
        "https:example.com/x",
        "https:/example.com/x",
        "bundle://x",
    ] {
        assert_eq!(read(text).unwrap_err(), UrlError::Scheme, "{text}");
    }
    for text in [
        "ssh://git@example.com/x",
        "SSH://example.com/x",
        "git+ssh://example.com/x",
        "git@example.com:x",
        "host:x",
    ] {
        assert_eq!(read(text).unwrap_err(), UrlError::Ssh, "{text}");
    }
}

/// CVE-2025-21613: an option where a repository is expected.
#[test]
fn option_like_repo_is_refused() {
    for text in ["--upload-pack=id", "-x", "-"] {
        assert_eq!(read(text).unwrap_err(), UrlError::OptionLike, "{text}");
    }
}

/// CVE-2026-82249.
#[test]
fn cr_in_url_is_refused() {
    assert_eq!(read("https://example.com/x\r").unwrap_err(), UrlError::ControlCharacter);
    assert_eq!(read("/srv/x\ry").unwrap_err(), UrlError::ControlCharacter);
    assert_eq!(read("https://u%0d:p@example.com/x").unwrap_err(), UrlError::Login);
    assert_eq!(read("file:///srv/%0dx").unwrap_err(), UrlError::ControlCharacter);
}

/// CVE-2020-5260.
#[test]
fn newline_in_url_is_refused() {
    for text in
        ["https://example.com/x\n", "https://exa\nmple.com/", "https://example.com/\u{1b}[0m", "/x\0y"]
    {
        assert_eq!(read(text).unwrap_err(), UrlError::ControlCharacter, "{text:?}");
    }
    for text in [
        "https://u:p%0ahost=evil@example.com/x",
        "https://u%00:p@example.com/",
        "https://%ff:p@example.com/",
        "https://a%3Ab:p@x/",
    ] {
        assert_eq!(read(text).unwrap_err(), UrlError::Login, "{text}");
    }
}

/// CVE-2026-82247: the host is what the HTTP client connects to, and nothing behind the authority moves it.
#[test]
fn authority_ends_at_query_and_fragment() {
    for (text, host) in [
        ("https://good.example?@evil.example/", "good.example"),
        ("https://good.example#@evil.example/", "good.example"),
        ("https://good.example/@evil.example/", "good.example"),
        ("https://good.example/x?a=https://u:p@evil.example/", "good.example"),
        ("https://u:p@good.example/@evil.example", "good.example"),
        ("https://evil.example@good.example/", "good.example"),
        ("https://u:p@x@good.example/", "good.example"),
    ] {
        let parsed = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let RepoUrl::Http(url) = parsed.repo else { panic!("{text}") };
        assert_eq!(url.host_str(), Some(host), "{text}");
        assert_eq!(url::Url::parse(text).unwrap().host_str(), Some(host), "{text}");
    }
    for text in [
        "https://good.example\\@evil.example/",
        "https:///evil.example/",
        "https://u:p@/x",
        "https://:80/x",
        "https://?x",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

/// CVE-2023-53158 and CVE-2017-1000117.
#[test]
fn dash_host_is_refused() {
    for text in [
        "ssh://-oProxyCommand=id/x",
        "ssh://git@-oProxyCommand=id/x",
        "ssh://%2doProxyCommand=id/x",
        "git@-oProxyCommand=id:x",
        "https://-example.com/x",
        "https://u@-example.com/x",
    ] {
        assert_eq!(read(text).unwrap_err(), UrlError::DashHost, "{text}");
    }
}

/// CVE-2024-32884: the same in the user.
#[test]
fn dash_user_is_refused() {
    for text in ["ssh://-oProxyCommand=id@host/x", "ssh://%2Dl@host/x"] {
        assert_eq!(read(text).unwrap_err(), UrlError::DashUser, "{text}");
    }
    assert_eq!(read("-oProxyCommand=id@host:x").unwrap_err(), UrlError::OptionLike);
}

#[test]
fn dash_path_is_refused() {
    for text in ["ssh://host/-oProxyCommand", "git@host:-x", "ssh://host//--upload-pack"] {
        assert_eq!(read(text).unwrap_err(), UrlError::DashPath, "{text}");
    }
}

/// What gix's own parser gets wrong: its error repeats a URL with the password in it.
#[test]
fn redaction_fails_closed() {
    for text in [
        "https://user:CANARY@exa mple.com/x",
        "https://user:CANARY@[::1/x",
        "https://user:CANARY@example.com:99999/x",
        "https://user:CANARY@/x",
        "ftp://user:CANARY@example.com/x",
        "user:CANARY@example.com:x",
        "https://user:CANARY%0a@example.com/x",
        "https://user:CANARY@exam%ple.com/x",
        "ext::CANARY",
        "-CANARY",
    ] {
        let error = read(text).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("CANARY"), "{text}");
    }
}

/// CVE-2024-31216: a SAS token lives in the query.
#[test]
fn url_query_never_logged() {
    let parsed = read("https://u:CANARY@example.com/x?sig=CANARY#CANARY").unwrap();
    for text in
        [format!("{}", parsed.repo), format!("{parsed:?}"), format!("{parsed:#?}"), parsed.repo.shown()]
    {
        assert!(!text.contains("CANARY"), "{text}");
    }
    let RepoUrl::Http(url) = parsed.repo else { panic!("not http") };
    assert_eq!(url.query(), Some("sig=CANARY"), "the server still gets it");
}

#[test]
fn the_last_component_is_taken_literally() {
    for (text, expected) in [
        ("https://example.com/org/dags.git", Some("dags.git")),
        ("https://example.com/org/dags/", Some("dags")),
        ("https://example.com/org/dags?x=/y", Some("dags")),
        ("https://example.com/a%20b", Some("a%20b")),
        ("/srv/dags/", Some("dags")),
        ("https://example.com", None),
        ("/", None),
    ] {
        assert_eq!(last_component(&read(text).unwrap().repo).as_deref(), expected, "{text}");
    }
}

proptest! {
    /// Differential: for everything that passes, the host by text is the host of the HTTP client.
    #[test]
    fn our_host_is_the_clients_host(rest in "[a-z0-9.@:/?#\\\\%\\[\\] -]{0,40}") {
        let text = format!("https://{rest}");
        if let Ok(Parsed { repo: RepoUrl::Http(url), .. }) = read(&text) {
            let by_client = url::Url::parse(&text).expect("we only take what it takes");
            prop_assert_eq!(url.host_str(), by_client.host_str());
            let host = authority(&rest).rsplit('@').next().unwrap_or_default();
            let host = match host.find(']') { Some(end) => &host[..=end], None => host.split(':').next().unwrap_or_default() };
            let decoded = percent_decode(host).unwrap_or_default().to_ascii_lowercase();
            // A number is an IPv4 address in the URL standard: `https://1/` is 0.0.0.1.
            if url.domain().is_some() {
                prop_assert_eq!(url.host_str().unwrap_or_default(), decoded);
            }
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC*") {
        let _ = read(&text);
    }
}
