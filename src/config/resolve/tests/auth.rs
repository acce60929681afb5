//! Credentials, git settings and proxies.

use super::*;
use crate::secret::Secret;

fn fixed(username: &str, password: &str) -> AuthConfig {
    AuthConfig::Fixed { username: username.into(), password: Secret::new(password) }
}

#[test]
fn credentials_come_from_url_variable_or_file() {
    let auth = |args: &[&str], env: &[(&str, &str)]| source(load_all(args, env, None)).auth;
    assert_eq!(auth(&["--repo=https://u:p%40@x/y", "--root=/git"], &[]), fixed("u", "p@"));
    assert_eq!(auth(&["--repo=https://TOKEN@x/y", "--root=/git"], &[]), fixed("TOKEN", ""));
    let env = [("GIT_SYNC_USERNAME", "u"), ("GITSYNC_PASSWORD", "p\n"), ("GIT_SYNC_PASSWORD", "other")];
    assert_eq!(auth(&BASE, &env), fixed("u", "p"));
    let file = ["--username=u", "--password-file=secret/p"];
    assert_eq!(
        auth(&[&BASE[..], &file].concat(), &[]),
        AuthConfig::PasswordFile { username: "u".into(), file: "/somewhere/secret/p".into() }
    );
    let config = flags(&["--username=u", "--password=CANARY"]).unwrap();
    assert_eq!(config.warnings.len(), 1, "a password in argv is deprecated");
    assert!(!format!("{config:?}").contains("CANARY"));
}

#[test]
fn contradicting_credentials_are_refused() {
    for (args, env, told) in [
        (&["--username=u"][..], &[][..], "--username: needs a password or a password file"),
        (
            &["--username=u", "--password-file=/p"],
            &[("GITSYNC_PASSWORD", "CANARY")],
            "cannot be used together with GITSYNC_PASSWORD",
        ),
        (&[], &[("GITSYNC_PASSWORD", "CANARY")], "GITSYNC_PASSWORD: needs a user name"),
        (&["--password-file=/p"], &[], "--password-file: needs a user name"),
        (
            &["--username=u", "--password=CANARY", "--repo=https://a:CANARY@x/y"],
            &[],
            "carries credentials already",
        ),
        (&["--username=a:CANARY", "--password=x"], &[], "must not contain a colon"),
    ] {
        let told_all = errors(load_all(&[&BASE[..], args].concat(), env, None));
        assert!(told_all.contains(told) && !told_all.contains("CANARY"), "{told_all}");
    }
}

/// CVE-2020-5260: a line break in a credential injects fields.
#[test]
fn newline_in_credential_is_refused() {
    for password in ["CANARY\nhost=evil", "CANARY\0", "\u{1b}CANARY"] {
        let told = errors(vars(&[("GITSYNC_USERNAME", "u"), ("GITSYNC_PASSWORD", password)]));
        assert!(told.contains("must not contain line breaks") && !told.contains("CANARY"), "{told}");
    }
    assert!(
        errors(vars(&[("GITSYNC_USERNAME", "u\nx"), ("GITSYNC_PASSWORD", "p")]))
            .contains("control characters")
    );
}

/// CVE-2026-82249: the same with a bare carriage return.
#[test]
fn cr_in_credential_is_refused() {
    assert!(errors(vars(&[("GITSYNC_USERNAME", "u"), ("GITSYNC_PASSWORD", "a\rb")])).contains("line breaks"));
}

/// What went wrong with a URL is told without it.
#[test]
fn redaction_fails_closed() {
    for repo in [
        "https://u:CANARY@exa mple/x",
        "CANARY://x",
        "u:CANARY@h:x",
        "https://u:CANARY@[::1/x",
        "https://u:CANARY\n@h/x",
    ] {
        let told = errors(load_all(&[&format!("--repo={repo}"), "--root=/git"], &[], None));
        assert!(told.contains("--repo: the address") && !told.contains("CANARY"), "{told}");
    }
    let config =
        load_all(&["--repo=https://u:CANARY@h/x?sig=CANARY#CANARY", "--root=/git"], &[], None).unwrap();
    assert!(!format!("{config:?} {config:#?}").contains("CANARY"));
    let told = errors(flags(&["--git-config=http.extraHeader"]));
    assert!(told.contains("--git-config: setting 1:"), "{told}");
}

#[test]
fn git_settings_are_one_list() {
    let args = [
        "--git-config=http.extraHeader:A: 1,http.nonsense:CANARY",
        "--git-config-add=http.extraHeader:B: 2,3",
        "--git-config-add=core.autocrlf:input",
    ];
    let config = flags(&args).unwrap();
    assert_eq!(config.warnings, ["git-config: `http.nonsense` means nothing to dagsync, ignored"]);
    let source = source(Ok(config));
    let headers: Vec<_> =
        source.http.extra_headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(headers, [("A", "1"), ("B", "2,3")]);
    assert_eq!(source.checkout.autocrlf, AutoCrlf::Input);
    assert!(errors(flags(&["--git-config=protocol.https.allow:never"])).contains("forbids the scheme"));
}

#[test]
fn proxy_variables_are_those_of_curl() {
    let proxy = |repo: &str, args: &[&str], env: &[(&str, &str)]| {
        let repo = format!("--repo={repo}");
        let source = source(load_all(&[&[repo.as_str(), "--root=/git"], args].concat(), env, None));
        source.http.proxy.map(|proxy| proxy.expose().to_owned())
    };
    let (https, http) = ("https://git.example.com/x", "http://git.example.com/x");
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        proxy(https, &[], &[("HTTPS_PROXY", "http://b"), ("https_proxy", "http://a")]),
        some("http://a")
    );
    assert_eq!(proxy(https, &[], &[("HTTPS_PROXY", "b:1"), ("https_proxy", "")]), some("http://b:1"));
    assert_eq!(proxy(https, &[], &[("ALL_PROXY", "http://c")]), some("http://c"));
    assert_eq!(proxy(https, &[], &[("http_proxy", "http://h")]), None);
    assert_eq!(proxy(http, &[], &[("HTTP_PROXY", "http://h"), ("https_proxy", "http://s")]), None, "httpoxy");
    assert_eq!(proxy(http, &[], &[("http_proxy", "http://h")]), some("http://h"));
    assert_eq!(proxy(http, &[], &[("all_proxy", "http://h")]), some("http://h"));
    assert_eq!(proxy("/srv/x", &[], &[("all_proxy", "http://h")]), None);
    let env = [("https_proxy", "http://a")];
    assert_eq!(proxy(https, &["--git-config=http.proxy:p:3128"], &env), some("http://p:3128"));
    assert_eq!(proxy(https, &["--git-config=http.proxy:"], &env), None);
    for list in ["git.example.com", ".example.com", "*", "a, example.com"] {
        for name in ["NO_PROXY", "no_proxy"] {
            assert_eq!(proxy(https, &["--git-config=http.proxy:p"], &[env[0], (name, list)]), None, "{list}");
        }
    }
    let kept = source(vars(&[env[0], ("NO_PROXY", "other.example.com")])).http;
    assert_eq!((kept.proxy.is_some(), kept.no_proxy.as_deref()), (true, Some("other.example.com")));
    let told = errors(vars(&[("https_proxy", "socks5://CANARY")]));
    assert!(told.contains("https_proxy: the value is a SOCKS proxy") && !told.contains("CANARY"), "{told}");
}
