//! `dagsync check`, by the binary: what is found of a folder, of a work tree, and against something.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value as Json;
use support::{Repo, temp};

const GOOD: &str = "from airflow.sdk import DAG\n\nwith DAG('good'):\n    pass\n";
const BAD: &str = "from airflow.sdk import DAG\n\nwith DAG('bad')\n    pass\n";

/// The exit code, and what was written to standard output and standard error.
struct Said {
    code: i32,
    out: String,
    err: String,
}

fn check(folder: &Path, args: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dagsync"));
    let output = command.arg("check").args(args).current_dir(folder).env_clear().output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Said { code: output.status.code().expect("an end"), out: text(output.stdout), err: text(output.stderr) }
}

fn json(folder: &Path, args: &[&str]) -> Json {
    let said = check(folder, &[&["--format=json"], args].concat());
    serde_json::from_str(&said.out).unwrap_or_else(|err| panic!("{err}: {}{}", said.out, said.err))
}

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
    fs::write(path, text).expect("written");
}

#[test]
fn a_clean_folder_is_exit_0_and_a_broken_dag_is_exit_1_with_its_place() {
    let folder = temp();
    write(folder.path(), "good.py", GOOD);
    let clean = check(folder.path(), &[]);
    assert_eq!((clean.code, clean.err.as_str()), (0, ""), "{}", clean.out);
    assert!(clean.out.contains("1 DAG file of 1 file"), "{}", clean.out);
    write(folder.path(), "bad.py", BAD);
    let broken = check(folder.path(), &[]);
    assert_eq!(broken.code, 1);
    assert!(broken.out.starts_with("bad.py:3:"), "{}", broken.out);
    assert!(broken.out.contains("error:") && broken.out.contains("[python-syntax]"), "{}", broken.out);
    assert!(broken.out.contains("3 | with DAG('bad')") && broken.out.contains('^'), "{}", broken.out);
    assert!(!broken.out.contains('\x1b'), "no colours in a pipe");
}

#[test]
fn wrong_usage_is_exit_64_and_what_cannot_be_read_is_exit_1() {
    let folder = temp();
    for args in [&["--format=xml"][..], &["--airflow=1.10"], &["--python=2.7"], &["--nonsense"], &["a", "b"]]
    {
        let said = check(folder.path(), args);
        assert_eq!(said.code, 64, "{args:?}: {}", said.err);
        assert!(said.out.is_empty() && said.err.starts_with("error: "), "{args:?}: {}", said.err);
    }
    let missing = check(folder.path(), &["nowhere"]);
    assert_eq!(missing.code, 1);
    assert!(missing.err.contains("nowhere"), "{}", missing.err);
    let unknown = check(folder.path(), &["--against=v1"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.err.contains("v1"), "{}", unknown.err);
}

#[test]
fn the_list_is_of_what_airflow_loads_one_path_a_line() {
    let folder = temp();
    for path in ["b.py", "a/c.py", "a.txt", "ignored/d.py"] {
        write(folder.path(), path, GOOD);
    }
    write(folder.path(), "plain.py", "x = 1\n");
    write(folder.path(), ".airflowignore", "ignored/\n");
    let listed = check(folder.path(), &["--list"]);
    assert_eq!((listed.code, listed.out.as_str()), (0, "a/c.py\nb.py\n"), "{}", listed.err);
    let all = check(folder.path(), &["--list", "--no-safe-mode"]);
    assert_eq!(all.out, "a/c.py\nb.py\nplain.py\n");
    let below = check(folder.path(), &["--list", "a"]);
    assert_eq!(below.out, "c.py\n");
    write(folder.path(), "odd/\u{1b}[31m\n::error::d é.py", GOOD);
    let odd = check(folder.path(), &["--list", "odd"]);
    assert_eq!(odd.out, "\\u{1b}[31m\\n::error::d é.py\n", "no control character, no second line");
}

#[test]
fn people_read_paths_from_where_they_are_and_programs_from_the_folder() {
    let folder = temp();
    write(folder.path(), "my/dags/sub/bad.py", BAD);
    let first = |said: &Said| said.out.lines().next().unwrap_or_default().to_owned();
    for dir in ["my/dags", "./my/dags/", folder.path().join("my/dags").to_str().expect("UTF-8")] {
        assert!(first(&check(folder.path(), &[dir])).starts_with("my/dags/sub/bad.py:3:"), "{dir}");
        assert_eq!(json(folder.path(), &[dir])["findings"][0]["path"], "sub/bad.py");
    }
    for (from, dir) in [("my/dags", "."), ("my/dags/sub", ".."), ("my", "../my/dags/sub/..")] {
        let said = first(&check(&folder.path().join(from), &[dir]));
        let expected = if from == "my" { "dags/sub/bad.py:3:" } else { "sub/bad.py:3:" };
        assert!(said.starts_with(expected), "{from}, {dir}: {said}");
    }
}

#[test]
fn in_a_work_tree_only_what_git_tracks_is_checked() {
    let folder = temp();
    let repo = Repo::new(folder.path().join("repo"));
    repo.commit(&[("dags/good.py", GOOD)]);
    write(repo.work(), "dags/.venv/bad.py", BAD);
    let top = repo.work();
    assert_eq!(json(top, &["dags"])["files"], 1);
    assert_eq!(json(top, &["--untracked", "dags"])["files"], 2);
    // What is staged is checked as it is in the folder: that is what a commit of it all would have.
    repo.git(&["add", "-f", "dags/.venv/bad.py"]);
    assert_eq!(check(top, &["dags"]).code, 1);
}

#[test]
fn errors_that_a_revision_has_already_do_not_count_against_it() {
    let folder = temp();
    let repo = Repo::new(folder.path().join("repo"));
    repo.commit(&[("dags/bad.py", BAD), ("dags/good.py", GOOD)]);
    let top = repo.work();
    assert_eq!(check(top, &["dags"]).code, 1);
    let against = check(top, &["dags", "--against=HEAD"]);
    assert_eq!(against.code, 0, "{}", against.out);
    assert!(against.out.contains("bad.py:3:16: old error: "), "it is told all the same: {}", against.out);
    assert!(against.out.contains("pass: 1 old error in "), "{}", against.out);
    write(top, "dags/good.py", BAD);
    let against = check(top, &["dags", "--against=HEAD"]);
    assert!(against.code == 1 && against.out.contains("good.py:3:16: new error: "), "{}", against.out);
    assert!(against.out.contains("reject: 1 new error, 1 old in "), "{}", against.out);
    let notes = check(top, &["dags", "--against=HEAD", "--format=github"]).out;
    assert!(
        notes.contains("::notice file=dags/bad.py") && notes.contains("::error file=dags/good.py"),
        "{notes}"
    );
    // Against a folder.
    let other = folder.path().join("other");
    write(&other, "good.py", BAD);
    write(&other, "bad.py", BAD);
    let said = check(top, &["dags", &format!("--against={}", other.display())]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
}

#[test]
fn hosts_get_paths_from_the_top_of_the_repository() {
    let folder = temp();
    let repo = Repo::new(folder.path().join("repo"));
    repo.commit(&[("dags/bad.py", BAD)]);
    for (format, path) in [
        ("github", "file=dags/bad.py,line=3"),
        ("gitlab", "\"path\": \"dags/bad.py\""),
        ("sarif", "\"uri\": \"dags/bad.py\""),
        ("junit", "file=\"dags/bad.py\""),
    ] {
        let said = check(repo.work(), &["dags", &format!("--format={format}")]);
        assert_eq!(said.code, 1, "{}", said.err);
        assert!(said.out.contains(path), "{format}: {}", said.out);
    }
}

#[test]
fn nothing_of_a_repository_runs() {
    let folder = temp();
    let repo = Repo::new(folder.path().join("repo"));
    let ran = folder.path().join("ran");
    repo.write(".gitattributes", "*.py filter=evil\n");
    repo.commit(&[("good.py", &format!("open({ran:?}, 'w')\n{GOOD}"))]);
    for key in
        ["filter.evil.smudge", "filter.evil.clean", "core.fsmonitor", "core.sshCommand", "diff.external"]
    {
        repo.config(key, &format!("touch {}", ran.display()));
    }
    let said = check(repo.work(), &["--against=HEAD"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(!ran.exists());
}
