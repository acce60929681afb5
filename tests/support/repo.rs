//! Repositories with verbs, made by the git program.
//!
//! The product has no git program; its tests do, because it is the judge of what a repository means. Every call is cut
//! off from the machine's configuration, and dates and names are fixed, so the same verbs give the same ids everywhere.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};

use tempfile::TempDir;

use super::process::program;

/// When the world begins; each commit is a minute after the one before.
pub const EPOCH: i64 = 1_700_000_000;

/// A repository and the files next to it. A bare one keeps its files in a private folder, so all verbs work on both.
pub struct Repo {
    git_dir: PathBuf,
    work: PathBuf,
    clock: AtomicI64,
    _private: Option<TempDir>,
}

/// The git program, deaf to the machine it runs on: no configuration, no prompts, fixed names, every transport allowed.
pub fn git() -> Command {
    let mut command = Command::new(program("git"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_AUTHOR_NAME", "Ada")
        .env("GIT_AUTHOR_EMAIL", "ada@example.com")
        .env("GIT_COMMITTER_NAME", "Ada")
        .env("GIT_COMMITTER_EMAIL", "ada@example.com")
        .env("GIT_AUTHOR_DATE", format!("{EPOCH} +0000"))
        .env("GIT_COMMITTER_DATE", format!("{EPOCH} +0000"))
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    // `gc` in the background would race with the test; `safe.directory` since tests run as several uids.
    for setting in ["protocol.file.allow=always", "gc.auto=0", "maintenance.auto=false", "safe.directory=*"] {
        command.args(["-c", setting]);
    }
    command
}

/// Runs a prepared command with `input` on stdin.
pub fn run_with_input(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a program of the world starts");
    let mut stdin = child.stdin.take().expect("a piped stdin");
    // From a thread of its own, or both sides wait for ever once the pipes are full. A child that stops reading early
    // (upload-pack, after an error) is no failure of ours.
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().expect("output of a child")
    })
}

/// Stdout of a run that has to succeed, without the last line break.
#[track_caller]
pub fn text_of(what: &str, output: Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what} failed ({}):\n{stderr}", output.status);
    String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
}

impl Repo {
    /// A repository with its files around it, on branch `main`, without commits.
    pub fn new(dir: impl AsRef<Path>) -> Repo {
        Repo::init(dir.as_ref(), false, "sha1")
    }

    /// A bare repository on branch `main`.
    pub fn bare(dir: impl AsRef<Path>) -> Repo {
        Repo::init(dir.as_ref(), true, "sha1")
    }

    /// A bare repository whose object ids are SHA-256.
    pub fn bare_sha256(dir: impl AsRef<Path>) -> Repo {
        Repo::init(dir.as_ref(), true, "sha256")
    }

    fn init(dir: &Path, bare: bool, format: &str) -> Repo {
        fs::create_dir_all(dir).expect("the repository's folder");
        let mut init = git();
        init.args(["init", "-q", "-b", "main", "--object-format", format]);
        if bare {
            init.arg("--bare");
        }
        text_of("git init", init.arg("--").arg(dir).output().expect("git runs"));
        let private = bare.then(super::temp);
        let repo = Repo {
            git_dir: if bare { dir.to_owned() } else { dir.join(".git") },
            work: private.as_ref().map_or_else(|| dir.to_owned(), |folder| folder.path().to_owned()),
            clock: AtomicI64::new(EPOCH),
            _private: private,
        };
        // What hosts allow: dagsync asks for exact objects, with filters.
        repo.config("uploadpack.allowAnySHA1InWant", "true");
        repo.config("uploadpack.allowFilter", "true");
        repo
    }

    /// The git folder: for a bare repository what is served, otherwise `.git`.
    pub fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// Where the files are.
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// A git command on this repository, at the repository's present time.
    pub fn command(&self) -> Command {
        let mut command = git();
        let now = format!("{} +0000", self.clock.load(Ordering::Relaxed));
        command.env("GIT_AUTHOR_DATE", &now).env("GIT_COMMITTER_DATE", &now);
        command
            .current_dir(&self.work)
            .arg("--git-dir")
            .arg(&self.git_dir)
            .arg("--work-tree")
            .arg(&self.work);
        command
    }

    /// Runs git; its trimmed stdout.
    ///
    /// # Panics
    /// With git's message when it fails.
    #[track_caller]
    pub fn git(&self, args: &[&str]) -> String {
        text_of(&format!("git {args:?}"), self.command().args(args).output().expect("git runs"))
    }

    /// Runs git, which may fail.
    pub fn try_git(&self, args: &[&str]) -> Output {
        self.command().args(args).output().expect("git runs")
    }

    /// Runs git with `input` on stdin.
    #[track_caller]
    pub fn git_input(&self, args: &[&str], input: &[u8]) -> String {
        text_of(&format!("git {args:?}"), run_with_input(self.command().args(args), input))
    }

    /// Sets a value of the repository's own configuration.
    pub fn config(&self, key: &str, value: &str) -> &Self {
        self.git(&["config", key, value]);
        self
    }

    // Files

    /// Writes a file, with the folders above it.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.make_way(path);
        fs::write(path, content).expect("a file of the repository");
        self
    }

    /// Removes a file, link or folder.
    pub fn remove(&self, path: &str) -> &Self {
        self.git(&["rm", "-rfq", "--ignore-unmatch", "--", path]);
        self.clear(&self.work.join(path));
        self
    }

    /// Sets a file's mode; git keeps the executable bit of it.
    pub fn chmod(&self, path: &str, mode: u32) -> &Self {
        fs::set_permissions(self.work.join(path), fs::Permissions::from_mode(mode)).expect("a mode is set");
        self
    }

    /// Makes a symbolic link at `path`, in place of whatever is there.
    pub fn symlink(&self, path: &str, target: &str) -> &Self {
        let path = self.make_way(path);
        self.clear(&path);
        std::os::unix::fs::symlink(target, path).expect("a link of the repository");
        self
    }

    fn make_way(&self, path: &str) -> PathBuf {
        let path = self.work.join(path);
        fs::create_dir_all(path.parent().expect("a path inside")).expect("folders of the repository");
        path
    }

    fn clear(&self, path: &Path) {
        match fs::symlink_metadata(path) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(path).expect("a folder is removed"),
            Ok(_) => fs::remove_file(path).expect("a file is removed"),
            Err(_) => {}
        }
    }

    // History

    /// Writes files and commits everything there is; the commit's id. Without a change it is an empty commit.
    pub fn commit(&self, files: &[(&str, &str)]) -> String {
        for (path, content) in files {
            self.write(path, content);
        }
        self.commit_all("a change")
    }

    /// Commits the files as they are.
    pub fn commit_all(&self, message: &str) -> String {
        self.clock.fetch_add(60, Ordering::Relaxed);
        self.git(&["add", "-A", "."]);
        self.git(&["commit", "-q", "--allow-empty", "--allow-empty-message", "-m", message]);
        self.head()
    }

    /// Replaces the tip with one that has these files too: what a force-push brings.
    pub fn amend(&self, files: &[(&str, &str)]) -> String {
        for (path, content) in files {
            self.write(path, content);
        }
        self.clock.fetch_add(60, Ordering::Relaxed);
        self.git(&["add", "-A", "."]);
        self.git(&["commit", "-q", "--amend", "--allow-empty", "-m", "amended"]);
        self.head()
    }

    /// Moves the current branch to `rev`, forward or backward, files included.
    pub fn reset(&self, rev: &str) -> String {
        self.git(&["reset", "-q", "--hard", rev]);
        self.head()
    }

    /// Makes a branch at the tip, or moves it there.
    pub fn branch(&self, name: &str) -> &Self {
        self.branch_at(name, "HEAD")
    }

    /// Makes a branch at `rev`, or moves it there: a force-push to a branch that is not checked out.
    pub fn branch_at(&self, name: &str, rev: &str) -> &Self {
        let id = self.id(&format!("{rev}^{{commit}}"));
        self.set_ref(&format!("refs/heads/{name}"), &id)
    }

    /// Goes to a branch, made if need be.
    pub fn switch(&self, name: &str) -> &Self {
        self.git(&["checkout", "-q", "-B", name]);
        self
    }

    /// A lightweight tag at the tip, or moved there.
    pub fn tag(&self, name: &str) -> &Self {
        self.git(&["tag", "-f", name]);
        self
    }

    /// A tag object at the tip, dated in seconds since 1970; the id of the tag object.
    pub fn annotated_tag(&self, name: &str, date: i64) -> String {
        let mut command = self.command();
        command.env("GIT_COMMITTER_DATE", format!("{date} +0000"));
        command.args(["tag", "-f", "-a", "-m", name, "--", name]);
        text_of("git tag", command.output().expect("git runs"));
        self.id(&format!("refs/tags/{name}"))
    }

    /// Points a full refname at an object, whatever its kind.
    pub fn set_ref(&self, name: &str, id: &str) -> &Self {
        self.git(&["update-ref", name, id]);
        self
    }

    /// Removes a full refname.
    pub fn delete_ref(&self, name: &str) -> &Self {
        self.git(&["update-ref", "-d", name]);
        self
    }

    /// The id of the tip.
    pub fn head(&self) -> String {
        self.id("HEAD")
    }

    /// The full id of what a revision expression names.
    pub fn id(&self, rev: &str) -> String {
        self.git(&["rev-parse", "--verify", "-q", "--end-of-options", rev])
    }
}
