//! What the agent prints: nothing raw from a server or a repository, and what its own commands say.

mod support;

use std::fs;
use std::path::Path;
use std::time::Duration;

use support::agent::{Launch, published};
use support::observe::{address, log_lines, metrics, sidecar, upstream, wait_for_passes};
use support::{Answer, Hostile};

const LONG: Duration = Duration::from_secs(30);

/// Text that a terminal would obey, a log would split, and a reader would see backwards.
const EVIL: &str =
    "\u{1b}[2J\u{1b}]0;owned\u{7}\r\n{\"level\":\"info\",\"msg\":\"forged\"} \u{202e}gpj.exe\u{9b}31m";

#[track_caller]
fn is_harmless(what: &str, text: &str) {
    let bad = text.chars().find(|c| {
        (c.is_control() && *c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    });
    assert!(bad.is_none(), "{what} holds {bad:?}:\n{}", text.escape_debug());
    assert!(
        !text.lines().any(|line| line.trim_start().starts_with("{\"level\":\"info\",\"msg\":\"forged\"")),
        "{what}:\n{text}"
    );
}

/// Runs once against `repo`, in both formats; nothing it prints or leaves may be raw.
#[track_caller]
fn says_it_harmlessly(repo: &str, root: &Path, more: &[&str], part: &str) {
    for format in ["json", "human"] {
        let launch = Launch::new(["--one-time", "-v", "9", "--error-file=error.json"])
            .set("repo", repo)
            .set("root", root);
        let done = launch.set("log-format", format).set("link", "current").args(more).run(LONG);
        is_harmless(format, &done.stderr);
        is_harmless("stdout", &done.stdout);
        assert!(done.stderr.contains(part), "`{part}` is not in:\n{}", done.stderr);
        if format == "json" {
            for line in log_lines(&done.stderr) {
                // Nor may it come back when somebody prints the decoded strings.
                let texts = line.as_object().unwrap().values().filter_map(|value| value.as_str());
                texts.for_each(|text| is_harmless("a decoded value", text));
            }
        }
        if let Ok(text) = fs::read_to_string(root.join("error.json")) {
            let report: serde_json::Value = serde_json::from_str(&text).unwrap();
            is_harmless("the error file", &text);
            is_harmless("the error", report["Err"].as_str().unwrap());
        }
    }
}

#[test]
fn escape_sequences_are_escaped_in_logs_and_status() {
    let (_folder, repo, root) = upstream();
    let tells = Hostile::new(|asked| Answer::git_error(asked, EVIL));
    says_it_harmlessly(&tells.url(), &root, &[], "owned");
    let page = Hostile::new(|_| Answer::status(500).header("Content-Type", "text/html").body(EVIL));
    says_it_harmlessly(&page.url(), &root, &[], "500");
    let moved = Hostile::new(|_| Answer::redirect("http://127.0.0.1:1/\u{9b}31m\u{1b}[2J"));
    says_it_harmlessly(&moved.url(), &root, &[], "failures");

    // A server is free to name its refs as it likes; git's own rules do not allow this one.
    let id = repo.head();
    let refs = Hostile::over(&repo, move |asked, honest| {
        if asked.is_ls_refs() { honest.with_ref(&id, "refs/heads/mai\u{1b}[2J\u{202e}n") } else { honest }
    });
    says_it_harmlessly(&refs.url(), &root, &["--ref=maim"], "maim");
}

#[test]
fn names_that_a_commit_chooses_are_escaped_too() {
    let (_folder, repo, root) = upstream();
    // What git allows in a branch and a path, and a reader should not see as it is.
    let branch = "we\u{202e}ird\u{200b}";
    repo.branch(branch);
    let agent = sidecar(repo.git_dir(), &root).set("ref", branch).args(["--period=50ms"]).start();
    let at = address(&agent);
    wait_for_passes(at, "current", "success", 1);
    is_harmless("the log", &agent.stderr());
    is_harmless("metrics", &metrics(at));
    assert_eq!(published(&root, "current"), Some(repo.head()));
    drop(agent);

    repo.symlink("dags/\u{202e}link\u{85}", "/etc/pass\u{202e}wd\u{9b}31m");
    repo.commit_all("a link out of the tree, with a name to hide it");
    says_it_harmlessly(&repo.git_dir().display().to_string(), &root, &["--ref=main"], "link");
}

#[test]
fn what_the_command_line_says_wrong_is_escaped() {
    let evil = format!("--{EVIL}");
    for args in
        [vec![evil.as_str()], vec![EVIL], vec!["--period", EVIL], vec!["--repo", EVIL], vec!["probe", EVIL]]
    {
        let done = Launch::new(&args).run(LONG);
        assert_eq!(done.status.code(), Some(64), "{args:?}: {}", done.stderr);
        is_harmless("stderr", &done.stderr);
    }
}

#[test]
fn texts_are_printed_and_nothing_runs() {
    let version = Launch::new(["--version"]).run(LONG);
    assert!(version.status.success() && version.stdout.contains(env!("CARGO_PKG_VERSION")), "{version:?}");
    let help = Launch::new(["--help"]).run(LONG);
    for part in ["--repo", "--period", "demo", "probe"] {
        assert!(help.status.success() && help.stdout.contains(part), "{part}: {help:?}");
    }
    for short in ["-h", "-?"] {
        assert_eq!(Launch::new([short]).run(LONG).stdout, help.stdout);
    }
    // Also beside settings that are wrong, and without the ones that are required.
    assert!(
        Launch::new(["--period=nonsense", "--help"]).env("GITSYNC_DEPTH", "x").run(LONG).status.success()
    );
    let man = Launch::new(["--man"]).run(LONG);
    assert!(man.status.success() && man.stdout.contains(".TH"), "{man:?}");
    assert_eq!(Launch::new(["man"]).run(LONG).stdout, man.stdout);
    for shell in ["bash", "zsh", "fish"] {
        let completions = Launch::new(["completions", shell]).run(LONG);
        assert!(
            completions.status.success() && completions.stdout.contains("sync-on-signal"),
            "{completions:?}"
        );
    }
    assert_eq!(Launch::new(["completions", "cmd.exe"]).run(LONG).status.code(), Some(64));
    let unknown = Launch::new(["porbe"]).run(LONG);
    assert_eq!(unknown.status.code(), Some(64));
    assert!(unknown.stderr.contains("did you mean `probe`?"), "{}", unknown.stderr);
}

#[test]
fn a_port_that_is_taken_is_said_by_name() {
    let (_folder, repo, root) = upstream();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bind = taken.local_addr().unwrap().to_string();
    let done = sidecar(repo.git_dir(), &root).set("http-bind", &bind).run(LONG);
    assert_eq!(done.status.code(), Some(1), "{}", done.stderr);
    assert!(done.stderr.contains(&bind), "{}", done.stderr);
    assert!(!root.exists(), "nothing is written before everything is bound");
}
