//! What the charts really set: one image name changes, nothing else.

use super::*;

/// The official chart 1.22, sidecar.
#[test]
fn the_official_chart_works_as_it_is() {
    let env = [
        ("GITSYNC_SSH_KEY_FILE", "/etc/git-secret/ssh"),
        ("GIT_SYNC_SSH", "true"),
        ("GITSYNC_SSH", "true"),
        ("GIT_KNOWN_HOSTS", "false"),
        ("GITSYNC_SSH_KNOWN_HOSTS", "false"),
        ("GIT_SYNC_REV", "HEAD"),
        ("GITSYNC_REF", "v2-2-stable"),
        ("GIT_SYNC_BRANCH", "main"),
        ("GIT_SYNC_REPO", "https://github.com/apache/airflow.git"),
        ("GITSYNC_REPO", "https://github.com/apache/airflow.git"),
        ("GIT_SYNC_DEPTH", "1"),
        ("GITSYNC_DEPTH", "1"),
        ("GIT_SYNC_ROOT", "/git"),
        ("GITSYNC_ROOT", "/git"),
        ("GIT_SYNC_DEST", "repo"),
        ("GITSYNC_LINK", "repo"),
        ("GIT_SYNC_ADD_USER", "true"),
        ("GITSYNC_ADD_USER", "true"),
        ("GITSYNC_PERIOD", "5s"),
        ("GIT_SYNC_MAX_SYNC_FAILURES", "0"),
        ("GITSYNC_MAX_FAILURES", "0"),
        ("GITSYNC_HTTP_BIND", ":1234"),
        ("GIT_SYNC_HTTP_BIND", ":1234"),
    ];
    let config = load_all(&[], &env, None).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.warnings, Vec::<String>::new(), "nobody reads warnings that are always there");
    assert_eq!(config.process.http_bind.map(|address| address.port()), Some(1234));
    let source = source(Ok(config));
    assert_eq!(source.reference, RefChoice::Fixed("main".into()));
    assert_eq!((source.root.as_path(), source.link.as_path()), (Path::new("/git"), Path::new("/git/repo")));
    assert_eq!((source.period, source.max_failures), (Duration::from_secs(5), Some(0)));
    assert_eq!((source.name.as_str(), source.ref_conflict), ("repo", false));
}

/// The official chart 1.10: v3 names only.
#[test]
fn an_old_official_chart_works_as_it_is() {
    let env = [
        ("GIT_SYNC_REV", "HEAD"),
        ("GIT_SYNC_BRANCH", "v2-2-stable"),
        ("GIT_SYNC_REPO", "https://github.com/apache/airflow.git"),
        ("GIT_SYNC_DEPTH", "1"),
        ("GIT_SYNC_ROOT", "/git"),
        ("GIT_SYNC_DEST", "repo"),
        ("GIT_SYNC_ADD_USER", "true"),
        ("GIT_SYNC_WAIT", "60"),
        ("GIT_SYNC_MAX_SYNC_FAILURES", "0"),
        ("GIT_SYNC_ONE_TIME", "true"),
        ("GIT_SYNC_USERNAME", "me"),
        ("GIT_SYNC_PASSWORD", "secret"),
    ];
    let config = load_all(&[], &env, None).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(config.warnings.is_empty() && config.process.one_time, "{:?}", config.warnings);
    let source = source(Ok(config));
    assert_eq!(
        (source.reference, source.period),
        (RefChoice::Fixed("v2-2-stable".into()), Duration::from_secs(60))
    );
    assert_eq!(source.link, Path::new("/git/repo"));
    assert!(matches!(source.auth, AuthConfig::Fixed { .. }));
}

/// The community chart 8.9.
#[test]
fn the_community_chart_works_as_it_is() {
    let env = [
        ("GIT_SYNC_ROOT", "/dags"),
        ("GIT_SYNC_DEST", "repo"),
        ("GIT_SYNC_REPO", "https://example.com/x.git"),
        ("GIT_SYNC_BRANCH", "master"),
        ("GIT_SYNC_REV", "HEAD"),
        ("GIT_SYNC_DEPTH", "1"),
        ("GIT_SYNC_WAIT", "60"),
        ("GIT_SYNC_TIMEOUT", "120"),
        ("GIT_SYNC_ADD_USER", "true"),
        ("GIT_SYNC_MAX_SYNC_FAILURES", "0"),
        ("GIT_SYNC_SUBMODULES", "recursive"),
        ("GIT_KNOWN_HOSTS", "false"),
        ("GIT_SSH_KEY_FILE", "/etc/git-secret/id_rsa"),
    ];
    let config = load_all(&[], &env, None).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let source = source(Ok(config));
    assert_eq!((source.period, source.sync_timeout), (Duration::from_secs(60), Duration::from_secs(120)));
    assert_eq!(source.reference, RefChoice::Fixed("master".into()));
}

/// The Stackable operator gives flags, and the users' own behind them.
#[test]
fn the_stackable_operator_works_as_it_is() {
    let args = [
        "--depth=1",
        "--git-config=safe.directory:/tmp/git,http.sslCAInfo:/tmp/ca.crt",
        "--link=current",
        "--one-time=true",
        "--period=20s",
        "--ref=main",
        "--repo=https://example.com/x",
        "--root=/tmp/git",
        "--rev",
        "HEAD",
    ];
    let config = load_all(&args, &[], None).unwrap_or_else(|errors| panic!("{errors}"));
    let source = source(Ok(config));
    assert_eq!(source.http.ssl_ca_info, Some("/tmp/ca.crt".into()));
    assert_eq!((source.reference, source.link), (RefChoice::Fixed("main".into()), "/tmp/git/current".into()));
}
