//! A local upstream is data: nothing of it, or of what lies around it, runs.

mod support;
mod synced;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use support::Repo;
use synced::{Synced, fails, names, succeeds};

/// A program that says that it ran.
fn trap(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
    let (program, ran) = (dir.join(name), dir.join(format!("{name}.ran")));
    fs::write(&program, format!("#!/bin/sh\necho x >>{}\ncat\n", ran.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    (program, ran)
}

#[test]
fn local_upstream_config_runs_nothing() {
    let world = Synced::new();
    let (program, ran) = trap(world.dir.path(), "trap");
    let program = program.to_str().unwrap();
    let included = world.path("included");
    fs::write(&included, format!("[core]\n\tfsmonitor = {program}\n")).unwrap();
    // Committed before the configuration is set: the git program would run half of it.
    let head = world.repo.commit(&[(".gitattributes", "*.py filter=x\n")]);
    for key in [
        "core.fsmonitor",
        "core.sshCommand",
        "core.gitProxy",
        "core.alternateRefsCommand",
        "core.askPass",
        "core.editor",
        "uploadpack.packObjectsHook",
        "credential.helper",
        "filter.x.smudge",
        "filter.x.process",
        "diff.external",
        "gpg.program",
        "remote.origin.uploadpack",
        "extensions.partialClone",
    ] {
        world.repo.config(key, program);
    }
    world.repo.config("include.path", included.to_str().unwrap());
    world.repo.config("url./etc/.insteadOf", "/");
    world.repo.config("filter.x.required", "true");
    let _ = fs::remove_file(&ran);
    world.once(&[]);
    assert_eq!(world.published().unwrap(), head);
    assert_eq!(fs::read_to_string(world.link().join("a.py")).unwrap(), "print(1)\n");
    assert!(!ran.exists(), "ran: {}", fs::read_to_string(&ran).unwrap_or_default());
    // Nor does any of it come along.
    let ours = fs::read_to_string(world.root.join(".git/config")).unwrap();
    assert!(!ours.contains("trap"), "{ours}");
}

const HOOKS: [&str; 8] = [
    "post-checkout",
    "pre-commit",
    "post-merge",
    "reference-transaction",
    "post-index-change",
    "pre-receive",
    "post-update",
    "fsmonitor-watchman",
];

#[test]
fn hooks_in_repo_are_inert() {
    let world = Synced::new();
    let (program, ran) = trap(world.dir.path(), "trap");
    let script = fs::read(&program).unwrap();
    for hook in HOOKS {
        let installed = world.repo.git_dir().join("hooks").join(hook);
        fs::create_dir_all(installed.parent().unwrap()).unwrap();
        fs::write(&installed, &script).unwrap();
        fs::set_permissions(&installed, fs::Permissions::from_mode(0o755)).unwrap();
    }
    // Committed ones, where a confused tool could look for them.
    for hook in HOOKS {
        for folder in ["hooks", ".githooks", ".husky"] {
            let path = format!("{folder}/{hook}");
            world.repo.write(&path, &script).chmod(&path, 0o755);
        }
    }
    synced::ok(world.repo.command().args(["-c", "core.hooksPath=/dev/null", "add", "-A", "."]));
    synced::ok(world.repo.command().args(["-c", "core.hooksPath=/dev/null", "commit", "-qm", "hooks"]));
    let _ = fs::remove_file(&ran);
    world.once(&[]);
    assert!(!ran.exists());
    assert_eq!(world.published().unwrap(), world.repo.head());
    assert!(!world.root.join(".git/hooks").exists());
}

#[test]
#[expect(non_snake_case, reason = "the name of git's setting")]
fn core_hooksPath_is_dev_null() {
    let world = Synced::new();
    world.once(&[]);
    assert_eq!(world.git_in_tree(&["config", "core.hooksPath"]), "/dev/null");
    // Even one that somebody puts into our store does not run for a git user in the tree.
    let (program, ran) = trap(world.dir.path(), "trap");
    fs::create_dir_all(world.root.join(".git/hooks")).unwrap();
    for hook in HOOKS {
        fs::copy(&program, world.root.join(".git/hooks").join(hook)).unwrap();
    }
    world.git_in_tree(&["status"]);
    world.git_in_tree(&["checkout", "-q", "--detach", "HEAD"]);
    assert!(!ran.exists());
}

#[test]
fn parent_repository_is_never_discovered() {
    let world = Synced::new();
    let inside = world.repo.work().join("dags");
    let text = fails(&world.launch_from(&inside).args(["--one-time"]));
    assert!(text.contains("not a git repository"), "{text}");
    // A root inside somebody's repository does not touch that either.
    let theirs = Repo::new(world.path("theirs"));
    let head = theirs.commit(&[("mine.txt", "mine")]);
    let before = names(theirs.git_dir());
    let root = theirs.work().join("vendor/dags");
    succeeds(
        &support::agent::Launch::default()
            .set("repo", world.repo.work())
            .set("root", &root)
            .set("link", "repo")
            .args(["--one-time"]),
    );
    assert_eq!(support::agent::published(&root, "repo"), Some(world.repo.head()));
    assert_eq!((theirs.head(), names(theirs.git_dir())), (head, before));
    assert_eq!(synced::git_in(&root.join("repo"), &["rev-parse", "HEAD"]), world.repo.head());
}

#[test]
fn user_and_system_gitconfig_are_not_read() {
    let world = Synced::new();
    let home = world.path("home");
    fs::create_dir_all(home.join(".config/git")).unwrap();
    let evil = format!(
        "[url \"/nowhere/\"]\n\tinsteadOf = {}\n[core]\n\tautocrlf = true\n\tattributesFile = {}\n",
        world.dir.path().display(),
        home.join("attributes").display()
    );
    fs::write(home.join(".gitconfig"), &evil).unwrap();
    fs::write(home.join(".config/git/config"), &evil).unwrap();
    fs::write(home.join("attributes"), "* text eol=crlf\n").unwrap();
    fs::write(home.join(".config/git/attributes"), "* text eol=crlf\n").unwrap();
    let launch = world.launch().args(["--one-time"]).env("HOME", &home);
    succeeds(
        &launch
            .env("XDG_CONFIG_HOME", home.join(".config"))
            .env("GIT_CONFIG_GLOBAL", home.join(".gitconfig"))
            .env("GIT_CONFIG_SYSTEM", home.join(".gitconfig"))
            .env("GIT_DIR", "/nowhere")
            .env("GIT_OBJECT_DIRECTORY", "/nowhere"),
    );
    world.shows(&world.repo.head());
}
