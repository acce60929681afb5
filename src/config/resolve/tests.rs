//! From flags, variables and file to the configuration, through the front door.

mod auth;
mod charts;
mod places;

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use crate::config::said::{Inputs, Surroundings};
use crate::config::*;

pub(super) fn load_all(args: &[&str], vars: &[(&str, &str)], file: Option<&str>) -> Result<Config, Errors> {
    let vars = vars.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let around = Surroundings::new(vars, "/somewhere", false, true);
    load(&Inputs::new(args.iter().map(OsString::from), around), file)
}

const BASE: [&str; 2] = ["--repo=https://git.example.com/org/dags.git", "--root=/git"];

/// With a repository and a root, and these flags.
pub(super) fn flags(args: &[&str]) -> Result<Config, Errors> {
    load_all(&[&BASE[..], args].concat(), &[], None)
}

/// With a repository and a root, and these variables.
pub(super) fn vars(vars: &[(&str, &str)]) -> Result<Config, Errors> {
    load_all(&BASE, vars, None)
}

pub(super) fn source(config: Result<Config, Errors>) -> SourceConfig {
    let config = config.unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.sources.len(), 1);
    config.sources.into_iter().next().unwrap()
}

pub(super) fn errors(config: Result<Config, Errors>) -> String {
    match config {
        Ok(config) => panic!("no error: {config:?}"),
        Err(errors) => errors.to_string(),
    }
}

#[test]
fn defaults_are_git_syncs() {
    let config = flags(&[]).unwrap();
    assert_eq!(config.warnings, Vec::<String>::new());
    let process = &config.process;
    assert_eq!((process.http_bind, process.one_time, process.verbose), (None, false, 0));
    assert_eq!((process.log_format, process.on_locked), (LogFormat::Json, OnLocked::Wait));
    assert!(process.http_metrics && process.sync_on_signal.is_none() && process.config_file.is_none());
    let source = source(Ok(config));
    assert_eq!(source.name, "dags");
    assert_eq!(source.link, Path::new("/git/dags.git"), "git-sync takes the last component literally");
    assert_eq!(source.reference, RefChoice::Fixed("HEAD".into()));
    assert_eq!(source.depth.map(u32::from), Some(1));
    assert_eq!((source.period, source.init_period), (Duration::from_secs(10), Duration::from_secs(10)));
    assert_eq!(source.sync_timeout, Duration::from_secs(120));
    assert_eq!((source.max_failures, source.init_max_failures), (Some(0), Some(0)));
    assert_eq!((source.stale_worktree_timeout, source.keep), (None, 0));
    assert_eq!((source.mtime, source.durable), (Times::Preserve, Durable::Auto));
    assert_eq!(source.verify_period, Some(Duration::from_secs(600)));
    assert_eq!(
        (source.submodules, source.symlinks, source.limits),
        (Submodules::Recursive, Symlinks::Inside, Limits::default())
    );
    assert!(source.gc && source.airflowignore_guard && !source.group_write && !source.ref_conflict);
    assert_eq!((source.auth, source.http), (AuthConfig::None, HttpConfig::default()));
}

#[test]
fn how_a_tree_is_kept_is_read_from_flags_and_variables() {
    let said = source(flags(&["--mtime=now", "--durable=off", "--verify-period=0"]));
    assert_eq!((said.mtime, said.durable, said.verify_period), (Times::Now, Durable::Off, None));
    let said = source(vars(&[("DAGSYNC_DURABLE", "on"), ("DAGSYNC_VERIFY_PERIOD", "1h")]));
    assert_eq!((said.durable, said.verify_period), (Durable::On, Some(Duration::from_secs(3600))));
    assert!(errors(flags(&["--durable=yes"])).contains("must be one of auto, on, off"));
}

#[test]
fn limits_said_in_the_documentation_are_the_real_ones() {
    for (name, value) in [
        ("max-tree-bytes", Limits::default().bytes),
        ("max-blob-bytes", Limits::default().blob_bytes),
        ("max-entries", Limits::default().entries),
        ("max-tree-depth", Limits::default().depth.into()),
    ] {
        assert_eq!(value::parse_size(options::find(name).unwrap().default), Some(value), "{name}");
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let errors = load_all(
        &["--period=5ms", "--submodules=some", "--perod=1s", "--ref=-x", "--username=u"],
        &[("GITSYNC_DEPTH", "-1"), ("GITSYNC_HTTP_BIND", "nowhere")],
        None,
    )
    .unwrap_err();
    let text = errors.to_string();
    for told in [
        "--period: `5ms` must be at least 10ms",
        "--submodules: `some` must be one of recursive, shallow, off",
        "unknown flag `--perod`",
        "--ref: `-x` must not begin with `-`",
        "--username: needs a password or a password file",
        "GITSYNC_DEPTH: `-1` must be at least 0",
        "GITSYNC_HTTP_BIND: `nowhere` is not an address",
        "repo: required",
        "root: required",
    ] {
        assert!(text.contains(told), "{told}\n---\n{text}");
    }
    assert_eq!(errors.len(), 9, "{text}");
    assert_eq!(EXIT_USAGE, 64);
}

#[test]
fn a_config_file_that_cannot_be_read_is_an_error() {
    assert!(errors(flags(&["--config=x.toml"])).contains("config file `/somewhere/x.toml`: cannot be read"));
    let config = load_all(&[&BASE[..], &["--config=x.toml"]].concat(), &[], Some("")).unwrap();
    assert_eq!(config.process.config_file, Some("/somewhere/x.toml".into()));
}

#[test]
fn a_config_file_with_a_syntax_error_is_not_blamed_for_what_it_may_hold() {
    let text = errors(load_all(&["--perod=1s"], &[], Some("repo = \"https://h/r\"\nroot = [\n")));
    assert!(text.contains("unknown flag `--perod`"), "{text}");
    assert!(!text.contains("required"), "{text}");
    assert_eq!(text.matches("error: ").count(), 2, "{text}");
}

#[test]
fn numbers_and_times_are_read() {
    let config = flags(&[
        "--depth=0",
        "--period=1m30s",
        "--init-period=2 sec",
        "--sync-timeout=2min",
        "--max-failures=-1",
        "--init-max-failures=7",
        "--keep=3",
        "--stale-worktree-timeout=0",
        "--max-blob-bytes=1MiB",
        "--verbose=12",
        "--sync-on-signal=hup",
        "--http-bind=:1234",
        "--http-metrics=false",
        "--git-gc=off",
        "--symlinks=any",
        "--on-locked=fail",
        "--log-format=human",
        "--airflowignore-guard=false",
        "--submodules=off",
    ])
    .unwrap();
    assert_eq!(config.process.verbose, 9);
    assert_eq!(config.process.sync_on_signal, Some(1));
    assert_eq!(config.process.http_bind, Some("[::]:1234".parse().unwrap()));
    assert!(!config.process.http_metrics);
    assert_eq!((config.process.on_locked, config.process.log_format), (OnLocked::Fail, LogFormat::Human));
    let source = source(Ok(config));
    assert_eq!(source.depth, None);
    assert_eq!((source.period, source.init_period), (Duration::from_secs(90), Duration::from_secs(2)));
    assert_eq!(source.sync_timeout, Duration::from_secs(120));
    assert_eq!((source.max_failures, source.init_max_failures), (None, Some(7)));
    assert_eq!((source.keep, source.stale_worktree_timeout), (3, Some(Duration::ZERO)));
    assert_eq!(
        (source.limits.blob_bytes, source.symlinks, source.submodules),
        (1 << 20, Symlinks::Any, Submodules::Off)
    );
    assert!(!source.gc && !source.airflowignore_guard);
}

#[test]
fn deprecated_names_override_the_new_ones_unless_zero() {
    let new = [
        ("GITSYNC_PERIOD", "5s"),
        ("GITSYNC_SYNC_TIMEOUT", "7s"),
        ("GITSYNC_MAX_FAILURES", "3"),
        ("GITSYNC_LINK", "new"),
    ];
    for (old, period, timeout, failures, link) in [
        (["60", "120", "9", "old"], 60_000, 120, Some(9), "/git/old"),
        (["0.5", "120", "-1", "old"], 500, 120, None, "/git/old"),
        (["0", "0", "0", ""], 5_000, 7, Some(3), "/git/new"),
        (["", "", "", ""], 5_000, 7, Some(3), "/git/new"),
    ] {
        let names = ["GIT_SYNC_WAIT", "GIT_SYNC_TIMEOUT", "GIT_SYNC_MAX_SYNC_FAILURES", "GIT_SYNC_DEST"];
        let both: Vec<_> = new.into_iter().chain(names.into_iter().zip(old)).collect();
        let source = source(vars(&both));
        assert_eq!(source.period.as_millis(), period, "{old:?}");
        assert_eq!(source.sync_timeout, Duration::from_secs(timeout), "{old:?}");
        assert_eq!((source.max_failures, source.link.to_str().unwrap()), (failures, link), "{old:?}");
    }
    let told = vars(&[("GITSYNC_PERIOD", "5s"), ("GIT_SYNC_WAIT", "60")]).unwrap().warnings;
    assert_eq!(told, ["GIT_SYNC_WAIT: overrides GITSYNC_PERIOD, as in git-sync"]);
    assert_eq!(flags(&["--wait=60"]).unwrap().warnings, ["--wait: deprecated, use `--period`"]);
    assert!(errors(vars(&[("GIT_SYNC_WAIT", "0.001")])).contains("GIT_SYNC_WAIT: must be at least 0.01"));
    assert!(errors(vars(&[("GIT_SYNC_WAIT", "-1")])).contains("GIT_SYNC_WAIT: `-1`"));
}

#[test]
fn file_modes_can_no_longer_be_set() {
    assert!(vars(&[("GIT_SYNC_PERMISSIONS", "0")]).is_ok());
    assert!(errors(vars(&[("GIT_SYNC_PERMISSIONS", "0777")])).contains("--group-write"));
}

#[test]
fn the_rule_of_ref_and_branch_is_applied() {
    let both = [("GITSYNC_REF", "v1.2.3"), ("GIT_SYNC_BRANCH", "main"), ("GIT_SYNC_REV", "HEAD")];
    let config = vars(&both).unwrap();
    assert_eq!(config.warnings.len(), 1);
    assert!(
        config.warnings[0].contains("using the ref `v1.2.3`, not the branch `main`"),
        "{:?}",
        config.warnings
    );
    let chosen = source(Ok(config));
    assert_eq!((chosen.reference, chosen.ref_conflict), (RefChoice::Fixed("v1.2.3".into()), true));
    for (precedence, reference) in [("ref", "v1.2.3"), ("branch", "main")] {
        let config =
            load_all(&[BASE[0], BASE[1], &format!("--ref-precedence={precedence}")], &both, None).unwrap();
        assert!(config.warnings.is_empty(), "said explicitly, it needs no warning");
        assert_eq!(source(Ok(config)).reference, RefChoice::Fixed(reference.into()));
    }
    let config = load_all(&[BASE[0], BASE[1], "--ref-file=ref.txt"], &both, None).unwrap();
    assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);
    assert_eq!(source(Ok(config)).reference, RefChoice::File("/somewhere/ref.txt".into()));
}

#[test]
fn option_like_ref_is_refused() {
    for (args, env) in [
        (&["--ref=--upload-pack=touch /tmp/x"][..], &[][..]),
        (&["--branch", "--upload-pack=x"], &[]),
        (&[], &[("GITSYNC_REF", "-x")]),
        (&[], &[("GIT_SYNC_REV", "--upload-pack=x")]),
    ] {
        let told = errors(load_all(&[&BASE[..], args].concat(), env, None));
        assert!(told.contains("must not begin with `-`"), "{told}");
    }
}

/// Nothing is silently ignored: what is not there yet is an error when it matters, and fine when it does not.
#[test]
fn what_is_not_supported_yet_is_an_error_when_it_matters() {
    for arg in [
        "--filter=blob:none",
        "--sparse-checkout-file=/x",
        "--exechook-command=/x",
        "--sync-hook-command=/x",
        "--pre-publish-exechook-command=/x",
        "--webhook-url=https://CANARY@x/",
        "--credential={\"password\":\"CANARY\"}",
        "--cookie-file",
        "--askpass-url=https://CANARY@x/",
        "--github-app-private-key-file=/x",
        "--github-app-client-id=x",
        "--github-app-application-id=1",
        "--github-app-installation-id=1",
    ] {
        let told = errors(flags(&[arg]));
        assert!(told.contains("is not supported yet") && !told.contains("CANARY"), "{told}");
    }
    assert!(errors(vars(&[("GITSYNC_GITHUB_APP_PRIVATE_KEY", "CANARY")])).contains("not supported yet"));
    for repo in ["git@example.com:org/x.git", "ssh://git@example.com/x"] {
        let told = errors(load_all(&[&format!("--repo={repo}"), "--root=/git"], &[], None));
        assert!(told.contains(
            "--repo: the address is an ssh address, which is not supported yet\nhint: use the https"
        ));
    }
    for arg in [
        "--filter=",
        "--cookie-file=false",
        "--webhook-timeout=5s",
        "--webhook-success-status=201",
        "--exechook-backoff=1m",
        "--submodules=recursive",
        "--submodules=shallow",
        "--github-base-url=https://ghe.example.com/",
        "--ssh-key-file=/etc/git-secret/id_rsa",
        "--ssh-known-hosts=false",
        "--github-app-application-id=0",
        "--add-user",
        "--ssh",
        "--ssh=false",
        "--git=git",
        "--http-pprof=false",
    ] {
        let config = flags(&[arg]).unwrap_or_else(|errors| panic!("{arg}: {errors}"));
        assert!(config.warnings.is_empty(), "{arg}: {:?}", config.warnings);
    }
    assert!(errors(flags(&["--webhook-timeout=x"])).contains("is not a duration"), "still type-checked");
    for arg in ["--git=/usr/bin/git", "--http-pprof"] {
        assert_eq!(flags(&[arg]).unwrap().warnings.len(), 1, "{arg}");
    }
}

#[test]
fn the_same_settings_compare_equal_and_others_do_not() {
    let file = |text: &str| load_all(&[], &[], Some(text)).unwrap();
    let base = "repo = '/srv/x'\nroot = '/git'\n";
    assert_eq!(file(base), file(base));
    assert_ne!(file(base), file(&format!("{base}period = '3s'\n")));
}

#[test]
fn a_check_command_is_split_into_words_without_a_shell() {
    let own = |args: &[&str]| source(flags(args)).check.own;
    assert_eq!(own(&[]), None);
    let found = own(&["--check-command=bin/check --name 'two words' \"$HOME\" a\\ b", "--check-timeout=5s"]);
    let found = found.expect("a command");
    assert_eq!(found.words, ["/somewhere/bin/check", "--name", "two words", "$HOME", "a b"]);
    assert_eq!((found.timeout, found.memory), (Duration::from_secs(5), Some(4 << 30)));
    for (memory, bytes) in [("0", None), ("1GiB", Some(1 << 30))] {
        let found = own(&["--check-command=true", &format!("--check-memory={memory}")]);
        assert_eq!(found.expect("a command").memory, bytes);
    }
    let by_name = own(&["--check-command=ruff check"]).expect("a command");
    assert_eq!(by_name.words, ["ruff", "check"], "looked for in PATH");
    for wrong in ["'open CANARY", "CANARY \\", "''", "# only a comment"] {
        let told = errors(flags(&[&format!("--check-command={wrong}")]));
        assert!(told.contains("--check-command: ") && !told.contains("CANARY"), "{told}");
    }
}

#[test]
fn a_check_command_that_cannot_do_its_work_is_warned_of() {
    let warned = |args: &[&str]| flags(args).unwrap().warnings.join("\n");
    let command = "--check-command=true";
    assert_eq!(warned(&[command]), "");
    assert!(warned(&[command, "--check-timeout=120s"]).contains("not shorter than sync-timeout"));
}

#[test]
fn a_check_command_tells_no_secret_of_any_source_or_of_the_environment() {
    let file = "check-command = 'true'\nroot = '/git'\n\
                [[source]]\nname = 'a'\nlink = 'a'\nrepo = 'https://ghp_0123456789abcdef@h/x?key=CANARY-query'\n\
                [[source]]\nname = 'b'\nlink = 'b'\nrepo = 'https://ada:CANARY%40address@h/x'\n\
                git-config = 'http.extraHeader:Authorization: Bearer CANARY-header,http.proxy:http://u:CANARY-proxy@p'\n";
    let vars = [
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgres://x:CANARY-db@h/"),
        ("AWS_SECRET_ACCESS_KEY", "CANARY-variable"),
        ("ANY_PLACE", "amqp://u:CANARY%2furl@h"),
        ("AIRFLOW__CORE__PARALLELISM", "3"),
        ("GIT_SYNC_KNOWN_TOKEN_FILE", "/run/a-place"),
    ];
    let config = load_all(&[], &vars, Some(file)).unwrap();
    assert_eq!(config.sources.len(), 2);
    for source in &config.sources {
        let own = source.check.own.as_ref().expect("a command");
        for secret in [
            "ghp_0123456789abcdef",
            "CANARY-query",
            "CANARY@address",
            "CANARY%40address",
            "YWRhOkNBTkFSWUBhZGRyZXNz",
            "CANARY-header",
            "CANARY-proxy",
            "CANARY-db",
            "CANARY-variable",
            "CANARY/url",
        ] {
            assert_eq!(own.hidden.hide(&format!("3 {secret}!")), "3 ***!", "{}", source.name);
        }
        assert_eq!(own.hidden.hide("/run/a-place of ada"), "/run/a-place of ada");
    }
    // A server hears nothing of other sources, and a change of theirs is none of this one.
    let hides = |number: usize, text: &str| config.sources[number].hidden.hide(text) == "***";
    assert!(hides(0, "CANARY-query") && hides(0, "CANARY-variable") && !hides(0, "CANARY@address"));
    assert!(hides(1, "CANARY@address") && hides(1, "CANARY-header") && !hides(1, "CANARY-query"));
}

#[test]
fn what_may_be_a_word_is_hidden_only_where_a_password_stands() {
    let args =
        ["--root=/git", "--link=a", "--repo=https://ghp_0123456789abcdef:x@h/x", "--check-command=true"];
    let urls = [
        "postgresql+psycopg2://airflow:airflow@postgres/airflow",
        "amqp://guest:changeme@queue//",
        "redis://:s3cret@cache/0",
        "mysql://longer-name:longer-name@h/",
        "postgres://u:0ldPassw0rd@h/",
    ];
    let vars: Vec<(String, &str)> =
        urls.iter().enumerate().map(|(number, url)| (format!("AIRFLOW__A__B{number}"), *url)).collect();
    let mut vars: Vec<(&str, &str)> = vars.iter().map(|(name, url)| (name.as_str(), *url)).collect();
    vars.extend([("GITSYNC_PASSWORD_FILE", ""), ("GITSYNC_GIT_CONFIG", "http.extraHeader:X-Env: dev")]);
    let config = load_all(&args, &vars, None).unwrap();
    let hidden = &config.sources[0].check.own.as_ref().expect("a command").hidden;
    for text in [
        "No module named airflow.providers.postgres in dags/airflow_etl.py: x, changeme, s3cret, dev",
        "the guest of longer-name",
    ] {
        assert_eq!(hidden.hide(text), text);
    }
    for url in urls {
        assert_eq!(hidden.hide(url), "***", "{url}");
        let spelt = url::Url::parse(url).unwrap();
        let (user, password) = (spelt.username(), spelt.password().unwrap());
        let elsewhere = format!("{user}:{password}@other");
        // A longer one, which is a word of no language, is hidden whatever stands around it.
        assert_eq!(hidden.hide(&elsewhere), format!("{user}:***@other"), "{url}");
    }
    assert_eq!(hidden.hide("0ldPassw0rd ghp_0123456789abcdef:x@h"), "*** ***:***@h");
}
