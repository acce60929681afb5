use std::collections::BTreeSet;

use super::*;

/// Every row of the contract (docs: "Options" of the drop-in contract), copied by hand: name, default, variables. A row
/// that is missing or says something else breaks somebody's chart.
const CONTRACT: &[(&str, &str, &[&str])] = &[
    ("repo", "", &["GITSYNC_REPO", "GIT_SYNC_REPO"]),
    ("ref", "HEAD", &["GITSYNC_REF"]),
    ("root", "", &["GITSYNC_ROOT", "GIT_SYNC_ROOT"]),
    ("link", "last path component of repo", &["GITSYNC_LINK", "GIT_SYNC_LINK"]),
    ("depth", "1", &["GITSYNC_DEPTH", "GIT_SYNC_DEPTH"]),
    ("filter", "", &["GITSYNC_FILTER"]),
    ("submodules", "recursive", &["GITSYNC_SUBMODULES", "GIT_SYNC_SUBMODULES"]),
    ("sparse-checkout-file", "", &["GITSYNC_SPARSE_CHECKOUT_FILE", "GIT_SYNC_SPARSE_CHECKOUT_FILE"]),
    ("period", "10s", &["GITSYNC_PERIOD", "GIT_SYNC_PERIOD"]),
    ("init-period", "= period", &["GITSYNC_INIT_PERIOD"]),
    ("sync-timeout", "120s", &["GITSYNC_SYNC_TIMEOUT", "GIT_SYNC_SYNC_TIMEOUT"]),
    ("one-time", "false", &["GITSYNC_ONE_TIME", "GIT_SYNC_ONE_TIME"]),
    ("max-failures", "0", &["GITSYNC_MAX_FAILURES", "GIT_SYNC_MAX_FAILURES"]),
    ("init-max-failures", "= max-failures", &["GITSYNC_INIT_MAX_FAILURES"]),
    ("sync-on-signal", "", &["GITSYNC_SYNC_ON_SIGNAL", "GIT_SYNC_SYNC_ON_SIGNAL"]),
    ("stale-worktree-timeout", "", &["GITSYNC_STALE_WORKTREE_TIMEOUT"]),
    ("touch-file", "", &["GITSYNC_TOUCH_FILE", "GIT_SYNC_TOUCH_FILE"]),
    ("error-file", "", &["GITSYNC_ERROR_FILE", "GIT_SYNC_ERROR_FILE"]),
    ("group-write", "false", &["GITSYNC_GROUP_WRITE", "GIT_SYNC_GROUP_WRITE"]),
    ("add-user", "false", &["GITSYNC_ADD_USER", "GIT_SYNC_ADD_USER"]),
    ("exechook-command", "", &["GITSYNC_EXECHOOK_COMMAND", "GIT_SYNC_EXECHOOK_COMMAND"]),
    ("exechook-timeout", "30s", &["GITSYNC_EXECHOOK_TIMEOUT", "GIT_SYNC_EXECHOOK_TIMEOUT"]),
    ("exechook-backoff", "3s", &["GITSYNC_EXECHOOK_BACKOFF", "GIT_SYNC_EXECHOOK_BACKOFF"]),
    ("pre-publish-exechook-command", "", &["GITSYNC_PRE_PUBLISH_EXECHOOK_COMMAND"]),
    ("pre-publish-exechook-timeout", "30s", &["GITSYNC_PRE_PUBLISH_EXECHOOK_TIMEOUT"]),
    ("pre-publish-exechook-backoff", "3s", &["GITSYNC_PRE_PUBLISH_EXECHOOK_BACKOFF"]),
    ("webhook-url", "", &["GITSYNC_WEBHOOK_URL", "GIT_SYNC_WEBHOOK_URL"]),
    ("webhook-method", "POST", &["GITSYNC_WEBHOOK_METHOD", "GIT_SYNC_WEBHOOK_METHOD"]),
    ("webhook-success-status", "200", &["GITSYNC_WEBHOOK_SUCCESS_STATUS", "GIT_SYNC_WEBHOOK_SUCCESS_STATUS"]),
    ("webhook-timeout", "1s", &["GITSYNC_WEBHOOK_TIMEOUT", "GIT_SYNC_WEBHOOK_TIMEOUT"]),
    ("webhook-backoff", "3s", &["GITSYNC_WEBHOOK_BACKOFF", "GIT_SYNC_WEBHOOK_BACKOFF"]),
    ("username", "", &["GITSYNC_USERNAME", "GIT_SYNC_USERNAME"]),
    ("password", "", &["GITSYNC_PASSWORD", "GIT_SYNC_PASSWORD"]),
    ("password-file", "", &["GITSYNC_PASSWORD_FILE", "GIT_SYNC_PASSWORD_FILE"]),
    ("credential", "", &["GITSYNC_CREDENTIAL"]),
    (
        "ssh-key-file",
        "/etc/git-secret/ssh",
        &["GITSYNC_SSH_KEY_FILE", "GIT_SYNC_SSH_KEY_FILE", "GIT_SSH_KEY_FILE"],
    ),
    ("ssh-known-hosts", "true", &["GITSYNC_SSH_KNOWN_HOSTS", "GIT_SYNC_KNOWN_HOSTS", "GIT_KNOWN_HOSTS"]),
    (
        "ssh-known-hosts-file",
        "/etc/git-secret/known_hosts",
        &["GITSYNC_SSH_KNOWN_HOSTS_FILE", "GIT_SYNC_SSH_KNOWN_HOSTS_FILE", "GIT_SSH_KNOWN_HOSTS_FILE"],
    ),
    ("cookie-file", "false", &["GITSYNC_COOKIE_FILE", "GIT_SYNC_COOKIE_FILE", "GIT_COOKIE_FILE"]),
    ("askpass-url", "", &["GITSYNC_ASKPASS_URL", "GIT_SYNC_ASKPASS_URL", "GIT_ASKPASS_URL"]),
    ("github-base-url", "https://api.github.com/", &["GITSYNC_GITHUB_BASE_URL"]),
    ("github-app-private-key-file", "", &["GITSYNC_GITHUB_APP_PRIVATE_KEY_FILE"]),
    ("github-app-private-key", "", &["GITSYNC_GITHUB_APP_PRIVATE_KEY"]),
    ("github-app-client-id", "", &["GITSYNC_GITHUB_APP_CLIENT_ID"]),
    ("github-app-application-id", "0", &["GITSYNC_GITHUB_APP_APPLICATION_ID"]),
    ("github-app-installation-id", "0", &["GITSYNC_GITHUB_APP_INSTALLATION_ID"]),
    ("git-config", "", &["GITSYNC_GIT_CONFIG", "GIT_SYNC_GIT_CONFIG"]),
    ("git-config-add", "", &[]),
    ("git-gc", "always", &["GITSYNC_GIT_GC", "GIT_SYNC_GIT_GC"]),
    ("git", "git", &["GITSYNC_GIT", "GIT_SYNC_GIT"]),
    ("http-bind", "", &["GITSYNC_HTTP_BIND", "GIT_SYNC_HTTP_BIND"]),
    ("http-metrics", "true", &["GITSYNC_HTTP_METRICS", "GIT_SYNC_HTTP_METRICS"]),
    ("http-pprof", "false", &["GITSYNC_HTTP_PPROF", "GIT_SYNC_HTTP_PPROF"]),
    ("verbose", "0", &["GITSYNC_VERBOSE"]),
    ("branch", "", &["GIT_SYNC_BRANCH"]),
    ("rev", "", &["GIT_SYNC_REV"]),
    ("dest", "", &["GIT_SYNC_DEST"]),
    ("wait", "", &["GIT_SYNC_WAIT"]),
    ("timeout", "", &["GIT_SYNC_TIMEOUT"]),
    ("max-sync-failures", "", &["GIT_SYNC_MAX_SYNC_FAILURES"]),
    ("sync-hook-command", "", &["GIT_SYNC_HOOK_COMMAND"]),
    ("change-permissions", "0", &["GIT_SYNC_PERMISSIONS"]),
    ("ssh", "false", &["GITSYNC_SSH", "GIT_SYNC_SSH"]),
];

/// What git-sync does not have.
const OURS: &[&str] = &[
    "config",
    "ref-file",
    "ref-precedence",
    "name",
    "keep",
    "mtime",
    "durable",
    "verify-period",
    "check",
    "check-folder",
    "check-airflow",
    "check-python",
    "check-ignore-syntax",
    "check-safe-mode",
    "max-removed-dags",
    "on-rewind",
    "check-command",
    "check-timeout",
    "check-memory",
    "symlinks",
    "airflowignore-guard",
    "max-entries",
    "max-tree-bytes",
    "max-blob-bytes",
    "max-tree-depth",
    "on-locked",
    "log-format",
];

#[test]
fn every_row_of_the_contract_is_in_the_table() {
    for (name, default, vars) in CONTRACT {
        let opt = find(name).unwrap_or_else(|| panic!("no option {name}"));
        assert_eq!((opt.default, opt.vars), (*default, *vars), "{name}");
    }
    let known: BTreeSet<_> = CONTRACT.iter().map(|row| row.0).chain(OURS.iter().copied()).collect();
    let table: BTreeSet<_> = all().map(|opt| opt.name).collect();
    assert_eq!(table, known);
}

#[test]
fn names_and_variables_are_unique() {
    let mut names = BTreeSet::from(["help", "man", "version", "source"]);
    let mut vars = BTreeSet::new();
    for opt in all() {
        assert!(names.insert(opt.name), "{} is there twice", opt.name);
        assert!(opt.vars.iter().all(|var| vars.insert(*var)), "{}: a variable is there twice", opt.name);
    }
}

#[test]
fn every_row_holds_together() {
    for opt in all() {
        let name = opt.name;
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{name}");
        assert!(!opt.help.is_empty() && !opt.help.ends_with('.') && opt.help.len() < 100, "{name}: help");
        assert!(opt.doc.is_empty() || opt.doc.ends_with('.'), "{name}: doc");
        let words = ["", "last path component of repo", "last path component of link"];
        if !words.contains(&opt.default) && !opt.default.starts_with('=') {
            assert_eq!(
                opt.kind.check(opt.default),
                Ok(()),
                "{name}: its default does not pass its own check"
            );
        }
        match opt.status {
            Status::Refines(other) if other != "an ssh repository" => {
                assert!(find(other).is_some(), "{name}: {other}")
            }
            _ => {}
        }
        if let Some(new) = opt.deprecated {
            assert!(find(new).is_some_and(|new| new.deprecated.is_none()), "{name}: {new}");
            assert_ne!(opt.places, Places::All, "{name}: a deprecated name has no place in a new file");
        }
        assert!(!(opt.identity && opt.scope == Scope::Process), "{name}: the process has no identity");
        assert!(opt.split.is_none() || opt.repeatable, "{name}: split");
        if opt.kind == Kind::Secret {
            assert_ne!(opt.places, Places::All, "{name}: a credential in the file");
        }
    }
}

#[test]
fn the_nearest_name_is_near() {
    let names = || all().map(|opt| opt.name);
    assert_eq!(nearest("perod", names()), Some("period"));
    assert_eq!(nearest("pasword-file", names()), Some("password-file"));
    assert_eq!(nearest("one_time", names()), Some("one-time"));
    assert_eq!(nearest("completely-different-thing", names()), None);
}

/// `dagsync options-doc > docs/options.md`
#[test]
fn the_options_page_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/options.md");
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert!(page == crate::config::docs::options_page(), "run `dagsync options-doc > docs/options.md`");
}
